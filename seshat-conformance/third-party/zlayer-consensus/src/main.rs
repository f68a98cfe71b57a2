//! Checks zlayer-consensus's store in two redb databases: a log and a state machine for any
//! application, here a counter of writes beside their last values.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use openraft::{BasicNode, Entry};
use serde::{Deserialize, Serialize};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, Keeps, OpenraftSuite, Shape,
};
use zlayer_consensus::storage::redb_store::{RedbLogStore, RedbStateMachine};

openraft::declare_raft_types!(
    /// zlayer-consensus takes any commands and replies; its other types are these.
    pub TypeConfig:
        D = Write,
        R = Written,
        NodeId = u64,
        Node = BasicNode,
        Entry = Entry<TypeConfig>,
        SnapshotData = std::io::Cursor<Vec<u8>>,
);

/// Sets a key, or removes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Write {
    key: String,
    value: Option<String>,
}

/// How many writes there were, this one included; 0 for what is no write.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Written(u64);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    writes: u64,
    values: BTreeMap<String, String>,
}

impl State {
    fn apply(&mut self, Write { key, value }: &Write) -> Written {
        self.writes += 1;
        match value {
            Some(value) => self.values.insert(key.clone(), value.clone()),
            None => self.values.remove(key),
        };
        Written(self.writes)
    }
}

type Apply = fn(&mut State, &Write) -> Written;

struct ZlayerConsensus;

impl Backend for ZlayerConsensus {
    type C = TypeConfig;
    type Log = RedbLogStore<TypeConfig>;
    type Machine = RedbStateMachine<TypeConfig, State, Apply>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        let log = RedbLogStore::new(dir.join("log.redb"))?;
        let apply: Apply = State::apply;
        let machine = RedbStateMachine::new(dir.join("machine.redb"), apply)?;
        Ok((log, machine))
    }
    fn command(&self, command: &Command) -> Option<Write> {
        let Command { n, shape } = *command;
        let value = match shape {
            Shape::Plain => Some(format!("value {n}")),
            Shape::Empty => Some(String::new()),
            Shape::Large(bytes) => Some("x".repeat(bytes)),
            Shape::Binary => Some("\0\u{ff}\r\n\"'".to_owned()),
            Shape::Delete => None,
            _ => return None,
        };
        Some(Write { key: format!("key {}", n % 16), value })
    }
    fn fingerprint(&self, entry: &Entry<TypeConfig>) -> Vec<u8> {
        postcard2::to_vec(entry).unwrap_or_default()
    }
    fn node_id(&self, n: u64) -> u64 {
        n
    }
    fn node(&self, n: u64) -> BasicNode {
        BasicNode::new(format!("node-{n}.example:9000"))
    }
    fn show_reply(&self, Written(count): &Written) -> Option<String> {
        Some(count.to_string())
    }
    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        Some(self.replay(applied).writes.to_string())
    }
    async fn digest(&self, machine: &mut Self::Machine) -> Option<Vec<u8>> {
        postcard2::to_vec(&machine.state().read().await.state).ok()
    }
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        postcard2::to_vec(&self.replay(applied)).ok()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { files: true, machine_keeps: Keeps::Applied, ..Capabilities::default() }
    }
}

impl ZlayerConsensus {
    fn replay(&self, applied: &[Command]) -> State {
        let mut state = State::default();
        for write in applied.iter().filter_map(|command| self.command(command)) {
            state.apply(&write);
        }
        state
    }
}

fn main() -> ExitCode {
    seshat_conformance::cli::main(ZlayerConsensus)
}
