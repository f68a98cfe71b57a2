//! What is long doesn't keep anybody from hearing of the leader.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use seshat_core::config::NodeConfig;
use seshat_core::network::grpc::GrpcTransport;
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::proto::v1;
use seshat_core::proto::v1::full_snapshot_request::Part;
use seshat_core::snapshot::SnapshotData;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, EntryPayload, LeaderId, LogId, Node,
    RaftMetrics, Snapshot, SnapshotMeta, Vote,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::host::{DEADLINE, Host, Ports, leader, set};
use crate::link::Link;
use crate::raw::{Recorder, channel, signed, snapshot, unary};

/// Faster than any test needs.
const FAST: u64 = 1 << 30;

fn heartbeat(vote: Vote) -> AppendEntriesRequest {
    AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None }
}

/// Node 9 towards node 2, over a link of 512 KiB a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_overtakes_entries_and_snapshots() {
    let vote = Vote::new_committed(1, 9);
    let recorder = Recorder {
        append: v1::AppendEntriesResponse {
            result: Some(v1::append_entries_response::Result::Success(v1::AppendSuccess {})),
        },
        vote: v1::VoteResponse::default(),
        snapshot: v1::FullSnapshotResponse { vote: Some(v1::Vote::from(&vote)) },
        installs: None,
        asked: Arc::default(),
    };
    let link = Link::to(recorder.serve().await, 512 << 10, u64::MAX).await;
    let config = NodeConfig::builder(9).member(9, "127.0.0.1:9").single_node();
    let config = config.rpc_timeout(DEADLINE).build().unwrap();
    let mut transport = GrpcTransport::new(&config).unwrap();
    let node = Node::new(link.address.to_string());
    let [mut one, mut another, mut third] = [
        transport.new_client(2, &node).await,
        transport.new_client(2, &node).await,
        transport.new_client(2, &node).await,
    ];

    let long = Bytes::from(vec![7; 3 << 20]);
    let meta = SnapshotMeta { snapshot_id: "long".to_owned(), ..SnapshotMeta::default() };
    let data = SnapshotData::from(long.clone());
    let snapshot = Snapshot { meta, snapshot: Box::new(data) };
    let sent = tokio::spawn(async move {
        let never = std::future::pending();
        one.full_snapshot(vote, snapshot, never, RPCOption::new(DEADLINE)).await.unwrap();
    });
    let set = Operation::set("key", long.slice(..1 << 20), &Limits::default()).unwrap();
    let entry = |index| Entry {
        log_id: LogId::new(LeaderId::new(1, 9), index),
        payload: EntryPayload::Normal(Batch::new([set.clone()])),
    };
    let entries = AppendEntriesRequest { entries: vec![entry(0), entry(1)], ..heartbeat(vote) };
    let appended = tokio::spawn(async move {
        another.append_entries(entries, RPCOption::new(DEADLINE)).await.unwrap();
    });
    let deadline = Instant::now() + DEADLINE;
    while link.carried() < 512 << 10 {
        assert!(Instant::now() < deadline, "{} bytes were carried", link.carried());
        sleep(Duration::from_millis(5)).await;
    }

    let before = link.carried();
    let answer = third.append_entries(heartbeat(vote), RPCOption::new(DEADLINE)).await;
    assert!(matches!(answer, Ok(AppendEntriesResponse::Success)), "{answer:?}");
    let meanwhile = link.carried() - before;
    assert!(meanwhile < 512 << 10, "{meanwhile} bytes went first");
    assert!(!sent.is_finished() && !appended.is_finished());
    assert_eq!(link.connections(), 3);
}

/// A header of node 9's, in term 99, and chunks, until `more` is false; the stream stays open.
fn trickle(more: watch::Receiver<bool>) -> impl Stream<Item = v1::FullSnapshotRequest> {
    let last = v1::LogId { term: 99, node_id: 9, index: 99 };
    let membership = v1::Membership {
        configs: vec![v1::VoterSet { node_ids: vec![9] }],
        members: vec![v1::Member { node_id: 9, node: Some(v1::Node::default()) }],
    };
    let meta = v1::SnapshotMeta {
        last_log_id: Some(last),
        last_membership: Some(v1::StoredMembership {
            log_id: Some(last),
            membership: Some(membership),
        }),
        snapshot_id: "slow".to_owned(),
    };
    let header = v1::FullSnapshotHeader {
        vote: Some(v1::Vote { term: 99, node_id: 9, committed: true }),
        meta: Some(meta),
        length: 1 << 20,
        ..Default::default()
    };
    let chunks = stream::unfold(more, async |more| {
        sleep(Duration::from_millis(50)).await;
        if !*more.borrow() {
            std::future::pending::<()>().await;
        }
        Some((Part::Chunk(Bytes::from_static(b"chunk")), more))
    });
    let parts = stream::once(async { Part::Header(header) }).chain(chunks);
    parts.map(|part| v1::FullSnapshotRequest { part: Some(part) })
}

/// Nodes with elections after 2.4 to 3.2 s of silence: a lease of 1.6 s comes before the timeout.
async fn cluster(ports: Ports) -> Vec<Host> {
    let config = ports.cluster_with(3, |config| {
        // A sender that stops is not given up before the test.
        let config = config.rpc_timeout(2 * DEADLINE).propose_timeout(2 * DEADLINE);
        let config = config.limits(Limits { max_value_bytes: 3 << 20, ..Limits::default() });
        let config = config.heartbeat_interval(Duration::from_millis(100));
        let config = config.election_timeout_min(Duration::from_millis(800));
        config.election_timeout_max(Duration::from_millis(1600))
    });
    config.await
}

