//! Links that carry heartbeats, but take longer than one heartbeat interval for what is written: the
//! leader stays, and everything arrives. On paused time, so that nothing depends on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;

use std::num::NonZeroU64;
use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use seshat_core::config::{NodeConfigBuilder, SnapshotConfig};
use seshat_core::network::switchboard::Faults;
use seshat_core::node::RaftNode;
use seshat_core::operation::{Limits, Operation};
use seshat_core::types::RaftMetrics;
use tokio::task::JoinSet;
use tokio::time::Instant;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn bandwidth(bytes_per_second: u64) -> Faults {
    Faults { bytes_per_second: NonZeroU64::new(bytes_per_second), ..Faults::default() }
}

/// Long enough for all that these links are asked to carry.
fn patient(config: NodeConfigBuilder) -> NodeConfigBuilder {
    config.propose_timeout(Duration::from_secs(300))
}

/// The same, with values and keys as long as 64 MiB and 64 KiB.
fn generous(config: NodeConfigBuilder) -> NodeConfigBuilder {
    patient(config).limits(Limits { max_value_bytes: 64 * MIB, ..Limits::default() })
}

/// A snapshot is due after each 4 MiB, and little of the log is kept behind it: as much as a follower that
/// has caught up may be behind when it is purged.
fn often(config: NodeConfigBuilder) -> NodeConfigBuilder {
    let due = SnapshotConfig {
        min_log_bytes: 4 << 20,
        growth_percent: 1,
        log_bytes_to_keep: 1 << 20,
        ..SnapshotConfig::default()
    };
    patient(config).snapshot(due)
}

/// Three nodes with the same link from each to each.
async fn cluster(faults: Faults, adjust: fn(NodeConfigBuilder) -> NodeConfigBuilder) -> Cluster {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, adjust).await;
    for from in 1..=3 {
        for to in (1..=3).filter(|to| *to != from) {
            cluster.switchboard.set_faults(from, to, faults);
        }
    }
    cluster
}

/// Who led when something began, and must all the time: every election makes a new term.
struct Steady {
    leader: RaftNode,
    term: u64,
}

impl Steady {
    async fn begin(cluster: &Cluster) -> Self {
        let leader = cluster.leader().await;
        let term = leader.metrics().borrow().current_term;
        Self { leader, term }
    }

    async fn end(self, cluster: &Cluster) {
        let leads = cluster.leader().await;
        let term = leads.metrics().borrow().current_term;
        assert_eq!((leads.id(), term), (self.leader.id(), self.term), "leader and term");
        cluster.assert_equal_digests().await;
    }
}

/// Writes `count` values of `bytes` at once, and waits for all.
async fn burst(leader: &RaftNode, count: usize, bytes: usize) {
    let mut writes = JoinSet::new();
    for n in 0..count {
        let leader = leader.clone();
        writes.spawn(async move { leader.set(format!("burst-{n}"), vec![7; bytes]).await });
    }
    while let Some(end) = writes.join_next().await {
        end.unwrap().expect("a write of the burst");
    }
}

