//! Checks the log store of hiqlite-wal, which is generic over the type configuration and comes
//! without a state machine.

use std::path::Path;
use std::process::ExitCode;

use hiqlite_wal::{LogStore, LogSync};
use openraft::{BasicNode, Entry};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite,
};
use seshat_conformance::reference::{
    self, ReferenceMachine, ReferenceMachines, Request, TypeConfig,
};

/// Of one file of the log, and so of the longest entry. The kit has none beyond 4 MiB.
const FILE_BYTES: u32 = 5 << 20;

#[derive(Default)]
struct HiqliteWal {
    machines: ReferenceMachines<TypeConfig>,
}

impl Backend for HiqliteWal {
    type C = TypeConfig;
    type Log = LogStore<TypeConfig>;
    type Machine = ReferenceMachine<TypeConfig>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        let path = dir.join("wal").to_string_lossy().into_owned();
        let log = LogStore::start(path, LogSync::Immediate, FILE_BYTES).await?;
        Ok((log, self.machines.open(dir)?))
    }
    async fn close(&self, _: &Path, log: Self::Log, _: Self::Machine) -> Result<(), BoxError> {
        Ok(log.stop().await?)
    }
    fn command(&self, command: &Command) -> Option<Request> {
        reference::command(command)
    }
    fn fingerprint(&self, entry: &Entry<TypeConfig>) -> Vec<u8> {
        reference::fingerprint(entry)
    }
    fn node_id(&self, n: u64) -> u64 {
        n
    }
    fn node(&self, n: u64) -> BasicNode {
        reference::node(n)
    }
    async fn digest(&self, machine: &mut Self::Machine) -> Option<Vec<u8>> {
        Some(machine.digest())
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { files: true, ..reference::log_alone() }
    }
}

fn main() -> ExitCode {
    seshat_conformance::cli::main(HiqliteWal::default())
}
