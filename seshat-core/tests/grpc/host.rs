//! One node with its server, and many of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use seshat_core::config::{NodeConfig, NodeConfigBuilder};
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::machine::MachineReader;
use seshat_core::network::grpc::{Admission, AdmissionError, Clients, GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::storage::{MemStorage, Storage};
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::sends::Snapshots;

/// Longer than anything takes that goes well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Host {
    pub(crate) node: RaftNode,
    pub(crate) server: GrpcServer,
    pub(crate) sends: Snapshots,
    pub(crate) transport: GrpcTransport,
}

impl Host {
    /// A node on `listener`, which has not been admitted.
    pub(crate) async fn start(config: NodeConfig, listener: TcpListener) -> Self {
        Self::on(config, listener, MemStorage::new()).await
    }

    /// The same, on that storage.
    pub(crate) async fn on(
        config: NodeConfig,
        listener: TcpListener,
        storage: impl Storage<Reader = MachineReader>,
    ) -> Self {
        Self::serve(config, listener, storage, None).await
    }

    /// The same, on what a directory holds.
    pub(crate) async fn on_disk(config: NodeConfig, listener: TcpListener, dir: &Path) -> Self {
        let options = DiskOptions::new(config.cluster_name(), config.node_id());
        let storage = DiskStorage::open(dir, options).unwrap();
        Self::serve(config, listener, storage, None).await
    }

    /// The same, and serves clients on a port of theirs.
    pub(crate) async fn with_clients(
        config: NodeConfig,
        listener: TcpListener,
        routes: Routes,
    ) -> (Self, String) {
        let clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = clients.local_addr().unwrap().to_string();
        let clients = Clients { listener: clients, routes };
        let host = Self::serve(config, listener, MemStorage::new(), Some(clients)).await;
        assert_eq!(host.server.clients_addr().unwrap().to_string(), address);
        (host, address)
    }

    async fn serve(
        config: NodeConfig,
        listener: TcpListener,
        storage: impl Storage<Reader = MachineReader>,
        clients: Option<Clients>,
    ) -> Self {
        let transport = GrpcTransport::new(&config).unwrap();
        let sends = Snapshots::default();
        let network = sends.through(transport.clone());
        let node = RaftNode::start(config, storage, network).await.unwrap();
        let server = GrpcServer::start(&node, &transport, listener, clients).await.unwrap();
        Self { node, server, sends, transport }
    }

    pub(crate) async fn admit(&self) -> Result<Admission, AdmissionError> {
        tokio::time::timeout(DEADLINE, self.server.admit()).await.expect("admitted or refused")
    }

    pub(crate) async fn shutdown(self) {
        self.node.shutdown().await;
        self.server.shutdown().await;
    }
}

/// Ports of nodes 1 to `count`.
pub(crate) struct Ports {
    cluster: &'static str,
    listeners: BTreeMap<u64, TcpListener>,
    addresses: BTreeMap<u64, String>,
}

impl Ports {
    pub(crate) async fn of(count: u64) -> Self {
        Self::named("seshat", count).await
    }

    /// The same, of a cluster of that name.
    pub(crate) async fn named(cluster: &'static str, count: u64) -> Self {
        let (mut listeners, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        for id in 1..=count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.insert(id, listener.local_addr().unwrap().to_string());
            listeners.insert(id, listener);
        }
        Self { cluster, listeners, addresses }
    }

    /// Of a node among all of them, or of one that joins those below it.
    pub(crate) fn config(&self, id: u64) -> NodeConfigBuilder {
        // So patient that the other tests beside it cost no leader its place.
        let config = NodeConfig::builder(id)
            .cluster_name(self.cluster)
            .heartbeat_interval(Duration::from_millis(200))
            .election_timeout_min(Duration::from_millis(1500))
            .election_timeout_max(Duration::from_millis(3000));
        let members = self.addresses.iter();
        members.fold(config, |config, (id, address)| config.member(*id, address))
    }

    pub(crate) fn address(&self, id: u64) -> &str {
        &self.addresses[&id]
    }

    /// Others find node `id` there.
    pub(crate) fn found_at(&mut self, id: u64, address: impl ToString) {
        self.addresses.insert(id, address.to_string());
    }

    pub(crate) fn listener(&mut self, id: u64) -> TcpListener {
        self.listeners.remove(&id).expect("a node is started once")
    }

    /// All nodes, admitted.
    pub(crate) async fn cluster(self) -> Vec<Host> {
        let all = self.addresses.len() as u64;
        self.cluster_of(all).await
    }

    /// Nodes 1 to `count`, admitted, who know of no others.
    pub(crate) async fn cluster_of(self, count: u64) -> Vec<Host> {
        self.cluster_with(count, |config| config).await
    }

    /// The same, with something changed.
    pub(crate) async fn cluster_with(
        self,
        count: u64,
        adjust: impl Fn(NodeConfigBuilder) -> NodeConfigBuilder,
    ) -> Vec<Host> {
        self.cluster_by(count, |_, config| adjust(config)).await
    }

    /// The same, with something of each node's own.
    pub(crate) async fn cluster_by(
        mut self,
        count: u64,
        adjust: impl Fn(u64, NodeConfigBuilder) -> NodeConfigBuilder,
    ) -> Vec<Host> {
        self.addresses.retain(|id, _| *id <= count);
        let mut hosts = Vec::new();
        for id in 1..=count {
            let config = adjust(id, self.config(id)).build().unwrap();
            hosts.push(Host::start(config, self.listener(id)).await);
        }
        let admitted = hosts.iter().map(|host| host.admit());
        for end in futures_util::future::join_all(admitted).await {
            assert_eq!(end, Ok(Admission::Forms));
        }
        hosts
    }
}

/// The one that leads.
pub(crate) async fn leader(hosts: &[Host]) -> &Host {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while tokio::time::Instant::now() < deadline {
        if let Some(host) = hosts.iter().find(|host| host.node.is_leader()) {
            return host;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody leads after {DEADLINE:?}");
}

/// Writes through whoever leads, again if that one has just lost its place.
pub(crate) async fn set(hosts: &[Host], key: impl Into<String>, value: impl Into<String>) {
    let (key, value) = (key.into(), value.into());
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while let Err(error) = leader(hosts).await.node.set(key.clone(), value.clone()).await {
        assert!(tokio::time::Instant::now() < deadline, "{key} isn't written: {error}");
    }
}
