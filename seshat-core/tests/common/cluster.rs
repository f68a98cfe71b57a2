//! A cluster in one process, on a switchboard, with storage that outlives its nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use seshat_core::config::NodeConfig;
use seshat_core::network::Switchboard;
use seshat_core::node::RaftNode;
use seshat_core::storage::MemStorage;

/// Long enough for anything that happens at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Cluster {
    pub(crate) switchboard: Switchboard,
    pub(crate) nodes: BTreeMap<u64, RaftNode>,
    storages: BTreeMap<u64, MemStorage>,
    members: Vec<u64>,
}

/// The configuration of node `id` in a cluster of `members`.
pub(crate) fn config(id: u64, members: &[u64]) -> NodeConfig {
    let builder = NodeConfig::builder(id);
    let builder = if members.len() == 1 { builder.single_node() } else { builder };
    let with_member = |builder: seshat_core::config::NodeConfigBuilder, member: &u64| {
        builder.member(*member, format!("node-{member}"))
    };
    members.iter().fold(builder, with_member).build().unwrap()
}

impl Cluster {
    /// Starts nodes 1 to `size` and waits for a leader.
    pub(crate) async fn start(size: u64) -> Self {
        let mut cluster = Self {
            switchboard: Switchboard::new(7),
            nodes: BTreeMap::new(),
            storages: BTreeMap::new(),
            members: (1..=size).collect(),
        };
        for id in 1..=size {
            cluster.start_node(id).await;
        }
        cluster.nodes[&1].initialize().await.unwrap();
        cluster.leader().await;
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
        let port = self.switchboard.port(id);
        let node = RaftNode::start(config(id, &members), storage, port).await.unwrap();
        self.switchboard.plug(id, node.raft().clone());
        self.nodes.insert(id, node.clone());
        node
    }

    /// Ends a node as a crash would.
    pub(crate) async fn kill(&mut self, id: u64) {
        self.switchboard.unplug(&id);
        self.nodes.remove(&id).unwrap().stop().await;
    }

    /// The node that all reachable nodes in `among` take for the leader.
    pub(crate) async fn leader_among(&self, among: &[u64]) -> RaftNode {
        let agreed = async {
            loop {
                let mut leaders = Vec::new();
                for id in among {
                    let known = self.nodes[id].wait_until(PATIENCE, "a leader", |now| {
                        now.current_leader.is_some_and(|leader| among.contains(&leader))
                    });
                    leaders.push(known.await.unwrap().current_leader.unwrap());
                }
                let first = leaders[0];
                if leaders.iter().all(|leader| *leader == first) && self.nodes[&first].is_leader() {
                    return self.nodes[&first].clone();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, agreed).await.expect("the nodes agree on a leader")
    }

    /// The leader of all nodes.
    pub(crate) async fn leader(&self) -> RaftNode {
        self.leader_among(&self.nodes.keys().copied().collect::<Vec<_>>()).await
    }

    /// A node other than `leader`.
    pub(crate) fn follower_of(&self, leader: &RaftNode) -> RaftNode {
        self.nodes.values().find(|node| node.id() != leader.id()).unwrap().clone()
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
