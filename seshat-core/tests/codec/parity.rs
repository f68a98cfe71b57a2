//! The encoders that are written out by hand write what prost would.
//!
//! The other messages are encoded by prost itself.

use std::fmt::Debug;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use seshat_core::codec::Message;
use seshat_core::operation::{Batch, Condition, Operation};
use seshat_core::proto::v1;
use seshat_core::types::{AppendEntriesRequest, Entry, EntryPayload, LogId, Vote};

use super::arbitrary;

// The codec has conversions of its own. These are apart from them on purpose.

fn operation_of(operation: &Operation) -> v1::Operation {
    let kind = match operation {
        Operation::Set(set) => v1::operation::Kind::Set(v1::SetOperation {
            key: set.key().clone(),
            value: set.value().clone(),
            get: set.get(),
            condition: match set.condition() {
                None => 0,
                Some(Condition::Absent) => 1,
                Some(Condition::Present) => 2,
            },
        }),
        Operation::Del(del) => {
            let keys = del.keys().iter().map(Bytes::copy_from_slice).collect();
            v1::operation::Kind::Del(v1::DelOperation { keys })
        }
    };
    v1::Operation { kind: Some(kind) }
}

fn batch_of(batch: &Batch) -> v1::Batch {
    let operations = batch.operations().iter().map(operation_of).collect();
    v1::Batch { operations, format: batch.raises().unwrap_or_default() }
}

fn log_id_of(id: LogId) -> v1::LogId {
    v1::LogId { term: id.leader_id.term, node_id: id.leader_id.node_id, index: id.index }
}

fn vote_of(vote: Vote) -> v1::Vote {
    v1::Vote {
        term: vote.leader_id.term,
        node_id: vote.leader_id.node_id,
        committed: vote.committed,
    }
}

fn entry_of(entry: &Entry) -> v1::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => v1::entry::Payload::Blank(v1::Blank {}),
        EntryPayload::Normal(batch) => {
            v1::entry::Payload::Batch(batch_of(batch).encode_to_vec().into())
        }
        EntryPayload::Membership(membership) => {
            let configs = membership.get_joint_config().iter();
            let members = membership.nodes();
            v1::entry::Payload::Membership(v1::Membership {
                configs: configs
                    .map(|voters| v1::VoterSet { node_ids: voters.iter().copied().collect() })
                    .collect(),
                members: members
                    .map(|(id, node)| v1::Member {
                        node_id: *id,
                        node: Some(v1::Node { address: node.addr.clone() }),
                    })
                    .collect(),
            })
        }
    };
    // Whether anything in it is new, in other words than the codec's.
    let is_new = |operation: &Operation| match operation {
        Operation::Set(set) => set.get() || set.key().is_empty(),
        Operation::Del(del) => del.keys().iter().any(<[u8]>::is_empty),
    };
    let is_newest = |op: &Operation| matches!(op, Operation::Set(set) if set.condition().is_some());
    let format_version = match &entry.payload {
        EntryPayload::Normal(batch) if batch.raises().is_some() => batch.raises().unwrap(),
        EntryPayload::Normal(batch) if batch.operations().iter().any(is_newest) => 3,
        EntryPayload::Normal(batch) if batch.operations().iter().any(is_new) => 2,
        _ => 1,
    };
    v1::Entry { format_version, log_id: Some(log_id_of(entry.log_id)), payload: Some(payload) }
}

fn request_of(request: &AppendEntriesRequest) -> v1::AppendEntriesRequest {
    v1::AppendEntriesRequest {
        vote: Some(vote_of(request.vote)),
        prev_log_id: request.prev_log_id.map(log_id_of),
        entries: request.entries.iter().map(entry_of).collect(),
        leader_commit: request.leader_commit.map(log_id_of),
    }
}

fn assert_parity<P: prost::Message + Default + PartialEq + Debug>(
    ours: Bytes,
    proto: P,
) -> Result<(), TestCaseError> {
    let written = Bytes::from(proto.encode_to_vec());
    prop_assert_eq!(P::decode(ours.clone()), Ok(proto), "prost reads something else");
    prop_assert_eq!(ours, written, "prost writes something else");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn operation_is_written_as_prost_would(value in arbitrary::operation()) {
        assert_parity(value.encode(), operation_of(&value))?;
    }

    #[test]
    fn batch_is_written_as_prost_would(value in arbitrary::batch()) {
        assert_parity(value.encode(), batch_of(&value))?;
    }

    #[test]
    fn entry_is_written_as_prost_would(value in arbitrary::entry()) {
        assert_parity(value.encode(), entry_of(&value))?;
    }

    #[test]
    fn append_entries_request_is_written_as_prost_would(
        value in arbitrary::append_entries_request(),
    ) {
        assert_parity(value.encode(), request_of(&value))?;
    }
}
