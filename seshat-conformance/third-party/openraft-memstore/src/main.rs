//! Checks openraft-memstore, the store in memory that openraft's own tests run on, through
//! openraft's `Adaptor`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::Entry;
use openraft::storage::Adaptor;
use openraft_memstore::{ClientRequest, ClientResponse, MemStore, TypeConfig};
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, Keeps, OpenraftSuite, Shape,
};

/// Memory stands in for the disk.
#[derive(Default)]
struct OpenraftMemstore(Mutex<HashMap<PathBuf, Arc<MemStore>>>);

impl Backend for OpenraftMemstore {
    type C = TypeConfig;
    type Log = Adaptor<TypeConfig, Arc<MemStore>>;
    type Machine = Adaptor<TypeConfig, Arc<MemStore>>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        let mut disks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Adaptor::new(Arc::clone(disks.entry(dir.to_owned()).or_default())))
    }
    /// The store answers a client's serial number that it knows from what it remembers, so that
    /// commands of one number and several shapes are of several clients.
    fn command(&self, command: &Command) -> Option<ClientRequest> {
        let Command { n, shape } = *command;
        let (kind, status) = match shape {
            Shape::Plain => ("plain", format!("status {n}")),
            Shape::Empty => ("empty", String::new()),
            Shape::Large(bytes) => ("large", "x".repeat(bytes)),
            Shape::Binary => ("binary", "\0\u{ff}\r\n\"'".to_owned()),
            _ => return None,
        };
        Some(ClientRequest { client: format!("{kind} {}", n % 16), serial: n, status })
    }
    fn fingerprint(&self, entry: &Entry<TypeConfig>) -> Vec<u8> {
        serde_json::to_vec(entry).unwrap_or_default()
    }
    fn node_id(&self, n: u64) -> u64 {
        n
    }
    fn show_reply(&self, ClientResponse(before): &ClientResponse) -> Option<String> {
        Some(format!("{before:?}"))
    }
    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        Some(format!("{:?}", self.replay(applied).1))
    }
    async fn digest(&self, machine: &mut Self::Machine) -> Option<Vec<u8>> {
        let state = machine.storage().await.get_state_machine().await;
        serde_json::to_vec(&BTreeMap::from_iter(state.client_status)).ok()
    }
    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        serde_json::to_vec(&self.replay(applied).0).ok()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { machine_keeps: Keeps::Applied, ..Capabilities::default() }
    }
}

impl OpenraftMemstore {
    /// Each client's status after `applied`, and the reply to the last of them.
    fn replay(&self, applied: &[Command]) -> (BTreeMap<String, String>, Option<String>) {
        let mut statuses = BTreeMap::new();
        let mut answered: HashMap<String, (u64, Option<String>)> = HashMap::new();
        let mut reply = None;
        for ClientRequest { client, serial, status } in
            applied.iter().filter_map(|command| self.command(command))
        {
            reply = match answered.get(&client) {
                Some((known, before)) if *known == serial => before.clone(),
                _ => statuses.insert(client.clone(), status),
            };
            answered.insert(client, (serial, reply.clone()));
        }
        (statuses, reply)
    }
}

fn main() -> ExitCode {
    seshat_conformance::cli::main(OpenraftMemstore::default())
}
