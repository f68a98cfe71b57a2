//! Bytes to a machine: at once, or a piece at a time.
//!
//! Of a file, each byte is read once: what is in a piece is decoded before the checksum of all is known, and
//! the machine is given away only then. A wrong checksum is told before whatever else is wrong, which may
//! be its doing.

use std::hash::Hasher;

use bytes::Bytes;
use prost::encoding::decode_varint;
use twox_hash::XxHash3_64;

use super::{HOLDS_EMPTY_KEY, Header, ReadError, SnapshotError, Source, Stored, TRAILER_LEN};
use crate::codec::{DecodeError, DecodeReason, Message, read_record, read_trailer};
use crate::machine::{KeySpace, Machine, Record};
use crate::types::SnapshotMeta;

/// What a record takes beside its key and its value, with the varint before it: a byte for that, and a tag and
/// a length for a key; the record of the empty key takes one less.
const LEAST_OVERHEAD: u64 = 3;
/// Records that are inserted together, so that their cache misses overlap.
const INSERTED_AT_ONCE: usize = 1024;
/// Bytes that are read from a file at once.
const PIECE: u64 = 1 << 20;
/// The longest varint there is.
const LONGEST_VARINT: usize = 10;
/// The longest header that is looked for: a membership of all the members there may be has less.
const LONGEST_HEADER: u64 = 16 << 20;

/// The machine that `bytes` hold, if they are a whole snapshot and the one that `meta` names.
///
/// # Errors
/// See [`SnapshotError`].
pub fn read(bytes: &Bytes, meta: &SnapshotMeta) -> Result<Machine, SnapshotError> {
    of_memory(bytes, Some(meta))
}

/// The machine that is there, if it is a whole snapshot, and the one that `meta` names if something is
/// expected of it. Blocks. Of a file, a piece is in memory at a time, and the longest record.
///
/// # Errors
/// See [`ReadError`].
pub(crate) fn load(source: &Source, meta: Option<&SnapshotMeta>) -> Result<Machine, ReadError> {
    match source {
        Source::Memory(bytes) => Ok(of_memory(bytes, meta)?),
        Source::File(file, len) => of_file((&**file, *len), meta, PIECE),
    }
}

/// The least version that reads the snapshot, by its header; `None` if it doesn't begin as one. Blocks for a
/// file.
pub(crate) fn format(source: &Source) -> Option<u32> {
    let begin = source.read(0, LONGEST_VARINT).ok()?;
    let mut rest: &[u8] = &begin;
    let len = decode_varint(&mut rest).ok().filter(|len| *len <= LONGEST_HEADER)?;
    let at = (begin.len() - rest.len()) as u64;
    let header = source.read(at, len as usize).ok().filter(|it| it.len() as u64 == len)?;
    Header::decode(header).ok().map(|header| header.format_version)
}

/// The checksum of all bytes, trailer and all; of a file, only if they are as they were written. Blocks.
///
/// # Errors
/// A byte was changed since; the file can't be read.
#[cfg(feature = "grpc")]
pub(crate) fn sum(source: &Source) -> Result<u64, ReadError> {
    let body_len = source.len().saturating_sub(TRAILER_LEN as u64);
    let mut sum = XxHash3_64::new();
    for at in (0..body_len).step_by(PIECE as usize) {
        sum.write(&source.read(at, PIECE.min(body_len - at) as usize)?);
    }
    let trailer = source.read(body_len, TRAILER_LEN)?;
    // What is in memory stays as it is, and need not be Seshat's.
    if let Source::File(..) = source {
        same(sum.finish(), checksum(trailer.clone(), source.len())?)?;
    }
    sum.write(&trailer);
    Ok(sum.finish())
}

