//! Checks a store written for openraft's older `RaftStorage`, through openraft's `Adaptor`.

mod store;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use openraft::storage::Adaptor;
use openraft::{EmptyNode, Entry};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, Keeps, OpenraftSuite, Shape,
};

use self::store::{Store, TypeConfig};

/// Memory stands in for the disk.
#[derive(Default)]
struct OldStyle(Mutex<HashMap<PathBuf, Store>>);

impl Backend for OldStyle {
    type C = TypeConfig;
    type Log = Adaptor<TypeConfig, Store>;
    type Machine = Adaptor<TypeConfig, Store>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        let mut disks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Adaptor::new(disks.entry(dir.to_owned()).or_default().clone()))
    }
    fn command(&self, command: &Command) -> Option<i64> {
        // A number is all there is to say: it can be neither long nor binary.
        (command.shape == Shape::Plain).then(|| command.n.cast_signed().wrapping_mul(31) | 1)
    }
    fn fingerprint(&self, entry: &Entry<TypeConfig>) -> Vec<u8> {
        let payload = match &entry.payload {
            openraft::EntryPayload::Normal(amount) => format!("{amount}"),
            other => format!("{other:?}"),
        };
        format!("{:?} {payload}", entry.log_id).into_bytes()
    }
    fn node_id(&self, n: u64) -> u64 {
        n
    }
    fn node(&self, _: u64) -> EmptyNode {
        EmptyNode {}
    }
    fn show_reply(&self, reply: &i64) -> Option<String> {
        Some(reply.to_string())
    }
    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        let amounts = applied.iter().filter_map(|command| self.command(command));
        Some(amounts.fold(0_i64, i64::wrapping_add).to_string())
    }
    async fn digest(&self, machine: &mut Self::Machine) -> Option<Vec<u8>> {
        Some(machine.storage().await.total().to_string().into_bytes())
    }
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        self.expected_reply(applied).map(String::into_bytes)
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { machine_keeps: Keeps::Applied, ..Capabilities::default() }
    }
}

fn main() -> ExitCode {
    seshat_conformance::cli::main(OldStyle::default())
}
