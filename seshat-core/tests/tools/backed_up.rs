//! A cluster's state, out of it and into a new one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use seshat_core::config::NodeConfig;
use seshat_core::disk::{DiskOptions, DiskStorage, OpenError};
use seshat_core::network::grpc::{Admission, Clients, GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::wal;
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::program::{Said, seshat};
use seshat_core::service::Service;

const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes that serve clients, each on a directory.
struct Nodes {
    nodes: Vec<RaftNode>,
    clients: Vec<String>,
    servers: Vec<GrpcServer>,
    admissions: Vec<Admission>,
}

/// Places where three nodes will listen, and who they are.
struct Places {
    listeners: Vec<TcpListener>,
    members: BTreeMap<u64, String>,
}

impl Places {
    async fn take(ids: [u64; 3]) -> Self {
        let take = ids.map(async |id| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            (listener, (id, address))
        });
        let (listeners, members) = join_all(take).await.into_iter().unzip();
        Self { listeners, members }
    }
}

impl Nodes {
    async fn start(cluster: &str, places: Places, dirs: &[PathBuf]) -> Self {
        let Places { listeners, members } = places;
        let mut started = Self {
            nodes: Vec::new(),
            clients: Vec::new(),
            servers: Vec::new(),
            admissions: Vec::new(),
        };
        let mut services = Vec::new();
        for ((listener, (id, _)), dir) in listeners.into_iter().zip(&members).zip(dirs) {
            let builder = NodeConfig::builder(*id).cluster_name(cluster);
            let with = members.iter().fold(builder, |it, (id, address)| it.member(*id, address));
            let config = with.build().unwrap();
            let storage = DiskStorage::open(dir, DiskOptions::new(cluster, *id)).unwrap();
            let transport = GrpcTransport::new(&config).unwrap();
            let node = RaftNode::start(config, storage, transport.clone()).await.unwrap();
            let service = Service::new(node.clone());
            let for_clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
            started.clients.push(for_clients.local_addr().unwrap().to_string());
            let clients = Clients { listener: for_clients, routes: Routes::new(service.server()) };
            let server = GrpcServer::start(&node, &transport, listener, Some(clients)).await;
            started.servers.push(server.unwrap());
            started.nodes.push(node);
            services.push(service);
        }
        let admitted = try_join_all(started.servers.iter().map(GrpcServer::admit));
        let admitted = tokio::time::timeout(PATIENCE, admitted).await.expect("admitted");
        started.admissions = admitted.unwrap();
        services.iter().for_each(Service::admitted);
        started
    }

    async fn leader(&self) -> usize {
        let leader = self.nodes[0].wait_for_leader(PATIENCE).await.unwrap();
        self.nodes.iter().position(|node| node.id() == leader).unwrap()
    }

    async fn set(&self, key: &str, value: &str) {
        let deadline = Instant::now() + PATIENCE;
        // A leader may change while it is asked.
        while let Err(error) =
            self.nodes[self.leader().await].set(key.to_owned(), value.to_owned()).await
        {
            assert!(Instant::now() < deadline, "{error}");
        }
    }

    async fn stop(self) {
        join_all(self.nodes.iter().map(RaftNode::shutdown)).await;
        join_all(self.servers.into_iter().map(GrpcServer::shutdown)).await;
    }
}

async fn run(arguments: Vec<String>) -> Said {
    tokio::task::spawn_blocking(move || seshat(arguments)).await.unwrap()
}

fn backup(to: &[String], file: &Path, more: &[&str]) -> Vec<String> {
    let mut arguments = vec!["backup".to_owned(), file.display().to_string()];
    to.iter().for_each(|to| arguments.extend(["--to".to_owned(), to.clone()]));
    arguments.extend(more.iter().map(|it| (*it).to_owned()));
    arguments
}

fn dirs(root: &Path, name: &str) -> Vec<PathBuf> {
    (1..=3).map(|number| root.join(format!("{name}-{number}"))).collect()
}

