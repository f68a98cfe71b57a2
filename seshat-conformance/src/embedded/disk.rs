//! [`OnDisk`]: Seshat's own store in a directory, plugged in.

use std::path::Path;

use seshat_core::disk::{DiskLog, DiskOptions, DiskStorage};
use seshat_core::machine::MachineStore;
use seshat_core::operation::{Batch, EntryResponse};
use seshat_core::types::{Entry, Node, NodeId, TypeConfig};
use seshat_core::wal;

use super::InMemory;
use crate::backend::{Backend, BoxError, Capabilities, Chunks, Command, Keeps, OpenraftSuite};

/// Seshat's store in a directory. Its files are small, and so is what it keeps in memory, so that what
/// happens at their ends happens in every check.
#[derive(Debug, Default)]
pub struct OnDisk {
    /// Commands and what is expected of them are the same.
    words: InMemory,
}

impl Backend for OnDisk {
    type C = TypeConfig;
    type Log = DiskLog;
    type Machine = MachineStore;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    fn name(&self) -> String {
        "seshat-core DiskStorage".to_owned()
    }

    async fn open(&self, dir: &Path) -> Result<(DiskLog, MachineStore), BoxError> {
        let wal = wal::Options {
            first_segment_bytes: 32 << 10,
            segment_bytes: 64 << 10,
            reserve_bytes: 4 << 10,
            spares: 1,
            ..wal::Options::new("conformance", 1)
        };
        let options = DiskOptions { wal, hot_bytes: 2 << 10 };
        // On this thread, which the kit watches: there is little to read.
        let DiskStorage { log, machine } = DiskStorage::open(dir, options)?;
        Ok((log, machine))
    }

    fn command(&self, command: &Command) -> Option<Batch> {
        self.words.command(command)
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        self.words.fingerprint(entry)
    }

    fn node_id(&self, n: u64) -> NodeId {
        self.words.node_id(n)
    }

    fn node(&self, n: u64) -> Node {
        self.words.node(n)
    }

    fn show_reply(&self, reply: &EntryResponse) -> Option<String> {
        self.words.show_reply(reply)
    }

    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        self.words.expected_reply(applied)
    }

    async fn digest(&self, machine: &mut MachineStore) -> Option<Vec<u8>> {
        self.words.digest(machine).await
    }

    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        self.words.expected_digest(applied)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { machine_keeps: Keeps::Snapshot, files: true, ..self.words.capabilities() }
    }
}
