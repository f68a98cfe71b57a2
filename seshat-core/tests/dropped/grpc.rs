//! Futures of a server, dropped, and a node that is dropped beside its server. In real time.

use std::time::Duration;

use seshat_core::config::NodeConfig;
use seshat_core::network::grpc::{GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::storage::MemStorage;
use tokio::net::{TcpListener, TcpStream};

use super::MANY;
use super::cluster::PATIENCE;
use super::futures::give_up_after;

async fn start() -> (RaftNode, GrpcServer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = NodeConfig::builder(1).member(1, &address).single_node().build().unwrap();
    let transport = GrpcTransport::new(&config).unwrap();
    let node = RaftNode::start(config, MemStorage::new(), transport.clone()).await.unwrap();
    let server = GrpcServer::start(&node, &transport, listener, Default::default()).await.unwrap();
    (node, server)
}

#[tokio::test]
async fn an_admission_begins_anew() {
    for polls in 1..MANY {
        let (node, server) = start().await;
        let ended = give_up_after(polls, &mut Box::pin(server.admit())).await.is_some();
        server.admit().await.unwrap();
        node.wait_for_leader(PATIENCE).await.unwrap();
        node.set("k", "v").await.unwrap();
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn a_server_closes_its_port() {
    for polls in 1..MANY {
        let (_node, server) = start().await;
        let address = server.local_addr();
        let ended = give_up_after(polls, &mut Box::pin(server.shutdown())).await.is_some();
        let closed = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.unwrap();
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn a_node_whose_last_clone_is_dropped_stops_beside_its_server() {
    let (node, server) = start().await;
    server.admit().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    let mut metrics = node.metrics();
    drop(node);
    let stopped = metrics.wait_for(|now| now.running_state.is_err());
    tokio::time::timeout(PATIENCE, stopped).await.unwrap().unwrap();
    drop(server);
}