#[rstest::rstest]
#[case::mbit_64(bandwidth(8_000_000))]
#[case::mbit_32(bandwidth(4_000_000))]
#[case::mbit_2(bandwidth(250_000))]
#[case::mbit_2_far(Faults {
    delay_min: Duration::from_millis(40),
    delay_max: Duration::from_millis(60),
    ..bandwidth(250_000)
})]
#[case::far(Faults {
    delay_min: Duration::from_millis(140),
    delay_max: Duration::from_millis(160),
    ..Faults::default()
})]
#[case::lossy(Faults { drop: 0.03, duplicate: 0.03, ..bandwidth(1_000_000) })]
#[tokio::test(start_paused = true)]
async fn a_burst_of_small_writes_is_replicated(#[case] link: Faults) {
    let cluster = cluster(link, patient).await;
    let steady = Steady::begin(&cluster).await;
    burst(&steady.leader, 512, 4 * KIB).await;
    for n in 0..20 {
        let started = Instant::now();
        steady.leader.set(format!("alone-{n}"), "v").await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    steady.end(&cluster).await;
}

/// 17 seconds for each follower, 170 heartbeat intervals, more than 17 election timeouts.
#[tokio::test(start_paused = true)]
async fn a_value_of_64_mib_is_replicated_at_4_mb_a_second() {
    let cluster = cluster(bandwidth(4_000_000), generous).await;
    let steady = Steady::begin(&cluster).await;
    let started = Instant::now();
    steady.leader.set("long", vec![7; 64 * MIB]).await.unwrap();
    let took = started.elapsed().as_secs_f64();
    assert!((16.7..18.0).contains(&took), "sent once: {took} s for {} s", 64.0 * 1.048_576 / 4.0);
    steady.end(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn the_longest_del_is_replicated() {
    let cluster = cluster(bandwidth(4_000_000), patient).await;
    let steady = Steady::begin(&cluster).await;
    let keys = (0..1024_u16).map(|n| [n.to_be_bytes().as_slice(), &[7; 64 * KIB - 2]].concat());
    let del = Operation::del(keys, steady.leader.limits()).unwrap();
    steady.leader.propose(del).await.unwrap();
    steady.end(&cluster).await;
}

/// The others commit meanwhile at their own speed.
#[rstest::rstest]
#[case::slow(bandwidth(1_000_000), Faults::default())]
#[case::answers_come_slowly(bandwidth(4_000_000), bandwidth(8_000))]
#[case::far_and_slow(
    Faults { delay_min: Duration::from_millis(30), delay_max: Duration::from_millis(30), ..bandwidth(2_000_000) },
    Faults { delay_min: Duration::from_millis(30), delay_max: Duration::from_millis(30), ..Faults::default() },
)]
#[tokio::test(start_paused = true)]
async fn a_follower_that_lags_behind_a_slow_link_catches_up(
    #[case] there: Faults,
    #[case] back: Faults,
) {
    let cluster = cluster(Faults::default(), patient).await;
    let leader = cluster.leader().await;
    let lags = cluster.follower_of(&leader);
    cluster.switchboard.isolate(&lags.id());
    burst(&leader, 4096, 4 * KIB).await;
    cluster.switchboard.heal();
    for other in cluster.others(lags.id()) {
        cluster.switchboard.set_faults(other, lags.id(), there);
        cluster.switchboard.set_faults(lags.id(), other, back);
    }
    // It has campaigned while it was alone, maybe: from now on nobody does.
    let steady = loop {
        let steady = Steady::begin(&cluster).await;
        if steady.leader.set("again", "v").await.is_ok() {
            break steady;
        }
    };
    let index = steady.leader.metrics().borrow().last_log_index.unwrap();
    let mut writes = 0;
    while lags.wait_for_applied(Duration::from_millis(100), index).await.is_err() {
        let started = Instant::now();
        steady.leader.set(format!("meanwhile-{writes}"), "v").await.unwrap();
        let took = started.elapsed();
        assert!(took < Duration::from_millis(500), "others don't wait for it: {took:?}");
        writes += 1;
        assert!(writes < 1000, "it doesn't catch up");
    }
    assert!(writes > 0, "it lagged");
    lags.wait_for_applied(PATIENCE, index).await.unwrap();
    steady.end(&cluster).await;
}

/// Six seconds, in which the follower's election timeout passes six times and more. With writes, of half
/// of what the link carries, some snapshots become due meanwhile; the first one has to do.
#[rstest::rstest]
#[case::nobody_writes(0)]
#[case::writes_go_on(2_000_000)]
#[tokio::test(start_paused = true)]
async fn a_follower_catches_up_by_one_snapshot(#[case] bytes_per_second: u64) {
    let mut cluster = cluster(Faults::default(), often).await;
    let leader = cluster.leader().await;
    let away = cluster.follower_of(&leader).id();
    cluster.kill(away).await;
    burst(&leader, 6 * 1024, 4 * KIB).await;
    let purged = |now: &RaftMetrics| now.purged.is_some();
    leader.wait_until(PATIENCE, "a purge", purged).await.unwrap();
    let steady = Steady::begin(&cluster).await;
    for other in cluster.ids() {
        cluster.switchboard.set_faults(other, away, bandwidth(4_000_000));
        cluster.switchboard.set_faults(away, other, bandwidth(4_000_000));
    }
    let follower = cluster.start_node(away).await;
    let index = leader.metrics().borrow().last_log_index.unwrap();
    let writer = tokio::spawn(async move {
        for n in 0.. {
            if bytes_per_second == 0 {
                return;
            }
            leader.set(format!("burst-{}", n % 6000), vec![8; 64 * KIB]).await.unwrap();
            let pause = 64.0 * 1024.0 / bytes_per_second as f64;
            tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        }
    });
    follower.wait_for_applied(3 * PATIENCE, index).await.unwrap();
    // It has what was written while it caught up, too, and goes on with entries.
    let last = steady.leader.metrics().borrow().last_log_index.unwrap();
    follower.wait_for_applied(3 * PATIENCE, last).await.unwrap();
    writer.abort();
    steady.end(&cluster).await;
    assert_eq!(cluster.snapshots.begun(away).len(), 1, "{:?}", cluster.snapshots.begun(away));
}
