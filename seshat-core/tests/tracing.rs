//! What a node traces: elections, replication, apply, snapshots, leadership, and every failure
//! with what it concerns.
//!
//! Each test has node ids of its own, by which it tells what is its own in the capture.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/calls.rs"]
mod calls;
#[path = "common/capture.rs"]
mod capture;
#[path = "common/cluster.rs"]
mod cluster;

use bytes::Bytes;
use calls::{ALL, call};
use capture::{Happened, Span, capture};
use cluster::{Cluster, PATIENCE, config};
use openraft::network::RaftNetworkFactory;
use openraft::storage::{RaftLogStorageExt, RaftStateMachine};
use openraft::{CommittedLeaderId, EntryPayload};
use seshat_core::log::LogStore;
use seshat_core::machine::MachineStore;
use seshat_core::network::StubNetwork;
use seshat_core::node::{Handover, RaftNode};
use seshat_core::snapshot::SnapshotData;
use seshat_core::storage::MemStorage;
use seshat_core::types::{Entry, LogId, Node, Snapshot, SnapshotMeta, Vote};
use tracing::Level;

async fn start(ids: &[u64]) -> (Cluster, RaftNode) {
    // Before anything is traced.
    capture();
    let cluster = Cluster::start_with(ids, 7, |builder| builder).await;
    let leader = cluster.leader().await;
    (cluster, leader)
}

/// Whether a text names an entry of the leader `id`.
fn of_leader(id: u64) -> String {
    format!("N{id}")
}

