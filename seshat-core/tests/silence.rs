//! A leader that no quorum has been heard from takes nothing and says so; every other leader takes what
//! it gets.
//!
//! Time is paused: it passes only when nothing else is left to do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/futures.rs"]
mod futures;
#[path = "common/stalled.rs"]
mod stalled;

use std::num::NonZeroU64;
use std::time::Duration;

use cluster::{Cluster, PATIENCE, config};
use futures::{in_order, poll_once};
use seshat_core::config::{NodeConfigBuilder, SnapshotConfig};
use seshat_core::error::ProposeError;
use seshat_core::network::StubNetwork;
use seshat_core::network::switchboard::Faults;
use seshat_core::node::{Handover, RaftNode};
use seshat_core::storage::MemStorage;
use seshat_core::types::RaftMetrics;
use stalled::{Stalled, set, set_get};
use tokio::time::Instant;

/// Long enough for a quorum to have been silent for too long, however old what openraft says of it is, and
/// too short for the others to elect anybody.
const SILENCE: Duration = Duration::from_millis(1250);

#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_no_quorum_takes_nothing_and_takes_on_again_when_it_does() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let term = leader.metrics().borrow().current_term;
    leader.set("k", "1").await.unwrap();
    let before = leader.metrics().borrow().last_log_index;
    cluster.switchboard.isolate(&leader.id());
    tokio::time::sleep(SILENCE).await;

    let started = Instant::now();
    for _ in 0..100 {
        let error = leader.set("k", "2").await.unwrap_err();
        let ProposeError::QuorumLost { silent_for } = error else { panic!("{error}") };
        assert!(silent_for > leader.config().election_timeout_max(), "{silent_for:?}");
        assert!(silent_for < SILENCE + Duration::from_millis(200), "{silent_for:?}");
        assert!(error.to_string().contains(&format!("{silent_for:?}")), "{error}");
    }
    let many = in_order((0..100).map(|_| leader.set("k", "3"))).await;
    assert!(many.iter().all(|end| matches!(end, Err(ProposeError::QuorumLost { .. }))), "{many:?}");
    assert_eq!(started.elapsed(), Duration::ZERO, "it refuses at once");
    assert_eq!(leader.metrics().borrow().last_log_index, before, "it was proposed");

    cluster.switchboard.heal();
    let heard = |now: &RaftMetrics| now.millis_since_quorum_ack < Some(200);
    leader.wait_until(PATIENCE, "a quorum", heard).await.unwrap();
    assert_eq!(set_get(&leader, "k", "4").await, set(Some("1")));
    assert_eq!(leader.metrics().borrow().current_term, term, "nobody else was elected");
    cluster.shutdown().await;
}