/// Opens once the node's last task is gone, a moment after its end.
async fn at_rest(dir: &Path) -> Said {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = run(vec!["verify".to_owned(), dir.display().to_string()]).await;
        if said.code != 3 || Instant::now() > deadline {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_in_the_new_cluster_which_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("backup");
    let old = Nodes::start("old", Places::take([1, 2, 3]).await, &dirs(root.path(), "old")).await;
    for n in 0..40 {
        old.set(&format!("key-{n}"), &format!("value-{n}")).await;
    }
    let said = run(backup(&old.clients, &file, &[])).await;
    assert_eq!((said.code, said.error.as_str()), (0, ""), "{said:?}");
    assert!(said.out.contains(": 40 keys of "), "{said:?}");
    // What is written from now on isn't in it, and another is another file.
    old.set("key-0", "later").await;
    let said = run(backup(&old.clients, &file, &[])).await;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.error.contains("is there already: name a file that isn't"), "{said:?}");
    let names: Vec<_> =
        fs::read_dir(root.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "three directories and the backup: {names:?}");

    let places = Places::take([4, 5, 6]).await;
    let new = dirs(root.path(), "new");
    for (id, dir) in places.members.keys().zip(&new) {
        let mut arguments = vec!["restore".to_owned()];
        arguments.extend([&file, dir].map(|path| path.display().to_string()));
        arguments.extend(["--cluster", "new", "--node", &id.to_string()].map(str::to_owned));
        for (id, address) in &places.members {
            arguments.extend(["--member".to_owned(), format!("{id}={address}")]);
        }
        let said = run(arguments).await;
        assert_eq!((said.code, said.error.as_str()), (0, ""), "{said:?}");
        assert_eq!(at_rest(dir).await.code, 0);
    }
    // The old cluster is alive, and none of its business.
    let term = old.nodes[0].metrics().borrow().current_term;
    let started = Nodes::start("new", places, &new).await;
    assert_eq!(started.admissions, [Admission::Remembers; 3], "no ceremony");
    for n in 0..40 {
        let key = format!("key-{n}");
        let deadline = Instant::now() + PATIENCE;
        let read = loop {
            match started.nodes[started.leader().await].read_linearizable(key.as_bytes()).await {
                Ok(read) => break read,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        assert_eq!(read.as_deref(), Some(format!("value-{n}").as_bytes()), "{key}");
    }
    started.set("new", "write").await;
    for node in &started.nodes {
        node.wait_until(PATIENCE, "the write", |now| {
            now.last_applied.is_some_and(|last| last.leader_id.term > term)
        })
        .await
        .unwrap();
        let ids: Vec<_> = node.metrics().borrow().membership_config.voter_ids().collect();
        assert_eq!(ids, [4, 5, 6]);
    }
    started.stop().await;
    old.stop().await;
    for dir in &new {
        let said = at_rest(dir).await;
        assert_eq!(said.code, 0, "{said:?}");
    }
    // A node of the old cluster's name is refused.
    let error = DiskStorage::open(&new[0], DiskOptions::new("old", 4)).unwrap_err();
    assert!(matches!(error, OpenError::Log(wal::OpenError::OtherCluster { .. })), "{error}");
}

/// Only the leader knows the latest; whoever will do with less says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_refuses_unless_any_state_will_do() {
    let root = tempfile::tempdir().unwrap();
    let nodes = Nodes::start("old", Places::take([1, 2, 3]).await, &dirs(root.path(), "old")).await;
    nodes.set("key", "value").await;
    let leader = nodes.leader().await;
    let follower = (leader + 1) % 3;
    let applied = nodes.nodes[leader].last_applied();
    nodes.nodes[follower]
        .wait_until(PATIENCE, "the write", |now| now.last_applied >= applied)
        .await
        .unwrap();
    let only = [nodes.clients[follower].clone()];
    let file = root.path().join("backup");
    let said = run(backup(&only, &file, &["--timeout", "1"])).await;
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    let leads = format!("node {} leads", nodes.nodes[leader].id());
    assert!(
        said.error.contains("no node gave a backup") && said.error.contains(&leads),
        "{said:?}"
    );
    assert!(!file.exists());
    let said = run(backup(&only, &file, &["--local"])).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains(": 1 key of "), "{said:?}");
    nodes.stop().await;
}
