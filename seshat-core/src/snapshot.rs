//! A frozen machine to bytes and back.
//!
//! Guarantees: equal states give equal bytes, on every node and in every run; [`read`] returns a
//! machine only if every byte was checked first (format, length, checksum, metadata, order), so
//! that whoever installs it can't be left with half of one. The layout is in
//! `proto/seshat/v1/snapshot.proto`.

mod data;
mod sort;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use twox_hash::{XxHash3_64, XxHash3_128};

pub use self::data::SnapshotData;
pub use crate::codec::snapshot::Header;
use crate::codec::{DecodeError, DecodeReason, Message, put_record, read_record, read_trailer};
use crate::machine::{FrozenMachine, KeySpace, Machine, Record};
use crate::proto::v1;
use crate::types::{LogId, SnapshotMeta, StoredMembership};

/// The first format with a record of the empty key.
const HOLDS_EMPTY_KEY: u32 = 2;
/// Length of the trailer with the varint before it: one field of 8 bytes and its key.
const TRAILER_LEN: usize = 10;
/// The least a record with the varint before it can take, but for that of the empty key: a key of
/// one byte.
const MIN_RECORD_LEN: usize = 4;
/// Records that are looked at together, so that their cache misses overlap.
const GROUP: usize = 64;
/// Records that are inserted together, for the same reason.
const INSERTED_AT_ONCE: usize = 1024;

/// The bytes of a frozen machine.
pub fn write(machine: &FrozenMachine) -> Bytes {
    let size = machine.keys.size();
    let records = sort::by_key(machine.keys.records());
    let holds_empty = records.first().is_some_and(|first| first.key().is_empty());
    let header = Header {
        format_version: machine.format.max(if holds_empty { HOLDS_EMPTY_KEY } else { 1 }),
        last_log_id: machine.last_applied,
        last_membership: machine.membership.clone(),
        record_count: size.keys,
        record_bytes: size.bytes,
    }
    .encode();
    let len: usize = header.len() + encoded_len_varint(header.len() as u64) + TRAILER_LEN;

    // A record's own overhead is at most two keys and three varints.
    let mut buf = BytesMut::with_capacity(len + size.bytes as usize + records.len() * 24);
    encode_varint(header.len() as u64, &mut buf);
    buf.put_slice(&header);
    for group in records.chunks(GROUP) {
        std::hint::black_box(touch(group));
        for record in group {
            let (key, value) = record.split();
            put_record(key, value, &mut buf);
        }
    }
    let checksum = XxHash3_64::oneshot(&buf);
    let trailer = v1::SnapshotTrailer { checksum };
    // A trailer of zero would have no field; that it always has 9 bytes keeps the layout fixed.
    buf.put_u8(TRAILER_LEN as u8 - 1);
    prost::encoding::fixed64::encode(1, &trailer.checksum, &mut buf);
    buf.freeze()
}

/// Reads something of each record. The loads don't depend on each other, so the processor waits
/// for all of them at once rather than for one after the other.
fn touch(group: &[&Record]) -> u64 {
    let touched = |bytes: &[u8]| {
        let ends = [bytes.first(), bytes.get(bytes.len() / 2), bytes.last()];
        ends.into_iter().flatten().map(|byte| u64::from(*byte)).sum::<u64>()
    };
    group.iter().map(|record| touched(record.bytes())).sum()
}

/// 128 bits over keys and values: equal on two machines that hold the same. What was applied,
/// and when, doesn't count.
pub fn digest(machine: &FrozenMachine) -> u128 {
    let mut hasher = XxHash3_128::new();
    for record in sort::by_key(machine.keys.records()) {
        let (key, value) = record.split();
        hasher.write(&(key.len() as u64).to_le_bytes());
        hasher.write(key);
        hasher.write(&(value.len() as u64).to_le_bytes());
        hasher.write(value);
    }
    hasher.finish_128()
}

