//! The stores that the kit's power cuts are tested with: a right one in files, on the kit's
//! reference type configuration, with a switch for each [`Fault`](super::faults::Fault), and right
//! ones that keep their log in other [`Form`](super::faults::Form)s.
//!
//! Guarantees: a store without a fault keeps the whole contract over power cuts, failing disks and
//! damaged bytes, under both models of persistence; with a fault it differs in the one place that
//! names it. One back end type for all of them, for each costs a minute of compiling.

mod append_only;
mod cells;
mod copy_on_write;
mod entries;
mod log;
mod machine;
mod memory;
mod rollback;
mod sectors;
mod segments;
mod wire;

use std::path::Path;

use openraft::{BasicNode, StorageIOError};
use seshat_conformance::Backend;
use seshat_conformance::backend::{BoxError, Capabilities, Chunks, Command, NoSuite};
use seshat_conformance::openraft;
use seshat_conformance::reference::{self, Request, TypeConfig};

use self::log::Log;
use self::machine::Machine;
use super::disk::Disk;
use super::faults::Ways;

pub type Entry = openraft::Entry<TypeConfig>;
pub type LogId = openraft::LogId<u64>;
pub type Vote = openraft::Vote<u64>;
type Stored = openraft::StoredMembership<u64, BasicNode>;
type Meta = openraft::SnapshotMeta<u64, BasicNode>;
type Error = openraft::StorageError<u64>;

/// A store in files.
#[derive(Debug)]
pub struct Store(pub Ways);

impl Backend for Store {
    type C = TypeConfig;
    type Log = Log;
    type Machine = Machine;
    type Transfer = Chunks;
    type Suite = NoSuite;

    fn name(&self) -> String {
        match self.0.fault {
            Some(fault) => format!("{fault:?}"),
            None => format!("{:?}, keeps {:?}", self.0.form, self.0.keeps),
        }
    }

    async fn open(&self, dir: &Path) -> Result<(Log, Machine), BoxError> {
        let disk = Disk::new(dir.to_owned(), self.0);
        Ok((Log::open(&disk)?, Machine::open(&disk)?))
    }

    fn command(&self, command: &Command) -> Option<Request> {
        reference::command(command)
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        reference::fingerprint(entry)
    }

    fn node_id(&self, n: u64) -> u64 {
        n
    }

    fn node(&self, n: u64) -> BasicNode {
        reference::node(n)
    }

    async fn digest(&self, machine: &mut Machine) -> Option<Vec<u8>> {
        Some(machine.digest())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            machine_keeps: self.0.keeps,
            files: true,
            snapshot_checksum: true,
            snapshot_describes_itself: true,
            ..Capabilities::default()
        }
    }
}

fn damaged(what: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{what} is damaged"))
}

fn failed(error: std::io::Error) -> Error {
    StorageIOError::write(&error).into()
}