#[tokio::test]
async fn an_election_has_a_span_for_each_vote_with_candidate_term_and_voter() {
    let (cluster, leader) = start(&[11, 12, 13]).await;
    let term = leader.metrics().borrow().current_term;
    for voter in cluster.others(leader.id()) {
        let election = |span: &Span| {
            span.name == "election"
                && span.fields.is("node_id", leader.id())
                && span.fields.is("term", term)
                && span.fields.is("target", voter)
        };
        assert_eq!(capture().span("the election", election).await.level, Level::INFO);
        let answered = |event: &Happened| {
            event.is(Level::DEBUG, "vote answered") && event.span("election").is_some_and(election)
        };
        capture().event("the answer", answered).await;
    }
    let granted = |event: &Happened| {
        event.fields.is("granted", true)
            && event.span("election").is_some_and(|span| span.fields.is("node_id", leader.id()))
    };
    capture().event("a grant", granted).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn each_node_traces_who_leads() {
    let (cluster, leader) = start(&[21, 22, 23]).await;
    let term = leader.metrics().borrow().current_term;
    for id in cluster.ids() {
        let state = if id == leader.id() { "Leader" } else { "Follower" };
        let changed = |event: &Happened| {
            event.is(Level::INFO, "leadership changed")
                && event.fields.is("node_id", id)
                && event.fields.is("leader", leader.id())
                && event.fields.is("term", term)
                && event.fields.is("state", state)
        };
        capture().event("who leads", changed).await;
        let started = |event: &Happened| {
            event.is(Level::INFO, "node started") && event.fields.is("node_id", id)
        };
        capture().event("the start", started).await;
    }
    cluster.shutdown().await;
    let stopped = |event: &Happened| {
        event.is(Level::INFO, "node stopped") && event.fields.is("node_id", leader.id())
    };
    capture().event("the end", stopped).await;
}

#[tokio::test]
async fn replication_has_a_span_with_target_entries_and_commit_index() {
    let (cluster, leader) = start(&[31, 32, 33]).await;
    leader.set("k", "v").await.unwrap();
    let index = leader.metrics().borrow().last_log_index.unwrap();
    leader.set("k", "w").await.unwrap();
    for target in cluster.others(leader.id()) {
        let replication = |span: &Span| {
            span.name == "replication"
                && span.fields.is("node_id", leader.id())
                && span.fields.is("target", target)
                && span.fields.number("entries") >= Some(1)
                && span.fields.number("commit_index") >= Some(index)
        };
        assert_eq!(capture().span("replication", replication).await.level, Level::DEBUG);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn replication_that_fails_says_why() {
    let (cluster, leader) = start(&[41, 42, 43]).await;
    let cut_off = cluster.others(leader.id())[0];
    cluster.switchboard.isolate(&cut_off);
    leader.set("k", "v").await.unwrap();
    let failed = |event: &Happened| {
        event.is(Level::DEBUG, "replication failed")
            && event.fields.has("error", format!("to node {cut_off}: the link is cut"))
            && event.span("replication").is_some_and(|span| span.fields.is("target", cut_off))
    };
    capture().event("the failure", failed).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn apply_has_a_span_and_an_event_for_each_operation() {
    let (cluster, leader) = start(&[51, 52, 53]).await;
    leader.set("k", "v").await.unwrap();
    leader.del(["k"]).await.unwrap();
    for kind in ["blank", "membership", "SET", "DEL"] {
        let applied = |event: &Happened| {
            event.level == Level::DEBUG
                && event.fields.is("kind", kind)
                // The first membership has no leader yet.
                && (kind == "membership" || event.fields.has("log_id", of_leader(leader.id())))
        };
        let applied = capture().event(kind, applied).await;
        let span = applied.span("apply").expect("it is in the span of its apply");
        assert_eq!(span.level, Level::DEBUG);
        assert!(span.fields.number("entries") >= Some(1), "{span:?}");
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn building_sending_and_installing_a_snapshot_have_spans_with_sizes_and_durations() {
    let (mut cluster, leader) = start(&[61, 62, 63]).await;
    let away = cluster.follower_of(&leader).id();
    cluster.kill(away).await;
    for i in 0..50 {
        leader.set(format!("key-{i}"), vec![b'v'; 1000]).await.unwrap();
    }
    leader.trigger_snapshot().await.unwrap();
    let last = leader.last_applied().unwrap();
    let built = leader.wait_until(PATIENCE, "it", |now| now.snapshot == Some(last));
    built.await.unwrap();
    leader.trigger_purge(last.index).await.unwrap();
    leader.wait_until(PATIENCE, "a purge", |now| now.purged == Some(last)).await.unwrap();
    let back = cluster.start_node(away).await;
    back.wait_until(PATIENCE, "it", |now| now.snapshot == Some(last)).await.unwrap();

    let snapshot = leader.raft().get_snapshot().await.unwrap().unwrap();
    let (id, bytes) = (snapshot.meta.snapshot_id, snapshot.snapshot.len());
    for name in ["snapshot_build", "snapshot_install"] {
        let like = |span: &Span| span.name == name && span.fields.is("snapshot_id", &id);
        let span = capture().span(name, like).await;
        assert_eq!(span.level, Level::INFO, "{span:?}");
        assert!(span.fields.is("bytes", bytes) && span.fields.is("keys", 50), "{span:?}");
        assert!(span.fields.number("elapsed_ms").is_some(), "{span:?}");
    }
    let sent = |span: &Span| {
        span.name == "snapshot_send"
            && span.fields.is("snapshot_id", &id)
            && span.fields.is("node_id", leader.id())
            && span.fields.is("target", away)
            && span.fields.is("bytes", bytes)
    };
    capture().span("the sending", sent).await;
    let arrived = |event: &Happened| {
        event.is(Level::INFO, "snapshot sent") && event.span("snapshot_send").is_some_and(sent)
    };
    capture().event("its arrival", arrived).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn what_the_stub_refuses_is_a_warning() {
    capture();
    let mut connection = StubNetwork.new_client(71, &Node::new("node-71:7379")).await;
    for rpc in ALL {
        call(&mut connection, rpc, 1).await;
        let refused = |event: &Happened| {
            event.is(Level::WARN, "unreachable")
                && event.fields.is("target_node", 71)
                && event.fields.has("error", format!("{rpc} to node 71 at \"node-71:7379\""))
        };
        capture().event("the refusal", refused).await;
    }
}

#[tokio::test]
async fn a_vote_that_is_not_answered_says_why_in_its_election() {
    capture();
    let config = config(81, &[81, 82, 83]);
    let node = RaftNode::start(config, MemStorage::new(), StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    let unanswered = |event: &Happened| {
        let election = event.span("election");
        event.is(Level::DEBUG, "vote not answered")
            && event.fields.has("error", "node 82")
            && election.is_some_and(|span| span.fields.is("node_id", 81))
            && election.is_some_and(|span| span.fields.is("target", 82))
    };
    capture().event("that there is no answer", unanswered).await;
    node.stop().await;
}

#[tokio::test]
async fn a_snapshot_that_is_refused_is_an_error_with_its_id_and_the_reason() {
    capture();
    let config = config(91, &[91, 92, 93]);
    let node = RaftNode::start(config, MemStorage::new(), StubNetwork).await.unwrap();
    let snapshot_id = "broken-91".to_owned();
    let last_log_id = Some(LogId::new(CommittedLeaderId::new(1, 92), 7));
    let meta = SnapshotMeta { snapshot_id, last_log_id, ..SnapshotMeta::default() };
    let data = Box::new(SnapshotData::from(Bytes::from_static(b"what is not a snapshot")));
    let snapshot = Snapshot { meta, snapshot: data };
    node.raft().install_full_snapshot(Vote::new_committed(1, 92), snapshot).await.unwrap_err();

    let refused = |event: &Happened| {
        event.is(Level::ERROR, "snapshot refused") && event.fields.is("snapshot_id", "broken-91")
    };
    let refused = capture().event("the refusal", refused).await;
    assert!(refused.fields.has("error", "trailer"), "{refused:?}");
    let span = refused.span("snapshot_install").expect("it is in the span of its installation");
    assert!(span.fields.is("snapshot_id", "broken-91"), "{span:?}");
    node.stop().await;
}

#[tokio::test]
async fn entries_that_a_store_refuses_are_errors_with_their_ids() {
    capture();
    let blank = |index| Entry {
        log_id: LogId::new(CommittedLeaderId::new(1, 101), index),
        payload: EntryPayload::Blank,
    };
    let mut log = LogStore::default();
    log.blocking_append([blank(0)]).await.unwrap();
    log.blocking_append([blank(7)]).await.unwrap_err();
    let mut machine = MachineStore::default();
    machine.apply([blank(9)]).await.unwrap();
    machine.apply([blank(8)]).await.unwrap_err();

    for (message, id) in [("append refused", blank(7).log_id), ("apply refused", blank(8).log_id)] {
        let refused =
            |event: &Happened| event.is(Level::ERROR, message) && event.fields.has("error", id);
        capture().event(message, refused).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handover_and_its_failure_are_traced() {
    let (mut cluster, leader) = start(&[111, 112, 113]).await;
    let Handover::To(successor) = leader.shutdown().await else { panic!("not handed over") };
    let handed_over = |event: &Happened| {
        event.is(Level::INFO, "leadership handed over")
            && event.fields.is("node_id", leader.id())
            && event.fields.is("successor", successor)
            && event.fields.number("elapsed_ms").is_some()
    };
    capture().event("the handover", handed_over).await;

    cluster.kill(leader.id()).await;
    let leader = cluster.leader().await;
    cluster.switchboard.isolate(&leader.id());
    let Handover::Failed(error) = leader.shutdown().await else { panic!("handed over") };
    let failed = |event: &Happened| {
        event.is(Level::WARN, "leadership not handed over")
            && event.fields.is("node_id", leader.id())
            && event.fields.is("error", &error)
    };
    capture().event("the failure", failed).await;
    cluster.shutdown().await;
}
