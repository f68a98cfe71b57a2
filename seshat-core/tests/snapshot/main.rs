//! Snapshots: state to bytes and back, what is refused, and the handle that carries them.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod content;
mod corruption;
mod data;
mod digest;

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use prost::Message as _;
use seshat_core::machine::Machine;
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::proto::v1;
use seshat_core::types::{
    Entry, EntryPayload, LeaderId, LogId, Membership, Node, SnapshotMeta, StoredMembership,
};

/// The length of a trailer and of the length before it.
const TRAILER: usize = 10;

/// What a machine should hold.
type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

fn keys<const N: usize>(keys: [(&str, &str); N]) -> Keys {
    keys.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

fn id(term: u64, node_id: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, node_id), index)
}

fn set(key: &[u8], value: &[u8]) -> Operation {
    let copy = Bytes::copy_from_slice;
    Operation::set(copy(key), copy(value), &Limits::default()).unwrap()
}

fn del(key: &[u8]) -> Operation {
    Operation::del([Bytes::copy_from_slice(key)], &Limits::default()).unwrap()
}

fn normal(index: u64, operations: Vec<Operation>) -> Entry {
    Entry { log_id: id(1, 1, index), payload: EntryPayload::Normal(Batch::new(operations)) }
}

fn blank(log_id: LogId) -> Entry {
    Entry { log_id, payload: EntryPayload::Blank }
}

/// Voters 1 and 2, learner 3.
fn cluster(log_id: LogId) -> Entry {
    let node = |id| (id, Node { addr: format!("host:{id}") });
    let membership = Membership::new(vec![[1, 2].into()], BTreeMap::from([1, 2, 3].map(node)));
    Entry { log_id, payload: EntryPayload::Membership(membership) }
}

/// A machine with these keys, a membership, and index 9000 applied last.
fn machine(keys: &Keys) -> Machine {
    let mut machine = Machine::default();
    let sets = keys.iter().map(|(key, value)| set(key, value)).collect();
    machine.apply(vec![cluster(id(1, 1, 0)), normal(1, sets), blank(id(2, 3, 9000))]).unwrap();
    machine
}

fn meta_of(machine: &Machine) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: machine.last_applied(),
        last_membership: machine.membership().clone(),
        snapshot_id: "test".to_owned(),
    }
}

/// The parts of a snapshot's bytes, read with prost alone.
struct Parts {
    header: v1::SnapshotHeader,
    records: Vec<v1::SnapshotRecord>,
    trailer: v1::SnapshotTrailer,
}

fn parts(mut bytes: Bytes) -> Parts {
    let header = v1::SnapshotHeader::decode_length_delimited(&mut bytes).unwrap();
    let records = (0..header.record_count)
        .map(|_| v1::SnapshotRecord::decode_length_delimited(&mut bytes).unwrap())
        .collect();
    let trailer = v1::SnapshotTrailer::decode_length_delimited(&mut bytes).unwrap();
    assert!(!bytes.has_remaining(), "something follows the trailer");
    Parts { header, records, trailer }
}

/// Gives records and header, or whatever they are, the trailer that belongs to them.
fn seal(body: &[u8]) -> Bytes {
    let checksum = twox_hash::XxHash3_64::oneshot(body);
    [body, &[9, 0x09], &checksum.to_le_bytes()].concat().into()
}

fn header_of(meta: &SnapshotMeta, record_count: u64, record_bytes: u64) -> v1::SnapshotHeader {
    v1::SnapshotHeader {
        format_version: 1,
        last_log_id: meta.last_log_id.as_ref().map(Into::into),
        last_membership: Some((&meta.last_membership).into()),
        record_count,
        record_bytes,
    }
}

fn nothing_applied() -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: None,
        last_membership: StoredMembership::default(),
        snapshot_id: "empty".to_owned(),
    }
}
