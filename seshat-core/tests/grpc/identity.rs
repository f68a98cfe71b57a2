//! A certificate speaks for the node that it names, and for no other, on either end.

use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use rstest::rstest;
use seshat_core::config::{GrpcConfig, NodeConfig};
use seshat_core::network::grpc::GrpcTransport;
use seshat_core::proto::v1;
use seshat_core::types::{Node, Vote, VoteRequest};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::authority::{Authority, encrypted};
use crate::host::{DEADLINE, Host, Ports};
use crate::raw::{signed, snapshot, unary};

fn grpc(authority: &Authority, names: &[&str]) -> GrpcConfig {
    GrpcConfig { tls: Some(authority.certify(names)), ..GrpcConfig::default() }
}

/// Node 1, alone, which leads, with a certificate for those names.
async fn single(authority: &Authority, names: &[&str]) -> (Host, String) {
    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().grpc(grpc(authority, names)).build().unwrap();
    let host = Host::start(config, ports.listener(1)).await;
    host.admit().await.unwrap();
    host.node.wait_for_leader(DEADLINE).await.unwrap();
    (host, ports.address(1).to_owned())
}

/// Node 1 is told `message` by node `from`, or by nobody.
fn from<T>(from: Option<&str>, message: T) -> Request<T> {
    let mut request = signed("seshat", 1, message);
    request.metadata_mut().remove("seshat-from");
    if let Some(from) = from {
        request.metadata_mut().insert("seshat-from", from.parse().unwrap());
    }
    request
}

/// Asks that of node 1, in a call that says it is from node `called`, of a message that says it is from
/// node `said`.
async fn ask(rpc: &str, channel: Channel, called: Option<&str>, said: u64) -> Result<(), Status> {
    // Far newer than the node's own, if it were taken.
    let vote = v1::Vote { term: 99, node_id: said, committed: rpc != "Vote" };
    match rpc {
        "Vote" => {
            let asked = v1::VoteRequest { vote: Some(vote), last_log_id: None };
            unary::<_, v1::VoteResponse>(channel, rpc, from(called, asked)).await.map(drop)
        }
        "AppendEntries" => {
            let asked = v1::AppendEntriesRequest { vote: Some(vote), ..Default::default() };
            unary::<_, v1::AppendEntriesResponse>(channel, rpc, from(called, asked)).await.map(drop)
        }
        "FullSnapshot" => {
            let header = v1::FullSnapshotHeader {
                vote: Some(vote),
                meta: Some(v1::SnapshotMeta {
                    snapshot_id: "any".to_owned(),
                    last_membership: Some(v1::StoredMembership {
                        membership: Some(v1::Membership::default()),
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let part = v1::full_snapshot_request::Part::Header(header);
            let part = v1::FullSnapshotRequest { part: Some(part) };
            snapshot(channel, from(called, tokio_stream::iter([part]))).await.map(drop)
        }
        "SnapshotOffset" => {
            let asked = v1::SnapshotOffsetRequest::default();
            unary::<_, v1::SnapshotOffsetResponse>(channel, rpc, from(called, asked))
                .await
                .map(drop)
        }
        _ => {
            let asked = v1::StandingRequest { node_id: said, incarnation: 0, ..Default::default() };
            unary::<_, v1::StandingResponse>(channel, rpc, from(called, asked)).await.map(drop)
        }
    }
}

const OTHER: &str =
    "this certificate can't speak for node 2: it is for node-3.seshat, and node-2.seshat is needed";
const CLIENT: &str = "this certificate can't speak for node 2: it is for client.admin.seshat, \
                      reporting.example, and node-2.seshat is needed";
const WILDCARD: &str =
    "this certificate can't speak for node 2: it is for *.seshat, and node-2.seshat is needed";
const ELSEWHERE: &str =
    "this certificate can't speak for node 2: it is for node-2.other, and node-2.seshat is needed";

#[rstest]
#[case::another_nodes(&["node-3.seshat"], Some("2"), 2, OTHER)]
#[case::a_clients(&["client.admin.seshat", "reporting.example"], Some("2"), 2, CLIENT)]
#[case::of_another_cluster(&["node-2.other"], Some("2"), 2, ELSEWHERE)]
#[case::a_wildcard(&["*.seshat"], Some("2"), 2, WILDCARD)]
#[case::nobodys_call(&["node-3.seshat"], None, 2, "seshat-from says of no node")]
#[case::garbled(&["node-3.seshat"], Some("three"), 2, "seshat-from says of no node")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_another_node(
    #[case] names: &[&str],
    #[case] called: Option<&str>,
    #[case] said: u64,
    #[case] words: &str,
    #[values("Vote", "AppendEntries", "FullSnapshot", "SnapshotOffset", "Standing")] rpc: &str,
) {
    let authority = Authority::new();
    let (host, address) = single(&authority, &["node-1.seshat"]).await;
    let before = host.node.metrics().borrow().vote;
    let channel = encrypted(&address, "node-1.seshat", &authority.certify(names), true);
    // Twice: a refusal leaves nothing behind that would let the next one in.
    for _ in 0..2 {
        let refused = ask(rpc, channel.clone(), called, said).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, words));
        assert_eq!(refused.metadata().get("seshat-refusal").unwrap(), "wrong caller");
    }
    assert_eq!(host.node.metrics().borrow().vote, before);
    host.node.set("key", "value").await.unwrap();
}

/// The call is node 3's, as it says; its message isn't.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_from_whom_its_call_is(
    #[values("Vote", "AppendEntries", "FullSnapshot", "Standing")] rpc: &str,
) {
    let authority = Authority::new();
    let (host, address) = single(&authority, &["node-1.seshat"]).await;
    let before = host.node.metrics().borrow().vote;
    let node_3 = authority.certify(&["node-3.seshat"]);
    let channel = encrypted(&address, "node-1.seshat", &node_3, true);
    let refused = ask(rpc, channel, Some("3"), 2).await.unwrap_err();
    assert_eq!(refused.message(), "node 3 can't speak for node 2");
    assert_eq!(host.node.metrics().borrow().vote, before);
    host.node.set("key", "value").await.unwrap();
}

/// The leader that a node follows speaks for the successor that it has named, until that one leads, and for nobody
/// else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leads_names_its_successor_and_speaks_for_nobody_else() {
    let authority = Authority::new();
    let (host, address) = single(&authority, &["node-1.seshat"]).await;
    let channels: Vec<Channel> = [3, 4]
        .map(|id| {
            let tls = authority.certify(&[&format!("node-{id}.seshat")]);
            encrypted(&address, "node-1.seshat", &tls, true)
        })
        .into();
    let says = async |by: u64, rpc: &str, term: u64, node_id: u64, committed: bool| {
        let (channel, called) = (channels[by as usize - 3].clone(), by.to_string());
        let vote = Some(v1::Vote { term, node_id, committed });
        let said = if rpc == "Vote" {
            let asked = v1::VoteRequest { vote, last_log_id: None };
            let asked = from(Some(&called), asked);
            unary::<_, v1::VoteResponse>(channel, rpc, asked).await.map(drop)
        } else {
            // As node/handover.rs makes a voter take a vote.
            let nowhere = (!committed).then_some(v1::LogId { term, node_id, index: u64::MAX - 1 });
            let asked =
                v1::AppendEntriesRequest { vote, prev_log_id: nowhere, ..Default::default() };
            let asked = from(Some(&called), asked);
            unary::<_, v1::AppendEntriesResponse>(channel, rpc, asked).await.map(drop)
        };
        said.map_err(|refused| refused.message().to_owned())
    };
    let refused = |by: u64, said: u64| Err(format!("node {by} can't speak for node {said}"));

    // Node 3 leads, and has named nobody.
    says(3, "AppendEntries", 99, 3, true).await.unwrap();
    assert_eq!(says(3, "Vote", 100, 2, true).await, refused(3, 2));
    // Node 4 leads nobody.
    assert_eq!(says(4, "AppendEntries", 100, 2, false).await, refused(4, 2));
    // Another term is nobody's to give away.
    assert_eq!(says(3, "AppendEntries", 101, 2, false).await, refused(3, 2));

    says(3, "AppendEntries", 100, 2, false).await.unwrap();
    says(3, "Vote", 100, 2, false).await.unwrap();
    // It doesn't lead in its successor's name, nor name another.
    assert_eq!(says(3, "AppendEntries", 100, 2, true).await, refused(3, 2));
    assert_eq!(says(3, "Vote", 101, 2, false).await, refused(3, 2));
    assert_eq!(says(3, "AppendEntries", 101, 4, false).await, refused(3, 4));
    assert_eq!(says(4, "Vote", 100, 2, false).await, refused(4, 2));
    let vote = host.node.metrics().borrow().vote;
    assert_eq!(vote, Vote::new(100, 2));
}

