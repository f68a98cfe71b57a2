//! Nodes in this process, over gRPC, that serve clients.

use seshat_core::client::Client;
use seshat_core::config::{NodeConfig, NodeConfigBuilder};
use seshat_core::network::grpc::{Clients, GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::proto::client::client_client::ClientClient;
use seshat_core::service::Service;
use seshat_core::storage::MemStorage;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

use crate::DEADLINE;

pub(crate) struct Served {
    pub(crate) node: RaftNode,
    pub(crate) service: Service,
    pub(crate) server: Option<GrpcServer>,
    /// Where it serves clients.
    pub(crate) address: String,
}

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Served>,
}

impl Cluster {
    pub(crate) async fn start(size: usize) -> Self {
        Self::start_with(size, |config| config).await
    }

    pub(crate) async fn start_with(
        size: usize,
        adjust: fn(NodeConfigBuilder) -> NodeConfigBuilder,
    ) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..size {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let at = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let addresses: Vec<String> = listeners.iter().map(at).collect();
        let mut nodes = Vec::new();
        for (id, listener) in (1..).zip(listeners) {
            let builder = NodeConfig::builder(id);
            let builder = if size == 1 { builder.single_node() } else { builder };
            let members = (1..).zip(&addresses);
            let config = members.fold(builder, |config, (id, at)| config.member(id, at));
            let config = adjust(config).build().unwrap();
            let transport = GrpcTransport::new(&config).unwrap();
            let node = RaftNode::start(config, MemStorage::new(), transport.clone()).await.unwrap();
            let service = Service::new(node.clone());
            let clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = at(&clients);
            let clients = Clients { listener: clients, routes: Routes::new(service.server()) };
            let server = GrpcServer::start(&node, &transport, listener, Some(clients)).await;
            nodes.push(Served { node, service, server: Some(server.unwrap()), address });
        }
        let admitted = nodes.iter().map(|it| it.server.as_ref().unwrap().admit());
        for admitted in futures_util::future::join_all(admitted).await {
            admitted.unwrap();
        }
        let cluster = Self { nodes };
        cluster.leader().await;
        cluster
    }

    /// The one that all take for the leader.
    pub(crate) async fn leader(&self) -> usize {
        let agreed = async {
            loop {
                let leads = |it: &Served| it.node.metrics().borrow().current_leader;
                let leaders: Vec<_> = self.nodes.iter().map(leads).collect();
                if let Some(leader) = leaders[0]
                    && leaders.iter().all(|other| *other == Some(leader))
                    && self.nodes[leader as usize - 1].node.is_leader()
                {
                    return leader as usize - 1;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, agreed).await.expect("a leader")
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|it| it.address.clone()).collect()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.addresses(), None, DEADLINE).unwrap()
    }

    /// What the leader serves, bare.
    pub(crate) async fn stub(&self) -> ClientClient<Channel> {
        let address = &self.nodes[self.leader().await].address;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        ClientClient::new(endpoint.connect().await.unwrap())
    }
}
