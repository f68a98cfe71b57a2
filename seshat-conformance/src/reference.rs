//! The kit's own halves: a log store to pair a state machine with that is under test alone, and
//! a state machine to pair a log store with; and a type configuration for log stores that take
//! any.
//!
//! Both are as plain as can be. Memory stands in for their disk: a directory that is opened again
//! finds what was there, as long as the process lives, and so does a copy of it.
//!
//! # A log store that takes any type configuration
//!
//! It is built on the kit's own, [`TypeConfig`]:
//!
//! ```
//! use std::path::Path;
//!
//! use openraft::BasicNode;
//! use seshat_conformance::backend::{
//!     Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite,
//! };
//! use seshat_conformance::reference::{self, Request, TypeConfig};
//! use seshat_conformance::reference::{ReferenceMachine, ReferenceMachines};
//! # type MyLog = reference::ReferenceLog<TypeConfig>;
//! # fn open_my_log(_: &Path) -> Result<MyLog, BoxError> {
//! #     Err("only compiled".into())
//! # }
//!
//! #[derive(Default)]
//! struct MyBackend {
//!     machines: ReferenceMachines<TypeConfig>,
//! }
//!
//! impl Backend for MyBackend {
//!     type C = TypeConfig;
//!     type Log = MyLog;
//!     type Machine = ReferenceMachine<TypeConfig>;
//!     type Transfer = Chunks;
//!     type Suite = OpenraftSuite;
//!
//!     async fn open(&self, dir: &Path) -> Result<(MyLog, Self::Machine), BoxError> {
//!         Ok((open_my_log(dir)?, self.machines.open(dir)?))
//!     }
//!     fn command(&self, command: &Command) -> Option<Request> {
//!         reference::command(command)
//!     }
//!     fn fingerprint(&self, entry: &openraft::Entry<TypeConfig>) -> Vec<u8> {
//!         reference::fingerprint(entry)
//!     }
//!     fn node_id(&self, n: u64) -> u64 {
//!         n
//!     }
//!     fn node(&self, n: u64) -> BasicNode {
//!         reference::node(n)
//!     }
//!     async fn digest(&self, machine: &mut Self::Machine) -> Option<Vec<u8>> {
//!         Some(machine.digest())
//!     }
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities { files: true, ..reference::log_alone() }
//!     }
//! }
//! ```
//!
//! # A log store on types of its own
//!
//! The other half is built on these, whatever they are, as long as `SnapshotData` is openraft's
//! default, `Cursor<Vec<u8>>`. It can't know what is in an entry or what a command replies, so it is
//! told by [`ReferenceMachines::new`]:
//!
//! ```
//! use std::path::Path;
//!
//! use seshat_conformance::backend::{
//!     Backend, BoxError, Capabilities, Chunks, Command, NoSuite, Shape,
//! };
//! use seshat_conformance::reference::{self, ReferenceMachine, ReferenceMachines};
//! # type MyLog = reference::ReferenceLog<MyConfig>;
//! # fn open_my_log(_: &Path) -> Result<MyLog, BoxError> {
//! #     Err("only compiled".into())
//! # }
//! # mod my_store {
//! #     use std::io::Cursor;
//! #     #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
//! #     pub struct MyCommand(pub String);
//! #     openraft::declare_raft_types!(pub MyConfig: D = MyCommand, R = u64, NodeId = u32);
//! #     pub fn encode(_: &openraft::Entry<MyConfig>) -> Vec<u8> { Vec::new() }
//! # }
//! # use my_store::{MyCommand, MyConfig};
//!
//! struct MyBackend {
//!     machines: ReferenceMachines<MyConfig>,
//! }
//!
//! impl MyBackend {
//!     fn new() -> Self {
//!         // The same bytes as `fingerprint` below, and any reply: the index, say.
//!         let reply = |entry: &openraft::Entry<MyConfig>| entry.log_id.index;
//!         Self { machines: ReferenceMachines::new(my_store::encode, reply) }
//!     }
//! }
//!
//! impl Backend for MyBackend {
//!     type C = MyConfig;
//!     type Log = MyLog;
//!     type Machine = ReferenceMachine<MyConfig>;
//!     type Transfer = Chunks;
//!     type Suite = NoSuite; // its node ids are u32
//!
//!     async fn open(&self, dir: &Path) -> Result<(MyLog, Self::Machine), BoxError> {
//!         Ok((open_my_log(dir)?, self.machines.open(dir)?))
//!     }
//!     fn command(&self, command: &Command) -> Option<MyCommand> {
//!         (command.shape == Shape::Plain).then(|| MyCommand(command.to_string()))
//!     }
//!     fn fingerprint(&self, entry: &openraft::Entry<MyConfig>) -> Vec<u8> {
//!         my_store::encode(entry)
//!     }
//!     fn node_id(&self, n: u64) -> u32 {
//!         n as u32
//!     }
//!     async fn digest(&self, machine: &mut Self::Machine) -> Option<Vec<u8>> {
//!         Some(machine.digest())
//!     }
//!     fn capabilities(&self) -> Capabilities {
//!         reference::log_alone()
//!     }
//! }
//! ```
//!
//! # A state machine
//!
//! [`ReferenceLogs`] take any types, and need to be told nothing:
//!
//! ```
//! use std::path::Path;
//!
//! use seshat_conformance::backend::{
//!     Backend, BoxError, Capabilities, Chunks, Command, NoSuite, Shape,
//! };
//! use seshat_conformance::reference::{self, ReferenceLog, ReferenceLogs};
//! # type MyMachine = reference::ReferenceMachine<MyConfig>;
//! # fn open_my_machine(_: &Path) -> Result<MyMachine, BoxError> {
//! #     Err("only compiled".into())
//! # }
//! # mod my_store {
//! #     use std::io::Cursor;
//! #     #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
//! #     pub struct MyCommand(pub String);
//! #     openraft::declare_raft_types!(pub MyConfig: D = MyCommand, R = u64, NodeId = u32);
//! #     pub fn encode(_: &openraft::Entry<MyConfig>) -> Vec<u8> { Vec::new() }
//! # }
//! # use my_store::{MyCommand, MyConfig};
//!
//! #[derive(Default)]
//! struct MyBackend {
//!     logs: ReferenceLogs<MyConfig>,
//! }
//!
//! impl Backend for MyBackend {
//!     type C = MyConfig;
//!     type Log = ReferenceLog<MyConfig>;
//!     type Machine = MyMachine;
//!     type Transfer = Chunks;
//!     type Suite = NoSuite;
//!
//!     async fn open(&self, dir: &Path) -> Result<(Self::Log, MyMachine), BoxError> {
//!         Ok((self.logs.open(dir)?, open_my_machine(dir)?))
//!     }
//!     fn capabilities(&self) -> Capabilities {
//!         reference::machine_alone()
//!     }
//!     // command, fingerprint and node_id as above
//! #   fn command(&self, command: &Command) -> Option<MyCommand> {
//! #       (command.shape == Shape::Plain).then(|| MyCommand(command.to_string()))
//! #   }
//! #   fn fingerprint(&self, entry: &openraft::Entry<MyConfig>) -> Vec<u8> {
//! #       my_store::encode(entry)
//! #   }
//! #   fn node_id(&self, n: u64) -> u32 {
//! #       n as u32
//! #   }
//! }
//! ```

mod disk;
mod log;
mod machine;
mod types;

pub use self::log::{LogConfig, ReferenceLog, ReferenceLogs};
pub use self::machine::{MachineConfig, ReferenceBuilder, ReferenceMachine, ReferenceMachines};
pub use self::types::{Reply, Request, TypeConfig, command, fingerprint, node};
use crate::words::{Capabilities, Halves, Keeps};

/// What to declare of a log store alone, paired with a [`ReferenceMachine`].
pub fn log_alone() -> Capabilities {
    Capabilities { halves: Halves::Log, machine_keeps: Keeps::Applied, ..Capabilities::default() }
}

/// What to declare of a state machine alone, paired with a [`ReferenceLog`].
pub fn machine_alone() -> Capabilities {
    Capabilities { halves: Halves::Machine, ..Capabilities::default() }
}

#[cfg(test)]
mod tests;
