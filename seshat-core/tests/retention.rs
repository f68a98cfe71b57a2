//! What is kept of the log, in bytes: behind a snapshot, and for followers that are sent one.
//!
//! Time is paused: a transfer takes as long as a test says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/capture.rs"]
mod capture;
#[path = "common/cluster.rs"]
mod cluster;

use std::time::Duration;

use capture::capture;
use cluster::{Adjust, Cluster, PATIENCE};
use seshat_core::config::{NodeConfigBuilder, SnapshotConfig};
use seshat_core::node::RaftNode;
use tokio::task::JoinHandle;
use tracing::Level;

/// The payload of one write.
const WRITE: u64 = 1000;
/// What one write counts for.
const ENTRY: u64 = WRITE + 128;
/// What a snapshot is worth: the state is less.
const DUE: u64 = 20 * WRITE;
const KEPT: u64 = 10 * WRITE;
const PAUSE: Duration = Duration::from_millis(5);
/// Long enough for a thousand writes, which make fifty snapshots due.
const TRANSFER: Duration = Duration::from_secs(5);

const CONFIG: SnapshotConfig = SnapshotConfig {
    min_log_bytes: DUE,
    growth_percent: 1,
    log_bytes_to_keep: KEPT,
    max_held_log_bytes: 1 << 30,
};

fn held(builder: NodeConfigBuilder) -> NodeConfigBuilder {
    builder.snapshot(CONFIG)
}

const FEW_HELD: u64 = 100 * WRITE;

fn held_for_a_while(builder: NodeConfigBuilder) -> NodeConfigBuilder {
    builder.snapshot(SnapshotConfig { max_held_log_bytes: FEW_HELD, ..CONFIG })
}

async fn write(leader: &RaftNode, key: u64) {
    leader.set(format!("{:03}", key % 10), vec![b'v'; WRITE as usize - 3]).await.unwrap();
}

/// Writes at a steady rate until it is aborted.
fn writer(leader: RaftNode) -> JoinHandle<()> {
    tokio::spawn(async move {
        for key in 0.. {
            write(&leader, key).await;
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// A cluster of three whose snapshots take long, and a member without anything, which is to be sent
/// one. Writes go on all the time.
struct Lagging {
    cluster: Cluster,
    leader: RaftNode,
    away: u64,
    writer: JoinHandle<()>,
}

impl Lagging {
    async fn start(adjust: Adjust) -> Self {
        let mut cluster = Cluster::start_with(&[1, 2, 3], 7, adjust).await;
        let leader = cluster.leader().await;
        let away = cluster.follower_of(&leader).id();
        cluster.kill(away).await;
        for key in 0..100 {
            write(&leader, key).await;
        }
        let purged = |now: &seshat_core::types::RaftMetrics| now.purged.is_some();
        leader.wait_until(PATIENCE, "a purge", purged).await.unwrap();
        let writer = writer(leader.clone());
        cluster.snapshots.take(TRANSFER);
        cluster.start_node(away).await;
        Self { cluster, leader, away, writer }
    }

    fn node(&self) -> RaftNode {
        self.cluster.nodes[&self.away].clone()
    }

    /// Those that were there all the time.
    fn voters(&self) -> std::collections::BTreeSet<u64> {
        self.cluster.others(self.away).into_iter().collect()
    }

    async fn log_bytes(&self) -> u64 {
        let batches = self.cluster.batches(self.leader.id()).await;
        batches.iter().map(|batch| batch.bytes as u64 + 128).sum()
    }

    async fn end(self) {
        self.writer.abort();
        self.cluster.assert_equal_digests().await;
        self.cluster.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_catches_up_by_one_snapshot_while_writes_go_on() {
    let lagging = Lagging::start(held).await;
    let (leader, node) = (lagging.leader.clone(), lagging.node());
    let began = leader.metrics().borrow().snapshot.unwrap().index;
    tokio::time::sleep(TRANSFER / 2).await;
    let half = leader.metrics().borrow().clone();
    assert!(half.snapshot.unwrap().index > began + 200, "writes make snapshots due");
    assert!(half.purged.unwrap().index <= lagging.cluster.snapshots.begun(lagging.away)[0]);

    let installed = |now: &seshat_core::types::RaftMetrics| now.snapshot.is_some();
    node.wait_until(PATIENCE, "the snapshot", installed).await.unwrap();
    let goal = leader.metrics().borrow().last_log_index.unwrap();
    node.wait_for_applied(PATIENCE, goal).await.unwrap();
    // It goes on following, though snapshots are due all the time; and nothing is held any longer.
    tokio::time::sleep(TRANSFER).await;
    let goal = leader.metrics().borrow().last_log_index.unwrap();
    node.wait_for_applied(PATIENCE, goal).await.unwrap();
    assert_eq!(lagging.cluster.snapshots.begun(lagging.away).len(), 1);
    assert!(lagging.log_bytes().await < KEPT + DUE + 10 * ENTRY);
    lagging.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_held_for_a_follower_is_bounded() {
    let happened = capture();
    let lagging = Lagging::start(held_for_a_while).await;
    let bound = FEW_HELD + KEPT + DUE + 10 * ENTRY;
    let (mut most, mut left) = (0, TRANSFER * 3);
    while !left.is_zero() {
        most = most.max(lagging.log_bytes().await);
        tokio::time::sleep(PAUSE).await;
        left -= PAUSE;
    }
    assert!((FEW_HELD..bound).contains(&most), "{most} bytes at most, {bound} allowed");
    let words =
        "the log is no longer kept for a snapshot that is being sent: another one will follow";
    let (leader, away) = (lagging.leader.id(), lagging.away);
    let given_up = happened.events(|event| {
        let fields = &event.fields;
        event.is(Level::WARN, words) && fields.is("node_id", leader) && fields.is("target", away)
    });
    assert!(given_up[0].fields.number("bytes").unwrap() > FEW_HELD);
    assert!(lagging.cluster.snapshots.begun(away).len() > 1);
    // A faster link, and it catches up.
    lagging.cluster.snapshots.take(Duration::ZERO);
    lagging.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_is_removed_holds_nothing() {
    let mut lagging = Lagging::start(held).await;
    tokio::time::sleep(TRANSFER / 2).await;
    assert!(lagging.log_bytes().await > 10 * DUE);
    lagging.cluster.kill(lagging.away).await;
    lagging.leader.change_membership(lagging.voters(), false).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(lagging.log_bytes().await < KEPT + DUE + 10 * ENTRY);
    lagging.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_never_holds_more_than_is_said() {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, held).await;
    let leader = cluster.leader().await;
    for key in 0..500 {
        write(&leader, key).await;
        // A snapshot is built meanwhile.
        tokio::time::sleep(PAUSE).await;
        for id in cluster.ids() {
            let log: usize = cluster.batches(id).await.iter().map(|batch| batch.bytes + 128).sum();
            let bound = KEPT + KEPT / 64 + DUE + 3 * ENTRY;
            assert!(log as u64 <= bound, "node {id}: {log} bytes, {bound} allowed");
        }
    }
    for node in cluster.nodes.values() {
        assert!(node.metrics().borrow().purged.is_some());
    }
    cluster.shutdown().await;
}
