//! Records: what a group puts into the log, as a frame and as the change it makes.
//!
//! Guarantees: what reads back is what was written, whole, or an error that names message and field. The
//! messages are the schema's own (`proto/seshat/v1/wal.proto`), so nothing here knows a consensus library.

use bytes::Bytes;
use prost::encoding::encode_varint;

use super::frame::{Frame, Head, Kind, MAX_COUNT};
use crate::codec::{DecodeError, Fields, Message, Value, counter};
use crate::proto::v1;

/// One thing that must not be forgotten. See [`Wal::submit`](super::Wal::submit).
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Entries that continue the group's log.
    Entries(Entries),
    /// The privilege that the node granted.
    Vote(v1::Vote),
    /// Entries from this index on are gone.
    Truncate(u64),
    /// Entries up to this one are gone, whether they were there or not.
    Purge(v1::LogId),
    /// The log is known to be committed up to here.
    Committed(Option<v1::LogId>),
    /// A snapshot is whole and durable in its file.
    Snapshot(v1::SnapshotPointer),
    /// The node takes part on another's word.
    Probation(v1::Probation),
}

/// Entries, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    first: u64,
    count: u32,
    last_term: u64,
    body: Vec<u8>,
}

/// Key of the field `Entries.entries`.
const ENTRY: u8 = 1 << 3 | 2;

impl Entries {
    /// None yet; the first is to have that index.
    pub fn new(first: u64) -> Self {
        Self { first, count: 0, last_term: 0, body: Vec::new() }
    }

    /// Adds the next entry, which a leader of that term made.
    pub fn push(&mut self, term: u64, entry: &impl Message) {
        let len = entry.encoded_len();
        self.body.reserve(len + 11);
        self.body.push(ENTRY);
        encode_varint(len as u64, &mut self.body);
        entry.encode_to(&mut self.body);
        self.last_term = term;
        self.count = self.count.saturating_add(1);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none. Such are no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that they take.
    pub fn encoded_len(&self) -> u64 {
        self.body.len() as u64
    }

    /// Whether a frame can count them.
    pub(super) fn countable(&self) -> bool {
        self.count <= MAX_COUNT
    }
}

/// What a record does to its group.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Entries {
        first: u64,
        count: u32,
    },
    Vote(v1::Vote),
    Truncate(u64),
    Purge(v1::LogId),
    Committed(Option<v1::LogId>),
    /// Far larger than the others, and rare.
    Snapshot(Box<v1::SnapshotPointer>),
    Probation(v1::Probation),
}

impl Record {
    /// The frame that says it, and what it does.
    #[inline]
    pub(super) fn split(self, group: u32) -> (Frame, Change) {
        let frame = |kind, body| Frame::new(kind, group, body);
        match self {
            Self::Entries(Entries { first, count, last_term, body }) => {
                let frame = Frame { first, count, last_term, ..frame(Kind::Entries, body) };
                (frame, Change::Entries { first, count })
            }
            Self::Vote(vote) => (frame(Kind::Vote, encode(&vote)), Change::Vote(vote)),
            Self::Truncate(since) => {
                let body = encode(&v1::Truncate { since });
                (frame(Kind::Truncate, body), Change::Truncate(since))
            }
            Self::Purge(upto) => (frame(Kind::Purge, encode(&upto)), Change::Purge(upto)),
            Self::Committed(log_id) => {
                let body = encode(&v1::Committed { log_id });
                (frame(Kind::Committed, body), Change::Committed(log_id))
            }
            Self::Snapshot(pointer) => {
                (frame(Kind::Snapshot, encode(&pointer)), Change::Snapshot(Box::new(pointer)))
            }
            Self::Probation(probation) => {
                (frame(Kind::Probation, encode(&probation)), Change::Probation(probation))
            }
        }
    }
}

impl Change {
    /// What a frame does to its group; `None` if it says nothing of any.
    pub(super) fn read(head: &Head, body: &[u8]) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match head.kind {
            Kind::Entries => Self::Entries { first: head.first, count: head.count },
            Kind::Vote => Self::Vote(decode(body)?),
            Kind::Truncate => Self::Truncate(decode::<v1::Truncate>(body)?.since),
            Kind::Purge => {
                let upto: v1::LogId = decode(body)?;
                counter(upto.index, "LogId", "index")?;
                Self::Purge(upto)
            }
            Kind::Committed => Self::Committed(decode::<v1::Committed>(body)?.log_id),
            Kind::Snapshot => Self::Snapshot(Box::new(decode(body)?)),
            Kind::Probation => Self::Probation(decode(body)?),
            Kind::Checkpoint | Kind::Synced | Kind::Closed => return Ok(None),
        }))
    }
}

fn encode(message: &impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// A message in a body.
pub(super) fn decode<M: Message>(body: &[u8]) -> Result<M, DecodeError> {
    M::decode(Bytes::copy_from_slice(body))
}

/// The entries in a body, each encoded.
pub(crate) fn entries(body: &Bytes) -> Result<Vec<Bytes>, DecodeError> {
    let mut fields = Fields::of("Entries", body);
    let mut entries = Vec::new();
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(entry)) => entries.push(body.slice_ref(entry)),
            other => return Err(fields.unknown(other)),
        }
    }
    Ok(entries)
}