/// The machine that `bytes` hold, if they are a whole snapshot and the one that `meta` names.
///
/// # Errors
/// See [`SnapshotError`].
pub fn read(bytes: &Bytes, meta: &SnapshotMeta) -> Result<Machine, SnapshotError> {
    let body = checked_body(bytes)?;
    let mut rest: &[u8] = &body;
    let header = Header::decode(body.slice_ref(take(&mut rest)?))?;
    if header.last_log_id != meta.last_log_id {
        let (got, expected) = (header.last_log_id, meta.last_log_id);
        return Err(SnapshotError::LastLogId { got, expected });
    }
    if header.last_membership != meta.last_membership {
        let got = Box::new(header.last_membership);
        return Err(SnapshotError::Membership {
            got,
            expected: Box::new(meta.last_membership.clone()),
        });
    }
    let keys = read_records(rest, &header)?;
    let Header { last_log_id: last_applied, last_membership: membership, .. } = header;
    Ok(Machine { keys, last_applied, membership, format: header.format_version })
}

/// The machine that `bytes` hold, and what they say of themselves, if they are a whole snapshot; the id is one
/// that its maker gave it.
pub(crate) fn read_itself(
    bytes: &Bytes,
    snapshot_id: String,
) -> Result<(SnapshotMeta, Machine), SnapshotError> {
    let body = checked_body(bytes)?;
    let Header { last_log_id, last_membership, .. } =
        Header::decode(body.slice_ref(take(&mut &body[..])?))?;
    let meta = SnapshotMeta { last_log_id, last_membership, snapshot_id };
    let machine = read(bytes, &meta)?;
    Ok((meta, machine))
}

/// Whether these are the bytes that were written.
pub(crate) fn verify(bytes: &Bytes) -> Result<(), SnapshotError> {
    checked_body(bytes).map(drop)
}

/// The least version that reads the snapshot, by its header; `None` if these bytes don't begin as one.
pub(crate) fn format(bytes: &[u8]) -> Option<u32> {
    let header = take(&mut { bytes }).ok()?;
    Header::decode(Bytes::copy_from_slice(header)).ok().map(|header| header.format_version)
}

/// What a [`SnapshotData`] carries once it was read.
struct Checked {
    by: SnapshotMeta,
    machine: Machine,
}

impl SnapshotData {
    /// The same snapshot, read, if it is the one that `meta` names. Takes a while: call it off the
    /// runtime's worker threads.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn checked(self, meta: &SnapshotMeta) -> Result<Self, SnapshotError> {
        let bytes = self.into_bytes();
        let machine = read(&bytes, meta)?;
        Ok(Self::carrying(bytes, Checked { by: meta.clone(), machine }))
    }

    /// The bytes, and the machine that they hold, read now unless it was read before.
    pub(crate) fn into_machine(
        self,
        meta: &SnapshotMeta,
    ) -> Result<(Bytes, Machine), SnapshotError> {
        match self.into_parts::<Checked>() {
            (bytes, Some(checked)) if checked.by == *meta => Ok((bytes, checked.machine)),
            (bytes, _) => read(&bytes, meta).map(|machine| (bytes, machine)),
        }
    }
}

/// Everything before the trailer, whose checksum is right.
fn checked_body(bytes: &Bytes) -> Result<Bytes, SnapshotError> {
    let Some(body_len) = bytes.len().checked_sub(TRAILER_LEN) else {
        return Err(SnapshotError::Truncated { got: bytes.len() });
    };
    let body = bytes.slice(..body_len);
    let mut rest: &[u8] = bytes.get(body_len..).unwrap_or_default();
    let trailer =
        take(&mut rest).ok().and_then(|trailer| read_trailer(bytes.slice_ref(trailer)).ok());
    let Some(expected) = trailer else {
        return Err(SnapshotError::NoTrailer { len: bytes.len() });
    };
    let got = XxHash3_64::oneshot(&body);
    if got != expected {
        return Err(SnapshotError::Checksum { got, expected });
    }
    Ok(body)
}

