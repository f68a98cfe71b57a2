//! Seshat's own stores, plugged in: [`OnDisk`], which `cargo run` validates, and [`InMemory`], whose commands and
//! expectations both have.

mod disk;

use std::collections::BTreeMap;
use std::path::Path;

pub use self::disk::OnDisk;
use bytes::Bytes;
use seshat_core::codec::Message;
use seshat_core::log::LogStore;
use seshat_core::machine::MachineStore;
use seshat_core::operation::{Batch, EntryResponse, Limits, Operation, Response};
use seshat_core::storage::MemStorage;
use seshat_core::types::{Entry, Node, NodeId, TypeConfig};

use crate::backend::{
    Backend, BoxError, ByDirectory, Capabilities, Chunks, Command, Keeps, OpenraftSuite, Shape,
};

/// Plain commands write these many keys, again and again.
const KEYS: u64 = 16;

/// Seshat's store in memory. Memory stands in for the disk: a directory that is opened again
/// finds what was there, as long as the process lives.
#[derive(Debug, Default)]
pub struct InMemory {
    disks: ByDirectory<MemStorage>,
}

impl Backend for InMemory {
    type C = TypeConfig;
    type Log = LogStore;
    type Machine = MachineStore;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    fn name(&self) -> String {
        "seshat-core MemStorage".to_owned()
    }

    async fn open(&self, dir: &Path) -> Result<(LogStore, MachineStore), BoxError> {
        let disk = self.disks.of(dir);
        Ok((disk.log, disk.machine))
    }

    fn command(&self, command: &Command) -> Option<Batch> {
        // SET and DEL refuse nothing that is within the limits.
        (command.shape != Shape::Refused).then(|| Batch::new(operations(command)))
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        entry.encode().into()
    }

    fn node_id(&self, n: u64) -> NodeId {
        n
    }

    fn node(&self, n: u64) -> Node {
        Node::new(format!("node-{n}.example:7379"))
    }

    fn show_reply(&self, reply: &EntryResponse) -> Option<String> {
        Some(format!("{reply:?}"))
    }

    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        let replies = applied.iter().scan(BTreeMap::new(), |keys, command| {
            Some(format!("{:?}", EntryResponse::Batch(apply(keys, command))))
        });
        replies.last()
    }

    async fn digest(&self, machine: &mut MachineStore) -> Option<Vec<u8>> {
        let reader = machine.reader();
        let names = (0..KEYS).map(key).chain([binary(0), binary(1)]);
        let found: BTreeMap<Bytes, Bytes> =
            names.filter_map(|key| Some((key.clone(), reader.get(&key)?))).collect();
        Some(format!("{found:?} of {}", reader.size().keys).into_bytes())
    }

    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        let mut keys = BTreeMap::new();
        for command in applied {
            apply(&mut keys, command);
        }
        Some(format!("{keys:?} of {}", keys.len()).into_bytes())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            machine_keeps: Keeps::Applied,
            snapshot_checksum: true,
            snapshot_describes_itself: true,
            ..Capabilities::default()
        }
    }
}

fn key(n: u64) -> Bytes {
    format!("key-{}", n % KEYS).into()
}

fn binary(n: u64) -> Bytes {
    Bytes::from(vec![0, 0xff, b'\r', b'\n', b'"', u8::from(n % 2 == 1), 0])
}

/// What a command does, in this store's own operations. Every fifth plain one deletes. Every
/// second one that sets asks for what it replaces, so that its reply tells of the state.
fn operations(command: &Command) -> Vec<Operation> {
    let limits = Limits::default();
    let n = command.n;
    let set = |key: Bytes, value: Bytes| match n % 2 {
        0 => Operation::set_get(key, value, &limits),
        _ => Operation::set(key, value, &limits),
    };
    let operations = match command.shape {
        Shape::Plain if n % 5 == 4 => vec![Operation::del([key(n), key(n + 3)], &limits)],
        Shape::Plain => vec![
            set(key(n), format!("value-{n}").into()),
            set(key(n + 7), format!("other-{n}").into()),
        ],
        Shape::Empty => vec![set(key(n), Bytes::new())],
        Shape::Binary => vec![set(binary(n), binary(n + 1))],
        Shape::Delete => vec![Operation::del([key(n)], &limits)],
        Shape::Refused => Vec::new(),
        Shape::Large(bytes) => pieces(bytes, limits.max_value_bytes)
            .enumerate()
            .map(|(place, size)| set(key(n + place as u64), vec![b'x'; size].into()))
            .collect(),
    };
    // Every one is within the limits by construction; one that weren't would be missed by the
    // checks of replies and digests, which count on it.
    operations.into_iter().flatten().collect()
}

/// `total` bytes as values that are no longer than `most`.
fn pieces(total: usize, most: usize) -> impl Iterator<Item = usize> {
    (0..total.div_ceil(most)).map(move |piece| most.min(total - piece * most))
}

/// The obviously right state machine.
fn apply(keys: &mut BTreeMap<Bytes, Bytes>, command: &Command) -> Vec<Response> {
    let apply = |operation| match operation {
        Operation::Set(set) => {
            let before = keys.get(set.key()).cloned();
            let previous = before.clone().filter(|_| set.get());
            if set.condition().is_some_and(|condition| !condition.holds(before.is_some())) {
                return Response::NotSet { previous };
            }
            keys.insert(set.key().clone(), set.value().clone());
            Response::Set { previous }
        }
        Operation::Del(del) => {
            let deleted = del.keys().iter().filter(|key| keys.remove(*key).is_some()).count();
            Response::Del { deleted: deleted as u64 }
        }
    };
    operations(command).into_iter().map(apply).collect()
}
