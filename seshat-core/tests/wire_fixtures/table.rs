//! The values of which the fixtures were made.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
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

use seshat_core::proto::v1;

use super::fixture::{Fixture, append, fixture, segment, whole};

/// The greatest term and index.
const MAX: u64 = u64::MAX - 1;

fn set(key: &'static str, value: impl Into<Bytes>) -> Operation {
    Operation::set(key, value, &Limits::default()).expect("within the limits")
}

fn set_get(key: &'static str, value: &'static str) -> Operation {
    Operation::set_get(key, value, &Limits::default()).expect("within the limits")
}

fn set_if(condition: Condition, get: bool, value: &'static str) -> Operation {
    let options = SetOptions { condition: Some(condition), get };
    Operation::set_with("key", value, options, &Limits::default()).expect("within the limits")
}

fn del<const N: usize>(keys: [&'static str; N]) -> Operation {
    Operation::del(keys, &Limits::default()).expect("within the limits")
}

fn batch() -> Batch {
    Batch::new([set("key", "value"), del(["gone", "key"]), set("\0", "")])
}

/// Only a leader makes one.
fn raise() -> Batch {
    Batch::decode(Bytes::from_static(&[0x10, 2])).expect("a raise to format 2")
}

fn id(term: u64, node: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, node), index)
}

fn vote(term: u64, node_id: u64, committed: bool) -> Vote {
    Vote { leader_id: LeaderId::new(term, node_id), committed }
}

fn membership<const C: usize>(configs: [&[u64]; C], nodes: &[(u64, &str)]) -> Membership {
    let configs = configs.iter().map(|ids| BTreeSet::from_iter(ids.iter().copied())).collect();
    let nodes = nodes.iter().map(|(id, addr)| (*id, Node { addr: (*addr).to_owned() }));
    Membership::new(configs, BTreeMap::from_iter(nodes))
}

fn three_voters() -> Membership {
    membership([&[1, 2, 3]], &[(1, "a:7001"), (2, "b:7002"), (3, "c:7003")])
}

fn joint() -> Membership {
    let nodes = [(1, "a:7001"), (2, "b:7002"), (3, "[::1]:7003"), (300, "ψ.example:7004"), (9, "")];
    membership([&[1, 2, 3], &[2, 3, 300]], &nodes)
}

fn stored() -> StoredMembership {
    StoredMembership::new(Some(id(2, 1, 7)), three_voters())
}

fn entry(log_id: LogId, payload: EntryPayload) -> Entry {
    Entry { log_id, payload }
}

fn normal(log_id: LogId, batch: Batch) -> Entry {
    entry(log_id, EntryPayload::Normal(batch))
}

fn meta() -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: Some(id(3, 1, 300)),
        last_membership: stored(),
        snapshot_id: "T3-N1-300-00000000deadbeef-0".to_owned(),
    }
}

fn max_meta() -> SnapshotMeta {
    SnapshotMeta { last_log_id: Some(id(MAX, u64::MAX, MAX)), ..meta() }
}

fn empty_meta() -> SnapshotMeta {
    SnapshotMeta { snapshot_id: "empty".to_owned(), ..SnapshotMeta::default() }
}

pub(crate) fn fixtures() -> Vec<Fixture> {
    [operation(), log(), segments(), memberships(), snapshots(), raft(), transport(), wal()]
        .into_iter()
        .flatten()
        .collect()
}

