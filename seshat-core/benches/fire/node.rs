//! One node of the cluster, as the program serves it, in a process of its own.

use std::path::Path;

use seshat_core::config::{GrpcConfig, NodeConfig};
use seshat_core::network::grpc::{Clients, GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::service::Service;
use seshat_core::storage::MemStorage;
use tokio::net::TcpListener;
use tonic::service::Routes;

use super::attack::Target;
use super::{CLUSTER, PATIENCE, certificates};

/// The configuration of node `id`: certificates, and less than by default of what others may take, so
/// that they find the end of it.
pub(crate) fn config(id: u64, peers: &[String], certificates: &Path) -> NodeConfig {
    let name = format!("node-{id}.{CLUSTER}");
    let grpc = GrpcConfig {
        tls: Some(certificates::files(certificates, &name)),
        max_connections: 64,
        // One message.
        max_peer_bytes: 1,
        max_client_bytes: 1,
        max_snapshot_bytes: 64 << 20,
        ..GrpcConfig::default()
    };
    let builder = NodeConfig::builder(id).cluster_name(CLUSTER).grpc(grpc);
    let members = (1..).zip(peers);
    members.fold(builder, |config, (id, address)| config.member(id, address)).build().unwrap()
}

/// Runs it until `end`. Says who leads.
pub(crate) async fn run(id: u64, target: &Target, end: impl Future<Output = ()>) {
    let config = config(id, &target.peers, &target.certificates);
    let place = id as usize - 1;
    let peers = TcpListener::bind(&target.peers[place]).await.unwrap();
    let listener = TcpListener::bind(&target.clients[place]).await.unwrap();
    let transport = GrpcTransport::new(&config).unwrap();
    let node = RaftNode::start(config, MemStorage::new(), transport.clone()).await.unwrap();
    let service = Service::new(node.clone());
    let clients = Clients { listener, routes: Routes::new(service.server()) };
    let server = GrpcServer::start(&node, &transport, peers, Some(clients)).await.unwrap();
    server.admit().await.unwrap();
    service.admitted();
    println!("{}", node.wait_for_leader(PATIENCE).await.unwrap());
    end.await;
}
