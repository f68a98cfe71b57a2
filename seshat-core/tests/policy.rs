//! When snapshots are taken: as the log outweighs the last one, on every node for itself.
//!
//! Time is paused: it passes only when nothing else is left to do, so a pause ends when
//! everything that was to happen has happened.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cluster::{Cluster, PATIENCE, config_with};
use openraft::storage::RaftStateMachine;
use openraft::{OptionalSend, RaftSnapshotBuilder};
use seshat_core::config::{NodeConfigBuilder, SnapshotConfig};
use seshat_core::machine::{MachineSnapshotBuilder, MachineStore};
use seshat_core::network::StubNetwork;
use seshat_core::node::RaftNode;
use seshat_core::operation::EntryResponse;
use seshat_core::snapshot::SnapshotData;
use seshat_core::storage::{MemStorage, Storage};
use seshat_core::types::{
    Entry, LogId, Snapshot, SnapshotMeta, StorageError, StoredMembership, TypeConfig,
};

/// The payload of one write, key and value.
const WRITE: usize = 1000;
/// What an entry counts for beside its payload.
const OVERHEAD: usize = 128;
/// What stays behind a snapshot.
const KEPT: usize = 5 * WRITE;

/// A snapshot after 20 writes at the soonest.
fn twenty(builder: NodeConfigBuilder) -> NodeConfigBuilder {
    let (min_log_bytes, growth_percent) = (20 * WRITE as u64, 50);
    let rest = SnapshotConfig { log_bytes_to_keep: KEPT as u64, ..SnapshotConfig::default() };
    builder.snapshot(SnapshotConfig { min_log_bytes, growth_percent, ..rest })
}

/// Writes those keys, one entry each, and lets everything come to rest.
async fn write(leader: &RaftNode, keys: Range<usize>) {
    for i in keys {
        leader.set(format!("{i:06}"), vec![b'v'; WRITE - 6]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Up to where each node's snapshot goes.
fn snapshots(cluster: &Cluster) -> Vec<Option<u64>> {
    let snapshot = |node: &RaftNode| node.metrics().borrow().snapshot.map(|last| last.index);
    cluster.nodes.values().map(snapshot).collect()
}

/// The sizes of the snapshots.
async fn sizes(cluster: &Cluster) -> Vec<usize> {
    let mut sizes = Vec::new();
    for node in cluster.nodes.values() {
        let snapshot = node.raft().get_snapshot().await.unwrap();
        sizes.push(snapshot.map_or(0, |snapshot| snapshot.snapshot.len()));
    }
    sizes
}

#[tokio::test(start_paused = true)]
async fn the_first_snapshot_waits_for_the_least_log_on_every_node() {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, twenty).await;
    let leader = cluster.leader().await;
    // An entry counts for a bit more than its payload, so there is some room to the left.
    write(&leader, 0..16).await;
    assert_eq!(snapshots(&cluster), [None; 3]);
    write(&leader, 16..20).await;
    assert!(snapshots(&cluster).iter().all(Option::is_some), "{:?}", snapshots(&cluster));
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_next_snapshot_waits_until_the_log_grew_by_its_share_of_a_large_state() {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, twenty).await;
    let leader = cluster.leader().await;
    write(&leader, 0..400).await;
    for node in cluster.nodes.values() {
        node.trigger_snapshot().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let large = 400 * WRITE;
    assert!(sizes(&cluster).await.iter().all(|size| (large..large * 11 / 10).contains(size)));

    // Half of 400 writes and a bit; an entry counts for at most a quarter more than its payload.
    let before = snapshots(&cluster);
    write(&leader, 0..160).await;
    assert_eq!(snapshots(&cluster), before, "too early");
    write(&leader, 160..220).await;
    let after = snapshots(&cluster);
    assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{after:?}");
    // That was one. The next one has its own share to wait for.
    write(&leader, 0..100).await;
    assert_eq!(snapshots(&cluster), after, "too early");
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_a_snapshot_covers_is_purged_but_for_what_is_to_be_kept() {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, twenty).await;
    let leader = cluster.leader().await;
    write(&leader, 0..30).await;
    for (id, node) in &cluster.nodes {
        let now = node.metrics().borrow().clone();
        let (snapshot, purged) = (now.snapshot.unwrap().index, now.purged.unwrap().index);
        let left = cluster.batches(*id).await;
        assert_eq!(left.first().unwrap().index, purged + 1, "node {id}");
        let behind = left.iter().filter(|batch| batch.index <= snapshot);
        let kept: usize = behind.map(|batch| batch.bytes + OVERHEAD).sum();
        assert!((KEPT..KEPT + 2 * WRITE).contains(&kept), "node {id} keeps {kept}");
        assert_eq!(left.last().unwrap().index, now.last_log_index.unwrap(), "node {id}");
    }
    cluster.assert_equal_digests().await;
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_was_installed_counts_as_the_last_one() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], 7, twenty).await;
    let leader = cluster.leader().await;
    let away = cluster.follower_of(&leader).id();
    cluster.kill(away).await;
    write(&leader, 0..400).await;
    leader.trigger_snapshot().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;

    let back = cluster.start_node(away).await;
    let last = leader.metrics().borrow().snapshot;
    back.wait_until(PATIENCE, "the snapshot", |now| now.snapshot == last).await.unwrap();
    cluster.assert_equal_digests().await;
    write(&leader, 0..160).await;
    assert_eq!(back.metrics().borrow().snapshot, last, "too early");
    write(&leader, 160..220).await;
    assert!(back.metrics().borrow().snapshot > last, "too late");
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn snapshots_follow_the_state_while_it_grows() {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, twenty).await;
    let leader = cluster.leader().await;
    let mut taken = vec![Vec::new(); 3];
    for i in 0..100 {
        write(&leader, 10 * i..10 * i + 10).await;
        for (taken, snapshot) in taken.iter_mut().zip(snapshots(&cluster)) {
            taken.extend(snapshot.filter(|snapshot| taken.last() != Some(snapshot)));
        }
    }
    // Each half as large again as the one before: from 20 to 1000 writes takes ten steps. One
    // every twenty writes would be fifty.
    for taken in taken {
        assert!((8..=13).contains(&taken.len()), "{taken:?}");
    }
    cluster.shutdown().await;
}

/// Holds what a snapshot's bytes are dropped for until it is opened.
#[derive(Debug, Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    reached: AtomicBool,
}

