//! Linearizable reads share the rounds that confirm who leads.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;

use std::time::Duration;

use cluster::{Cluster, PATIENCE, config};
use futures_util::FutureExt;
use futures_util::future::{join_all, select_all};
use openraft::storage::RaftLogStorage;
use rstest::rstest;
use seshat_core::config::NodeConfigBuilder;
use seshat_core::error::ReadError;
use seshat_core::machine::Scan;
use seshat_core::network::StubNetwork;
use seshat_core::network::switchboard::Faults;
use seshat_core::node::{RaftNode, ReadLevel};
use seshat_core::storage::MemStorage;
use seshat_core::types::Vote;

/// Heartbeats of openraft's own are rare.
fn rare(config: NodeConfigBuilder) -> NodeConfigBuilder {
    let config = config.heartbeat_interval(Duration::from_secs(10)).propose_timeout(PATIENCE);
    config
        .election_timeout_min(Duration::from_secs(100))
        .election_timeout_max(Duration::from_secs(200))
}

/// Three nodes, each 10 ms from each other.
async fn cluster() -> (Cluster, RaftNode) {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, rare).await;
    let leader = cluster.leader().await;
    leader.set("key", "value").await.unwrap();
    let delay = Duration::from_millis(10);
    for from in 1..=3 {
        for to in (1..=3).filter(|to| *to != from) {
            let far = Faults { delay_min: delay, delay_max: delay, ..Faults::default() };
            cluster.switchboard.set_faults(from, to, far);
        }
    }
    (cluster, leader)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_reads_at_once_cost_two_rounds() {
    let (cluster, leader) = cluster().await;
    let before = cluster.snapshots.heartbeats();
    let reads = join_all((0..1000).map(|_| leader.read_linearizable(b"key"))).await;
    for read in reads {
        assert_eq!(read.unwrap().as_deref(), Some(&b"value"[..]));
    }
    let heartbeats = cluster.snapshots.heartbeats() - before;
    // Two rounds to two followers each, and one of openraft's own, maybe.
    assert!((4..=6).contains(&heartbeats), "{heartbeats} heartbeats");
}

#[tokio::test(start_paused = true)]
async fn a_read_sees_what_was_acknowledged_before_it_though_a_round_is_under_way() {
    let (_cluster, leader) = cluster().await;
    for n in 0..20 {
        let mut early = Box::pin(leader.read_linearizable(b"key"));
        assert!(early.as_mut().now_or_never().is_none());
        leader.set("key", n.to_string()).await.unwrap();
        let (late, _early) = tokio::join!(leader.read_linearizable(b"key"), early);
        assert_eq!(late.unwrap().as_deref(), Some(n.to_string().as_bytes()));
    }
}

