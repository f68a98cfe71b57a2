//! Whatever is wrong with a snapshot's bytes, `read` says what, and gives no machine.

use std::error::Error;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::encoding::encode_varint;
use rstest::rstest;
use seshat_core::codec::{DecodeError, DecodeReason};
use seshat_core::snapshot::{self, SnapshotError};

use super::*;

/// A small snapshot, and the metadata that belongs to it.
fn sample() -> (Bytes, SnapshotMeta) {
    let mut machine = machine(&keys([("a", "1"), ("bb", ""), ("c", "333")]));
    let meta = meta_of(&machine);
    (snapshot::write(&machine.freeze()), meta)
}

#[track_caller]
fn refused(bytes: &Bytes, meta: &SnapshotMeta) -> SnapshotError {
    snapshot::read(bytes, meta).map(|machine| machine.size()).expect_err("a snapshot was accepted")
}

#[test]
fn the_sample_is_accepted() {
    let (bytes, meta) = sample();
    assert!(snapshot::read(&bytes, &meta).is_ok());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (bytes, meta) = sample();
    let body = bytes.len() - TRAILER;
    let expected = parts(bytes.clone()).trailer.checksum;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let checksum = twox_hash::XxHash3_64::oneshot(&flipped[..body]);
        let error = refused(&flipped.into(), &meta);
        if bit / 8 < body {
            // Nothing of it is looked at before the checksum is.
            assert_eq!(error, SnapshotError::Checksum { got: checksum, expected }, "bit {bit}");
        } else {
            let seen = matches!(error, SnapshotError::Checksum { got, .. } if got == checksum);
            let trailer = matches!(error, SnapshotError::NoTrailer { len } if len == bytes.len());
            assert!(seen || trailer, "bit {bit}: {error:?}");
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    let (bytes, meta) = sample();
    for len in 0..bytes.len() {
        let error = refused(&bytes.slice(..len), &meta);
        if len < TRAILER {
            assert_eq!(error, SnapshotError::Truncated { got: len });
        } else {
            let trailer = matches!(error, SnapshotError::NoTrailer { len: found } if found == len);
            let checksum = matches!(error, SnapshotError::Checksum { .. });
            assert!(trailer || checksum, "{len} bytes left: {error:?}");
        }
    }
}

#[test]
fn a_missing_beginning_is_noticed() {
    let (bytes, meta) = sample();
    for cut in 1..=bytes.len() {
        refused(&bytes.slice(cut..), &meta);
    }
}

#[test]
fn whatever_follows_the_trailer_is_noticed() {
    let (bytes, meta) = sample();
    let trailer = bytes.slice(bytes.len() - TRAILER..);
    let any_byte = (0..=u8::MAX).map(|byte| vec![byte]);
    let zeros = (1..=3 * TRAILER).map(|len| vec![0; len]);
    let again = [bytes.to_vec(), trailer.to_vec(), bytes.slice(..1).to_vec()];
    for more in any_byte.chain(zeros).chain(again) {
        let longer = Bytes::from([&bytes[..], &more].concat());
        let error = refused(&longer, &meta);
        let right = matches!(
            error,
            SnapshotError::NoTrailer { len } if len == longer.len()
        ) || matches!(error, SnapshotError::Checksum { .. });
        assert!(right, "followed by {more:?}: {error:?}");
    }
}

/// A trailer that is no trailer, or says nothing, is as good as none.
#[test]
fn every_other_trailer_is_refused() {
    let (bytes, meta) = sample();
    let body = &bytes[..bytes.len() - TRAILER];
    for trailer in [[0; TRAILER], [0xff; TRAILER], [9; TRAILER], [0, 9, 9, 9, 9, 9, 9, 9, 9, 9]] {
        refused(&[body, &trailer].concat().into(), &meta);
    }
}

// Below, the checksum is right and something else isn't, as a faulty writer would have it.

fn delimited(message: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    encode_varint(message.len() as u64, &mut out);
    [out, message.to_vec()].concat()
}

fn record(key: &'static str, value: &'static str) -> Vec<u8> {
    v1::SnapshotRecord { key: key.into(), value: value.into() }.encode_to_vec()
}

/// A snapshot of nothing applied with these records, right or wrong.
fn of(record_count: u64, record_bytes: u64, records: &[Vec<u8>]) -> Bytes {
    let header = header_of(&nothing_applied(), record_count, record_bytes).encode_to_vec();
    let messages: Vec<Vec<u8>> =
        [header].iter().chain(records).map(|message| delimited(message)).collect();
    seal(&messages.concat())
}

/// The same, with bytes after the header as they are.
fn of_raw(record_count: u64, record_bytes: u64, records: &[u8]) -> Bytes {
    let header = header_of(&nothing_applied(), record_count, record_bytes).encode_to_vec();
    seal(&[delimited(&header), records.to_vec()].concat())
}

fn of_header(header: v1::SnapshotHeader) -> Bytes {
    seal(&delimited(&header.encode_to_vec()))
}

fn header() -> v1::SnapshotHeader {
    header_of(&nothing_applied(), 0, 0)
}

fn cut(before_end: usize) -> SnapshotError {
    SnapshotError::Cut { before_end }
}

fn unordered(previous: &'static str, got: &'static str) -> SnapshotError {
    SnapshotError::Unordered { got: got.into(), previous: previous.into() }
}

fn size(got: (u64, u64), expected: (u64, u64)) -> SnapshotError {
    SnapshotError::Size { got, expected }
}

#[rstest]
#[case::nothing(Bytes::new(), SnapshotError::Truncated { got: 0 },
    "0 bytes are too few for a snapshot: it was cut short")]
