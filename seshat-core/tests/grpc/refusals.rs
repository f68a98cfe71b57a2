//! What isn't meant for a node is refused, by name, on both ends.

use std::time::Duration;

use openraft::error::RPCError;
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use rstest::rstest;
use seshat_core::config::{GrpcConfig, NodeConfig};
use seshat_core::network::grpc::{Clients, GrpcServer, GrpcTransport, TransportError};
use seshat_core::node::RaftNode;
use seshat_core::proto::v1;
use seshat_core::storage::MemStorage;
use seshat_core::types::{Node, Vote, VoteRequest};
use tokio::net::TcpListener;
use tonic::Code;
use tonic::service::Routes;

use crate::host::{Host, Ports};
use crate::raw::{channel, signed, unary};

fn request() -> v1::VoteRequest {
    let vote = v1::Vote { term: 1, node_id: 9, committed: false };
    v1::VoteRequest { vote: Some(vote), last_log_id: None }
}

/// Node 1, alone, in cluster "seshat".
async fn single() -> (Host, String) {
    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().build().unwrap();
    let host = Host::start(config, ports.listener(1)).await;
    host.admit().await.unwrap();
    (host, ports.address(1).to_owned())
}

#[rstest]
#[case::cluster("other", 1, "wrong cluster", r#"this is cluster "seshat", not "other""#)]
#[case::node("seshat", 2, "wrong node", "this is node 1, not 2")]
#[tokio::test]
async fn meant_for_another(
    #[case] cluster: &str,
    #[case] target: u64,
    #[case] refusal: &str,
    #[case] words: &str,
) {
    let (host, address) = single().await;
    let asked = signed(cluster, target, request());
    let refused = unary::<_, v1::VoteResponse>(channel(&address), "Vote", asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.metadata().get("seshat-refusal").unwrap(), refusal);
    assert_eq!(refused.message(), words);
    assert_eq!(host.node.metrics().borrow().vote.leader_id.node_id, 1, "it voted for itself only");
}

#[tokio::test]
async fn meant_for_nobody() {
    let (_host, address) = single().await;
    let asked = tonic::Request::new(request());
    let refused = unary::<_, v1::VoteResponse>(channel(&address), "Vote", asked).await.unwrap_err();
    assert_eq!(refused.message(), r#"this is cluster "seshat"; seshat-cluster-bin names none"#);
    let mut asked = signed("seshat", 1, request());
    asked.metadata_mut().insert("seshat-target", "one".parse().unwrap());
    let refused = unary::<_, v1::VoteResponse>(channel(&address), "Vote", asked).await.unwrap_err();
    assert_eq!(refused.message(), "this is node 1; seshat-target says of no node");
}

/// What a caller makes of it: who, where, what, which attempt, why.
async fn vote_error(cluster: &str, target: u64, address: &str) -> [String; 2] {
    let config = NodeConfig::builder(9).cluster_name(cluster).member(9, "127.0.0.1:9");
    let mut transport = GrpcTransport::new(&config.single_node().build().unwrap()).unwrap();
    let mut errors = Vec::new();
    for _ in 0..2 {
        let mut connection = transport.new_client(target, &Node::new(address)).await;
        let option = RPCOption::new(Duration::from_millis(800));
        let end = connection.vote(VoteRequest::new(Vote::new(1, 9), None), option).await;
        let error = end.expect_err("refused");
        let kind = match error {
            RPCError::Unreachable(_) => "unreachable",
            RPCError::Timeout(_) => "timeout",
            _ => "another",
        };
        errors.push(format!("{kind}: {error}").replace(&format!("at {address}"), "at ADDRESS"));
    }
    errors.try_into().unwrap()
}

/// What openraft is given, and prints.
fn refused(target: u64, attempt: u64, words: &str) -> String {
    format!(
        "unreachable: Unreachable node: seshat_core::network::grpc::error::CallError: \
         Vote to node {target} at ADDRESS, attempt {attempt}: {words}"
    )
}

#[tokio::test]
async fn callers_are_told_whom_they_met() {
    let (_host, address) = single().await;
    assert_eq!(
        vote_error("other", 1, &address).await,
        [1, 2].map(|attempt| refused(
            1,
            attempt,
            r#"refused, wrong cluster: this is cluster "seshat", not "other""#
        ))
    );
    assert_eq!(
        vote_error("seshat", 2, &address).await,
        [1, 2].map(|attempt| refused(2, attempt, "refused, wrong node: this is node 1, not 2"))
    );
}

#[tokio::test]
async fn a_node_that_stopped_says_so() {
    let (host, address) = single().await;
    host.node.stop().await;
    let words = "refused, stopped: the node is shut down";
    assert_eq!(
        vote_error("seshat", 1, &address).await,
        [1, 2].map(|attempt| refused(1, attempt, words))
    );
}

#[tokio::test]
async fn nobody_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    // Three attempts for each request of a vote.
    let words =
        "unreachable: tcp connect error: transport error: Connection refused (os error 111)";
    assert_eq!(
        vote_error("seshat", 1, &address).await,
        [3, 6].map(|attempt| refused(1, attempt, words))
    );
}

