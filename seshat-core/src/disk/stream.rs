//! [`Stream`]: a snapshot's file, from its beginning to its end, in bounded memory.
//!
//! Guarantees: no more is in memory than a piece and one record; no length is believed beyond the file's own;
//! [`finish`](Stream::finish) says whether every byte was the one that was written, and that is said first: a
//! record that makes no sense in a file whose checksum is wrong is no news.

use std::hash::Hasher as _;
use std::ops::Range;

use bytes::Bytes;
use prost::encoding::{decode_varint, encoded_len_varint};
use twox_hash::xxhash3_64::Hasher;

use super::error::Unreadable;
use crate::codec::{DecodeError, DecodeReason, Message, read_record, read_trailer};
use crate::snapshot::{Header, SnapshotError};
use crate::wal::fs::File;
use crate::wal::{Call, Context, Failure};

/// Length of the trailer with the varint before it.
pub(super) const TRAILER: usize = 10;
/// The first format with a record of the empty key.
const HOLDS_EMPTY_KEY: u32 = 2;
/// Bytes that are read at once, unless a record has more.
const AT_ONCE: usize = 1 << 20;

/// See the [module](self).
pub(super) struct Stream<'a, T> {
    file: &'a T,
    name: &'a str,
    /// Length of all before the trailer.
    body: u64,
    /// How much of that was read.
    read: u64,
    hasher: Hasher,
    buffer: Vec<u8>,
    /// Where in the buffer the next message begins.
    next: usize,
}

/// What a snapshot says of itself, and what was found to be so.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// Its header.
    pub header: Header,
    /// The checksum of all before the trailer.
    pub checksum: u64,
}

/// Reads all of a snapshot's file.
pub(super) fn check(file: &impl File, name: &str) -> Result<Content, Unreadable> {
    let mut stream = Stream::open(file, name)?;
    let header = stream.header();
    let records = header.and_then(|header| {
        let mut records = Records::of(&header);
        while let Some(record) = stream.message()? {
            records.take(stream.bytes(record))?;
        }
        records.finish(&header)?;
        Ok(header)
    });
    let checksum = stream.finish()?;
    Ok(Content { header: records?, checksum })
}

impl<'a, T: File> Stream<'a, T> {
    pub(super) fn open(file: &'a T, name: &'a str) -> Result<Self, Unreadable> {
        let len = file.len().during(Call::Length, name)?;
        let Some(body) = len.checked_sub(TRAILER as u64) else {
            return Err(SnapshotError::Truncated { got: len as usize }.into());
        };
        let (hasher, buffer) = (Hasher::new(), Vec::new());
        Ok(Self { file, name, body, read: 0, hasher, buffer, next: 0 })
    }

    /// The first message.
    pub(super) fn header(&mut self) -> Result<Header, Unreadable> {
        let message = self.message()?.ok_or(SnapshotError::Cut { before_end: 0 })?;
        let header = Bytes::copy_from_slice(self.bytes(message));
        Ok(Header::decode(header).map_err(SnapshotError::from)?)
    }

    /// Where the next message lies in the buffer, until another is asked for; `None` at the end.
    pub(super) fn message(&mut self) -> Result<Option<Range<usize>>, Unreadable> {
        let before_end = self.left();
        if before_end == 0 {
            return Ok(None);
        }
        let cut = SnapshotError::Cut { before_end: before_end as usize };
        self.fill(10)?;
        let Ok(len) = decode_varint(&mut self.bytes(self.next..self.buffer.len())) else {
            return Err(cut.into());
        };
        let prefix = encoded_len_varint(len);
        let all = len.checked_add(prefix as u64).filter(|all| *all <= before_end);
        let Some(all) = all else { return Err(cut.into()) };
        self.fill(all as usize)?;
        let message = self.next + prefix..self.next + all as usize;
        self.next = message.end;
        Ok(Some(message))
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Reads what wasn't read. The checksum, if it is the one that was written.
    pub(super) fn finish(mut self) -> Result<u64, Unreadable> {
        while self.left() > 0 {
            self.next = self.buffer.len();
            self.fill(1)?;
        }
        let mut trailer = vec![0; TRAILER];
        self.file.read_at(&mut trailer, self.body).during(Call::Read, self.name)?;
        let len = (self.body as usize).saturating_add(TRAILER);
        let is_one = trailer.first() == Some(&(TRAILER as u8 - 1));
        let trailer = Bytes::from(trailer).slice(1..);
        let expected = read_trailer(trailer).ok().filter(|_| is_one);
        let expected = expected.ok_or(SnapshotError::NoTrailer { len })?;
        let got = self.hasher.finish();
        if got == expected {
            Ok(got)
        } else {
            Err(SnapshotError::Checksum { got, expected }.into())
        }
    }

    /// Bytes of the body behind what was taken.
    fn left(&self) -> u64 {
        self.body - self.read + (self.buffer.len() - self.next) as u64
    }

    /// So many bytes are in the buffer, or all there are.
    fn fill(&mut self, wanted: usize) -> Result<(), Failure> {
        if self.buffer.len() - self.next >= wanted || self.read == self.body {
            return Ok(());
        }
        self.buffer.drain(..self.next);
        self.next = 0;
        let before = self.buffer.len();
        let more = (wanted - before).max(AT_ONCE) as u64;
        let more = more.min(self.body - self.read) as usize;
        self.buffer.resize(before + more, 0);
        let piece = self.buffer.get_mut(before..).unwrap_or_default();
        self.file.read_at(piece, self.read).during(Call::Read, self.name)?;
        self.hasher.write(piece);
        self.read += more as u64;
        Ok(())
    }
}

/// What must be so of records.
struct Records {
    holds_empty: bool,
    previous: Option<Vec<u8>>,
    size: (u64, u64),
}

impl Records {
    fn of(header: &Header) -> Self {
        let holds_empty = header.format_version >= HOLDS_EMPTY_KEY;
        Self { holds_empty, previous: None, size: (0, 0) }
    }

    fn take(&mut self, record: &[u8]) -> Result<(), SnapshotError> {
        let (key, value) = read_record(record)?;
        if key.is_empty() && !self.holds_empty {
            return Err(DecodeError::new("SnapshotRecord", "key", DecodeReason::Empty).into());
        }
        let previous = self.previous.get_or_insert_default();
        if self.size.0 > 0 && key <= previous.as_slice() {
            let (got, previous) = (Bytes::copy_from_slice(key), previous.clone().into());
            return Err(SnapshotError::Unordered { got, previous });
        }
        previous.clear();
        previous.extend_from_slice(key);
        self.size.0 += 1;
        self.size.1 += (key.len() + value.len()) as u64;
        Ok(())
    }

    fn finish(&self, header: &Header) -> Result<(), SnapshotError> {
        let (got, expected) = (self.size, (header.record_count, header.record_bytes));
        if got == expected { Ok(()) } else { Err(SnapshotError::Size { got, expected }) }
    }
}
