//! Arbitrary valid values of every message, with the extremes often among them.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use seshat_core::codec::{
    FormatsRequest, FormatsResponse, FullSnapshotHeader, FullSnapshotPart, Leadership, Message,
    SnapshotOffsetRequest, SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use seshat_core::log::HardState;
use seshat_core::operation::{Batch, Condition, Limits, Operation, Response, SetOptions};
use seshat_core::snapshot::Header;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, EntryPayload, InstallSnapshotRequest,
    InstallSnapshotResponse, LeaderId, LogId, Membership, Node, SnapshotMeta, SnapshotResponse,
    StoredMembership, Vote, VoteRequest, VoteResponse,
};

pub(crate) const NO_LIMITS: Limits =
    Limits { max_key_bytes: usize::MAX, max_value_bytes: usize::MAX, max_del_keys: usize::MAX };

/// A term or an index.
fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX - 1), 2..300_u64, 0..u64::MAX]
}

/// A format, which is at least 1.
fn format() -> impl Strategy<Value = u32> {
    prop_oneof![Just(1), Just(u32::MAX), 2..300_u32]
}

/// A number without a bound.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 1..300_u64, any::<u64>()]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    // Where the length takes a second byte, and a third.
    let long = (prop_oneof![126..130_usize, 16_382..16_386_usize], any::<u8>());
    prop_oneof![
        4 => Just(Bytes::new()),
        2 => Just(Bytes::from_static(b"\0")),
        12 => vec(any::<u8>(), 1..24).prop_map(Bytes::from),
        1 => long.prop_map(|(len, byte)| vec![byte; len].into()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![select(vec!["a", "\0", "[::1]:7000", "ψ.example:1"]).prop_map_into(), "\\PC{1,12}"]
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let condition = option::of(select(vec![Condition::Absent, Condition::Present]));
    let set = (bytes(), bytes(), condition, any::<bool>());
    let set = set.prop_map(|(key, value, condition, get)| {
        Operation::set_with(key, value, SetOptions { condition, get }, &NO_LIMITS)
    });
    let del = vec(bytes(), 1..5).prop_map(|keys| Operation::del(keys, &NO_LIMITS));
    prop_oneof![set, del].prop_map(|made| made.expect("nothing is beyond no limits"))
}

pub(crate) fn batch() -> impl Strategy<Value = Batch> {
    let raise = Just(Batch::decode(Bytes::from_static(&[0x10, 2])).expect("a raise to 2"));
    prop_oneof![9 => vec(operation(), 0..5).prop_map(Batch::new), 1 => raise]
}

pub(crate) fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        option::of(bytes()).prop_map(|previous| Response::Set { previous }),
        option::of(bytes()).prop_map(|previous| Response::NotSet { previous }),
        number().prop_map(|deleted| Response::Del { deleted }),
    ]
}

pub(crate) fn log_id() -> impl Strategy<Value = LogId> {
    (counter(), number(), counter())
        .prop_map(|(term, node_id, index)| LogId::new(LeaderId::new(term, node_id), index))
}

pub(crate) fn vote() -> impl Strategy<Value = Vote> {
    (counter(), number(), any::<bool>()).prop_map(|(term, node_id, committed)| Vote {
        leader_id: LeaderId::new(term, node_id),
        committed,
    })
}

pub(crate) fn hard_state() -> impl Strategy<Value = HardState> {
    (option::of(vote()), option::of(log_id()), option::of(log_id()))
        .prop_map(|(vote, committed, purged)| HardState { vote, committed, purged })
}

/// Uninitialized, plain or joint; with and without learners; with and without addresses.
pub(crate) fn membership() -> impl Strategy<Value = Membership> {
    let address = prop_oneof![Just(String::new()), text()];
    btree_map(number(), address.prop_map(|addr| Node { addr }), 0..6).prop_flat_map(|members| {
        let ids: Vec<u64> = members.keys().copied().collect();
        let voters = subsequence(ids.clone(), ids.len().min(1)..=ids.len());
        vec(voters, 0..4).prop_map(move |configs| {
            let configs = configs.into_iter().filter(|voters| !voters.is_empty());
            let configs: Vec<BTreeSet<u64>> = configs.map(BTreeSet::from_iter).collect();
            Membership::new(configs, members.clone())
        })
    })
}

pub(crate) fn stored_membership() -> impl Strategy<Value = StoredMembership> {
    (option::of(log_id()), membership())
        .prop_map(|(id, brought)| StoredMembership::new(id, brought))
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let payload = prop_oneof![
        1 => Just(EntryPayload::Blank),
        3 => batch().prop_map(EntryPayload::Normal),
        2 => membership().prop_map(EntryPayload::Membership),
    ];
    (log_id(), payload).prop_map(|(log_id, payload)| Entry { log_id, payload })
}

