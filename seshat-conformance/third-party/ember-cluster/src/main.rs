//! Checks ember-cluster's store: the cluster's nodes and slots in memory, beside files for vote,
//! log and snapshot; through openraft's `Adaptor`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ember_cluster::{ClusterCommand, ClusterResponse, NodeId, RaftStorage, TypeConfig};
use openraft::storage::Adaptor;
use openraft::{BasicNode, Entry};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite, Shape,
};
use uuid::Uuid;

struct EmberCluster;

impl Backend for EmberCluster {
    type C = TypeConfig;
    type Log = Adaptor<TypeConfig, Arc<RaftStorage>>;
    type Machine = Adaptor<TypeConfig, Arc<RaftStorage>>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        let (store, _) = RaftStorage::open(dir.join("raft"))?;
        Ok(Adaptor::new(store))
    }
    fn command(&self, command: &Command) -> Option<ClusterCommand> {
        let Command { n, shape } = *command;
        let node_id = node(n % 16);
        let addr = match shape {
            Shape::Plain => format!("address {n}"),
            Shape::Empty => String::new(),
            Shape::Large(bytes) => "x".repeat(bytes),
            Shape::Binary => "\0\u{ff}\r\n\"'".to_owned(),
            Shape::Delete => return Some(ClusterCommand::RemoveNode { node_id }),
            Shape::Refused => {
                let replica_id = node(n.max(16));
                return Some(ClusterCommand::PromoteReplica { replica_id });
            }
            _ => return None,
        };
        Some(ClusterCommand::AddNode { node_id, raft_id: n, addr, is_primary: n % 2 == 0 })
    }
    fn fingerprint(&self, entry: &Entry<TypeConfig>) -> Vec<u8> {
        serde_json::to_vec(entry).unwrap_or_default()
    }
    fn node_id(&self, n: u64) -> u64 {
        n
    }
    fn node(&self, n: u64) -> BasicNode {
        BasicNode::new(format!("node-{n}.example:7000"))
    }
    fn show_reply(&self, reply: &ClusterResponse) -> Option<String> {
        Some(format!("{reply:?}"))
    }
    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        let last = self.command(applied.last()?)?;
        Some(match last {
            ClusterCommand::PromoteReplica { replica_id } => {
                format!("{:?}", ClusterResponse::Error(format!("replica {replica_id} not found")))
            }
            _ => format!("{:?}", ClusterResponse::Ok),
        })
    }
    async fn digest(&self, machine: &mut Self::Machine) -> Option<Vec<u8>> {
        let state = machine.storage().await.state();
        let state = state.read().await;
        let addresses =
            state.nodes.values().map(|node| (&node.node_id, (node.raft_id, &node.addr)));
        serde_json::to_vec(&BTreeMap::from_iter(addresses)).ok()
    }
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        let mut addresses = BTreeMap::new();
        for command in applied.iter().filter_map(|command| self.command(command)) {
            match command {
                ClusterCommand::AddNode { node_id, raft_id, addr, .. } => {
                    addresses.insert(node_id.0.to_string(), (raft_id, addr));
                }
                ClusterCommand::RemoveNode { node_id } => {
                    addresses.remove(&node_id.0.to_string());
                }
                _ => {}
            }
        }
        serde_json::to_vec(&addresses).ok()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { files: true, ..Capabilities::default() }
    }
}

/// A member of ember's cluster, which no check takes for one of openraft's.
fn node(n: u64) -> NodeId {
    NodeId(Uuid::from_u128(n.into()))
}

fn main() -> ExitCode {
    seshat_conformance::cli::main(EmberCluster)
}
