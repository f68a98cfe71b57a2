//! Your store, plugged into seshat-conformance.
//!
//! What is yours to write is marked FILL IN, and numbered. It compiles as it is, and `cargo run`
//! names the next number until the checks run.

use std::path::Path;

use openraft::{BasicNode, Entry};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite,
};
use seshat_conformance::reference;

// FILL IN 1: your own types, right of each `=`, and your store's crate in Cargo.toml. Until then
// they are the kit's, so that this compiles.
type MyConfig = reference::TypeConfig; // your `openraft::RaftTypeConfig`
type MyCommand = reference::Request; // its `D`
type MyNodeId = u64; // its `NodeId`
type MyNode = BasicNode; // its `Node`
type MyLog = reference::ReferenceLog<MyConfig>; // your `RaftLogStorage`
type MyMachine = reference::ReferenceMachine<MyConfig>; // your `RaftStateMachine`

/// What is kept for a whole run: nothing, unless your store is in memory. Then it is here, by
/// directory, as in `stores: ByDirectory<MyStore>`.
#[derive(Default)]
pub struct MyBackend {}

impl Backend for MyBackend {
    type C = MyConfig;
    type Log = MyLog;
    type Machine = MyMachine;
    /// `Whole`, if your `SnapshotData` is no reader, writer and seeker.
    type Transfer = Chunks;
    /// `NoSuite`, if rustc says that `OpenraftSuite: Suite<MyBackend>` is not satisfied.
    type Suite = OpenraftSuite;

    // FILL IN 2: a command of your application. The same number comes in several shapes, which are
    // different commands; `None` for a shape that you have no command for, never for `Shape::Plain`:
    //
    //     let (key, value) = (format!("key-{}", command.n % 16), command.to_string());
    //     (command.shape == Shape::Plain).then_some(MyCommand::Set { key, value })
    fn command(&self, command: &Command) -> Option<MyCommand> {
        todo!("FILL IN 2: `command` gives none of your commands for {command}")
    }

    // FILL IN 3: an entry as bytes, with its log id, its kind and all of its payload, as your log
    // stores it. openraft's `Debug` of an entry leaves the command out.
    fn fingerprint(&self, entry: &Entry<MyConfig>) -> Vec<u8> {
        todo!("FILL IN 3: `fingerprint` gives no bytes for the entry {}", entry.log_id)
    }

    // FILL IN 4: your store in `dir`, which exists. It is empty for a fresh node; one that was open
    // before is a restart. What `digest` needs beside the state machine goes into a `With`.
    async fn open(&self, dir: &Path) -> Result<(MyLog, MyMachine), BoxError> {
        todo!("FILL IN 4: `open` opens no store in {}", dir.display())
    }

    fn node_id(&self, n: u64) -> MyNodeId {
        n
    }

    /// Leave it out if your `Node` says nothing.
    fn node(&self, n: u64) -> MyNode {
        BasicNode::new(format!("node-{n}.example:7000"))
    }

    // The checks run now. FILL IN what your store claims, one by one: see `Capabilities`. Then
    // `show_reply` and `expected_reply`, `digest` and `expected_digest`: they show the most faults.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}