fn operation() -> Vec<Fixture> {
    let long = vec![0xff; 200];
    vec![
        fixture("operation/operation_set", "SET key value", set("key", "value")),
        fixture("operation/operation_set_empty", "SET key with an empty value", set("key", "")),
        fixture("operation/operation_set_nul", "SET, key and value one NUL", set("\0", "\0")),
        fixture("operation/operation_set_long", "SET, a length of two bytes", set("key", long)),
        fixture("operation/operation_set_binary", "SET, key and value every byte", {
            let bytes: Bytes = (0..=255).collect();
            Operation::set(bytes.clone(), bytes, &Limits::default()).expect("within the limits")
        }),
        fixture("operation/operation_del", "DEL key", del(["key"])),
        fixture("operation/operation_del_many", "DEL, keys in no order", del(["b", "a\0", "b"])),
        fixture("operation/operation_set_empty_key", "SET, the empty key", set("", "value")),
        fixture("operation/operation_set_get", "SET key value GET", set_get("key", "value")),
        fixture("operation/operation_set_get_alone", "SET, both empty, GET", set_get("", "")),
        fixture("operation/operation_set_nx", "SET key value NX", {
            set_if(Condition::Absent, false, "value")
        }),
        fixture("operation/operation_set_nx_get", "SET key value NX GET", {
            set_if(Condition::Absent, true, "value")
        }),
        fixture("operation/operation_set_xx", "SET key value XX", {
            set_if(Condition::Present, false, "value")
        }),
        fixture("operation/operation_set_xx_get", "SET key value XX GET", {
            set_if(Condition::Present, true, "value")
        }),
        fixture("operation/operation_del_empty_key", "DEL, the empty key among others", {
            del(["a", "", "b"])
        }),
        fixture("operation/batch_empty", "no operation", Batch::new([])),
        fixture("operation/batch", "SET, DEL, SET", batch()),
        fixture("operation/batch_raise", "no operation, to format 2", raise()),
        fixture("operation/response_set_absent", "no value", Response::Set { previous: None }),
        fixture(
            "operation/response_set_empty",
            "the empty value was replaced",
            Response::Set { previous: Some(Bytes::new()) },
        ),
        fixture(
            "operation/response_set",
            "a value was replaced",
            Response::Set { previous: Some("old".into()) },
        ),
        fixture(
            "operation/response_not_set",
            "the condition didn't hold, nothing was asked for",
            Response::NotSet { previous: None },
        ),
        fixture(
            "operation/response_not_set_get",
            "the condition didn't hold, GET",
            Response::NotSet { previous: Some("old".into()) },
        ),
        fixture("operation/response_del_none", "none deleted", Response::Del { deleted: 0 }),
        fixture("operation/response_del_max", "the most", Response::Del { deleted: u64::MAX }),
    ]
}

