//! A second correct store, as unlike the first as can be: in files, behind one lock, with node ids
//! that are no numbers, nodes without data, text for commands, and nothing optional declared.
//!
//! Guarantees: whatever returned is in the files, as far as a killed process is concerned. It
//! doesn't sync, so that no power is to be cut.

mod log;
mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::{CommittedLeaderId, EntryPayload, Membership, StorageIOError};
use seshat_conformance::Backend;
use seshat_conformance::backend::{BoxError, Capabilities, Chunks, Command, NoSuite, Shape};
use seshat_conformance::openraft;
use tokio::sync::Mutex;

use self::log::{Log, Memory};
use self::machine::{Core, Machine};
use super::wire::Wire;

openraft::declare_raft_types!(
    /// Text in, text out.
    pub Texts:
        D = String,
        R = String,
        NodeId = Name,
        Node = (),
);

/// A node's id: no number, and not made from one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; 8]);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", u64::from_be_bytes(self.0))
    }
}

type Entry = openraft::Entry<Texts>;
type LogId = openraft::LogId<Name>;
type Error = openraft::StorageError<Name>;

fn failed(error: std::io::Error) -> Error {
    StorageIOError::write(&error).into()
}

impl Wire for Name {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.0);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (name, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(Self(*name))
    }
}

impl Wire for LogId {
    fn put(&self, out: &mut Vec<u8>) {
        (self.leader_id.term, (self.leader_id.node_id, self.index)).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (term, (node, index)) = Wire::take(from)?;
        Some(Self::new(CommittedLeaderId::new(term, node), index))
    }
}

fn put_names(names: impl Iterator<Item = Name>, out: &mut Vec<u8>) {
    names.flat_map(|name| name.0).collect::<Vec<u8>>().put(out);
}

fn take_names(from: &mut &[u8]) -> Option<BTreeSet<Name>> {
    let bytes = Vec::<u8>::take(from)?;
    bytes.chunks(8).map(|name| Some(Name(name.try_into().ok()?))).collect()
}

impl Wire for Membership<Name, ()> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.get_joint_config().len() as u64).put(out);
        self.get_joint_config().iter().for_each(|set| put_names(set.iter().copied(), out));
        put_names(self.nodes().map(|(name, ())| *name), out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let configs: Option<Vec<_>> = (0..u64::take(from)?).map(|_| take_names(from)).collect();
        let nodes = take_names(from)?.into_iter().map(|name| (name, ()));
        Some(Self::new(configs?, nodes.collect::<BTreeMap<_, _>>()))
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().to_vec().put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(Vec::take(from)?).ok()
    }
}

impl Wire for Entry {
    fn put(&self, out: &mut Vec<u8>) {
        self.log_id.put(out);
        match &self.payload {
            EntryPayload::Blank => out.push(b'b'),
            EntryPayload::Normal(text) => (b't', text.clone()).put(out),
            EntryPayload::Membership(members) => {
                out.push(b'm');
                members.put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let log_id = LogId::take(from)?;
        let payload = match u8::take(from)? {
            b'b' => EntryPayload::Blank,
            b't' => EntryPayload::Normal(String::take(from)?),
            b'm' => EntryPayload::Membership(Membership::take(from)?),
            _ => return None,
        };
        Some(Self { log_id, payload })
    }
}

/// The store in files, plugged in with as little as will do.
#[derive(Debug, Default)]
pub struct Plain {
    /// A fault: the journal is written when the log is closed.
    pub buffers: bool,
    /// How long the disk takes.
    pub disk: Disk,
}

/// What a disk takes, where it isn't as quick as a page cache.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk {
    /// For a sync.
    pub sync: Duration,
    /// For each entry that is applied: a commit of its own.
    pub commit: Duration,
    /// For ever, at each append.
    pub hangs: bool,
}

impl Disk {
    /// Blocks, as a sync does.
    fn wait(self, wait: Duration) {
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }
}

impl Backend for Plain {
    type C = Texts;
    type Log = Log;
    type Machine = Machine;
    type Transfer = Chunks;
    type Suite = NoSuite;

    async fn open(&self, dir: &Path) -> Result<(Log, Machine), BoxError> {
        let memory = Memory::open(&dir.join("journal"), self.buffers, self.disk)?;
        let core = Core::open(dir.join("snapshot"), self.disk)?;
        Ok((Log(Arc::new(Mutex::new(memory))), Machine(Arc::new(Mutex::new(core)))))
    }

    fn command(&self, command: &Command) -> Option<String> {
        let n = command.n;
        match command.shape {
            Shape::Plain => Some(format!("text {n}")),
            Shape::Empty => Some(String::new()),
            Shape::Binary => Some(format!("\0\r\n\"{n}\u{fffd}\0")),
            Shape::Large(bytes) => {
                let mut text = format!("{n} ").repeat(bytes / 2 + 1);
                text.truncate(bytes);
                Some(text)
            }
            _ => None,
        }
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        entry.put(&mut bytes);
        bytes
    }

    fn node_id(&self, n: u64) -> Name {
        Name(n.to_be_bytes())
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