/// One that was left in the log is under way, whether anybody waits for it or not.
#[tokio::test(start_paused = true)]
async fn what_was_taken_before_waits_for_the_quorum_and_what_comes_later_is_refused() {
    let stalled = Stalled::start(|builder| builder).await;
    let leader = stalled.leader.clone();
    let proposer = &leader;
    let sets = (0..10).map(|i| async move { set_get(proposer, "k", &i.to_string()).await });
    let mut taken = Box::pin(in_order(sets));
    assert!(poll_once(&mut taken).await.is_pending());
    tokio::time::sleep(SILENCE).await;
    let error = leader.set("k", "late").await.unwrap_err();
    assert!(matches!(error, ProposeError::QuorumLost { .. }), "{error}");
    assert!(poll_once(&mut taken).await.is_pending());
    let (cluster, _) = stalled.go_on().await;
    let expected = (0..10).map(|i: u32| set(i.checked_sub(1).map(|i| i.to_string()).as_deref()));
    assert_eq!(taken.await, expected.collect::<Vec<_>>());
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_alone_and_an_idle_leader_take_what_they_get() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let single = RaftNode::start(config(9, &[9]), MemStorage::new(), StubNetwork).await.unwrap();
    single.initialize().await.unwrap();
    single.wait_for_leader(PATIENCE).await.unwrap();
    for _ in 0..60 {
        // Whatever is between two ticks, or two heartbeats.
        tokio::time::sleep(Duration::from_millis(10_007)).await;
        for node in [&leader, &single] {
            node.set("k", "v").await.unwrap();
        }
    }
    single.stop().await;
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_just_elected_takes_what_it_gets() {
    let mut cluster = Cluster::start(5).await;
    for _ in 0..2 {
        let leader = cluster.leader().await;
        assert!(matches!(leader.shutdown().await, Handover::To(_)));
        cluster.switchboard.unplug(&leader.id());
        cluster.nodes.remove(&leader.id());
        let leads = async || cluster.nodes.values().find(|node| node.is_leader()).cloned();
        let leader = loop {
            match leads().await {
                Some(leader) => break leader,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        leader.set("k", "v").await.unwrap();
    }
    cluster.shutdown().await;
}

/// All of it stood still, longer than a quorum may be silent: nobody was asked.
#[tokio::test(start_paused = true)]
async fn a_leader_that_stood_still_takes_what_it_gets() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::time::advance(leader.config().election_timeout_max() + Duration::from_millis(200))
            .await;
        // At once, and as it begins to see how long that was.
        for _ in 0..20 {
            leader.set("k", "v").await.unwrap();
        }
    }
    cluster.shutdown().await;
}

async fn link(cluster: &Cluster, faults: Faults) {
    for from in cluster.ids() {
        for to in cluster.others(from) {
            cluster.switchboard.set_faults(from, to, faults);
        }
    }
}

/// openraft doesn't wait for the answers to its heartbeats for so long, nor do they arrive.
#[tokio::test(start_paused = true)]
async fn an_idle_leader_that_is_far_from_the_others_takes_what_it_gets_and_stays() {
    let cluster = Cluster::start(3).await;
    let delay = Duration::from_millis(150);
    link(&cluster, Faults { delay_min: delay, delay_max: delay, ..Faults::default() }).await;
    let leader = cluster.leader().await;
    let term = leader.metrics().borrow().current_term;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(7)).await;
        leader.set("k", "v").await.unwrap();
    }
    cluster.assert_equal_digests().await;
    assert_eq!(leader.metrics().borrow().current_term, term, "another was elected");
    cluster.shutdown().await;
}

/// For six seconds openraft hears nothing from a node that is sent a snapshot, and needs it for a quorum.
#[tokio::test(start_paused = true)]
async fn a_leader_whose_quorum_receives_a_snapshot_takes_what_it_gets() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], 7, |builder: NodeConfigBuilder| {
        let snapshot = SnapshotConfig {
            min_log_bytes: 20_000,
            growth_percent: 1,
            log_bytes_to_keep: 1,
            ..SnapshotConfig::default()
        };
        builder.propose_timeout(Duration::from_secs(60)).snapshot(snapshot)
    })
    .await;
    let leader = cluster.leader().await;
    let [away, gone] = cluster.others(leader.id())[..] else { panic!() };
    cluster.kill(away).await;
    for i in 0..100 {
        leader.set(format!("{i}"), vec![b'v'; 2000]).await.unwrap();
    }
    leader.wait_until(PATIENCE, "a purge", |now| now.purged.is_some()).await.unwrap();
    cluster.snapshots.take(Duration::from_secs(6));
    cluster.start_node(away).await;
    let faults = Faults { bytes_per_second: NonZeroU64::new(1 << 20), ..Faults::default() };
    link(&cluster, faults).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.kill(gone).await;
    tokio::time::sleep(2 * SILENCE).await;
    assert!(leader.metrics().borrow().millis_since_quorum_ack > Some(2000), "openraft heard it");
    assert_eq!(leader.set("meanwhile", "v").await, set(None));
    cluster.shutdown().await;
}
