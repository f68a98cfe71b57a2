//! What the transport traces: a span for each call on either end, a change of a peer once.

use std::time::Duration;

use openraft::error::RPCError;
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use seshat_core::config::NodeConfig;
use seshat_core::network::grpc::GrpcTransport;
use seshat_core::types::{
    AppendEntriesRequest, Entry, EntryPayload, LeaderId, LogId, Node, Vote, VoteRequest,
};
use tracing::Level;

use crate::capture::{Happened, Span, capture};
use crate::host::{DEADLINE, Host, Ports, leader, set};

const OPTION: Duration = Duration::from_secs(2);

async fn transport(id: u64, cluster: &str) -> GrpcTransport {
    let config = NodeConfig::builder(id).cluster_name(cluster).member(id, "127.0.0.1:9");
    GrpcTransport::new(&config.single_node().build().unwrap()).unwrap()
}

/// Node `id`, alone in cluster "traced".
async fn single(id: u64) -> (Host, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = NodeConfig::builder(id).cluster_name("traced").member(id, &address).single_node();
    let host = Host::start(config.build().unwrap(), listener).await;
    host.admit().await.unwrap();
    (host, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_has_a_span_on_either_end() {
    capture();
    let (_host, address) = single(501).await;
    let mut connection = transport(502, "traced").await.new_client(501, &Node::new(&address)).await;
    let log_id = LogId::new(LeaderId::new(0, 502), 0);
    let request = AppendEntriesRequest {
        vote: Vote::new_committed(0, 502),
        prev_log_id: None,
        entries: vec![Entry { log_id, payload: EntryPayload::Blank }],
        leader_commit: None,
    };
    connection.append_entries(request, RPCOption::new(OPTION)).await.unwrap();
    let of_caller = |span: &Span| span.name == "rpc" && span.fields.is("peer", 501);
    let span = capture().span("the call", of_caller).await;
    assert_eq!(span.level, Level::DEBUG);
    for (field, value) in [("kind", "AppendEntries"), ("entries", "1"), ("outcome", "ok")] {
        assert!(span.fields.is(field, value), "{field} of {span:?}");
    }
    assert!(span.fields.number("bytes").is_some_and(|bytes| bytes > 0), "{span:?}");
    assert!(span.fields.number("elapsed_us").is_some(), "{span:?}");

    let of_server = |span: &Span| span.name == "serve" && span.fields.is("node_id", 501);
    let span = capture().span("the answer", of_server).await;
    for (field, value) in [("kind", "AppendEntries"), ("peer", "502"), ("outcome", "Ok")] {
        assert!(span.fields.is(field, value), "{field} of {span:?}");
    }
    assert!(span.fields.has("address", "127.0.0.1:"), "{span:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_lost_is_told_of_once_and_so_is_its_return() {
    capture();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut transport = transport(512, "traced").await;
    let mut connection = transport.new_client(511, &Node::new(&address)).await;
    let ask = VoteRequest::new(Vote::new(0, 512), None);
    for _ in 0..3 {
        let end = connection.vote(ask.clone(), RPCOption::new(OPTION)).await;
        assert!(matches!(end, Err(RPCError::Unreachable(_))), "{end:?}");
    }
    let of_peer = |message: &'static str| {
        move |event: &Happened| event.fields.is("message", message) && event.fields.is("peer", 511)
    };
    let lost = capture().events(of_peer("calls to peer fail"));
    assert_eq!(lost.len(), 1, "nine attempts, one event: {lost:?}");
    assert_eq!(lost[0].level, Level::WARN);
    assert!(lost[0].fields.has("error", "Connection refused"), "{lost:?}");

    let listener = tokio::net::TcpListener::bind(&address).await.unwrap();
    let config = NodeConfig::builder(511).cluster_name("traced").member(511, &address);
    let host = Host::start(config.single_node().build().unwrap(), listener).await;
    host.admit().await.unwrap();
    for _ in 0..2 {
        connection.vote(ask.clone(), RPCOption::new(OPTION)).await.unwrap();
    }
    assert_eq!(capture().events(of_peer("calls to peer succeed again")).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_an_event_where_it_was_refused() {
    capture();
    let (_host, address) = single(521).await;
    let mut connection =
        transport(522, "another").await.new_client(521, &Node::new(&address)).await;
    let ask = VoteRequest::new(Vote::new(0, 522), None);
    connection.vote(ask, RPCOption::new(OPTION)).await.unwrap_err();
    let refused = |event: &Happened| {
        event.is(Level::WARN, "call refused")
            && event.span("serve").is_some_and(|span| span.fields.is("node_id", 521))
    };
    let event = capture().event("the refusal", refused).await;
    assert!(event.fields.is("refusal", "wrong cluster"), "{event:?}");
}

/// A line for each would fill a disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_that_follow_each_other_are_told_once_a_second() {
    capture();
    let (_host, address) = single(531).await;
    let mut connection =
        transport(532, "another").await.new_client(531, &Node::new(&address)).await;
    let started = std::time::Instant::now();
    for _ in 0..300 {
        let ask = VoteRequest::new(Vote::new(0, 532), None);
        connection.vote(ask, RPCOption::new(OPTION)).await.unwrap_err();
    }
    let refused = |event: &Happened| {
        event.is(Level::WARN, "call refused")
            && event.span("serve").is_some_and(|span| span.fields.is("node_id", 531))
    };
    let told = capture().events(refused).len();
    assert!((1..=started.elapsed().as_secs() as usize + 1).contains(&told), "{told} events");
}

/// Nothing is kept for it: no channel, and no connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_left_is_forgotten() {
    capture();
    let hosts = Ports::named("leavers", 3).await.cluster().await;
    // No membership is changed before the first one is committed.
    set(&hosts, "key", "value").await;
    let leads = &leader(&hosts).await.node;
    let gone = hosts.iter().map(|host| host.node.id()).find(|id| *id != leads.id()).unwrap();
    let stay = hosts.iter().map(|host| host.node.id()).filter(|id| *id != gone);
    leads.change_membership(stay.collect(), false).await.unwrap();
    let left = |event: &Happened| {
        event.is(Level::INFO, "peer left")
            && event.fields.is("peer", gone)
            && event.fields.is("cluster", "leavers")
    };
    tokio::time::timeout(DEADLINE, capture().event("the leave", left)).await.unwrap();
}