fn of_memory(bytes: &Bytes, meta: Option<&SnapshotMeta>) -> Result<Machine, SnapshotError> {
    let body_len = body_len(bytes.len() as u64)? as usize;
    let body = bytes.slice(..body_len);
    let expected = checksum(bytes.slice(body_len..), bytes.len() as u64)?;
    same(XxHash3_64::oneshot(&body), expected)?;
    let mut decoder = Decoder::new(meta, body_len as u64);
    decoder.take(&body)?;
    decoder.finish()
}

fn of_file(
    (file, len): (&dyn Stored, u64),
    meta: Option<&SnapshotMeta>,
    piece: u64,
) -> Result<Machine, ReadError> {
    let body_len = body_len(len)?;
    let mut trailer = [0; TRAILER_LEN];
    file.read_at(&mut trailer, body_len)?;
    let expected = checksum(Bytes::copy_from_slice(&trailer), len)?;

    let (mut sum, mut at) = (XxHash3_64::new(), 0);
    let mut decoder = Decoder::new(meta, body_len);
    let mut decoded = Ok(());
    // What wasn't decoded yet, as the rest of its message is in the next piece.
    let mut buf: Vec<u8> = Vec::new();
    while at < body_len {
        let piece = piece.max(decoder.missing).min(body_len - at) as usize;
        let begun = buf.len();
        buf.reserve_exact(piece);
        buf.resize(begun + piece, 0);
        let new = buf.get_mut(begun..).unwrap_or_default();
        file.read_at(new, at)?;
        sum.write(new);
        at += piece as u64;
        if decoded.is_ok() {
            decoded = decoder.take(&buf).map(|taken| drop(buf.drain(..taken)));
        }
        if decoded.is_err() {
            buf.clear();
        }
        if buf.capacity() > 4 * PIECE as usize {
            buf.shrink_to(2 * PIECE as usize);
        }
    }
    same(sum.finish(), expected)?;
    decoded?;
    Ok(decoder.finish()?)
}

/// Of what is before the trailer.
fn body_len(len: u64) -> Result<u64, SnapshotError> {
    let body = len.checked_sub(TRAILER_LEN as u64);
    body.ok_or(SnapshotError::Truncated { got: len as usize })
}

/// The checksum in the trailer of a snapshot of `len` bytes.
fn checksum(trailer: Bytes, len: u64) -> Result<u64, SnapshotError> {
    let message = message(&mut &trailer[..], TRAILER_LEN as u64).ok().flatten();
    let read = message.and_then(|message| read_trailer(trailer.slice_ref(message)).ok());
    read.ok_or(SnapshotError::NoTrailer { len: len as usize })
}

fn same(got: u64, expected: u64) -> Result<(), SnapshotError> {
    if got == expected { Ok(()) } else { Err(SnapshotError::Checksum { got, expected }) }
}

/// The next length-delimited message, if all of it is there. `left` bytes are to come, `rest` among them.
fn message<'a>(rest: &mut &'a [u8], left: u64) -> Result<Option<&'a [u8]>, SnapshotError> {
    let cut = Err(SnapshotError::Cut { before_end: left as usize });
    let mut after = *rest;
    let Ok(len) = decode_varint(&mut after) else {
        let more = (rest.len() as u64) < left && rest.len() < LONGEST_VARINT;
        return if more { Ok(None) } else { cut };
    };
    let begun = (rest.len() - after.len()) as u64;
    if len > left - begun {
        return cut;
    }
    let split = usize::try_from(len).ok().and_then(|len| after.split_at_checked(len));
    let Some((message, after)) = split else { return Ok(None) };
    *rest = after;
    Ok(Some(message))
}

/// Makes a machine of the messages before the trailer, as they come.
struct Decoder<'a> {
    meta: Option<&'a SnapshotMeta>,
    /// Bytes that weren't taken yet.
    left: u64,
    /// At least so many must come before anything more can be taken.
    missing: u64,
    begun: Option<Begun>,
}

/// What is behind a header.
struct Begun {
    header: Header,
    keys: KeySpace,
    /// To be inserted.
    records: Vec<Record>,
    /// The key before, if that was in another piece.
    previous: Option<Vec<u8>>,
}

