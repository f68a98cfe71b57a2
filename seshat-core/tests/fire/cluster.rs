//! A cluster in one process whose nodes are on disks of their own, and lose them.
//!
//! Its time is paused: it passes when nothing else is left to do. What a disk's own thread does takes real
//! time, so whoever waits for something lets some of both pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seshat_core::config::{NodeConfig, SnapshotConfig};
use seshat_core::disk::{DiskOptions, DiskStorage, OpenError};
use seshat_core::network::Switchboard;
use seshat_core::node::RaftNode;
use seshat_core::wal;

use crate::ground::{Faulty, Ground};

/// Long enough for anything that happens at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// The nodes that run, by whoever looks for one.
#[derive(Clone, Default)]
pub(crate) struct Nodes(Arc<Mutex<BTreeMap<u64, RaftNode>>>);

impl Nodes {
    pub(crate) fn all(&self) -> Vec<RaftNode> {
        self.0.lock().unwrap().values().cloned().collect()
    }

    pub(crate) fn get(&self, id: u64) -> Option<RaftNode> {
        self.0.lock().unwrap().get(&id).cloned()
    }
}

/// Waits until there is something, for as long as that may take.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_micros(200));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) struct Cluster<G: Ground> {
    switchboard: Switchboard,
    pub(crate) nodes: Nodes,
    grounds: BTreeMap<u64, G>,
    members: Vec<u64>,
    snapshots: SnapshotConfig,
    spares: usize,
}

/// Snapshots and purges now and then, in next to no log.
pub(crate) const OFTEN: SnapshotConfig = SnapshotConfig {
    min_log_bytes: 16 << 10,
    growth_percent: 100,
    log_bytes_to_keep: 2 << 10,
    max_held_log_bytes: 1 << 30,
};

/// None that isn't asked for.
pub(crate) const NEVER: SnapshotConfig = SnapshotConfig { min_log_bytes: 1 << 30, ..OFTEN };

/// And nothing is purged, so that a disk that is full stays full.
pub(crate) const KEEPS: SnapshotConfig = SnapshotConfig { log_bytes_to_keep: 1 << 30, ..NEVER };

fn config(id: u64, members: &[u64], snapshots: SnapshotConfig) -> NodeConfig {
    let builder = NodeConfig::builder(id);
    let builder = match members {
        [_] => builder.single_node(),
        _ if !members.contains(&id) => builder.joining(),
        _ => builder,
    };
    let with = members.iter().fold(builder, |it, member| it.member(*member, format!("n{member}")));
    with.snapshot(snapshots).build().unwrap()
}

/// Segments that turn now and then.
pub(crate) const SEGMENT: u64 = 32 << 10;

fn options(id: u64, spares: usize) -> DiskOptions {
    let wal = wal::Options {
        first_segment_bytes: SEGMENT,
        segment_bytes: SEGMENT,
        reserve_bytes: 4 << 10,
        spares,
        ..wal::Options::new("cluster", id)
    };
    DiskOptions { wal, hot_bytes: 4 << 10 }
}

impl<G: Ground> Cluster<G> {
    /// Nodes 1 to `size`, with a leader.
    pub(crate) async fn start(size: u64) -> Self {
        Self::start_with(size, OFTEN, 2).await
    }

    /// The same, with so many files ready for segments to come.
    pub(crate) async fn start_with(size: u64, snapshots: SnapshotConfig, spares: usize) -> Self {
        let members: Vec<u64> = (1..=size).collect();
        let mut cluster = Self {
            switchboard: Switchboard::new(5),
            nodes: Nodes::default(),
            grounds: BTreeMap::new(),
            members: members.clone(),
            snapshots,
            spares,
        };
        for id in members {
            cluster.up(id).await;
        }
        cluster.node(1).initialize().await.unwrap();
        cluster.leader().await;
        cluster
    }

    /// Starts a node on what is left of its disk.
    pub(crate) async fn up(&mut self, id: u64) -> RaftNode {
        let disk = self.grounds.entry(id).or_insert_with(G::new).disk();
        // The threads of the process before hold it a moment longer than their node's end.
        let storage = until("the directory's lock", async || {
            match DiskStorage::open_on(disk.clone(), options(id, self.spares)) {
                Err(OpenError::Log(wal::OpenError::Locked { .. })) => None,
                opened => Some(opened.unwrap_or_else(|error| panic!("node {id}: {error}"))),
            }
        });
        let (storage, port) = (storage.await, self.switchboard.port(id));
        let config = config(id, &self.members, self.snapshots);
        let node = RaftNode::start(config, storage, port).await.unwrap();
        self.switchboard.plug_guarded(id, node.raft().clone(), node.intake().clone());
        self.nodes.0.lock().unwrap().insert(id, node.clone());
        node
    }

    pub(crate) fn ground(&self, id: u64) -> &G {
        &self.grounds[&id]
    }

    pub(crate) fn disk(&self, id: u64) -> Faulty<G::Disk> {
        self.ground(id).disk()
    }

    pub(crate) fn node(&self, id: u64) -> RaftNode {
        self.nodes.get(id).unwrap_or_else(|| panic!("node {id} runs"))
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.nodes.all().iter().map(RaftNode::id).collect()
    }

    pub(crate) fn others(&self, id: u64) -> Vec<u64> {
        self.ids().into_iter().filter(|other| *other != id).collect()
    }

    /// Forgets a node whose disk is gone already, or that failed.
    pub(crate) async fn down(&mut self, id: u64) {
        self.switchboard.unplug(&id);
        let node = self.nodes.0.lock().unwrap().remove(&id);
        if let Some(node) = node {
            node.stop().await;
        }
    }

    /// Ends a node as `kill -9` does.
    pub(crate) async fn kill(&mut self, id: u64) {
        self.ground(id).kill();
        self.down(id).await;
    }

    /// A node that leads, and that a quorum confirms.
    pub(crate) async fn leader(&self) -> RaftNode {
        until("a leader", async || {
            let leads = self.nodes.all().into_iter().filter(RaftNode::is_leader);
            for node in leads {
                if node.read_linearizable(b"").await.is_ok() {
                    return Some(node);
                }
            }
            None
        })
        .await
    }

    /// Writes so many KiB, through whoever leads.
    pub(crate) async fn write(&self, kib: usize) {
        for n in 0..kib {
            let (key, value) = (format!("key-{}", n % 8), vec![n as u8; 1 << 10]);
            until("a write", async || {
                self.leader().await.set(key.clone(), value.clone()).await.ok()
            })
            .await;
        }
    }

    /// All nodes that run come to have the same state.
    pub(crate) async fn assert_equal(&self) {
        let last = self.leader().await.metrics().borrow().last_log_index.unwrap();
        for node in self.nodes.all() {
            until("an equal log", async || {
                (node.last_applied().map(|id| id.index) >= Some(last)).then_some(())
            })
            .await;
        }
        let digests: BTreeSet<u128> =
            self.nodes.all().iter().map(|node| node.reader().digest()).collect();
        assert_eq!(digests.len(), 1, "the states differ");
    }

    pub(crate) async fn shutdown(mut self) {
        for id in self.ids() {
            self.down(id).await;
        }
    }
}
