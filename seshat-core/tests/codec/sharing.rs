//! Decoding shares its input, cloning shares a batch, and a batch is sent on as it came.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message as _;
use prost::encoding::{bytes as bytes_field, uint64};
use seshat_core::codec::{FullSnapshotPart, Message};
use seshat_core::operation::{Batch, Operation, Response};
use seshat_core::proto::v1;
use seshat_core::types::{AppendEntriesRequest, Entry, EntryPayload, Vote};

use super::arbitrary::{self, NO_LIMITS};

/// Keys and values, in order.
fn payload(operation: &Operation) -> Vec<&Bytes> {
    match operation {
        Operation::Set(set) => vec![set.key(), set.value()],
        Operation::Del(del) => del.keys().iter().collect(),
    }
}

fn entry_payload(entry: &Entry) -> Vec<&Bytes> {
    match &entry.payload {
        EntryPayload::Normal(batch) => batch.operations().iter().flat_map(payload).collect(),
        EntryPayload::Blank | EntryPayload::Membership(_) => vec![],
    }
}

/// No bytes have no place.
fn lies_within(part: &Bytes, whole: &Bytes) -> bool {
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
        Operation::del([key.clone()], &NO_LIMITS).unwrap(),
    ]);
    let clone = batch.clone();
    assert_eq!(clone.operations().as_ptr(), batch.operations().as_ptr());

    let places: Vec<_> =
        clone.operations().iter().flat_map(payload).map(|part| part.as_ptr()).collect();
    assert_eq!(places, [key.as_ptr(), value.as_ptr(), key.as_ptr()], "proposing copied");
}

/// A batch as a newer schema might write it: fields that we don't know at every level.
fn newer_batch() -> Bytes {
    let mut set = BytesMut::new();
    bytes_field::encode(1, &Bytes::from_static(b"key"), &mut set);
    bytes_field::encode(2, &Bytes::from_static(b"value"), &mut set);
    bytes_field::encode(3, &Bytes::from_static(b"EX 60"), &mut set);

    let mut operation = BytesMut::new();
    bytes_field::encode(1, &set.freeze(), &mut operation);
    uint64::encode(9, &77, &mut operation);

    let mut batch = BytesMut::new();
    bytes_field::encode(1, &operation.freeze(), &mut batch);
    bytes_field::encode(2, &Bytes::from_static(b"trace id"), &mut batch);
    batch.freeze()
}

fn newer_entry() -> v1::Entry {
    v1::Entry {
        format_version: 1,
        log_id: Some(v1::LogId { term: 1, node_id: 2, index: 3 }),
        payload: Some(v1::entry::Payload::Batch(newer_batch())),
    }
}

#[test]
fn unknown_fields_do_not_hide_the_known_ones() {
    let batch = Batch::decode(newer_batch()).unwrap();
    let known = Operation::set("key", "value", &NO_LIMITS).unwrap();
    assert_eq!(batch.operations(), [known]);
}

#[test]
fn unknown_fields_pass_through_in_a_batch() {
    assert_eq!(Batch::decode(newer_batch()).unwrap().encode(), newer_batch());
}

/// As on the way from one leader's frame into the log and out to the next follower.
#[test]
fn unknown_fields_pass_through_in_an_entry() {
    let arrived = Bytes::from(newer_entry().encode_to_vec());
    let stored = Entry::decode(arrived.clone()).unwrap().clone();
    assert_eq!(stored.encode(), arrived);
}

#[test]
fn unknown_fields_pass_through_in_a_request() {
    let proto = v1::AppendEntriesRequest {
        vote: Some(v1::Vote::default()),
        entries: vec![newer_entry(), newer_entry()],
        ..Default::default()
    };
    let arrived = AppendEntriesRequest::decode(proto.encode_to_vec().into()).unwrap();
    let sent_on = AppendEntriesRequest {
        vote: Vote::new(5, 6),
        prev_log_id: None,
        entries: arrived.entries,
        leader_commit: None,
    };
    let received = v1::AppendEntriesRequest::decode(sent_on.encode()).unwrap();
    assert_eq!(received.entries, proto.entries);
}

#[test]
fn a_batch_that_passes_through_equals_the_one_proposed() {
    let proposed = Batch::from(Operation::set("key", "value", &NO_LIMITS).unwrap());
    assert_eq!(Batch::decode(newer_batch()).unwrap(), proposed);
    assert_ne!(newer_batch(), proposed.encode());
}
