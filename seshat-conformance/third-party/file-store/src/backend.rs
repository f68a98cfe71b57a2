//! What the kit is told.

use std::collections::BTreeMap;
use std::path::Path;

use seshat_conformance::backend::{
    Backend, BoxError, Capabilities, Chunks, Command, Hook, Hooks, Marker, OpenraftSuite, Shape,
};

use crate::journal;
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

    fn hooks(&self) -> Hooks {
        Hooks {
            damage_last_record: Hook::new(|dir, ()| damage(dir, "log", u64::MAX)),
            damage_record: Hook::new(|dir, index| damage(dir, "log", Log::open(dir)?.place(index))),
            damage_snapshot: Hook::new(|dir, ()| damage(dir, "snapshot", u64::MAX)),
            damage_vote: Hook::new(|dir, ()| damage(dir, "vote", u64::MAX)),
            damage_marker: Hook::new(|dir, marker| match marker {
                // The journal's first record.
                Marker::Purged => damage(dir, "log", journal::FIRST_BODY as u64),
                Marker::Committed => damage(dir, "committed", u64::MAX),
                // Behind the file's checksum, before the data.
                Marker::SnapshotMeta => damage(dir, "snapshot", 4),
                _ => Err("there is no such record".into()),
            }),
            ..Hooks::default()
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { files: true, ..Capabilities::default() }
    }
}

/// Changes a byte of a file at `place`, or the last one.
fn damage(dir: &Path, name: &str, place: u64) -> Result<(), BoxError> {
    let path = dir.join(name);
    let mut bytes = std::fs::read(&path)?;
    let place = usize::try_from(place)?.min(bytes.len().saturating_sub(1));
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 0x10;
    }
    Ok(std::fs::write(&path, bytes)?)
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
