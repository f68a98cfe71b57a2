//! Checks rivven-cluster's store: the log in a redb database, the cluster's metadata in memory, and
//! snapshots in files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::ExitCode;

use openraft::{BasicNode, Entry};
use rivven_cluster::raft::{RaftRequest, RaftResponse, StateMachine, TypeConfig};
use rivven_cluster::{MetadataCommand, MetadataResponse, RedbLogStore};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite, Shape,
};

struct RivvenCluster;

impl Backend for RivvenCluster {
    type C = TypeConfig;
    type Log = RedbLogStore;
    type Machine = StateMachine;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    /// As its `RaftNode::start` does, to which a snapshot that can't be loaded is none.
    async fn open(&self, dir: &Path) -> Result<(RedbLogStore, StateMachine), BoxError> {
        let log = RedbLogStore::new(dir.join("log.redb"))?;
        let machine = StateMachine::new(dir.join("snapshots"));
        drop(machine.load_latest_snapshot().await);
        Ok((log, machine))
    }
    fn command(&self, command: &Command) -> Option<RaftRequest> {
        let Command { n, shape } = *command;
        let value = match shape {
            Shape::Plain => format!("value {n}"),
            Shape::Empty => String::new(),
            Shape::Large(bytes) => "x".repeat(bytes),
            Shape::Binary => "\0\u{ff}\r\n\"'".to_owned(),
            Shape::Refused => {
                let command = MetadataCommand::DeleteTopic { name: format!("topic {n}") };
                return Some(RaftRequest { command });
            }
            _ => return None,
        };
        let config = HashMap::from([(format!("key {}", n % 16), value)]);
        Some(RaftRequest { command: MetadataCommand::UpdateClusterConfig { config } })
    }
    fn fingerprint(&self, entry: &Entry<TypeConfig>) -> Vec<u8> {
        postcard::to_allocvec(entry).unwrap_or_default()
    }
    fn node_id(&self, n: u64) -> u64 {
        n
    }
    fn node(&self, n: u64) -> BasicNode {
        BasicNode::new(format!("node-{n}.example:9093"))
    }
    fn show_reply(&self, reply: &RaftResponse) -> Option<String> {
        Some(format!("{:?}", reply.response))
    }
    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        let last = self.command(applied.last()?)?;
        let reply = match last.command {
            MetadataCommand::DeleteTopic { name } => {
                MetadataResponse::Error { message: format!("Topic {name} not found") }
            }
            _ => MetadataResponse::Success,
        };
        Some(format!("{reply:?}"))
    }
    async fn digest(&self, machine: &mut StateMachine) -> Option<Vec<u8>> {
        let metadata = machine.metadata().await;
        let config: BTreeMap<_, _> = metadata.config.iter().collect();
        postcard::to_allocvec(&(metadata.epoch, config)).ok()
    }
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        let (mut epoch, mut expected) = (0_u64, BTreeMap::new());
        for request in applied.iter().filter_map(|command| self.command(command)) {
            if let MetadataCommand::UpdateClusterConfig { config } = request.command {
                epoch += 1;
                expected.extend(config);
            }
        }
        postcard::to_allocvec(&(epoch, expected)).ok()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { files: true, snapshot_checksum: true, ..Capabilities::default() }
    }
}

fn main() -> ExitCode {
    seshat_conformance::cli::main(RivvenCluster)
}