#[case::not_even_a_trailer(Bytes::from_static(&[9; 9]), SnapshotError::Truncated { got: 9 },
    "9 bytes are too few for a snapshot: it was cut short")]
#[case::no_trailer(Bytes::from_static(&[0xff; 12]), SnapshotError::NoTrailer { len: 12 },
    "the last 10 of 12 bytes are no trailer: cut short, or followed by something else")]
#[case::another_checksum(
    Bytes::from_static(&[9, 0x09, 1, 0, 0, 0, 0, 0, 0, 0]),
    SnapshotError::Checksum { got: 0x2d06_8005_38d3_94c2, expected: 1 },
    "checksum 0x2d06800538d394c2, the trailer says 0x0000000000000001: \
     a byte was changed or lost")]
#[case::no_header(
    seal(b""),
    cut(0),
    "a message 0 bytes before the end of the records is cut short"
)]
#[case::header_cut(seal(&[3, 0x08, 1]), cut(3),
    "a message 3 bytes before the end of the records is cut short")]
#[case::header_length_endless(seal(&[0xff; 11]), cut(11),
    "a message 11 bytes before the end of the records is cut short")]
#[case::record_cut(of_raw(1, 2, &[5, 0x0a, 1, b'a']), cut(4),
    "a message 4 bytes before the end of the records is cut short")]
#[case::record_of_2_to_40_bytes(of_raw(1, 2, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0x0a]), cut(7),
    "a message 7 bytes before the end of the records is cut short")]
#[case::second_record_cut(of_raw(2, 2, &[3, 0x0a, 1, b'a', 3, 0x0a, 1]), cut(3),
    "a message 3 bytes before the end of the records is cut short")]
#[case::descending(of(2, 2, &[record("b", ""), record("a", "")]), unordered("b", "a"),
    "key b\"a\" does not ascend: it follows b\"b\"")]
#[case::twice(of(2, 4, &[record("a", "1"), record("a", "2")]), unordered("a", "a"),
    "key b\"a\" does not ascend: it follows b\"a\"")]
#[case::zero_too_early(of(2, 3, &[record("a\0", ""), record("a", "")]), unordered("a\0", "a"),
    "key b\"a\" does not ascend: it follows b\"a\\0\"")]
#[case::last_of_three(of(3, 3, &[record("a", ""), record("c", ""), record("b", "")]),
    unordered("c", "b"), "key b\"b\" does not ascend: it follows b\"c\"")]
#[case::record_missing(of(3, 4, &[record("a", "1"), record("b", "2")]), size((2, 4), (3, 4)),
    "(2, 4) keys and bytes, the header says (3, 4)")]
#[case::record_too_many(of(1, 4, &[record("a", "1"), record("b", "2")]), size((2, 4), (1, 4)),
    "(2, 4) keys and bytes, the header says (1, 4)")]
#[case::byte_missing(of(2, 5, &[record("a", "1"), record("b", "2")]), size((2, 4), (2, 5)),
    "(2, 4) keys and bytes, the header says (2, 5)")]
#[case::byte_too_many(of(2, 3, &[record("a", "1"), record("b", "2")]), size((2, 4), (2, 3)),
    "(2, 4) keys and bytes, the header says (2, 3)")]
// As many as no memory holds: the claim is checked, never trusted.
#[case::claim(of(u64::MAX, u64::MAX, &[record("a", "")]), size((1, 1), (u64::MAX, u64::MAX)),
    "(1, 1) keys and bytes, the header says (18446744073709551615, 18446744073709551615)")]