fn log() -> Vec<Fixture> {
    let none = HardState::default();
    let zero = HardState {
        vote: Some(Vote::default()),
        committed: Some(LogId::default()),
        purged: Some(LogId::default()),
    };
    let full = HardState {
        vote: Some(vote(5, 2, false)),
        committed: Some(id(4, 1, 200)),
        purged: Some(id(3, 3, 100)),
    };
    let most = HardState {
        vote: Some(vote(MAX, u64::MAX, true)),
        committed: Some(id(MAX, u64::MAX, MAX)),
        purged: Some(id(MAX, u64::MAX, MAX - 1)),
    };
    vec![
        fixture("log/log_id_zero", "all zeros, which is no byte", LogId::default()),
        fixture("log/log_id", "term 3, node 1, index 300", id(3, 1, 300)),
        fixture("log/log_id_max", "the greatest of each", id(MAX, u64::MAX, MAX)),
        fixture("log/vote_zero", "all zeros, which is no byte", Vote::default()),
        fixture("log/vote", "for node 2 in term 5, not granted yet", vote(5, 2, false)),
        fixture("log/vote_max", "the greatest of each, committed", vote(MAX, u64::MAX, true)),
        fixture("log/hard_state_empty", "a new node", none),
        fixture("log/hard_state_zero", "all zeros, but present", zero),
        fixture("log/hard_state", "all of it", full),
        fixture("log/hard_state_max", "the greatest of each", most),
        fixture("log/entry_blank", "blank", entry(id(1, 2, 0), EntryPayload::Blank)),
        fixture("log/entry_blank_later", "blank", entry(id(4, 2, 303), EntryPayload::Blank)),
        fixture("log/entry_batch", "a batch", normal(id(3, 1, 300), batch())),
        fixture("log/entry_batch_empty", "no operation", normal(id(3, 1, 301), Batch::new([]))),
        fixture(
            "log/entry_membership",
            "a joint config with learners",
            entry(id(3, 1, 302), EntryPayload::Membership(joint())),
        ),
        fixture(
            "log/entry_membership_empty",
            "an uninitialized membership",
            entry(id(0, 0, 0), EntryPayload::Membership(Membership::default())),
        ),
        fixture("log/entry_set_get", "SET ... GET, format 2", {
            normal(id(3, 1, 300), Batch::new([set("key", "value"), set_get("key", "more")]))
        }),
        fixture("log/entry_set_nx", "SET ... NX, format 3", {
            let nx = set_if(Condition::Absent, true, "more");
            normal(id(3, 1, 300), Batch::new([set("key", "value"), nx]))
        }),
        fixture("log/entry_set_xx", "SET ... XX, format 3", {
            normal(id(3, 1, 301), Batch::new([set_if(Condition::Present, false, "")]))
        }),
        fixture("log/entry_empty_key", "the empty key, format 2", {
            normal(id(3, 1, 300), Batch::new([set("", "value"), del([""])]))
        }),
        fixture("log/entry_raise", "to format 2", normal(id(3, 1, 303), raise())),
        fixture("log/entry_max", "the greatest id", normal(id(MAX, u64::MAX, MAX), batch())),
    ]
}

fn segments() -> Vec<Fixture> {
    let whole = vec![
        entry(id(0, 0, 0), EntryPayload::Membership(three_voters())),
        entry(id(1, 1, 1), EntryPayload::Blank),
        normal(id(1, 1, 2), batch()),
        entry(id(2, 3, 3), EntryPayload::Blank),
        normal(id(2, 3, 4), Batch::new([set("a", "1"), set("a\0", ""), set("b", vec![0; 200])])),
        entry(id(2, 3, 5), EntryPayload::Membership(joint())),
        normal(id(4, u64::MAX, 6), Batch::new([])),
    ];
    let state =
        HardState { vote: Some(vote(5, 2, false)), committed: Some(id(2, 3, 4)), purged: None };
    let purged = HardState {
        vote: Some(vote(4, 1, true)),
        committed: Some(id(4, 1, 102)),
        purged: Some(id(3, 3, 100)),
    };
    let left = (101..=103).map(|index| normal(id(4, 1, index), batch())).collect();
    vec![
        segment("log/segment_empty", "of a new node", HardState::default(), vec![]),
        segment("log/segment", "all kinds from 0, by four leaders", state, whole),
        segment("log/segment_purged", "what is left after a purge up to 100", purged, left),
    ]
}

fn memberships() -> Vec<Fixture> {
    let addressless = membership([&[0, u64::MAX]], &[(0, ""), (u64::MAX, "")]);
    vec![
        fixture("membership/membership_empty", "uninitialized", Membership::default()),
        fixture("membership/membership_three", "three voters", three_voters()),
        fixture("membership/membership_joint", "joint, with node 9 as learner", joint()),
        fixture("membership/membership_max", "extreme ids, no address", addressless),
        fixture("membership/membership_learner", "no voter", membership([], &[(4, "d:7004")])),
        fixture("membership/stored_membership_empty", "none yet", StoredMembership::default()),
        fixture("membership/stored_membership", "three voters, and the id", stored()),
    ]
}

