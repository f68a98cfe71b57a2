//! Whatever is in a file, and however it is cut into pieces, what is read is what is read at once.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::operation::{Batch, Limits, Operation};
use crate::snapshot::write;
use crate::types::{Entry, EntryPayload, LeaderId, LogId};

/// A file whose reads are counted.
struct Counted(Bytes, AtomicU64);

impl Stored for Counted {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let begin = offset as usize;
        let there = self.0.get(begin..begin + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(there);
        self.1.fetch_add(buf.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A snapshot with values of all lengths, and what belongs to it.
fn sample() -> (Bytes, SnapshotMeta) {
    let set = |n: u32| {
        let value = vec![n as u8; (n * n) as usize % 300];
        Operation::set(format!("key-{n}").repeat(1 + n as usize % 3), value, &Limits::default())
    };
    let sets: Vec<Operation> = (0..30).map(|n| set(n).unwrap()).collect();
    let log_id = LogId::new(LeaderId::new(1, 1), 7);
    let mut machine = Machine::default();
    let payload = EntryPayload::Normal(Batch::new(sets));
    machine.apply(vec![Entry { log_id, payload }]).unwrap();
    let meta = SnapshotMeta { last_log_id: Some(log_id), ..SnapshotMeta::default() };
    (write(&machine.freeze()), meta)
}

/// Gives a body the trailer that belongs to it.
fn seal(body: &[u8]) -> Bytes {
    [body, &[9, 0x09], &XxHash3_64::oneshot(body).to_le_bytes()].concat().into()
}

/// What it holds, or what is wrong with it.
fn at_once(bytes: &Bytes, meta: &SnapshotMeta) -> Result<Bytes, SnapshotError> {
    read(bytes, meta).map(|mut machine| write(&machine.freeze()))
}

/// The same, of a file, and how much of it was read.
fn in_pieces(
    bytes: &Bytes,
    meta: &SnapshotMeta,
    piece: u64,
) -> (Result<Bytes, SnapshotError>, u64) {
    let file = Counted(bytes.clone(), AtomicU64::new(0));
    let read = of_file((&file, bytes.len() as u64), Some(meta), piece);
    let read = read.map(|mut machine| write(&machine.freeze())).map_err(|error| match error {
        ReadError::Invalid(error) => error,
        ReadError::Failed(error) => panic!("{error}"),
    });
    (read, file.1.into_inner())
}

#[test]
fn in_pieces_of_any_length_it_is_the_same_and_each_byte_is_read_once() {
    let (bytes, meta) = sample();
    for piece in (1..300).chain([bytes.len() as u64, 1 << 30]) {
        let (read, bytes_read) = in_pieces(&bytes, &meta, piece);
        assert_eq!((read.unwrap(), bytes_read), (bytes.clone(), bytes.len() as u64), "{piece}");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_told_as_at_once() {
    let (bytes, meta) = sample();
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        for harmed in [flipped.into(), bytes.slice(..at), bytes.slice(at..).slice(1..)] {
            let expected = at_once(&harmed, &meta);
            assert!(expected.is_err(), "byte {at}");
            assert_eq!(in_pieces(&harmed, &meta, 50).0, expected, "byte {at}");
        }
    }
}

/// A length that reaches beyond a piece is waited for; one that reaches beyond the end is not.
#[test]
fn a_record_may_be_longer_than_many_pieces() {
    let set = Operation::set("key", vec![7; 10_000], &Limits::default()).unwrap();
    let log_id = LogId::new(LeaderId::new(1, 1), 7);
    let mut machine = Machine::default();
    let payload = EntryPayload::Normal(Batch::from(set));
    machine.apply(vec![Entry { log_id, payload }]).unwrap();
    let meta = SnapshotMeta { last_log_id: Some(log_id), ..SnapshotMeta::default() };
    let bytes = write(&machine.freeze());
    assert_eq!(in_pieces(&bytes, &meta, 16).0.unwrap(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The checksum is right, and something else may not be.
    #[test]
    fn what_a_faulty_writer_wrote_is_told_as_at_once(
        changes in vec((any::<Index>(), any::<u8>(), 0..3), 0..4),
        piece in 1..200_u64,
    ) {
        let (bytes, meta) = sample();
        let mut body = bytes[..bytes.len() - TRAILER_LEN].to_vec();
        for (at, byte, kind) in changes {
            let at = at.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.remove(at)),
            }
        }
        let sealed = seal(&body);
        prop_assert_eq!(in_pieces(&sealed, &meta, piece).0, at_once(&sealed, &meta));
    }
}