/// The next length-delimited message.
fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], SnapshotError> {
    let at = rest.len();
    let len = decode_varint(rest).ok().and_then(|len| usize::try_from(len).ok());
    let split = len.and_then(|len| rest.split_at_checked(len));
    let Some((message, after)) = split else { return Err(SnapshotError::Cut { before_end: at }) };
    *rest = after;
    Ok(message)
}

fn read_records(mut rest: &[u8], header: &Header) -> Result<KeySpace, SnapshotError> {
    let count = header.record_count;
    // The count is a claim; the bytes that are there bound what it can reserve.
    let possible = (rest.len() / MIN_RECORD_LEN) as u64 + 1;
    let mut keys = KeySpace::with_capacity(count.min(possible) as usize);
    let mut previous: Option<&[u8]> = None;
    let mut records = Vec::with_capacity(INSERTED_AT_ONCE);
    while !rest.is_empty() {
        let (key, value) = read_record(take(&mut rest)?)?;
        if key.is_empty() && header.format_version < HOLDS_EMPTY_KEY {
            return Err(DecodeError::new("SnapshotRecord", "key", DecodeReason::Empty).into());
        }
        if let Some(previous) = previous.filter(|previous| key <= *previous) {
            let (got, previous) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(previous));
            return Err(SnapshotError::Unordered { got, previous });
        }
        // Keys that ascend strictly are all different.
        records.push(keys.record(key, value));
        if records.len() == INSERTED_AT_ONCE {
            keys.insert_new(records.drain(..));
        }
        previous = Some(key);
    }
    keys.insert_new(records.drain(..));
    let got = keys.size();
    let (got, expected) = ((got.keys, got.bytes), (count, header.record_bytes));
    if got != expected {
        return Err(SnapshotError::Size { got, expected });
    }
    Ok(keys)
}

/// Bytes that are not the snapshot they should be. Nothing was installed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// Too short to hold even a trailer.
    #[error("{got} bytes are too few for a snapshot: it was cut short")]
    Truncated {
        /// Bytes found.
        got: usize,
    },
    /// Doesn't end in a trailer.
    #[error(
        "the last {TRAILER_LEN} of {len} bytes are no trailer: cut short, or followed by something else"
    )]
    NoTrailer {
        /// Bytes found.
        len: usize,
    },
    /// A byte differs from what was written.
    #[error("checksum {got:#018x}, the trailer says {expected:#018x}: a byte was changed or lost")]
    Checksum {
        /// The checksum of the bytes found.
        got: u64,
        /// The checksum in the trailer.
        expected: u64,
    },
    /// A message's length goes beyond the end.
    #[error("a message {before_end} bytes before the end of the records is cut short")]
    Cut {
        /// Bytes from the message's length to the end of the records.
        before_end: usize,
    },
    /// A message that isn't valid, or of a format that this build doesn't know.
    #[error("invalid message")]
    Decode(#[from] DecodeError),
    /// Keys must ascend strictly.
    #[error("key {got:?} does not ascend: it follows {previous:?}")]
    Unordered {
        /// The key found.
        got: Bytes,
        /// The key before it.
        previous: Bytes,
    },
    /// More or less than the header says.
    #[error("{got:?} keys and bytes, the header says {expected:?}")]
    Size {
        /// Keys found, and bytes in keys and values.
        got: (u64, u64),
        /// The same, from the header.
        expected: (u64, u64),
    },
    /// The bytes cover another entry than the metadata says.
    #[error("the snapshot ends at {got:?}, its metadata says {expected:?}")]
    LastLogId {
        /// From the bytes.
        got: Option<LogId>,
        /// From the metadata.
        expected: Option<LogId>,
    },
    /// The bytes hold another membership than the metadata says.
    #[error("the snapshot's membership is {got}, its metadata says {expected}")]
    Membership {
        /// From the bytes.
        got: Box<StoredMembership>,
        /// From the metadata.
        expected: Box<StoredMembership>,
    },
}