#[tokio::test]
async fn somebody_is_there_and_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let [first, second] = vote_error("seshat", 1, &address).await;
    for said in [first, second] {
        assert!(said.starts_with("timeout: timeout after 7"), "{said}");
        assert!(said.ends_with("ms when Vote 9->1"), "{said}");
    }
}

#[tokio::test]
async fn an_address_that_is_none() {
    let words = "that is no address: invalid URI: invalid uri character";
    assert_eq!(
        vote_error("seshat", 1, "no address").await,
        [1, 2].map(|attempt| refused(1, attempt, words))
    );
}

#[test]
fn plaintext_needs_a_word_beyond_loopback() {
    let builder = || {
        let config = NodeConfig::builder(1).member(1, "127.0.0.1").member(2, "localhost:1");
        config.member(3, "10.1.2.3")
    };
    let error = GrpcTransport::new(&builder().build().unwrap()).unwrap_err();
    assert!(matches!(error, TransportError::Plaintext { member: 3, .. }));
    assert_eq!(
        error.to_string(),
        "member 3 at 10.1.2.3:7379 is not on this machine's loopback interface, and there is no TLS: \
         set [grpc.tls], or grpc.plaintext = true where the network is trusted"
    );
    let grpc = GrpcConfig { plaintext: true, ..GrpcConfig::default() };
    GrpcTransport::new(&builder().grpc(grpc).build().unwrap()).unwrap();
}

/// A member that was added later, wherever its name may lead.
#[rstest]
#[case::address("192.0.2.1:7379")]
#[case::name("host.example:7379")]
#[case::all("0.0.0.0:7379")]
#[case::mapped("[::ffff:192.0.2.1]:7379")]
#[tokio::test]
async fn nobody_is_called_in_plaintext_beyond_this_machine(#[case] address: &str) {
    let words = "that is not on this machine's loopback interface, and there is no TLS: set \
                 [grpc.tls], or grpc.plaintext = true where the network is trusted";
    assert_eq!(
        vote_error("seshat", 2, address).await,
        [1, 2].map(|attempt| refused(2, attempt, words))
    );
}

#[rstest]
#[tokio::test]
async fn nobody_is_served_in_plaintext_beyond_this_machine(
    #[values("0.0.0.0:0", "[::]:0")] everywhere: &str,
    #[values("peers", "clients")] whom: &str,
    #[values(false, true)] plaintext: bool,
) {
    // Where there is no IPv6, nobody listens there.
    let Ok(listener) = TcpListener::bind(everywhere).await else { return };
    let address = listener.local_addr().unwrap();
    let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let grpc = GrpcConfig { plaintext, ..GrpcConfig::default() };
    let config = NodeConfig::builder(1).member(1, "127.0.0.1:9").single_node().grpc(grpc);
    let config = config.build().unwrap();
    let transport = GrpcTransport::new(&config).unwrap();
    let node = RaftNode::start(config, MemStorage::new(), transport.clone()).await.unwrap();
    let (peers, clients) = if whom == "peers" { (listener, here) } else { (here, listener) };
    let clients = Clients { listener: clients, routes: Routes::default() };
    match GrpcServer::start(&node, &transport, peers, Some(clients)).await {
        Ok(_) => assert!(plaintext),
        Err(error) => {
            assert!(!plaintext);
            assert_eq!(
                error.to_string(),
                format!(
                    "{whom} at {address} would be served beyond this machine's loopback interface, and \
                     there is no TLS: set [grpc.tls], or grpc.plaintext = true where the network is \
                     trusted"
                )
            );
        }
    }
    node.stop().await;
}
