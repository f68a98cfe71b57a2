//! Your store for openraft's older `RaftStorage`, plugged into seshat-conformance.
//!
//! What is yours to write is marked FILL IN, and numbered. Once your types are named it compiles,
//! and `cargo run` names the next number until the checks run.

use std::path::Path;

use openraft::storage::Adaptor;
use openraft::{BasicNode, Entry};
use seshat_conformance::backend::{
    Backend, BoxError, ByDirectory, Capabilities, Chunks, Command, OpenraftSuite,
};

// FILL IN 1: your own types, and your store's crate in Cargo.toml. Then remove the next line.
compile_error!("FILL IN 1: name your store in Cargo.toml, its types in src/lib.rs, and remove this");
use my_store::MyCommand; // the `D` of
use my_store::MyConfig; // your `openraft::RaftTypeConfig`
use my_store::MyStore; // your `RaftStorage`
type MyNodeId = u64; // its `NodeId`
type MyNode = BasicNode; // its `Node`

/// What is kept for a whole run, by directory: for a store in memory, which is found there after a
/// restart. Leave it out if yours is in files.
#[derive(Default)]
pub struct MyBackend {
    stores: ByDirectory<MyStore>,
}

impl Backend for MyBackend {
    type C = MyConfig;
    type Log = Adaptor<MyConfig, MyStore>;
    type Machine = Adaptor<MyConfig, MyStore>;
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

    // FILL IN 3: an entry as bytes, with its log id, its kind and all of its payload. openraft's
    // `Debug` of an entry leaves the command out.
    fn fingerprint(&self, entry: &Entry<MyConfig>) -> Vec<u8> {
        todo!("FILL IN 3: `fingerprint` gives no bytes for the entry {}", entry.log_id)
    }

    // FILL IN 4: your store in `dir`, which exists. It is empty for a fresh node; one that was open
    // before is a restart. Clones of a store in memory are the same one.
    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        Ok(Adaptor::new(self.stores.of(dir)))
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
    // `machine.storage().await` is your store.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}