fn a_faulty_snapshot_is_refused_with_its_fault(
    #[case] bytes: Bytes,
    #[case] expected: SnapshotError,
    #[case] text: &str,
) {
    let error = refused(&bytes, &nothing_applied());
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), text);
}

fn malformed<M: prost::Message + Default>(bytes: &'static [u8]) -> DecodeReason {
    DecodeReason::Malformed(M::decode(bytes).err().expect("malformed bytes"))
}

fn version(got: u32) -> DecodeReason {
    DecodeReason::Version { got, known: 3 }
}

#[rstest]
#[case::version_0(
    of_header(v1::SnapshotHeader { format_version: 0, ..header() }),
    ("SnapshotHeader", "format_version", version(0)),
    "SnapshotHeader.format_version: format version 0, this build reads 1 to 3")]
#[case::version_4(
    of_header(v1::SnapshotHeader { format_version: 4, ..header() }),
    ("SnapshotHeader", "format_version", version(4)),
    "SnapshotHeader.format_version: format version 4, this build reads 1 to 3")]
#[case::header_without_a_field(seal(&[0]), ("SnapshotHeader", "format_version", version(0)),
    "SnapshotHeader.format_version: format version 0, this build reads 1 to 3")]
#[case::header_malformed(
    seal(&[1, 0xff]),
    ("SnapshotHeader", "*", malformed::<v1::SnapshotHeader>(&[0xff])),
    "SnapshotHeader.*: not a protobuf message")]
#[case::membership_missing(
    of_header(v1::SnapshotHeader { last_membership: None, ..header() }),
    ("SnapshotHeader", "last_membership", DecodeReason::Missing),
    "SnapshotHeader.last_membership: missing, or of a kind that this version does not know")]
#[case::index_out_of_range(
    of_header(v1::SnapshotHeader {
        last_log_id: Some(v1::LogId { term: 1, node_id: 1, index: u64::MAX }),
        ..header()
    }),
    ("LogId", "index", DecodeReason::OutOfRange { got: u64::MAX, max: u64::MAX - 1 }),
    "LogId.index: 18446744073709551615 is out of range: at most 18446744073709551614")]
#[case::empty_record(of_raw(1, 0, &[0]), ("SnapshotRecord", "key", DecodeReason::Empty),
    "SnapshotRecord.key: empty")]
#[case::empty_key(of(1, 1, &[record("", "1")]), ("SnapshotRecord", "key", DecodeReason::Empty),
    "SnapshotRecord.key: empty")]
#[case::empty_key_later(of(2, 2, &[record("a", ""), record("", "1")]),
    ("SnapshotRecord", "key", DecodeReason::Empty), "SnapshotRecord.key: empty")]
#[case::key_beyond_its_record(
    of(1, 1, &[vec![0x0a, 2, b'a']]),
    ("SnapshotRecord", "*", malformed::<v1::Blank>(&[0x0a, 2, b'a'])),
    "SnapshotRecord.*: not a protobuf message")]
#[case::key_beyond_its_record_into_the_next(
    of(2, 3, &[vec![0x0a, 3, b'a'], record("b", "")]),
    ("SnapshotRecord", "*", malformed::<v1::Blank>(&[0x0a, 3, b'a'])),
    "SnapshotRecord.*: not a protobuf message")]
#[case::a_field_of_the_header(
    seal(&delimited(&[&header().encode_to_vec()[..], &[0x30, 1]].concat())),
    ("SnapshotHeader", "*", DecodeReason::Unknown { number: 6, wire_type: 0 }),
    "SnapshotHeader.*: field 6 (wire type 0) is not known to this version: \
     a node of a newer one wrote it, so upgrade this node")]
#[case::a_field_of_a_record(
    of(1, 2, &[vec![0x0a, 1, b'k', 0x1a, 1, b'u', 0x12, 1, b'v']]),
    ("SnapshotRecord", "*", DecodeReason::Unknown { number: 3, wire_type: 2 }),
    "SnapshotRecord.*: field 3 (wire type 2) is not known to this version: \
     a node of a newer one wrote it, so upgrade this node")]
#[case::a_field_of_another_kind(
    of(1, 2, &[vec![0x0a, 1, b'k', 0x10, 1]]),
    ("SnapshotRecord", "*", DecodeReason::Unknown { number: 2, wire_type: 0 }),
    "SnapshotRecord.*: field 2 (wire type 0) is not known to this version: \
     a node of a newer one wrote it, so upgrade this node")]
fn an_invalid_message_leads_to_its_error(
    #[case] bytes: Bytes,
    #[case] expected: (&'static str, &'static str, DecodeReason),
    #[case] text: &str,
) {
    let error = refused(&bytes, &nothing_applied());
    let (message, field, reason) = expected;
    assert_eq!(error, SnapshotError::Decode(DecodeError { message, field, reason }));
    assert_eq!(error.to_string(), "invalid message");
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some(text));
}