impl<'a> Decoder<'a> {
    /// For so many bytes in all.
    fn new(meta: Option<&'a SnapshotMeta>, len: u64) -> Self {
        Self { meta, left: len, missing: 0, begun: None }
    }

    /// Takes the messages that `bytes` begin with, and says how long they are. What is behind them must come
    /// again, with more.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, SnapshotError> {
        let mut rest = bytes;
        let (mut begun, held) = match self.begun.take() {
            Some(mut begun) => {
                let held = begun.previous.take();
                (begun, held)
            }
            None => match message(&mut rest, self.left)? {
                Some(header) => {
                    self.left -= (bytes.len() - rest.len()) as u64;
                    (Begun::new(self.header(header)?, self.left), None)
                }
                None => return Ok(0),
            },
        };
        let mut previous = held.as_deref();
        while self.left > 0 {
            let before = rest.len();
            let Some(record) = message(&mut rest, self.left)? else { break };
            self.left -= (before - rest.len()) as u64;
            previous = Some(begun.take(record, previous)?);
        }
        begun.previous = previous.map(<[u8]>::to_vec);
        self.missing = missing(rest);
        self.begun = Some(begun);
        Ok(bytes.len() - rest.len())
    }

    fn header(&self, message: &[u8]) -> Result<Header, SnapshotError> {
        let header = Header::decode(Bytes::copy_from_slice(message))?;
        let Some(meta) = self.meta else { return Ok(header) };
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
        Ok(header)
    }

    /// The machine, if that was all.
    fn finish(self) -> Result<Machine, SnapshotError> {
        match self.begun {
            Some(begun) if self.left == 0 => begun.finish(),
            _ => Err(SnapshotError::Cut { before_end: self.left as usize }),
        }
    }
}

/// How many bytes the message lacks that `rest` begins with; 0 where that can't be told.
fn missing(rest: &[u8]) -> u64 {
    let mut after = rest;
    let len = decode_varint(&mut after).unwrap_or_default();
    len.saturating_sub(after.len() as u64)
}

impl Begun {
    /// `left` bytes follow the header.
    fn new(header: Header, left: u64) -> Self {
        // The count is a claim; the bytes that are there bound what it can reserve.
        let possible = left.saturating_sub(header.record_bytes) / LEAST_OVERHEAD + 1;
        let keys = KeySpace::with_capacity(header.record_count.min(possible) as usize);
        Self { header, keys, records: Vec::with_capacity(INSERTED_AT_ONCE), previous: None }
    }

    /// The record's key.
    fn take<'a>(
        &mut self,
        record: &'a [u8],
        previous: Option<&[u8]>,
    ) -> Result<&'a [u8], SnapshotError> {
        let (key, value) = read_record(record)?;
        if key.is_empty() && self.header.format_version < HOLDS_EMPTY_KEY {
            return Err(DecodeError::new("SnapshotRecord", "key", DecodeReason::Empty).into());
        }
        if let Some(previous) = previous.filter(|previous| key <= *previous) {
            let (got, previous) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(previous));
            return Err(SnapshotError::Unordered { got, previous });
        }
        // Keys that ascend strictly are all different.
        self.records.push(self.keys.record(key, value));
        if self.records.len() == INSERTED_AT_ONCE {
            self.keys.insert_new(self.records.drain(..));
        }
        Ok(key)
    }

    fn finish(mut self) -> Result<Machine, SnapshotError> {
        self.keys.insert_new(self.records.drain(..));
        let got = self.keys.size();
        let (got, expected) =
            ((got.keys, got.bytes), (self.header.record_count, self.header.record_bytes));
        if got != expected {
            return Err(SnapshotError::Size { got, expected });
        }
        let Header { last_log_id: last_applied, last_membership: membership, .. } = self.header;
        let format = self.header.format_version;
        Ok(Machine { keys: self.keys, last_applied, membership, format })
    }
}

#[cfg(test)]
mod tests;