fn snapshots() -> Vec<Fixture> {
    let header = |last_log_id, last_membership, record_count, record_bytes| Header {
        format_version: 1,
        last_log_id,
        last_membership,
        record_count,
        record_bytes,
    };
    let nothing = header(None, StoredMembership::default(), 0, 0);
    let most = header(Some(id(MAX, u64::MAX, MAX)), stored(), u64::MAX, u64::MAX);
    let state = vec![
        entry(id(1, 1, 0), EntryPayload::Membership(three_voters())),
        normal(id(1, 1, 1), Batch::new([set("a", "1"), set("a\0", ""), set("b", vec![0; 200])])),
        normal(id(2, 2, 2), Batch::new([set("a", "2"), set("gone", "x"), del(["gone"])])),
    ];
    let changed = vec![
        entry(id(0, 0, 0), EntryPayload::Membership(three_voters())),
        normal(id(7, 300, 1), Batch::new([set("\0", vec![0xff])])),
        entry(id(7, 300, 2), EntryPayload::Membership(joint())),
        normal(id(7, 300, 3), Batch::new([])),
    ];
    let with_empty_key = vec![normal(id(1, 1, 1), Batch::new([set("", "1"), set("\0", "")]))];
    let raised =
        vec![normal(id(1, 1, 0), raise()), normal(id(1, 1, 1), Batch::new([set("a", "1")]))];
    let change = vec![entry(id(7, 300, 0), EntryPayload::Membership(joint()))];
    vec![
        fixture("snapshot/snapshot_meta_empty", "of nothing", empty_meta()),
        fixture("snapshot/snapshot_meta", "all of it", meta()),
        fixture("snapshot/snapshot_header_empty", "of nothing", nothing),
        fixture("snapshot/snapshot_header", "a few", header(Some(id(3, 1, 300)), stored(), 3, 99)),
        fixture("snapshot/snapshot_header_max", "the greatest of each", most),
        fixture("snapshot/snapshot_meta_max", "the greatest of each", max_meta()),
        whole("snapshot/snapshot_empty", "of nothing", vec![]),
        whole("snapshot/snapshot_raised", "a key of a cluster that writes format 2", raised),
        whole("snapshot/snapshot", "three keys of a cluster of three", state),
        fixture("snapshot/snapshot_header_format_2", "with the empty key", {
            Header { format_version: 2, ..header(Some(id(3, 1, 300)), stored(), 1, 5) }
        }),
        whole("snapshot/snapshot_empty_key", "the empty key and another", with_empty_key),
        whole("snapshot/snapshot_joint", "no key, in joint consensus", change),
        whole("snapshot/snapshot_change", "a key, in joint consensus since entry 2", changed),
    ]
}

