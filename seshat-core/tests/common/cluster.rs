//! A cluster in one process, on a switchboard, with storage that outlives its nodes.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

#[path = "sends.rs"]
mod sends;

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::storage::RaftLogReader;
use seshat_core::codec::FORMAT;
use seshat_core::config::{NodeConfig, NodeConfigBuilder};
use seshat_core::error::WaitError;
use seshat_core::network::Switchboard;
use seshat_core::node::RaftNode;
use seshat_core::storage::MemStorage;
use seshat_core::types::{Entry, EntryPayload};

use self::sends::Snapshots;

/// Long enough for anything that happens at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a test changes in the configuration of every node.
pub(crate) type Adjust = fn(NodeConfigBuilder) -> NodeConfigBuilder;

pub(crate) struct Cluster {
    pub(crate) switchboard: Switchboard,
    pub(crate) nodes: BTreeMap<u64, RaftNode>,
    pub(crate) snapshots: Snapshots,
    storages: BTreeMap<u64, MemStorage>,
    members: Vec<u64>,
    adjust: Adjust,
}

/// The configuration of node `id` in a cluster of `members`.
pub(crate) fn config(id: u64, members: &[u64]) -> NodeConfig {
    config_with(id, members, |builder| builder)
}

/// The same, with something changed.
pub(crate) fn config_with(id: u64, members: &[u64], adjust: Adjust) -> NodeConfig {
    let builder = NodeConfig::builder(id);
    let builder = if members.len() == 1 { builder.single_node() } else { builder };
    let with_member = |builder: NodeConfigBuilder, member: &u64| {
        builder.member(*member, format!("node-{member}"))
    };
    adjust(members.iter().fold(builder, with_member)).build().unwrap()
}

impl Cluster {
    /// Starts nodes 1 to `size` and waits for a leader.
    pub(crate) async fn start(size: u64) -> Self {
        let ids: Vec<u64> = (1..=size).collect();
        Self::start_with(&ids, 7, |builder| builder).await
    }

    /// Starts those nodes, on a switchboard with that seed, and waits for a leader.
    pub(crate) async fn start_with(ids: &[u64], seed: u64, adjust: Adjust) -> Self {
        let mut cluster = Self {
            switchboard: Switchboard::new(seed),
            nodes: BTreeMap::new(),
            snapshots: Snapshots::default(),
            storages: BTreeMap::new(),
            members: ids.to_vec(),
            adjust,
        };
        for id in ids {
            cluster.start_node(*id).await;
        }
        cluster.nodes[&ids[0]].initialize().await.unwrap();
        let leader = cluster.leader().await;
        // So that nothing moves that a test doesn't.
        while leader.format() < FORMAT && leader.is_leader() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cluster
    }

    /// Starts a node on what it stored before, if anything.
    pub(crate) async fn start_node(&mut self, id: u64) -> RaftNode {
        let storage = self.storages.entry(id).or_default().clone();
        let members = if self.members.contains(&id) {
            self.members.clone()
        } else {
            // A node that joins later is configured with the cluster it joins.
            let mut members = self.members.clone();
            members.truncate(2);
            members.push(id);
            members
        };
        let port = self.snapshots.through(self.switchboard.port(id));
        let config = config_with(id, &members, self.adjust);
        let node = RaftNode::start(config, storage, port).await.unwrap();
        self.switchboard.plug(id, node.raft().clone());
        self.nodes.insert(id, node.clone());
        node
    }

    /// Ends a node as a crash would.
    pub(crate) async fn kill(&mut self, id: u64) {
        self.switchboard.unplug(&id);
        self.nodes.remove(&id).unwrap().stop().await;
    }

    /// The node that all in `among` take for the leader which haven't stopped.
    pub(crate) async fn leader_among(&self, among: &[u64]) -> RaftNode {
        let agreed = async {
            loop {
                let mut leaders = Vec::new();
                for id in among {
                    let known = self.nodes[id].wait_until(PATIENCE, "a leader", |now| {
                        now.current_leader.is_some_and(|leader| among.contains(&leader))
                    });
                    match known.await {
                        Ok(now) => leaders.push(now.current_leader.unwrap()),
                        Err(WaitError::Stopped(_)) => {}
                        Err(late) => panic!("{late}"),
                    }
                }
                let first = *leaders.first().expect("a node that runs");
                if leaders.iter().all(|leader| *leader == first) && self.nodes[&first].is_leader() {
                    return self.nodes[&first].clone();
                }
                // Looks again in a moment. Yielding would not do: paused time would stand still.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, agreed).await.expect("the nodes agree on a leader")
    }

    /// The leader of all nodes.
    pub(crate) async fn leader(&self) -> RaftNode {
        self.leader_among(&self.ids()).await
    }

    /// A node other than `leader`.
    pub(crate) fn follower_of(&self, leader: &RaftNode) -> RaftNode {
        self.nodes.values().find(|node| node.id() != leader.id()).unwrap().clone()
    }

    /// The ids of all nodes.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// The ids of all nodes but `id`.
    pub(crate) fn others(&self, id: u64) -> Vec<u64> {
        self.nodes.keys().copied().filter(|other| *other != id).collect()
    }

    /// The entries in the log of node `id` that carry operations, with the size of each.
    pub(crate) async fn batches(&self, id: u64) -> Vec<Batched> {
        let mut log = self.storages[&id].log.clone();
        let entries = log.try_get_log_entries(..).await.unwrap();
        entries.iter().filter_map(Batched::of).collect()
    }

    /// Waits until every node has applied what the leader has, and compares their states.
    pub(crate) async fn assert_equal_digests(&self) {
        let leader = self.leader().await;
        let index = leader.metrics().borrow().last_log_index.unwrap();
        let mut digests = BTreeMap::new();
        for (id, node) in &self.nodes {
            node.wait_for_applied(PATIENCE, index).await.unwrap();
            digests.insert(*id, node.reader().digest());
        }
        let first = digests.values().next().unwrap();
        assert!(digests.values().all(|digest| digest == first), "digests differ: {digests:x?}");
    }

    pub(crate) async fn shutdown(self) {
        for node in self.nodes.values() {
            node.stop().await;
        }
    }
}

/// What one log entry carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batched {
    pub(crate) index: u64,
    pub(crate) operations: usize,
    pub(crate) bytes: usize,
}

impl Batched {
    fn of(entry: &Entry) -> Option<Self> {
        match &entry.payload {
            EntryPayload::Normal(batch) if batch.raises().is_none() => Some(Self {
                index: entry.log_id.index,
                operations: batch.operations().len(),
                bytes: batch.payload_bytes(),
            }),
            EntryPayload::Normal(_) | EntryPayload::Blank | EntryPayload::Membership(_) => None,
        }
    }
}
