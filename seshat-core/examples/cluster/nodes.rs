//! Three nodes on a switchboard, with storage that outlives them.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::ServerState;
use seshat_core::config::NodeConfig;
use seshat_core::network::Switchboard;
use seshat_core::node::RaftNode;
use seshat_core::storage::MemStorage;
use seshat_core::types::NodeId;

use crate::Failure;
use crate::report::NodeState;

const IDS: [NodeId; 3] = [1, 2, 3];

/// Far beyond an election, or a snapshot of anything that fits into memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look for a leader while there is none.
const POLL: Duration = Duration::from_millis(2);

/// The three, of which some may be dead.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// Messages are encoded and decoded, as between machines.
    switchboard: Switchboard,
    storages: BTreeMap<NodeId, MemStorage>,
    running: BTreeMap<NodeId, RaftNode>,
}

/// No node leads.
#[derive(Debug, thiserror::Error)]
#[error("no leader within {waited:?}")]
pub(crate) struct NoLeader {
    waited: Duration,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self {
            // Without faults the seed has no effect.
            switchboard: Switchboard::new(0),
            storages: IDS.iter().map(|id| (*id, MemStorage::new())).collect(),
            running: BTreeMap::new(),
        }
    }

    /// Starts all three as a new cluster and waits for a leader.
    pub(crate) async fn start_all(&mut self) -> Result<(), Failure> {
        for id in IDS {
            self.start(id).await?;
        }
        if let Some(first) = self.running.values().next() {
            first.initialize().await?;
        }
        self.leader().await?;
        Ok(())
    }

    /// Starts a node on what it stored before, if anything.
    async fn start(&mut self, id: NodeId) -> Result<(), Failure> {
        let builder = NodeConfig::builder(id);
        let builder = IDS
            .iter()
            .fold(builder, |builder, member| builder.member(*member, format!("node-{member}")));
        let storage = self.storages.entry(id).or_default().clone();
        let node = RaftNode::start(builder.build()?, storage, self.switchboard.port(id)).await?;
        self.switchboard.plug(id, node.raft().clone());
        self.running.insert(id, node);
        Ok(())
    }

    /// Ends a node as a crash would.
    pub(crate) async fn kill(&mut self, id: NodeId) {
        self.switchboard.unplug(&id);
        if let Some(node) = self.running.remove(&id) {
            node.stop().await;
        }
    }

    pub(crate) async fn restart_killed(&mut self) -> Result<(), Failure> {
        for id in IDS {
            if !self.running.contains_key(&id) {
                self.start(id).await?;
            }
        }
        Ok(())
    }

    /// The node that leads, as soon as there is one. Two of the three must say so: a former
    /// leader that was killed leads again as it is restarted, until it hears of its successor.
    pub(crate) async fn leader(&self) -> Result<RaftNode, NoLeader> {
        let found = async {
            loop {
                if let Some(leader) = self.running.values().find(|node| self.leads(node)) {
                    return leader.clone();
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.map_err(|_| NoLeader { waited: PATIENCE })
    }

    fn leads(&self, node: &RaftNode) -> bool {
        let follows =
            |other: &&RaftNode| other.metrics().borrow().current_leader == Some(node.id());
        node.is_leader() && self.running.values().filter(follows).count() > IDS.len() / 2
    }

    /// Waits until all nodes have applied what the leader has in its log.
    pub(crate) async fn wait_until_equal(&self) -> Result<(), Failure> {
        let last = self.leader().await?.metrics().borrow().last_log_index;
        for node in self.running.values() {
            node.wait_for_applied(PATIENCE, last.unwrap_or(0)).await?;
        }
        Ok(())
    }

    pub(crate) async fn states(&self) -> Result<Vec<NodeState>, Failure> {
        let mut states = Vec::new();
        for (id, node) in &self.running {
            let role = role(node.metrics().borrow().state);
            let reader = node.reader().clone();
            let last_applied = reader.last_applied().map_or(0, |last| last.index);
            let size = reader.size();
            let digest = tokio::task::spawn_blocking(move || reader.digest()).await?;
            let (id, keys, bytes) = (*id, size.keys, size.bytes);
            states.push(NodeState { id, role, last_applied, keys, bytes, digest });
        }
        Ok(states)
    }

    pub(crate) async fn stop(&mut self) {
        for id in IDS {
            self.kill(id).await;
        }
    }
}

fn role(state: ServerState) -> &'static str {
    match state {
        ServerState::Learner => "learner",
        ServerState::Follower => "follower",
        ServerState::Candidate => "candidate",
        ServerState::Leader => "leader",
        ServerState::Shutdown => "stopped",
    }
}
