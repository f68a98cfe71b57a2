//! What the kit is told.

use std::collections::BTreeMap;
use std::path::Path;

use openraft::BasicNode;
use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, Keeps, OpenraftSuite, Shape,
};

use crate::database::Database;
use crate::log::Log;
use crate::machine::Machine;
use crate::types::{Change, Entry, Reply, TypeConfig, encode};

pub struct Fjall;

impl Backend for Fjall {
    type C = TypeConfig;
    type Log = Log;
    type Machine = Machine;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Log, Machine), BoxError> {
        let database = Database::open(dir)?;
        Ok((Log(database.clone()), Machine(database)))
    }

    fn command(&self, command: &Command) -> Option<Change> {
        let key = format!("key {}", command.n % 16).into_bytes();
        let value = match command.shape {
            Shape::Plain if command.n % 5 == 4 => None,
            Shape::Delete => None,
            Shape::Plain => Some(format!("value {}", command.n).into_bytes()),
            Shape::Empty => Some(Vec::new()),
            Shape::Binary => Some(b"\0\xff\r\n\"".to_vec()),
            Shape::Large(bytes) => Some(vec![b'x'; bytes]),
            _ => return None,
        };
        Some(Change { key, value })
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        encode(entry).unwrap_or_default()
    }

    fn node_id(&self, n: u64) -> u64 {
        n
    }

    fn node(&self, n: u64) -> BasicNode {
        BasicNode::new(format!("node-{n}.example"))
    }

    fn show_reply(&self, reply: &Reply) -> Option<String> {
        Some(format!("{reply:?}"))
    }

    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        Some(format!("{:?}", self.replay(applied).1))
    }

    async fn digest(&self, machine: &mut Machine) -> Option<Vec<u8>> {
        encode(&machine.keys().ok()?).ok()
    }

    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        encode(&self.replay(applied).0).ok()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            files: true,
            machine_keeps: Keeps::Applied,
            snapshot_checksum: true,
            snapshot_describes_itself: true,
            ..Capabilities::default()
        }
    }
}

impl Fjall {
    /// The keys after `applied`, and the reply to the last of them.
    fn replay(&self, applied: &[Command]) -> (BTreeMap<Vec<u8>, Vec<u8>>, Reply) {
        let (mut keys, mut reply) = (BTreeMap::new(), Reply::default());
        for Change { key, value } in applied.iter().filter_map(|command| self.command(command)) {
            reply = Reply(match value {
                Some(value) => keys.insert(key, value),
                None => keys.remove(&key),
            });
        }
        (keys, reply)
    }
}