fn raft() -> Vec<Fixture> {
    let (sender, last) = (vote(3, 1, true), Some(id(3, 1, 300)));
    let append_to = |prev_log_id, entries, leader_commit| AppendEntriesRequest {
        vote: sender,
        prev_log_id,
        entries,
        leader_commit,
    };
    let first = vec![
        entry(id(0, 0, 0), EntryPayload::Membership(three_voters())),
        entry(id(1, 1, 1), EntryPayload::Blank),
        normal(id(1, 1, 2), batch()),
    ];
    let chunk = |meta, offset, data: &[u8], done| InstallSnapshotRequest {
        vote: sender,
        meta,
        offset,
        data: data.to_vec(),
        done,
    };
    let answer =
        |vote_granted, last_log_id| VoteResponse { vote: sender, vote_granted, last_log_id };
    let (length, offset, checksum) = (1 << 33, 0, None);
    let opening = FullSnapshotHeader { vote: sender, meta: meta(), length, offset, checksum };
    let (offset, checksum) = (300, Some(0x0123_4567_89ab_cdef));
    let resuming = FullSnapshotHeader { offset, checksum, ..opening.clone() };
    vec![
        append("raft/append_entries_request_heartbeat", "no entry", append_to(last, vec![], last)),
        append(
            "raft/append_entries_request_first",
            "all kinds from 0",
            append_to(None, first, None),
        ),
        append(
            "raft/append_entries_request_after_zero",
            "one entry after index 0, which is committed",
            append_to(Some(id(0, 0, 0)), vec![normal(id(3, 1, 1), batch())], Some(id(0, 0, 0))),
        ),
        fixture(
            "raft/append_entries_response_success",
            "everything stored",
            AppendEntriesResponse::Success,
        ),
        fixture(
            "raft/append_entries_response_partial",
            "stored up to 300",
            AppendEntriesResponse::PartialSuccess(last),
        ),
        fixture(
            "raft/append_entries_response_partial_none",
            "nothing matches",
            AppendEntriesResponse::PartialSuccess(None),
        ),
        fixture(
            "raft/append_entries_response_conflict",
            "prev_log_id differs",
            AppendEntriesResponse::Conflict,
        ),
        fixture(
            "raft/append_entries_response_higher_vote",
            "a greater vote",
            AppendEntriesResponse::HigherVote(vote(4, 2, false)),
        ),
        fixture("raft/vote_request", "log up to 300", VoteRequest::new(vote(4, 2, false), last)),
        fixture("raft/vote_request_empty", "empty log", VoteRequest::new(vote(1, 2, false), None)),
        fixture("raft/vote_request_max", "the greatest of each", {
            VoteRequest::new(vote(MAX, u64::MAX, true), Some(id(MAX, u64::MAX, MAX)))
        }),
        fixture("raft/vote_response_granted", "granted, empty log", answer(true, None)),
        fixture("raft/vote_response_refused", "refused, log up to 300", answer(false, last)),
        fixture(
            "raft/install_snapshot_request",
            "first chunk",
            chunk(meta(), 0, b"\0chunk", false),
        ),
        fixture(
            "raft/install_snapshot_request_last",
            "empty",
            chunk(empty_meta(), u64::MAX, b"", true),
        ),
        fixture(
            "raft/install_snapshot_response",
            "the receiver's vote",
            InstallSnapshotResponse { vote: vote(4, 2, true) },
        ),
        fixture("raft/full_snapshot_request_header", "header", FullSnapshotPart::Header(opening)),
        fixture(
            "raft/full_snapshot_request_header_resuming",
            "header of a transmission that goes on",
            FullSnapshotPart::Header(resuming),
        ),
        fixture(
            "raft/full_snapshot_request_chunk",
            "chunk",
            FullSnapshotPart::Chunk("\0chunk".into()),
        ),
        fixture(
            "raft/full_snapshot_request_chunk_empty",
            "no byte",
            FullSnapshotPart::Chunk(Bytes::new()),
        ),
        fixture(
            "raft/full_snapshot_request_trailer",
            "trailer",
            FullSnapshotPart::Trailer { checksum: 0x0123_4567_89ab_cdef },
        ),
        fixture(
            "raft/full_snapshot_response",
            "a vote",
            SnapshotResponse { vote: vote(4, 2, true) },
        ),
        fixture(
            "raft/snapshot_offset_request",
            "a long snapshot",
            SnapshotOffsetRequest { length: 1 << 33, checksum: 0x0123_4567_89ab_cdef },
        ),
        fixture(
            "raft/snapshot_offset_response",
            "300 bytes",
            SnapshotOffsetResponse { offset: 300, installing: false, reads: 1 },
        ),
        fixture(
            "raft/snapshot_offset_response_reads",
            "300 bytes, of a node that reads format 2",
            SnapshotOffsetResponse { offset: 300, installing: false, reads: 2 },
        ),
        fixture(
            "raft/snapshot_offset_response_installing",
            "all of it",
            SnapshotOffsetResponse { offset: 1 << 33, installing: true, reads: 1 },
        ),
    ]
}

