//! Your log store, plugged into seshat-conformance; the state machine beside it is the kit's.
//!
//! What is yours to write is marked FILL IN, and numbered. It compiles as it is, and `cargo run`
//! names the next number until the checks run.

use std::path::Path;

use openraft::{BasicNode, Entry};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite,
};
use seshat_conformance::reference::{self, ReferenceMachine, ReferenceMachines};

// FILL IN 1: your log store, right of the last `=`, and its crate in Cargo.toml. Until then it is
// the kit's, so that this compiles. If it takes any type configuration, leave the others as they
// are. Else they are yours, too; then `command`, `fingerprint` and `reply` below are for you to
// write.
type MyConfig = reference::TypeConfig; // an `openraft::RaftTypeConfig`
type MyCommand = reference::Request; // its `D`
type MyReply = reference::Reply; // its `R`
type MyNodeId = u64; // its `NodeId`
type MyNode = BasicNode; // its `Node`
type MyLog = reference::ReferenceLog<MyConfig>; // your `RaftLogStorage`

// FILL IN 2: your log store in `dir`, which exists. It is empty for a fresh node; one that was open
// before is a restart.
async fn open_log(dir: &Path) -> Result<MyLog, BoxError> {
    todo!("FILL IN 2: `open_log` opens no log store in {}", dir.display())
}

/// An entry as bytes, with its log id, its kind and all of its payload.
fn fingerprint(entry: &Entry<MyConfig>) -> Vec<u8> {
    reference::fingerprint(entry)
}

/// Any reply will do: the kit's state machine gives it, and nobody looks at it.
fn reply(_: &Entry<MyConfig>) -> MyReply {
    reference::Reply
}

pub struct MyBackend {
    machines: ReferenceMachines<MyConfig>,
}

impl Default for MyBackend {
    fn default() -> Self {
        Self { machines: ReferenceMachines::new(fingerprint, reply) }
    }
}

impl Backend for MyBackend {
    type C = MyConfig;
    type Log = MyLog;
    type Machine = ReferenceMachine<MyConfig>;
    type Transfer = Chunks;
    /// `NoSuite`, if rustc says that `OpenraftSuite: Suite<MyBackend>` is not satisfied.
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(MyLog, Self::Machine), BoxError> {
        Ok((open_log(dir).await?, self.machines.open(dir)?))
    }

    /// A number comes in several shapes, which are different commands.
    fn command(&self, command: &Command) -> Option<MyCommand> {
        reference::command(command)
    }

    fn fingerprint(&self, entry: &Entry<MyConfig>) -> Vec<u8> {
        fingerprint(entry)
    }

    fn node_id(&self, n: u64) -> MyNodeId {
        n
    }

    /// Leave it out if your `Node` says nothing.
    fn node(&self, n: u64) -> MyNode {
        BasicNode::new(format!("node-{n}.example:7000"))
    }

    async fn digest(&self, machine: &mut Self::Machine) -> Option<Vec<u8>> {
        Some(machine.digest())
    }

    // The checks run now. FILL IN what your store claims: `files: true`, if all of it is in files
    // below the directory: then its power is cut, its disk fills up, and its bytes change.
    fn capabilities(&self) -> Capabilities {
        Capabilities { files: false, ..reference::log_alone() }
    }
}
