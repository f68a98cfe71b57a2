//! Decoding shares its input, cloning shares a batch, and a batch is sent on as it came.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use seshat_core::codec::{FullSnapshotPart, Message};
use seshat_core::operation::{Batch, Operation, Response};
use seshat_core::proto::v1;
use seshat_core::types::{AppendEntriesRequest, Entry, EntryPayload, Vote};

use super::arbitrary::{self, NO_LIMITS};

/// Keys and values, in order.
fn payload(operation: &Operation) -> Vec<&[u8]> {
    match operation {
        Operation::Set(set) => vec![&**set.key(), &**set.value()],
        Operation::Del(del) => del.keys().iter().collect(),
    }
}

fn entry_payload(entry: &Entry) -> Vec<&[u8]> {
    match &entry.payload {
        EntryPayload::Normal(batch) => batch.operations().iter().flat_map(payload).collect(),
        EntryPayload::Blank | EntryPayload::Membership(_) => vec![],
    }
}

/// No bytes have no place.
fn lies_within(part: &[u8], whole: &Bytes) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    part.is_empty() || (whole.start <= part.start && part.end <= whole.end)
}

proptest! {
    #[test]
    fn a_decoded_operation_shares_its_input(value in arbitrary::operation()) {
        let input = value.encode();
        let decoded = Operation::decode(input.clone()).unwrap();
        prop_assert!(payload(&decoded).iter().all(|part| lies_within(part, &input)));
    }

    #[test]
    fn a_decoded_batch_shares_its_input(value in arbitrary::batch()) {
        let input = value.encode();
        let decoded = Batch::decode(input.clone()).unwrap();
        let mut parts = decoded.operations().iter().flat_map(payload);
        prop_assert!(parts.all(|part| lies_within(part, &input)));
    }

    #[test]
    fn decoded_entries_share_the_input_of_the_request(value in arbitrary::append_entries_request()) {
        let input = value.encode();
        let decoded = AppendEntriesRequest::decode(input.clone()).unwrap();
        let mut parts = decoded.entries.iter().flat_map(entry_payload);
        prop_assert!(parts.all(|part| lies_within(part, &input)));
    }
}

#[test]
fn a_decoded_value_that_was_replaced_shares_its_input() {
    let input = Response::Set { previous: Some(Bytes::from_static(b"previous")) }.encode();
    let Response::Set { previous: Some(previous) } = Response::decode(input.clone()).unwrap()
    else {
        panic!("SET answered with something else");
    };
    assert!(lies_within(&previous, &input));
}

#[test]
fn a_decoded_chunk_of_a_snapshot_shares_its_input() {
    let input = FullSnapshotPart::Chunk(Bytes::from_static(b"chunk")).encode();
    let FullSnapshotPart::Chunk(chunk) = FullSnapshotPart::decode(input.clone()).unwrap() else {
        panic!("a chunk became a header");
    };
    assert!(lies_within(&chunk, &input));
}

#[test]
fn clones_of_a_batch_share_operations_keys_and_values() {
    let (key, value) = (Bytes::from(vec![b'k'; 100]), Bytes::from(vec![b'v'; 100]));
    let batch = Batch::new([
        Operation::set(key.clone(), value.clone(), &NO_LIMITS).unwrap(),
        Operation::set_get(value.clone(), key.clone(), &NO_LIMITS).unwrap(),
    ]);
    let clone = batch.clone();
    assert_eq!(clone.operations().as_ptr(), batch.operations().as_ptr());

    let places: Vec<_> =
        clone.operations().iter().flat_map(payload).map(|part| part.as_ptr()).collect();
    assert_eq!(places, [&key, &value, &value, &key].map(|part| part.as_ptr()), "proposing copied");
}

/// A batch as we would not write it: the value first.
fn foreign_batch() -> Bytes {
    Bytes::from_static(b"\x0a\x0e\x0a\x0c\x12\x05value\x0a\x03key")
}

/// As on the way from one leader's frame into the log and out to the next follower.
#[test]
fn a_batch_is_sent_on_as_it_came() {
    assert_eq!(Batch::decode(foreign_batch()).unwrap().encode(), foreign_batch());
    let entry = v1::Entry {
        format_version: 1,
        log_id: Some(v1::LogId { term: 1, node_id: 2, index: 3 }),
        payload: Some(v1::entry::Payload::Batch(foreign_batch())),
    };
    let proto = v1::AppendEntriesRequest {
        vote: Some(v1::Vote::default()),
        entries: vec![entry.clone(), entry],
        ..Default::default()
    };
    let arrived = AppendEntriesRequest::decode(proto.encode_to_vec().into()).unwrap();
    let sent_on = AppendEntriesRequest { vote: Vote::new(5, 6), ..arrived };
    let received = v1::AppendEntriesRequest::decode(sent_on.encode()).unwrap();
    assert_eq!(received.entries, proto.entries);
}

#[test]
fn a_batch_that_came_otherwise_equals_the_one_proposed() {
    let proposed = Batch::from(Operation::set("key", "value", &NO_LIMITS).unwrap());
    assert_eq!(Batch::decode(foreign_batch()).unwrap(), proposed);
    assert_ne!(foreign_batch(), proposed.encode());
}