/// Whoever is dropped, and whenever: the others are answered.
#[tokio::test(start_paused = true)]
async fn reads_that_are_dropped_leave_the_others_alone() {
    let (_cluster, leader) = cluster().await;
    for dropped in 0..8 {
        let reads = (0..8).map(|_| leader.read_linearizable(b"key").boxed());
        let mut reads: Vec<_> = reads.collect();
        for read in &mut reads {
            assert!(read.now_or_never().is_none());
        }
        // The first leads a round, and each that follows when it is dropped.
        drop(reads.drain(..dropped));
        for _ in 0..8 - dropped {
            let (read, _, rest) = tokio::time::timeout(PATIENCE, select_all(reads)).await.unwrap();
            assert_eq!(read.unwrap().as_deref(), Some(&b"value"[..]));
            reads = rest;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_reader_is_told_why_there_is_no_answer() {
    let (cluster, leader) = cluster().await;
    let follower = cluster.follower_of(&leader);
    for read in join_all((0..64).map(|_| follower.read_linearizable(b"key"))).await {
        let Err(ReadError::NotLeader(error)) = read else { panic!("another end: {read:?}") };
        assert_eq!(error.leader.map(|leads| leads.id), Some(leader.id()));
    }
    cluster.switchboard.isolate(&leader.id());
    for read in join_all((0..64).map(|_| leader.read_linearizable(b"key"))).await {
        assert!(matches!(read, Err(ReadError::NoQuorum { .. })), "{read:?}");
    }
    leader.stop().await;
    for read in join_all((0..64).map(|_| leader.read_linearizable(b"key"))).await {
        assert!(matches!(read, Err(ReadError::Stopped(_))), "{read:?}");
    }
}

/// Nobody has to be asked.
#[tokio::test]
async fn a_node_alone_confirms_itself() {
    let node = RaftNode::start(config(1, &[1]), MemStorage::new(), StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    node.set("key", "value").await.unwrap();
    for read in join_all((0..64).map(|_| node.read_linearizable(b"key"))).await {
        assert_eq!(read.unwrap().as_deref(), Some(&b"value"[..]));
    }
}

/// It was stopped between its election and the first entry of its term, and leads again. By itself it would
/// commit nothing before somebody writes.
#[rstest]
#[case::linearizable(ReadLevel::Linearizable)]
#[case::leader(ReadLevel::Leader)]
#[tokio::test]
async fn a_leader_that_stopped_before_its_first_entry_answers_when_it_leads_again(
    #[case] level: ReadLevel,
) {
    let storage = MemStorage::new();
    let start = || RaftNode::start(config(1, &[1]), storage.clone(), StubNetwork);
    let node = start().await.unwrap();
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    node.set("key", "value").await.unwrap();
    node.shutdown().await;
    drop(node);

    let mut log = storage.log.clone();
    let led = log.read_vote().await.unwrap().unwrap();
    log.save_vote(&Vote::new_committed(led.leader_id.term + 1, 1)).await.unwrap();
    log.save_committed(None).await.unwrap();

    let node = start().await.unwrap();
    let read = node.get_many(&["key".into()], usize::MAX, level).await.unwrap();
    assert_eq!(read, [Some("value".into())]);
    assert_eq!(node.metrics().borrow().current_term, led.leader_id.term + 1, "it was elected anew");
    node.shutdown().await;
}

/// No message is sent for them, however many there are, and they see what was acknowledged.
#[tokio::test(start_paused = true)]
async fn reads_of_the_leader_ask_nobody() {
    let (cluster, leader) = cluster().await;
    for n in 0..20 {
        leader.set("key", n.to_string()).await.unwrap();
        let read = leader.get_many(&["key".into()], usize::MAX, ReadLevel::Leader).await.unwrap();
        assert_eq!(read, [Some(n.to_string().into())]);
    }
    // What followers hear of the last commit.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = cluster.snapshots.heartbeats();
    for _ in 0..100 {
        let read = leader.get_many(&["key".into()], usize::MAX, ReadLevel::Leader).await.unwrap();
        assert_eq!(read, [Some("19".into())]);
        let page = leader.scan(Scan::default(), ReadLevel::Leader).await.unwrap();
        assert_eq!(page.records, [("key".into(), "19".into())]);
    }
    let heartbeats = cluster.snapshots.heartbeats() - before;
    assert!(heartbeats <= 2, "{heartbeats} heartbeats, of openraft's own at most two");

    let follower = cluster.follower_of(&leader);
    let read = follower.get_many(&["key".into()], usize::MAX, ReadLevel::Leader).await;
    let Err(ReadError::NotLeader(error)) = read else { panic!("another end: {read:?}") };
    assert_eq!(error.leader.map(|leads| leads.id), Some(leader.id()));
}

/// What the levels are for: only a linearizable read finds out.
#[tokio::test(start_paused = true)]
async fn a_leader_that_was_deposed_and_has_not_heard_of_it_answers_with_what_was_before() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    old.set("key", "old").await.unwrap();
    cluster.switchboard.isolate(&old.id());
    let others: Vec<u64> = (1..=3).filter(|id| *id != old.id()).collect();
    let new = cluster.leader_among(&others).await;
    new.set("key", "new").await.unwrap();

    for level in [ReadLevel::Leader, ReadLevel::Local] {
        let read = old.get_many(&["key".into()], usize::MAX, level).await.unwrap();
        assert_eq!(read, [Some("old".into())], "{level:?}");
    }
    let read = old.get_many(&["key".into()], usize::MAX, ReadLevel::Linearizable).await;
    assert!(matches!(read, Err(ReadError::NoQuorum { .. })), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_tells_how_far_it_is_behind_as_far_as_it_knows() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    leader.set("key", "old").await.unwrap();
    let follower = cluster.follower_of(&leader);
    let id = leader.last_applied().unwrap().index;
    let wait = follower.wait_until(PATIENCE, "it", |now| now.last_applied.unwrap().index >= id);
    wait.await.unwrap();
    let now = follower.behind().await;
    assert_eq!((now.applied, now.committed), (Some(id), Some(id)));
    assert!(now.heard.unwrap() < Duration::from_secs(1), "{now:?}");

    cluster.switchboard.isolate(&follower.id());
    leader.set("key", "new").await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let later = follower.behind().await;
    assert_eq!((later.applied, later.committed), (Some(id), Some(id)), "it can't know better");
    let read = follower.get_many(&["key".into()], usize::MAX, ReadLevel::Local).await.unwrap();
    assert_eq!(read, [Some("old".into())]);

    let at_leader = leader.behind().await;
    assert_eq!((at_leader.applied, at_leader.committed), (Some(id + 1), Some(id + 1)));
    assert!(at_leader.heard.unwrap() < Duration::from_secs(1), "{at_leader:?}");

    follower.stop().await;
    let read = follower.get_many(&["key".into()], usize::MAX, ReadLevel::Local).await.unwrap();
    assert_eq!(read, [Some("old".into())], "the state is still there");
    assert_eq!(follower.behind().await.heard, None);
}

/// Two keys that are written one after the other are never seen apart by more than one write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_values_of_many_keys_are_of_one_state() {
    let node = RaftNode::start(config(1, &[1]), MemStorage::new(), StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    let writer = tokio::spawn({
        let node = node.clone();
        async move {
            for n in 0..300 {
                node.set("first", n.to_string()).await.unwrap();
                node.set("second", n.to_string()).await.unwrap();
            }
        }
    });
    let keys = ["second".into(), "no such key".into(), "first".into(), "second".into()];
    while !writer.is_finished() {
        let read = node.get_many(&keys, usize::MAX, ReadLevel::Leader).await.unwrap();
        let number = |n: usize| {
            let text = read[n].as_ref().map(|value| std::str::from_utf8(value).unwrap());
            text.map_or(-1, |text| text.parse::<i64>().unwrap())
        };
        assert!((0..=1).contains(&(number(2) - number(0))), "{read:?}");
        assert_eq!((number(0), read[1].clone()), (number(3), None));
    }
    writer.await.unwrap();

    let long = node.get_many(&keys, 8, ReadLevel::Linearizable).await.unwrap_err();
    let words =
        "the values have 9 bytes in all, and at most 8 are answered at once: ask for fewer keys";
    assert_eq!(long.to_string(), words);
    node.get_many(&keys, 9, ReadLevel::Linearizable).await.unwrap();
    node.shutdown().await;
}
