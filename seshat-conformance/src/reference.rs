//! The kit's own halves: a log store to pair a state machine with that is under test alone, and
//! a state machine to pair a log store with; and a type configuration for log stores that take
//! any.
//!
//! Both are as plain as can be. Memory stands in for their disk: a directory that is opened again
//! finds what was there, as long as the process lives, and so does a copy of it.
//!
//! A log store alone, generic over the type configuration:
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

mod disk;
mod log;
mod machine;
mod types;

pub use self::log::{LogConfig, ReferenceLog, ReferenceLogs};
pub use self::machine::{MachineConfig, ReferenceBuilder, ReferenceMachine, ReferenceMachines};
pub use self::types::{Reply, Request, TypeConfig, command, fingerprint, node};
use crate::backend::{Capabilities, Halves, Keeps};

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