#[rstest]
#[case::none(None, "None")]
#[case::index(
    Some(id(2, 3, 8999)),
    "Some(LogId { leader_id: LeaderId { term: 2, node_id: 3 }, index: 8999 })"
)]
#[case::term(
    Some(id(1, 3, 9000)),
    "Some(LogId { leader_id: LeaderId { term: 1, node_id: 3 }, index: 9000 })"
)]
#[case::node(
    Some(id(2, 1, 9000)),
    "Some(LogId { leader_id: LeaderId { term: 2, node_id: 1 }, index: 9000 })"
)]
fn another_last_entry_than_the_metadata_says_is_refused(
    #[case] expected: Option<LogId>,
    #[case] said: &str,
) {
    let (bytes, meta) = sample();
    let error = refused(&bytes, &SnapshotMeta { last_log_id: expected, ..meta.clone() });
    assert_eq!(error, SnapshotError::LastLogId { got: meta.last_log_id, expected });
    let has = "Some(LogId { leader_id: LeaderId { term: 2, node_id: 3 }, index: 9000 })";
    let text = format!("the snapshot ends at {has}, its metadata says {said}");
    assert_eq!(error.to_string(), text);
}

fn membership(log_id: Option<LogId>, voters: &[u64], third: &str) -> StoredMembership {
    let node = |id, addr: &str| (id, Node { addr: addr.to_owned() });
    let nodes = BTreeMap::from([node(1, "host:1"), node(2, "host:2"), node(3, third)]);
    let voters = voters.iter().copied().collect();
    StoredMembership::new(log_id, Membership::new(vec![voters], nodes))
}

#[rstest]
#[case::none(StoredMembership::default())]
#[case::without_an_entry(membership(None, &[1, 2], "host:3"))]
#[case::from_another_entry(membership(Some(id(1, 1, 1)), &[1, 2], "host:3"))]
#[case::other_voters(membership(Some(id(1, 1, 0)), &[1, 2, 3], "host:3"))]
#[case::another_address(membership(Some(id(1, 1, 0)), &[1, 2], "host:4"))]
fn another_membership_than_the_metadata_says_is_refused(#[case] said: StoredMembership) {
    let (bytes, meta) = sample();
    assert_eq!(meta.last_membership, membership(Some(id(1, 1, 0)), &[1, 2], "host:3"));

    let error = refused(&bytes, &SnapshotMeta { last_membership: said.clone(), ..meta.clone() });
    let text =
        format!("the snapshot's membership is {}, its metadata says {said}", meta.last_membership);
    let (got, expected) = (Box::new(meta.last_membership), Box::new(said));
    assert_eq!(error, SnapshotError::Membership { got, expected });
    assert_eq!(error.to_string(), text);
}

/// The version decides how to read the rest, the metadata whether to.
#[test]
fn version_comes_before_metadata_and_metadata_before_records() {
    let of_4 = v1::SnapshotHeader { format_version: 4, ..header() };
    let (_, other_meta) = sample();
    let error = refused(&of_header(of_4), &other_meta);
    assert!(matches!(error, SnapshotError::Decode(_)), "{error:?}");
    let error = refused(&of(2, 2, &[record("b", ""), record("a", "")]), &other_meta);
    assert!(matches!(error, SnapshotError::LastLogId { .. }), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn arbitrary_bytes_panic_nothing(bytes in vec(any::<u8>(), 0..80)) {
        let sealed = seal(&bytes);
        let bytes = Bytes::from(bytes);
        for bytes in [bytes, sealed] {
            prop_assert!(snapshot::read(&bytes, &nothing_applied()).is_err());
        }
    }

    /// What passes a right checksum still holds what its header says, in order, and once.
    #[test]
    fn a_mutated_body_is_refused_or_a_whole_snapshot(
        changes in vec((any::<Index>(), any::<u8>(), 0..3), 1..4),
    ) {
        let (bytes, meta) = sample();
        let mut body = bytes[..bytes.len() - TRAILER].to_vec();
        for (at, byte, kind) in changes {
            let at = at.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.remove(at)),
            }
        }
        let sealed = seal(&body);
        if let Ok(mut read) = snapshot::read(&sealed, &meta) {
            prop_assert_eq!(meta_of(&read).last_log_id, meta.last_log_id);
            let again = snapshot::write(&read.freeze());
            prop_assert_eq!(parts(again).records, parts(sealed).records);
        }
    }
}