struct Gated(Bytes, Arc<Gate>);

impl AsRef<[u8]> for Gated {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.1.reached.store(true, Ordering::SeqCst);
        let open = self.1.open.lock().unwrap();
        drop(self.1.opened.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap());
    }
}

/// A state machine whose snapshots take long to be freed, which openraft does before it takes
/// them for built.
#[derive(Debug)]
struct Slow<T>(T, Arc<Gate>);

impl RaftSnapshotBuilder<TypeConfig> for Slow<MachineSnapshotBuilder> {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let Snapshot { meta, snapshot } = self.0.build_snapshot().await?;
        let bytes = Bytes::from_owner(Gated(snapshot.into_bytes().unwrap(), Arc::clone(&self.1)));
        Ok(Snapshot { meta, snapshot: Box::new(SnapshotData::from(bytes)) })
    }
}

impl RaftStateMachine<TypeConfig> for Slow<MachineStore> {
    type SnapshotBuilder = Slow<MachineSnapshotBuilder>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        self.0.applied_state().await
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<EntryResponse>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.0.apply(entries).await
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        Slow(self.0.get_snapshot_builder().await, Arc::clone(&self.1))
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        self.0.begin_receiving_snapshot().await
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        data: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        self.0.install_snapshot(meta, data).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        self.0.get_current_snapshot().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_that_is_due_while_openraft_ends_another_is_taken_later() {
    let gate = Arc::new(Gate::default());
    let (log, machine, reader) = MemStorage::new().into_parts();
    let storage = (log, Slow(machine, Arc::clone(&gate)), reader);
    let config = config_with(1, &[1], twenty);
    let node = RaftNode::start(config, storage, StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();

    let set = async |i: u64| node.set("k", vec![i as u8; WRITE]).await.unwrap();
    // The first one is built, but openraft doesn't know yet.
    let mut written = 0;
    while !gate.reached.load(Ordering::SeqCst) {
        set(written).await;
        written += 1;
        assert!(written < 10_000, "no snapshot");
    }
    // The next one is due.
    for i in 0..100 {
        set(i).await;
    }
    *gate.open.lock().unwrap() = true;
    gate.opened.notify_all();
    let first = node.wait_until(PATIENCE, "a snapshot", |now| now.snapshot.is_some());
    let first = first.await.unwrap().snapshot;
    for i in 0..100 {
        set(i).await;
    }
    let next = node.wait_until(PATIENCE, "the next", |now| now.snapshot > first);
    next.await.unwrap();
    node.stop().await;
}
