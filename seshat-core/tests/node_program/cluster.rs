//! Three nodes and their configurations.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seshat_core::client::Client;
use seshat_core::proto::client::{Role, StatusResponse};
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::program::Program;
use crate::{DEADLINE, POLL};

pub(crate) const IDS: [u64; 3] = [1, 2, 3];

/// How long a client of a test tries. Longer than an election takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A port that nobody listens on, below those that systems hand out themselves: it can be bound
/// again after a restart.
pub(crate) fn port() -> u16 {
    let random = RandomState::new();
    let mut ports = (0_u64..).map(|n| 10_000 + (random.hash_one(n) % 20_000) as u16);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// The path of a new file that holds `text`.
pub(crate) fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// The three of them, of which some may be down.
pub(crate) struct Cluster {
    directory: TempDir,
    addresses: BTreeMap<u64, String>,
    clients: BTreeMap<u64, String>,
    /// More keys of the configurations.
    settings: &'static str,
    /// Whether each keeps what it has in a directory.
    on_disk: bool,
    /// Where the certificates are, if there are any.
    tls: Option<PathBuf>,
    /// More arguments of each.
    pub(crate) arguments: BTreeMap<u64, Vec<String>>,
    pub(crate) running: BTreeMap<u64, Program>,
}

impl Cluster {
    /// None of them runs yet.
    pub(crate) fn new(settings: &'static str) -> Self {
        let [addresses, clients] =
            [(); 2].map(|()| IDS.map(|id| (id, format!("127.0.0.1:{}", port()))).into());
        let (arguments, running) = (BTreeMap::new(), BTreeMap::new());
        let directory = tempfile::tempdir().unwrap();
        let (on_disk, tls) = (false, None);
        Self { directory, addresses, clients, settings, on_disk, tls, arguments, running }
    }

    /// All run, and one leads.
    pub(crate) async fn start(settings: &'static str) -> Self {
        Self::new(settings).started().await
    }

    /// The same, each with a directory of its own.
    pub(crate) async fn start_on_disk(settings: &'static str) -> Self {
        Self { on_disk: true, ..Self::new(settings) }.started().await
    }

    /// Where a node keeps what it has.
    pub(crate) fn data_dir(&self, id: u64) -> PathBuf {
        self.directory.path().join(format!("data{id}"))
    }

    /// The same, with the certificates in that directory: `node-1.pem` and so on for the nodes, and
    /// `client.admin.pem` for the test.
    pub(crate) async fn start_encrypted(certificates: &Path) -> Self {
        let tls = Some(certificates.to_owned());
        Self { tls, ..Self::new("") }.started().await
    }

    async fn started(mut self) -> Self {
        let cluster = &mut self;
        for id in IDS {
            cluster.run(id);
        }
        cluster.leader().await;
        self
    }

    /// Where other nodes reach a node.
    pub(crate) fn address(&self, id: u64) -> &str {
        &self.addresses[&id]
    }

    /// Where clients reach it.
    pub(crate) fn for_clients(&self, id: u64) -> &str {
        &self.clients[&id]
    }

    /// Starts a node.
    pub(crate) fn run(&mut self, id: u64) -> &mut Program {
        let mut text = format!("node_id = {id}\n{}\n", self.settings);
        if self.on_disk {
            text.push_str(&format!("data_dir = {:?}\n", self.data_dir(id)));
        }
        for (id, address) in &self.addresses {
            text.push_str(&format!("[[members]]\nid = {id}\naddress = \"{address}\"\n"));
        }
        if let Some(certificates) = &self.tls {
            let certificates = certificates.display();
            text.push_str(&format!(
                "[grpc.tls]\nca = \"{certificates}/ca.pem\"\n\
                 cert = \"{certificates}/node-{id}.pem\"\nkey = \"{certificates}/node-{id}.key\"\n"
            ));
        }
        let config = file(self.directory.path(), &format!("node{id}.toml"), &text);
        let clients = self.clients[&id].clone();
        let mut arguments = vec![
            "serve".to_owned(),
            "--config".to_owned(),
            config,
            "--listen-clients".to_owned(),
            clients,
        ];
        arguments.extend(self.arguments.get(&id).into_iter().flatten().cloned());
        self.running.insert(id, Program::start(arguments));
        self.running.get_mut(&id).unwrap()
    }

    /// Ends a node as a power cut would, but that what it wrote stays in the system's cache.
    pub(crate) async fn kill(&mut self, id: u64) {
        let mut node = self.take(id);
        node.kill();
        let ended = node.ended().await;
        assert_eq!(ended.code, None, "{ended:#?}");
    }

    /// No longer one of those that should run.
    pub(crate) fn take(&mut self, id: u64) -> Program {
        self.running.remove(&id).unwrap()
    }

    /// Starts a node that was a member as a new one: it has forgotten everything.
    pub(crate) async fn rejoin(&mut self, id: u64) {
        let client = self.client();
        client.remove(id).await.unwrap();
        self.run(id).says("waits to be added").await;
        client.add(id, &self.addresses[&id]).await.unwrap();
    }

    /// A client that knows all three.
    pub(crate) fn client(&self) -> Client {
        self.hasty_client(1, PATIENCE)
    }

    /// A client that begins with node `first`.
    pub(crate) fn hasty_client(&self, first: u64, patience: Duration) -> Client {
        let others = self.clients.iter().filter(|(id, _)| **id != first);
        let to = [&self.clients[&first]].into_iter().chain(others.map(|(_, address)| address));
        let tls = self.tls.as_ref().map(|certificates| {
            let read = |name| fs::read(certificates.join(name)).unwrap();
            let admin = Identity::from_pem(read("client.admin.pem"), read("client.admin.key"));
            let ca = Certificate::from_pem(read("ca.pem"));
            ClientTlsConfig::new().ca_certificate(ca).identity(admin)
        });
        Client::new(to.cloned().collect(), tls, patience).unwrap()
    }

    /// What those that run say of themselves.
    pub(crate) async fn statuses(&self) -> Vec<StatusResponse> {
        let client = self.client();
        let mut statuses = Vec::new();
        for id in self.running.keys() {
            statuses.extend(client.status(self.for_clients(*id)).await);
        }
        statuses
    }

    /// Waits until `condition` holds for what those that run say; returns that.
    pub(crate) async fn until(
        &self,
        what: &str,
        condition: impl Fn(&[StatusResponse]) -> bool,
    ) -> Vec<StatusResponse> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let statuses = self.statuses().await;
            if condition(&statuses) {
                return statuses;
            }
            assert!(Instant::now() < deadline, "in vain for: {what}: {statuses:#?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until a majority follows one of them; returns its id.
    pub(crate) async fn leader(&self) -> u64 {
        let statuses = self.until("a leader", |statuses| led_by(statuses).is_some()).await;
        led_by(&statuses).unwrap()
    }

    /// Waits until all three are voters and hold the same, under one leader.
    pub(crate) async fn settled(&self) -> Vec<StatusResponse> {
        let settled = |statuses: &[StatusResponse]| {
            let first = &statuses[0];
            statuses.len() == IDS.len()
                && led_by(statuses).is_some()
                && statuses.iter().all(|it| {
                    it.digest == first.digest
                        && it.last_applied == first.last_applied
                        && it.leader == first.leader
                        && it.members.iter().filter(|member| member.voter).count() == IDS.len()
                })
        };
        self.until("three equal voters", settled).await
    }
}

fn led_by(statuses: &[StatusResponse]) -> Option<u64> {
    let follows =
        |id| statuses.iter().filter(move |it| it.leader.as_ref().is_some_and(|it| it.id == id));
    let leads = |it: &&StatusResponse| it.role() == Role::Leader && follows(it.id).count() > 1;
    statuses.iter().find(leads).map(|it| it.id)
}