/// The same, with the link to each.
async fn linked_cluster() -> (Vec<Host>, Vec<Link>) {
    let mut ports = Ports::of(3).await;
    let mut links = Vec::new();
    for id in 1..=3 {
        let link = Link::to(ports.address(id), FAST, u64::MAX).await;
        ports.found_at(id, link.address);
        links.push(link);
    }
    (cluster(ports).await, links)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_long_as_bytes_come_the_leader_lives() {
    let ports = Ports::of(3).await;
    let address = ports.address(1).to_owned();
    let mut hosts = cluster(ports).await;
    leader(&hosts).await;
    // From here on nobody sends heartbeats.
    for host in hosts.split_off(1) {
        host.shutdown().await;
    }
    let node = &hosts[0].node;
    let (go_on, more) = watch::channel(true);
    let sent = tokio::spawn(snapshot(channel(address), signed("seshat", 1, trickle(more))));
    let followed = |now: &RaftMetrics| now.current_term >= 99;
    node.wait_until(DEADLINE, "the sender is followed", followed).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(node.metrics().borrow().vote, Vote::new_committed(99, 9), "it never campaigned");
    assert!(!sent.is_finished());

    go_on.send_replace(false);
    let campaigns = |now: &RaftMetrics| now.current_term > 99;
    node.wait_until(DEADLINE, "the silence is noticed", campaigns).await.unwrap();
    assert!(!sent.is_finished(), "the stream alone is not the leader's voice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_deposed_meanwhile_learns_it() {
    let ports = Ports::of(3).await;
    let address = ports.address(1).to_owned();
    let hosts = cluster(ports).await;
    let (_go_on, more) = watch::channel(true);
    let sent = tokio::spawn(snapshot(channel(&address), signed("seshat", 1, trickle(more))));
    let followed = |now: &RaftMetrics| now.current_term >= 99;
    hosts[0].node.wait_until(DEADLINE, "the sender is followed", followed).await.unwrap();
    let vote = Some(v1::Vote { term: 10_000, node_id: 8, committed: true });
    let newer = v1::AppendEntriesRequest { vote, ..Default::default() };
    let answer = unary::<_, v1::AppendEntriesResponse>(
        channel(&address),
        "AppendEntries",
        signed("seshat", 1, newer),
    );
    answer.await.unwrap();
    let answer = tokio::time::timeout(DEADLINE, sent).await.expect("it is told").unwrap().unwrap();
    assert!(answer.vote.unwrap().term >= 10_000, "{answer:?}");
}

/// Each follower takes three seconds to get the value, and then the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_value_on_slow_links_costs_no_election() {
    let (hosts, links) = linked_cluster().await;
    set(&hosts, "key", "value").await;
    let leads = &leader(&hosts).await.node;
    let vote = leads.metrics().borrow().vote;
    links.iter().for_each(|link| link.set(1 << 20, u64::MAX));
    let before: u64 = links.iter().map(Link::carried).sum();
    for key in ["long", "longer"] {
        leads.set(key, vec![7; 3 << 20]).await.unwrap();
    }
    let index = leads.last_applied().unwrap().index;
    for host in &hosts {
        host.node.wait_for_applied(DEADLINE, index).await.unwrap();
        assert_eq!(host.node.metrics().borrow().vote, vote, "nobody campaigned");
        assert_eq!(host.node.reader().digest(), leads.reader().digest());
    }
    let carried = links.iter().map(Link::carried).sum::<u64>() - before;
    assert!(carried < 13 << 20, "{carried} bytes for two values of 3 MiB to two followers");
}

/// A voter that was away gets a snapshot over a link that is slower than elections are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_on_a_slow_link_costs_no_election() {
    let (hosts, links) = linked_cluster().await;
    set(&hosts, "key", "value").await;
    let leads = &leader(&hosts).await.node;
    let away = hosts.iter().position(|host| host.node.id() != leads.id()).unwrap();
    let (away, link) = (&hosts[away].node, &links[away]);
    // While it hears of nobody, it must not campaign either.
    away.raft().runtime_config().elect(false);
    link.set(FAST, 0);
    for n in 0..55_u32 {
        set(&hosts, n.to_string(), "x".repeat(100_000)).await;
    }
    leads.trigger_snapshot().await.unwrap();
    let covered = leads.last_applied().unwrap().index;
    let built = |now: &RaftMetrics| now.snapshot.is_some_and(|id| id.index >= covered);
    leads.wait_until(DEADLINE, "a snapshot", built).await.unwrap();
    leads.trigger_purge(covered).await.unwrap();
    let purged = |now: &RaftMetrics| now.purged.is_some_and(|id| id.index >= covered);
    leads.wait_until(DEADLINE, "a purged log", purged).await.unwrap();

    let (before, vote) = (link.carried(), leads.metrics().borrow().vote);
    link.set(1 << 20, u64::MAX);
    let deadline = Instant::now() + DEADLINE;
    // Some chunks, so that it has heard of the leader again.
    while link.carried() < before + (1 << 20) {
        assert!(Instant::now() < deadline, "the snapshot isn't on its way");
        sleep(Duration::from_millis(5)).await;
    }
    away.raft().runtime_config().elect(true);
    away.wait_for_applied(DEADLINE, covered).await.unwrap();
    assert_eq!(away.reader().digest(), leads.reader().digest());
    assert_eq!(away.metrics().borrow().vote, vote, "nobody campaigned");
    assert_eq!(leads.metrics().borrow().vote, vote, "leadership is steady");
    let carried = link.carried() - before;
    assert!(carried < 6_600_000, "{carried} bytes for a snapshot of 5 500 000");
}
