//! A frozen machine to bytes: at once, or a piece at a time.

use std::hash::Hasher;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};
use twox_hash::XxHash3_64;

use super::{GROUP, HOLDS_EMPTY_KEY, Header, TRAILER_LEN, sort};
use crate::codec::{Message, put_record, put_record_head};
use crate::machine::{FrozenMachine, Record};
use crate::proto::v1;

/// How long a piece is, more or less.
const PIECE: usize = 1 << 20;
/// A value from that length on goes out as it lies there, uncopied.
const LONG: usize = 64 << 10;

/// The bytes of a frozen machine.
pub fn write(machine: &FrozenMachine) -> Bytes {
    let size = machine.keys.size();
    let records = sort::by_key(machine.keys.records());
    let header = header(machine, records.first());
    let len: usize = header.len() + encoded_len_varint(header.len() as u64) + TRAILER_LEN;

    // A record's own overhead is at most two keys and three varints.
    let mut buf = BytesMut::with_capacity(len + size.bytes as usize + records.len() * 24);
    put_header(&header, &mut buf);
    for group in records.chunks(GROUP) {
        std::hint::black_box(touch(group));
        for record in group {
            let (key, value) = record.split();
            put_record(key, value, &mut buf);
        }
    }
    let checksum = XxHash3_64::oneshot(&buf);
    put_trailer(checksum, &mut buf);
    buf.freeze()
}

/// The same bytes, given to `out` piece by piece. Beside the machine, no more than 16 MiB and the longest key
/// are in memory, however many keys there are.
///
/// # Errors
/// The first of `out`'s.
pub(crate) fn stream<E>(
    machine: &FrozenMachine,
    out: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut parts = sort::in_parts(&machine.keys, sort::PART).peekable();
    let header = header(machine, parts.peek().and_then(|part| part.first()));
    let mut pieces = Pieces { buf: BytesMut::new(), checksum: XxHash3_64::new(), out };
    put_header(&header, &mut pieces.buf);
    for part in parts {
        for group in part.chunks(GROUP) {
            std::hint::black_box(touch(group));
            group.iter().try_for_each(|record| pieces.put(record))?;
        }
    }
    pieces.finish()
}

/// Bytes on their way out.
struct Pieces<F> {
    buf: BytesMut,
    /// Of what went out.
    checksum: XxHash3_64,
    out: F,
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> Pieces<F> {
    fn put(&mut self, record: &Record) -> Result<(), E> {
        let (key, value) = record.split();
        if value.len() < LONG {
            put_record(key, value, &mut self.buf);
        } else {
            put_record_head(key, value, &mut self.buf);
            self.flush()?;
            value.chunks(PIECE).try_for_each(|some| self.give(some))?;
        }
        if self.buf.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn give(&mut self, some: &[u8]) -> Result<(), E> {
        self.checksum.write(some);
        (self.out)(some)
    }

    fn flush(&mut self) -> Result<(), E> {
        let mut buf = std::mem::take(&mut self.buf);
        self.give(&buf)?;
        buf.clear();
        self.buf = buf;
        Ok(())
    }

    fn finish(mut self) -> Result<(), E> {
        self.flush()?;
        put_trailer(self.checksum.finish(), &mut self.buf);
        (self.out)(&self.buf)
    }
}

/// The header of a machine whose least record is `first`.
fn header(machine: &FrozenMachine, first: Option<&&Record>) -> Bytes {
    let size = machine.keys.size();
    let holds_empty = first.is_some_and(|first| first.key().is_empty());
    let header = Header {
        format_version: machine.format.max(if holds_empty { HOLDS_EMPTY_KEY } else { 1 }),
        last_log_id: machine.last_applied,
        last_membership: machine.membership.clone(),
        record_count: size.keys,
        record_bytes: size.bytes,
    };
    header.encode()
}

fn put_header(header: &[u8], buf: &mut BytesMut) {
    encode_varint(header.len() as u64, buf);
    buf.put_slice(header);
}

fn put_trailer(checksum: u64, buf: &mut BytesMut) {
    let trailer = v1::SnapshotTrailer { checksum };
    // A trailer of zero would have no field; that it always has 9 bytes keeps the layout fixed.
    buf.put_u8(TRAILER_LEN as u8 - 1);
    prost::encoding::fixed64::encode(1, &trailer.checksum, buf);
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
