//! Three processes that are a cluster, whatever builds they are of.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::process::{Answer, Build, Process, Status};
use crate::{DEADLINE, IDS};

/// How often to look whether something happened that nothing tells of.
const POLL: Duration = Duration::from_millis(20);

/// Its members. Clones are the same ones.
#[derive(Clone, Default)]
pub(crate) struct Members(Arc<Mutex<BTreeMap<u64, Arc<Process>>>>);

impl Members {
    pub(crate) fn all(&self) -> Vec<Arc<Process>> {
        self.0.lock().unwrap().values().cloned().collect()
    }

    /// What the leader answers. Asks again as long as nobody leads, or the answer may be another one
    /// later: a second change of the membership, say.
    pub(crate) async fn lead(&self, command: &str) -> Answer {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut last = "nobody leads".to_owned();
            for node in self.all() {
                match node.ask(command).await {
                    Err(why) if why.contains("not the leader") => {}
                    Err(why) if why.contains("can't be changed") => last = why,
                    answer => return answer,
                }
            }
            assert!(Instant::now() < deadline, "{command:?}: {last}");
            sleep(POLL).await;
        }
    }
}

pub(crate) struct Cluster {
    pub(crate) members: Members,
    addresses: BTreeMap<u64, String>,
}

impl Cluster {
    /// Nodes 1 to 3 of that build.
    pub(crate) async fn start(build: Build) -> Self {
        // Free a moment ago, which is as good as it gets for a process of its own.
        let listeners = (1..=5).map(|id| (id, TcpListener::bind("127.0.0.1:0").unwrap()));
        let listeners: Vec<_> = listeners.collect();
        let address = |(id, at): &(u64, TcpListener)| (*id, at.local_addr().unwrap().to_string());
        let addresses = listeners.iter().map(address).collect();
        drop(listeners);
        let cluster = Self { members: Members::default(), addresses };
        for id in IDS {
            let process = cluster.process(id, &IDS, build);
            cluster.members.0.lock().unwrap().insert(id, Arc::new(process));
        }
        for node in cluster.members.all() {
            assert_eq!(node.admission().await.as_deref(), Ok("Forms"));
        }
        cluster
    }

    fn process(&self, id: u64, members: &[u64], build: Build) -> Process {
        let joining = !members.contains(&id);
        let members = members.iter().map(|id| {
            let address = &self.addresses[id];
            format!("[[members]]\nid = {id}\naddress = \"{address}\"\n")
        });
        let config = format!(
            "node_id = {id}\ncluster_name = \"upgraded\"\njoining = {joining}\nheartbeat_ms = 100\n\
             election_min_ms = 1000\nelection_max_ms = 2000\n{}",
            members.collect::<String>()
        );
        Process::start(id, &self.addresses[&id], &config, build)
    }

    /// A node that wants in.
    pub(crate) fn joining(&self, id: u64, build: Build) -> Process {
        let others: Vec<u64> = IDS.into_iter().filter(|other| *other != id).collect();
        self.process(id, &others, build)
    }

    /// Puts a node of that build in the place of node `id`, as an operator does where nodes keep
    /// nothing.
    pub(crate) async fn replace(&mut self, id: u64, build: Build) {
        let old = self.members.0.lock().unwrap().remove(&id).unwrap();
        old.stop().await;
        self.lead(&format!("remove {id}")).await.unwrap();
        let new = self.joining(id, build);
        assert_eq!(new.admission().await.as_deref(), Ok("Waits"));
        self.lead(&format!("add {id} {}", new.address)).await.unwrap();
        self.members.0.lock().unwrap().insert(id, Arc::new(new));
    }

    pub(crate) async fn lead(&self, command: &str) -> Answer {
        self.members.lead(command).await
    }

    /// The one that leads.
    pub(crate) async fn leader(&self) -> Arc<Process> {
        let statuses = self.until("a leader", |statuses| statuses.iter().any(|it| it.leads)).await;
        let leads = statuses.iter().position(|it| it.leads).unwrap();
        Arc::clone(&self.members.all()[leads])
    }

    /// Neither the kind nor the field is taken, and before long for that reason: a leader may have found
    /// another one just before the last member came.
    pub(crate) async fn refuses_what_is_new(&self, why: &str) {
        let deadline = Instant::now() + DEADLINE;
        for command in ["append log x", "prepend log x"] {
            loop {
                let refused = self.lead(command).await.unwrap_err();
                let begins = "format: SET needs format 4, the cluster writes 3: node ";
                assert!(refused.starts_with(begins), "{command}: {refused}");
                if refused.contains(why) {
                    break;
                }
                assert!(Instant::now() < deadline, "{command}: {refused}, not {why}");
                sleep(POLL).await;
            }
        }
    }

    /// Has the log of each begin behind a snapshot.
    pub(crate) async fn snapshots(&self) {
        for node in self.members.all() {
            assert_eq!(node.ask("snapshot").await.as_deref(), Ok(""));
        }
    }

    /// All of them write that format.
    pub(crate) async fn writes(&self, format: u64) {
        let what = format!("format {format}");
        self.until(&what, |statuses| statuses.iter().all(|it| it.format == format)).await;
    }

    /// All of them hold the same.
    pub(crate) async fn agrees(&self) {
        let same = |statuses: &[Status]| {
            let first = &statuses[0];
            statuses.iter().all(|it| (it.applied, &it.digest) == (first.applied, &first.digest))
        };
        self.until("equal digests", same).await;
    }

    async fn until(&self, what: &str, condition: impl Fn(&[Status]) -> bool) -> Vec<Status> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut statuses = Vec::new();
            for node in self.members.all() {
                statuses.push(node.status().await);
            }
            if condition(&statuses) {
                return statuses;
            }
            assert!(Instant::now() < deadline, "in vain for {what}: {statuses:#?}");
            sleep(POLL).await;
        }
    }
}
