//! Checks the log of the crate raft-log, written by openraft's maintainers and the log of
//! databend's meta service. It comes without a state machine.

mod log;

use std::path::Path;
use std::process::ExitCode;

use openraft::{BasicNode, Entry};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite,
};
use seshat_conformance::reference::{
    self, ReferenceMachine, ReferenceMachines, Request, TypeConfig,
};

use self::log::Log;

#[derive(Default)]
struct RaftLog {
    machines: ReferenceMachines<TypeConfig>,
}

impl Backend for RaftLog {
    type C = TypeConfig;
    type Log = Log;
    type Machine = ReferenceMachine<TypeConfig>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Log, Self::Machine), BoxError> {
        Ok((Log::open(dir)?, self.machines.open(dir)?))
    }
    async fn close(&self, _: &Path, log: Log, _: Self::Machine) -> Result<(), BoxError> {
        Ok(log.close()?)
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
    seshat_conformance::cli::main(RaftLog::default())
}
