//! Certificates that change while a node runs.

use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use seshat_core::config::{GrpcConfig, NodeConfig, TlsConfig};
use seshat_core::network::grpc::{GrpcTransport, TransportError};
use seshat_core::proto::v1;
use seshat_core::types::{Node, Vote, VoteRequest};
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::transport::Channel;

use crate::authority::{Authority, encrypted};
use crate::host::{DEADLINE, Host, Ports};
use crate::raw::{signed, unary};

const NODE_1: &str = "node-1.seshat";

/// Node 1, alone.
async fn single(tls: &TlsConfig) -> (Host, String) {
    let mut ports = Ports::of(1).await;
    let grpc = GrpcConfig { tls: Some(tls.clone()), ..GrpcConfig::default() };
    let config = ports.config(1).single_node().grpc(grpc).build().unwrap();
    let host = Host::start(config, ports.listener(1)).await;
    host.admit().await.unwrap();
    (host, ports.address(1).to_owned())
}

/// The files of `tls` hold what those of `new` do.
fn overwrite(tls: &TlsConfig, new: &TlsConfig) {
    for (to, from) in [(&tls.ca, &new.ca), (&tls.cert, &new.cert), (&tls.key, &new.key)] {
        // Which may be the same one.
        std::fs::write(to, std::fs::read(from).unwrap()).unwrap();
    }
}

/// A connection of node 9's.
fn connect(address: &str, tls: &TlsConfig) -> Channel {
    encrypted(address, NODE_1, tls, true)
}

async fn call(channel: &Channel) -> Result<(), Status> {
    let asked = signed(
        "seshat",
        1,
        v1::StandingRequest { node_id: 9, incarnation: 0, ..Default::default() },
    );
    let answer = unary::<_, v1::StandingResponse>(channel.clone(), "Standing", asked);
    timeout(DEADLINE, answer).await.expect("an answer").map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_go_by_what_the_files_hold_now() {
    let (old, new) = (Authority::new(), Authority::new());
    let ours = old.certify(&[NODE_1]);
    let (olds, news) = (old.certify(&["node-9.seshat"]), new.certify(&["node-9.seshat"]));
    let (host, address) = single(&ours).await;
    let made_before = connect(&address, &olds);
    call(&made_before).await.unwrap();
    call(&connect(&address, &news)).await.unwrap_err();

    overwrite(&ours, &new.certify(&[NODE_1]));
    // Unless the node has found out by itself by now.
    host.transport.reload().unwrap();
    assert!(!host.transport.reload().unwrap(), "nothing has changed since");
    call(&connect(&address, &news)).await.unwrap();
    call(&connect(&address, &olds)).await.unwrap_err();
    call(&made_before).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_used_leaves_all_as_it_was() {
    let authority = Authority::new();
    let ours = authority.certify(&[NODE_1]);
    let (host, address) = single(&ours).await;
    let theirs = authority.certify(&["node-9.seshat"]);
    let kept = std::fs::read(&ours.key).unwrap();
    std::fs::write(&ours.key, "noise").unwrap();
    let error = host.transport.reload().unwrap_err();
    assert!(matches!(error, TransportError::NoPem { field: "key", .. }), "{error:?}");
    call(&connect(&address, &theirs)).await.unwrap();
    std::fs::copy(&theirs.key, &ours.key).unwrap();
    let error = host.transport.reload().unwrap_err();
    assert!(matches!(error, TransportError::NotItsKey { .. }), "{error:?}");
    call(&connect(&address, &theirs)).await.unwrap();
    std::fs::write(&ours.key, kept).unwrap();
    assert!(!host.transport.reload().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_finds_out_by_itself() {
    let (old, new) = (Authority::new(), Authority::new());
    let ours = old.certify(&[NODE_1]);
    let (_host, address) = single(&ours).await;
    overwrite(&ours, &new.certify(&[NODE_1]));
    let news = new.certify(&["node-9.seshat"]);
    let deadline = Instant::now() + DEADLINE;
    while call(&connect(&address, &news)).await.is_err() {
        assert!(Instant::now() < deadline, "it has never read them again");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_made_with_what_the_files_hold_now() {
    let (old, new) = (Authority::new(), Authority::new());
    let (host, address) = single(&new.certify(&[NODE_1])).await;
    let ours = old.certify(&["node-9.seshat"]);
    let grpc = GrpcConfig { tls: Some(ours.clone()), ..GrpcConfig::default() };
    let config = NodeConfig::builder(9).member(9, "127.0.0.1:9").single_node().grpc(grpc);
    let mut transport = GrpcTransport::new(&config.build().unwrap()).unwrap();
    let mut connection = transport.new_client(1, &Node::new(address)).await;
    let mut vote = async || {
        let option = RPCOption::new(DEADLINE);
        connection.vote(VoteRequest::new(Vote::new(0, 9), None), option).await
    };
    vote().await.unwrap_err();
    overwrite(&ours, &new.certify(&["node-9.seshat"]));
    assert!(transport.reload().unwrap());
    // By the same connection, as openraft keeps it for as long as a node leads.
    vote().await.unwrap();
    drop(host);
}

/// It could be started with, but other nodes would refuse it from here on.
#[tokio::test]
async fn a_certificate_of_another_name_is_not_taken() {
    let authority = Authority::new();
    let ours = authority.certify(&[NODE_1]);
    let grpc = GrpcConfig { tls: Some(ours.clone()), ..GrpcConfig::default() };
    let config = NodeConfig::builder(1).grpc(grpc).member(1, "a").member(2, "b").member(3, "c");
    let transport = GrpcTransport::new(&config.build().unwrap()).unwrap();
    overwrite(&ours, &authority.certify(&["a.example"]));
    let error = transport.reload().unwrap_err();
    assert!(matches!(error, TransportError::NotItsName { .. }), "{error:?}");
}