fn transport() -> Vec<Fixture> {
    let fresh = StandingResponse {
        formed: false,
        member: false,
        confirmed: false,
        heard: false,
        leadership: None,
        incarnation: 0,
        reads: 1,
        writes: 1,
    };
    let leader =
        StandingResponse { formed: true, member: true, confirmed: true, heard: true, ..fresh };
    let leadership = Leadership { vote: vote(4, 2, true), committed: id(4, 2, 300) };
    let tells = StandingResponse {
        leadership: Some(leadership),
        incarnation: 0xfedc_ba98_7654_3210,
        ..leader
    };
    let asked = StandingRequest { node_id: 300, incarnation: 0x0123_4567_89ab_cdef, reads: 1 };
    let (asked_by_newer, newer) = (
        StandingRequest { reads: 2, ..asked },
        StandingResponse { reads: 300, writes: 2, ..tells },
    );
    vec![
        fixture("transport/standing_request", "a node", asked),
        fixture("transport/standing_response", "a leader that knows the node", leader),
        fixture("transport/standing_response_fresh", "a node that knows nothing", fresh),
        fixture("transport/standing_response_leadership", "a leader that says by what", tells),
        fixture("transport/standing_request_reads", "a node that reads format 2", asked_by_newer),
        fixture("transport/standing_response_formats", "a leader of a cluster of format 2", newer),
        fixture("transport/formats_request", "no field", FormatsRequest),
        fixture("transport/formats_response_oldest", "format 1", FormatsResponse::OLDEST),
        fixture(
            "transport/formats_response",
            "a node that holds format 2",
            FormatsResponse { reads: 300, agrees: 2 },
        ),
    ]
}

fn wal() -> Vec<Fixture> {
    let entries = |entries: &[Entry]| {
        let entries = entries.iter().map(|entry| prost::Message::decode(entry.encode()));
        v1::Entries { entries: entries.collect::<Result<_, _>>().expect("entries") }
    };
    let first = entry(id(0, 0, 0), EntryPayload::Membership(three_voters()));
    let both = [first, normal(id(1, 1, 1), batch())];
    let pointer = |meta: SnapshotMeta| v1::SnapshotPointer {
        meta: Some((&meta).into()),
        file: "3-300.snap".to_owned(),
        length: 1 << 33,
    };
    let fresh = v1::GroupState::default();
    let full = v1::GroupState {
        group: 7,
        vote: Some((&vote(5, 2, true)).into()),
        committed: Some((&id(3, 1, 310)).into()),
        purged: Some((&id(3, 1, 300)).into()),
        snapshot: Some(pointer(meta())),
        first_index: 301,
        next_index: 320,
        probation: None,
    };
    let probation = v1::Probation { vote: full.vote, committed: full.committed };
    let admitted = v1::GroupState { probation: Some(probation), ..full.clone() };
    let groups = vec![v1::GroupState { next_index: 2, ..fresh.clone() }, full.clone()];
    let identity = v1::Identity {
        format_version: 1,
        cluster: "cluster".to_owned(),
        node_id: 300,
        store_id: 0x0123_4567_89ab_cdef,
    };
    vec![
        fixture("wal/entries", "two of them", entries(&both)),
        fixture("wal/truncate", "since 300", v1::Truncate { since: 300 }),
        fixture("wal/committed_none", "nothing", v1::Committed { log_id: None }),
        fixture("wal/committed", "up to 300", v1::Committed { log_id: full.purged }),
        fixture("wal/snapshot_pointer", "a long one", pointer(meta())),
        fixture("wal/snapshot_pointer_empty", "of nothing", pointer(empty_meta())),
        fixture("wal/group_state_fresh", "group 0, nothing yet", fresh),
        fixture("wal/group_state", "all of it", full),
        fixture("wal/probation", "until 310", probation),
        fixture("wal/group_state_probation", "all of it, and a probation", admitted),
        fixture("wal/checkpoint_empty", "no group", v1::Checkpoint { groups: Vec::new() }),
        fixture("wal/checkpoint", "two groups", v1::Checkpoint { groups }),
        fixture("wal/identity", "all of it", identity),
    ]
}