/// One connection speaks for all the nodes that its certificate names, in turn, and for no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_speaks_for_itself() {
    let authority = Authority::new();
    let (_host, address) = single(&authority, &["node-1.seshat"]).await;
    let both = authority.certify(&["node-2.seshat", "node-3.seshat"]);
    let both = encrypted(&address, "node-1.seshat", &both, true);
    for id in [2, 3, 2, 3] {
        ask("Standing", both.clone(), Some(&id.to_string()), id).await.unwrap();
    }
    let refused = ask("Standing", both.clone(), Some("4"), 4).await.unwrap_err();
    assert!(refused.message().contains("node-4.seshat is needed"), "{refused}");
    ask("Standing", both, Some("3"), 3).await.unwrap();
}

/// Who answers in place of the node that was called isn't told anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers_for_another_node() {
    let authority = Authority::new();
    let (_host, address) = single(&authority, &["node-3.seshat", "127.0.0.1"]).await;
    let config = NodeConfig::builder(9).member(9, "127.0.0.1:9").single_node();
    let config = config.grpc(grpc(&authority, &["node-9.seshat"])).build().unwrap();
    let mut transport = GrpcTransport::new(&config).unwrap();
    let mut connection = transport.new_client(1, &Node::new(address)).await;
    let option = RPCOption::new(std::time::Duration::from_secs(2));
    let error = connection.vote(VoteRequest::new(Vote::new(1, 9), None), option).await.unwrap_err();
    let error = error.to_string();
    for part in ["not valid for name \"node-1.seshat\"", "node-3.seshat"] {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}