pub(crate) fn snapshot_meta() -> impl Strategy<Value = SnapshotMeta> {
    (option::of(log_id()), stored_membership(), text()).prop_map(
        |(last_log_id, last_membership, snapshot_id)| SnapshotMeta {
            last_log_id,
            last_membership,
            snapshot_id,
        },
    )
}

pub(crate) fn header() -> impl Strategy<Value = Header> {
    (1..=2_u32, option::of(log_id()), stored_membership(), number(), number()).prop_map(
        |(format_version, last_log_id, last_membership, record_count, record_bytes)| Header {
            format_version,
            last_log_id,
            last_membership,
            record_count,
            record_bytes,
        },
    )
}

pub(crate) fn append_entries_request() -> impl Strategy<Value = AppendEntriesRequest> {
    (vote(), option::of(log_id()), vec(entry(), 0..4), option::of(log_id())).prop_map(
        |(vote, prev_log_id, entries, leader_commit)| AppendEntriesRequest {
            vote,
            prev_log_id,
            entries,
            leader_commit,
        },
    )
}

pub(crate) fn append_entries_response() -> impl Strategy<Value = AppendEntriesResponse> {
    prop_oneof![
        Just(()).prop_map(|()| AppendEntriesResponse::Success),
        option::of(log_id()).prop_map(AppendEntriesResponse::PartialSuccess),
        Just(()).prop_map(|()| AppendEntriesResponse::Conflict),
        vote().prop_map(AppendEntriesResponse::HigherVote),
    ]
}

pub(crate) fn vote_request() -> impl Strategy<Value = VoteRequest> {
    (vote(), option::of(log_id())).prop_map(|(vote, last_log_id)| VoteRequest { vote, last_log_id })
}

pub(crate) fn vote_response() -> impl Strategy<Value = VoteResponse> {
    (vote(), any::<bool>(), option::of(log_id())).prop_map(|(vote, vote_granted, last_log_id)| {
        VoteResponse { vote, vote_granted, last_log_id }
    })
}

pub(crate) fn install_snapshot_request() -> impl Strategy<Value = InstallSnapshotRequest> {
    (vote(), snapshot_meta(), number(), bytes(), any::<bool>()).prop_map(
        |(vote, meta, offset, data, done)| InstallSnapshotRequest {
            vote,
            meta,
            offset,
            data: data.into(),
            done,
        },
    )
}

pub(crate) fn install_snapshot_response() -> impl Strategy<Value = InstallSnapshotResponse> {
    vote().prop_map(|vote| InstallSnapshotResponse { vote })
}

pub(crate) fn full_snapshot_part() -> impl Strategy<Value = FullSnapshotPart> {
    let header = (vote(), snapshot_meta(), number(), number(), option::of(number()));
    let header = header.prop_map(|(vote, meta, length, offset, checksum)| FullSnapshotHeader {
        vote,
        meta,
        length,
        offset,
        checksum,
    });
    prop_oneof![
        header.prop_map(FullSnapshotPart::Header),
        bytes().prop_map(FullSnapshotPart::Chunk),
        number().prop_map(|checksum| FullSnapshotPart::Trailer { checksum }),
    ]
}

pub(crate) fn snapshot_offset_request() -> impl Strategy<Value = SnapshotOffsetRequest> {
    (number(), number()).prop_map(|(length, checksum)| SnapshotOffsetRequest { length, checksum })
}

pub(crate) fn snapshot_offset_response() -> impl Strategy<Value = SnapshotOffsetResponse> {
    (number(), any::<bool>(), format()).prop_map(|(offset, installing, reads)| {
        SnapshotOffsetResponse { offset, installing, reads }
    })
}

pub(crate) fn standing_request() -> impl Strategy<Value = StandingRequest> {
    (number(), number(), format()).prop_map(|(node_id, incarnation, reads)| StandingRequest {
        node_id,
        incarnation,
        reads,
    })
}

pub(crate) fn standing_response() -> impl Strategy<Value = StandingResponse> {
    let leadership =
        (vote(), log_id()).prop_map(|(vote, committed)| Leadership { vote, committed });
    (any::<[bool; 4]>(), option::of(leadership), number(), format(), format()).prop_map(
        |([formed, member, confirmed, heard], leadership, incarnation, reads, writes)| {
            StandingResponse {
                formed,
                member,
                confirmed,
                heard,
                leadership,
                incarnation,
                reads,
                writes,
            }
        },
    )
}

pub(crate) fn formats_request() -> impl Strategy<Value = FormatsRequest> {
    Just(FormatsRequest)
}

pub(crate) fn formats_response() -> impl Strategy<Value = FormatsResponse> {
    (format(), format()).prop_map(|(reads, agrees)| FormatsResponse { reads, agrees })
}

pub(crate) fn snapshot_response() -> impl Strategy<Value = SnapshotResponse> {
    vote().prop_map(|vote| SnapshotResponse { vote })
}
