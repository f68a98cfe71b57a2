//! What the kit is told.

use std::collections::BTreeMap;
use std::path::Path;

use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, OpenraftSuite, Shape,
};

use crate::log::Log;
use crate::machine::Machine;
use crate::types::{self, Place, Reply, TypeConfig, encode};

pub struct FileStore;

impl Backend for FileStore {
    type C = TypeConfig;
    type Log = Log;
    type Machine = Machine;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Log, Machine), BoxError> {
        Ok((Log::open(dir)?, Machine::open(dir)?))
    }

    fn command(&self, command: &Command) -> Option<types::Command> {
        let key = format!("key {}", command.n % 16).into_bytes();
        let value = match command.shape {
            Shape::Plain if command.n % 5 == 4 => return Some(types::Command::Delete { key }),
            Shape::Delete => return Some(types::Command::Delete { key }),
            Shape::Plain => format!("value {}", command.n).into_bytes(),
            Shape::Empty => Vec::new(),
            Shape::Binary => b"\0\xff\r\n\"".to_vec(),
            Shape::Large(bytes) => vec![b'x'; bytes],
            _ => return None,
        };
        Some(types::Command::Set { key, value })
    }

    fn fingerprint(&self, entry: &types::Entry) -> Vec<u8> {
        encode(entry).unwrap_or_default()
    }

    fn node_id(&self, n: u64) -> u64 {
        n
    }

    fn node(&self, n: u64) -> Place {
        Place { rack: n as u16, host: format!("node-{n}.example") }
    }

    fn show_reply(&self, reply: &Reply) -> Option<String> {
        Some(format!("{reply:?}"))
    }

    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        Some(format!("{:?}", self.replay(applied).1))
    }

    async fn digest(&self, machine: &mut Machine) -> Option<Vec<u8>> {
        encode(machine.keys()).ok()
    }

    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        encode(&self.replay(applied).0).ok()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            files: true,
            snapshot_checksum: true,
            snapshot_describes_itself: true,
            ..Capabilities::default()
        }
    }
}

impl FileStore {
    /// The keys after `applied`, and the reply to the last of them.
    fn replay(&self, applied: &[Command]) -> (BTreeMap<Vec<u8>, Vec<u8>>, Reply) {
        let (mut keys, mut reply) = (BTreeMap::new(), Reply::default());
        for command in applied.iter().filter_map(|command| self.command(command)) {
            reply = Reply(match command {
                types::Command::Set { key, value } => keys.insert(key, value),
                types::Command::Delete { key } => keys.remove(&key),
            });
        }
        (keys, reply)
    }
}
