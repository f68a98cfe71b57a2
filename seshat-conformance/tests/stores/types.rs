//! The application of the stores under test: types of its own, and its state as a pure value.
//!
//! Guarantees: applying the same commands in the same order to equal states gives equal states
//! and replies; applying one twice, or two in another order, doesn't.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use seshat_conformance::backend::{Command, Shape};
use seshat_conformance::openraft;

use super::handle::Handle;

openraft::declare_raft_types!(
    /// Its own node, command, reply and snapshot types; openraft's entry.
    pub Config:
        D = Cmd,
        R = Reply,
        Node = Host,
        SnapshotData = Handle,
);

pub type Entry = openraft::Entry<Config>;
pub type LogId = openraft::LogId<u64>;
pub type Vote = openraft::Vote<u64>;
pub type Stored = openraft::StoredMembership<u64, Host>;
pub type Meta = openraft::SnapshotMeta<u64, Host>;
pub type Error = openraft::StorageError<u64>;

/// What a membership says of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    pub address: String,
    pub zone: u8,
}

/// A command: a number, so that no two are equal, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmd {
    pub n: u64,
    pub op: Op,
}

/// What a command does to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Set(Vec<u8>, Vec<u8>),
    Append(Vec<u8>, Vec<u8>),
    Del(Vec<u8>),
    Incr(Vec<u8>, u64),
    /// Refused unless the key holds this value; changes nothing.
    Expect(Vec<u8>, Vec<u8>),
}

/// What a command answers.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// To entries without a command.
    Nothing,
    Previous(Option<Arc<[u8]>>),
    Length(u64),
    Deleted(bool),
    Count(u64),
    Refused,
}

/// Long values by length and sum, so that replies stay cheap to compare.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Previous(Some(value)) if value.len() > 64 => {
                write!(f, "previous: {} bytes, sum {:x}", value.len(), super::wire::sum(value))
            }
            Self::Previous(value) => write!(f, "previous: {value:?}"),
            Self::Length(length) => write!(f, "length: {length}"),
            Self::Deleted(deleted) => write!(f, "deleted: {deleted}"),
            Self::Count(count) => write!(f, "count: {count}"),
            Self::Refused => f.write_str("refused"),
        }
    }
}

/// All the application keeps: values, and counters in a table of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Data {
    pub values: BTreeMap<Vec<u8>, Arc<[u8]>>,
    pub counters: BTreeMap<Vec<u8>, u64>,
}

impl Data {
    pub fn apply(&mut self, op: &Op) -> Reply {
        match op {
            Op::Set(key, value) => {
                Reply::Previous(self.values.insert(key.clone(), value.as_slice().into()))
            }
            Op::Append(key, value) => {
                let old = self.values.remove(key).unwrap_or_default();
                let new: Arc<[u8]> = [&old[..], value].concat().into();
                let length = new.len() as u64;
                self.values.insert(key.clone(), new);
                Reply::Length(length)
            }
            Op::Del(key) => {
                let value = self.values.remove(key).is_some();
                let counter = self.counters.remove(key).is_some();
                Reply::Deleted(value || counter)
            }
            Op::Incr(key, by) => {
                let count = self.counters.entry(key.clone()).or_default();
                *count += by;
                Reply::Count(*count)
            }
            Op::Expect(key, value) if self.refuses(key, value) => Reply::Refused,
            Op::Expect(..) => Reply::Nothing,
        }
    }
}

impl Data {
    pub fn refuses(&self, key: &[u8], value: &[u8]) -> bool {
        self.values.get(key).is_none_or(|there| **there != *value)
    }
}

/// The key that command `n` is about: few of them, and neighbours share one.
fn key(n: u64) -> Vec<u8> {
    format!("key-{}", n / 3 % 4).into_bytes()
}

/// NUL in the middle, what is no text, and line ends last.
fn binary(n: u64) -> Vec<u8> {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.extend([0xff, 0, b'"', 0xc3, b'\r', b'\n']);
    bytes
}

/// Bytes of which each seventh is another, until they have all been there. Megabytes, and asked for again and
/// again: copied, not counted.
fn large(n: u64, bytes: usize) -> Vec<u8> {
    const ALL: usize = 7 * 256;
    let once = (0..ALL.min(bytes)).map(|place| (place / 7) as u8 ^ n as u8).collect::<Vec<u8>>();
    let mut value = once.repeat(bytes.div_ceil(ALL));
    value.truncate(bytes);
    value
}

/// The n-th command.
pub fn command(command: &Command) -> Option<Cmd> {
    let n = command.n;
    let value = format!("v{n};").into_bytes();
    let op = match command.shape {
        Shape::Plain => match n % 5 {
            0 => Op::Set(key(n), value),
            1 | 3 => Op::Append(key(n), value),
            2 => Op::Incr(key(n), n + 1),
            _ => Op::Del(key(n + 3)),
        },
        Shape::Empty if n.is_multiple_of(2) => Op::Set(key(n), Vec::new()),
        Shape::Empty => Op::Set(Vec::new(), Vec::new()),
        Shape::Binary => Op::Set(binary(n % 4), binary(n)),
        Shape::Delete => Op::Del(key(n)),
        Shape::Refused => Op::Expect(key(n), b"what no key holds".to_vec()),
        Shape::Large(bytes) => Op::Set(key(n), large(n, bytes)),
        _ => return None,
    };
    Some(Cmd { n, op })
}
