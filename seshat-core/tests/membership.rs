//! No node becomes a voter before it is caught up, and that is told from what it has, not from a
//! number of entries that it may lack.
//!
//! Time is paused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use seshat_core::config::NodeConfigBuilder;
use seshat_core::error::MembershipError;
use seshat_core::network::switchboard::Faults;
use seshat_core::node::RaftNode;
use tokio::time::Instant;

fn voters(node: &RaftNode) -> BTreeSet<u64> {
    node.metrics().borrow().membership_config.voter_ids().collect()
}

fn is_learner(node: &RaftNode, id: u64) -> bool {
    let metrics = node.metrics();
    let now = metrics.borrow();
    let membership = now.membership_config.membership();
    membership.get_node(&id).is_some() && !membership.voter_ids().any(|voter| voter == id)
}

fn log_end(node: &RaftNode) -> u64 {
    node.metrics().borrow().last_log_index.unwrap()
}

async fn write(leader: &RaftNode, count: usize) {
    for i in 0..count {
        leader.set(format!("{i}"), vec![b'v'; 1000]).await.unwrap();
    }
}

/// `NotCaughtUp` of node 4, with what it has and what it lacks.
fn lacking(end: Result<(), MembershipError>, timeout: Duration) -> (Option<u64>, u64) {
    match end.unwrap_err() {
        MembershipError::NotCaughtUp { node_id: 4, got, expected, waited } => {
            assert!(waited >= timeout && waited < timeout + Duration::from_secs(1), "{waited:?}");
            (got, expected)
        }
        other => unreachable!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_exist_becomes_a_learner_and_no_voter() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    write(&leader, 5).await;
    let timeout = leader.config().propose_timeout();

    let (before, started) = (log_end(&leader), Instant::now());
    let added = leader.add_learner(4, "nowhere").await;
    assert_eq!(lacking(added, timeout), (None, before));
    assert!(started.elapsed() < timeout * 2);
    assert!(is_learner(&leader, 4));

    let before = log_end(&leader);
    let made = leader.change_membership([1, 2, 3, 4].into(), true).await;
    assert_eq!(lacking(made, timeout), (None, before));
    assert!(is_learner(&leader, 4));
    assert_eq!(voters(&leader), [1, 2, 3].into());
    assert_eq!(log_end(&leader), before, "nothing was proposed");
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_learner_that_fell_behind_is_waited_for_before_it_votes() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.start_node(4).await;
    leader.add_learner(4, "node-4").await.unwrap();
    let had = log_end(&leader);
    cluster.switchboard.isolate(&4);
    write(&leader, 5).await;
    let timeout = leader.config().propose_timeout();
    let made = leader.change_membership([1, 2, 3, 4].into(), true).await;
    assert_eq!(lacking(made, timeout), (Some(had), had + 5));
    assert_eq!(voters(&leader), [1, 2, 3].into());

    let (making, healed) = (leader.clone(), Duration::from_secs(2));
    let made =
        tokio::spawn(async move { making.change_membership([1, 2, 3, 4].into(), true).await });
    tokio::time::sleep(healed).await;
    assert!(!made.is_finished());
    cluster.switchboard.heal();
    made.await.unwrap().unwrap();
    assert_eq!(voters(&leader), [1, 2, 3, 4].into());
    cluster.shutdown().await;
}

/// One entry in each call, and each call takes most of a heartbeat interval.
fn one_by_one(builder: NodeConfigBuilder) -> NodeConfigBuilder {
    builder.max_payload_entries(1).propose_timeout(Duration::from_secs(1))
}

#[tokio::test(start_paused = true)]
async fn a_node_that_makes_progress_is_waited_for_as_long_as_that_takes() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], 7, one_by_one).await;
    let leader = cluster.leader().await;
    write(&leader, 100).await;
    cluster.start_node(4).await;
    let delay = Duration::from_millis(60);
    let slow = Faults { delay_min: delay, delay_max: delay, ..Faults::default() };
    cluster.switchboard.set_faults(leader.id(), 4, slow);

    let (before, started) = (log_end(&leader), Instant::now());
    leader.add_learner(4, "node-4").await.unwrap();
    assert!(started.elapsed() > 5 * leader.config().propose_timeout());
    assert!(log_end(&cluster.nodes[&4]) >= before);
    cluster.shutdown().await;
}

/// A leader whose log begins with a snapshot.
async fn purged() -> (Cluster, RaftNode) {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    write(&leader, 50).await;
    leader.trigger_snapshot().await.unwrap();
    leader.wait_until(PATIENCE, "it", |now| now.snapshot.is_some()).await.unwrap();
    leader.trigger_purge(log_end(&leader)).await.unwrap();
    leader.wait_until(PATIENCE, "a purge", |now| now.purged.is_some()).await.unwrap();
    cluster.start_node(4).await;
    (cluster, leader)
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_sent_a_snapshot_is_waited_for() {
    let (cluster, leader) = purged().await;
    let long = 4 * leader.config().propose_timeout();
    cluster.snapshots.take(long);
    let started = Instant::now();
    leader.add_learner(4, "node-4").await.unwrap();
    assert!(started.elapsed() >= long);
    assert_eq!(cluster.snapshots.begun(4).len(), 1);
    leader.change_membership([1, 2, 3, 4].into(), true).await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn snapshots_that_fail_one_after_the_other_are_no_progress() {
    let (cluster, leader) = purged().await;
    let timeout = leader.config().propose_timeout();
    cluster.snapshots.take(timeout / 2);
    cluster.snapshots.fail();
    let (before, started) = (log_end(&leader), Instant::now());
    let added = tokio::time::timeout(10 * timeout, leader.add_learner(4, "node-4")).await;
    let (got, expected) = lacking(added.expect("an end"), timeout);
    assert_eq!((got, expected), (None, before));
    assert!(started.elapsed() < timeout * 2);
    assert!(cluster.snapshots.begun(4).len() > 1);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_deposed_waits_no_longer() {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, |builder| {
        builder.propose_timeout(Duration::from_secs(60))
    });
    let cluster = cluster.await;
    let old = cluster.leader().await;
    let adding = old.clone();
    let added = tokio::spawn(async move { adding.add_learner(4, "nowhere").await });
    let proposed = old.wait_until(PATIENCE, "a learner", |now| {
        now.last_applied.is_some_and(|last| Some(last.index) == now.last_log_index)
            && now.membership_config.membership().get_node(&4).is_some()
    });
    proposed.await.unwrap();
    cluster.switchboard.isolate(&old.id());
    let new = cluster.leader_among(&cluster.others(old.id())).await;
    cluster.switchboard.heal();
    let end = added.await.unwrap().unwrap_err();
    match end {
        MembershipError::NotLeader(error) => {
            assert_ne!(error.leader.map(|it| it.id), Some(old.id()))
        }
        other => unreachable!("{other}"),
    }
    drop(new);
    cluster.shutdown().await;
}
