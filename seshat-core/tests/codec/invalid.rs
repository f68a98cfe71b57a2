//! What is wrong with an invalid message, and where, in the words of the error.

use std::error::Error;
use std::fmt::Debug;

use bytes::Bytes;
use rstest::rstest;
use seshat_core::codec::{
    DecodeError, FormatsRequest, FormatsResponse, FullSnapshotPart, Message, SnapshotOffsetRequest,
    SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use seshat_core::log::HardState;
use seshat_core::operation::{Batch, Operation, Response};
use seshat_core::proto::v1;
use seshat_core::snapshot::Header;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Membership, SnapshotMeta, SnapshotResponse, StoredMembership,
    Vote, VoteRequest, VoteResponse,
};
use v1::append_entries_response::Result as AppendResult;
use v1::entry::Payload;
use v1::full_snapshot_request::Part;
use v1::operation::Kind;

const MAX: u64 = u64::MAX;

/// A `Response` of a kind that only a newer schema knows: field 15, of length 0.
const UNKNOWN_KIND: &[u8] = &[0x7a, 0x00];

fn refused<M: Message + Debug>(bytes: &[u8]) -> DecodeError {
    M::decode(Bytes::copy_from_slice(bytes)).expect_err("a refusal")
}

fn invalid<M: Message + Debug>(proto: impl prost::Message) -> DecodeError {
    refused::<M>(&proto.encode_to_vec())
}

fn log_id(term: u64, index: u64) -> Option<v1::LogId> {
    Some(v1::LogId { term, node_id: MAX, index })
}

fn vote(term: u64) -> Option<v1::Vote> {
    Some(v1::Vote { term, node_id: MAX, committed: true })
}

fn entry(format_version: u32, payload: Option<Payload>) -> v1::Entry {
    v1::Entry { format_version, log_id: log_id(0, 0), payload }
}

fn blank(format_version: u32) -> v1::Entry {
    entry(format_version, Some(Payload::Blank(v1::Blank {})))
}

fn batch(bytes: &'static [u8]) -> v1::Entry {
    entry(1, Some(Payload::Batch(Bytes::from_static(bytes))))
}

fn set(key: &'static str) -> v1::Operation {
    let set = v1::SetOperation { key: key.into(), value: "value".into(), ..Default::default() };
    v1::Operation { kind: Some(Kind::Set(set)) }
}

fn del(keys: &[&'static str]) -> v1::Operation {
    let keys = keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect();
    v1::Operation { kind: Some(Kind::Del(v1::DelOperation { keys })) }
}

fn members(configs: Vec<Vec<u64>>, members: Vec<u64>) -> v1::Membership {
    let node = || Some(v1::Node { address: "host:1".to_owned() });
    v1::Membership {
        configs: configs.into_iter().map(|node_ids| v1::VoterSet { node_ids }).collect(),
        members: members.into_iter().map(|id| v1::Member { node_id: id, node: node() }).collect(),
    }
}

fn stored(log_id: Option<v1::LogId>) -> Option<v1::StoredMembership> {
    Some(v1::StoredMembership { log_id, membership: Some(members(vec![vec![1]], vec![1])) })
}

fn meta() -> v1::SnapshotMeta {
    v1::SnapshotMeta {
        last_log_id: None,
        last_membership: stored(None),
        snapshot_id: "id".to_owned(),
    }
}

fn header(format_version: u32) -> v1::SnapshotHeader {
    v1::SnapshotHeader { format_version, last_membership: stored(None), ..Default::default() }
}

fn hard_state(format_version: u32) -> v1::HardState {
    v1::HardState { format_version, ..Default::default() }
}

fn append() -> v1::AppendEntriesRequest {
    v1::AppendEntriesRequest { vote: vote(1), ..Default::default() }
}

fn appended(result: AppendResult) -> v1::AppendEntriesResponse {
    v1::AppendEntriesResponse { result: Some(result) }
}

fn install() -> v1::InstallSnapshotRequest {
    v1::InstallSnapshotRequest { vote: vote(1), meta: Some(meta()), ..Default::default() }
}

fn full_header(vote: Option<v1::Vote>, meta: Option<v1::SnapshotMeta>) -> v1::FullSnapshotRequest {
    let header = v1::FullSnapshotHeader { vote, meta, ..Default::default() };
    v1::FullSnapshotRequest { part: Some(Part::Header(header)) }
}

fn standing(vote: Option<v1::Vote>, committed: Option<v1::LogId>) -> v1::StandingResponse {
    let leadership = Some(v1::Leadership { vote, committed });
    v1::StandingResponse { confirmed: true, leadership, ..Default::default() }
}

#[rstest]
#[case(invalid::<Entry>(v1::Entry { log_id: None, ..blank(1) }), "Entry.log_id")]
#[case(invalid::<Entry>(entry(1, None)), "Entry.payload")]
#[case(refused::<Entry>(&[0x08, 1, 0x12, 0]), "Entry.payload")]
#[case(refused::<Operation>(b""), "Operation.kind")]
#[case(refused::<Batch>(&[0x0a, 0]), "Operation.kind")]
#[case(invalid::<Entry>(batch(&[0x0a, 0])), "Operation.kind")]
#[case(refused::<Response>(b""), "Response.kind")]
#[case(refused::<Response>(UNKNOWN_KIND), "Response.kind")]
#[case(
    invalid::<Membership>(v1::Membership {
        members: vec![v1::Member { node_id: 1, node: None }],
        ..Default::default()
    }),
    "Member.node"
)]
#[case(refused::<StoredMembership>(b""), "StoredMembership.membership")]
#[case(
    invalid::<SnapshotMeta>(v1::SnapshotMeta { last_membership: None, ..meta() }),
    "SnapshotMeta.last_membership"
)]
#[case(
    invalid::<Header>(v1::SnapshotHeader { last_membership: None, ..header(1) }),
    "SnapshotHeader.last_membership"
)]
#[case(refused::<AppendEntriesRequest>(b""), "AppendEntriesRequest.vote")]
#[case(refused::<AppendEntriesResponse>(b""), "AppendEntriesResponse.result")]
#[case(refused::<AppendEntriesResponse>(&[0x7a, 0]), "AppendEntriesResponse.result")]
#[case(refused::<VoteRequest>(b""), "VoteRequest.vote")]
#[case(refused::<VoteResponse>(b""), "VoteResponse.vote")]
#[case(
    invalid::<InstallSnapshotRequest>(v1::InstallSnapshotRequest { vote: None, ..install() }),
    "InstallSnapshotRequest.vote"
)]
#[case(
    invalid::<InstallSnapshotRequest>(v1::InstallSnapshotRequest { meta: None, ..install() }),
    "InstallSnapshotRequest.meta"
)]
#[case(refused::<InstallSnapshotResponse>(b""), "InstallSnapshotResponse.vote")]
#[case(refused::<FullSnapshotPart>(b""), "FullSnapshotRequest.part")]
#[case(invalid::<FullSnapshotPart>(full_header(None, Some(meta()))), "FullSnapshotHeader.vote")]
#[case(invalid::<FullSnapshotPart>(full_header(vote(1), None)), "FullSnapshotHeader.meta")]
#[case(refused::<SnapshotResponse>(b""), "FullSnapshotResponse.vote")]
#[case(invalid::<StandingResponse>(standing(None, log_id(1, 1))), "Leadership.vote")]
#[case(invalid::<StandingResponse>(standing(vote(1), None)), "Leadership.committed")]
fn what_is_required_and_missing_is_named(#[case] error: DecodeError, #[case] field: &str) {
    let reason = "missing, or of a kind that this version does not know";
    assert_eq!(error.to_string(), format!("{field}: {reason}"));
}

#[rstest]
#[case::entry_of_none(invalid::<Entry>(blank(0)), "Entry", 0)]
#[case::entry_of_4(invalid::<Entry>(blank(4)), "Entry", 4)]
#[case::hard_state_of_none(refused::<HardState>(b""), "HardState", 0)]
#[case::hard_state_of_2(invalid::<HardState>(hard_state(2)), "HardState", 2)]
#[case::header_of_none(invalid::<Header>(header(0)), "SnapshotHeader", 0)]
#[case::header_of_4(invalid::<Header>(header(4)), "SnapshotHeader", 4)]
#[case::greatest(invalid::<Entry>(blank(u32::MAX)), "Entry", u32::MAX)]
#[case::entry_in_a_request(
    invalid::<AppendEntriesRequest>(v1::AppendEntriesRequest {
        entries: vec![blank(1), blank(4)],
        ..append()
    }),
    "Entry",
    4
)]
// The version is judged before anything that it may have changed.
#[case::before_the_payload(invalid::<Entry>(entry(4, None)), "Entry", 4)]
fn an_unknown_version_is_named_with_the_known_ones(
    #[case] error: DecodeError,
    #[case] message: &str,
    #[case] version: u32,
) {
    let known = if message == "HardState" { 1 } else { 3 };
    let expected = format!("format version {version}, this build reads 1 to {known}");
    assert_eq!(error.to_string(), format!("{message}.format_version: {expected}"));
}

#[rstest]
#[case(invalid::<LogId>(log_id(MAX, 0).unwrap()), "LogId.term")]
#[case(invalid::<LogId>(log_id(0, MAX).unwrap()), "LogId.index")]
#[case(invalid::<Vote>(vote(MAX).unwrap()), "Vote.term")]
#[case(invalid::<Entry>(v1::Entry { log_id: log_id(0, MAX), ..blank(1) }), "LogId.index")]
#[case(invalid::<HardState>(v1::HardState { vote: vote(MAX), ..hard_state(1) }), "Vote.term")]
#[case(
    invalid::<HardState>(v1::HardState { committed: log_id(0, MAX), ..hard_state(1) }),
    "LogId.index"
)]
#[case(
    invalid::<HardState>(v1::HardState { purged: log_id(MAX, 0), ..hard_state(1) }),
    "LogId.term"
)]
#[case(invalid::<StoredMembership>(stored(log_id(0, MAX)).unwrap()), "LogId.index")]
#[case(
    invalid::<SnapshotMeta>(v1::SnapshotMeta { last_log_id: log_id(0, MAX), ..meta() }),
    "LogId.index"
)]
#[case(
    invalid::<Header>(v1::SnapshotHeader { last_log_id: log_id(0, MAX), ..header(1) }),
    "LogId.index"
)]
#[case(
    invalid::<AppendEntriesRequest>(v1::AppendEntriesRequest { vote: vote(MAX), ..append() }),
    "Vote.term"
)]
#[case(
    invalid::<AppendEntriesRequest>(v1::AppendEntriesRequest {
        prev_log_id: log_id(0, MAX),
        ..append()
    }),
    "LogId.index"
)]
#[case(
    invalid::<AppendEntriesRequest>(v1::AppendEntriesRequest {
        leader_commit: log_id(0, MAX),
        ..append()
    }),
    "LogId.index"
)]
#[case(
    invalid::<AppendEntriesResponse>(appended(AppendResult::PartialSuccess(
        v1::AppendPartialSuccess { matching: log_id(0, MAX) }
    ))),
    "LogId.index"
)]
#[case(
    invalid::<AppendEntriesResponse>(appended(AppendResult::HigherVote(vote(MAX).unwrap()))),
    "Vote.term"
)]
#[case(
    invalid::<VoteRequest>(v1::VoteRequest { vote: vote(1), last_log_id: log_id(0, MAX) }),
    "LogId.index"
)]
#[case(
    invalid::<VoteResponse>(v1::VoteResponse {
        vote: vote(1),
        vote_granted: true,
        last_log_id: log_id(0, MAX),
    }),
    "LogId.index"
)]
#[case(
    invalid::<InstallSnapshotResponse>(v1::InstallSnapshotResponse { vote: vote(MAX) }),
    "Vote.term"
)]
#[case(invalid::<SnapshotResponse>(v1::FullSnapshotResponse { vote: vote(MAX) }), "Vote.term")]
fn a_number_out_of_range_is_named_with_its_bound(#[case] error: DecodeError, #[case] field: &str) {
    assert_eq!(
        error.to_string(),
        format!("{field}: 18446744073709551615 is out of range: at most 18446744073709551614")
    );
}

#[rstest]
#[case(invalid::<Operation>(del(&[])), "DelOperation.keys")]
#[case(invalid::<Batch>(v1::Batch { operations: vec![set("key"), del(&[])], format: 0 }), "DelOperation.keys")]
#[case(invalid::<Entry>(batch(&[0x0a, 2, 0x12, 0])), "DelOperation.keys")]
#[case(invalid::<Membership>(members(vec![vec![]], vec![1])), "VoterSet.node_ids")]
#[case(invalid::<Membership>(members(vec![vec![1], vec![]], vec![1])), "VoterSet.node_ids")]
#[case(
    invalid::<SnapshotMeta>(v1::SnapshotMeta { snapshot_id: String::new(), ..meta() }),
    "SnapshotMeta.snapshot_id"
)]
fn what_must_not_be_empty_and_is_is_named(#[case] error: DecodeError, #[case] field: &str) {
    assert_eq!(error.to_string(), format!("{field}: empty"));
}

#[rstest]
#[case::members(vec![vec![1]], vec![1, 3, 2], "Membership.members: ids do not ascend: 2 after 3")]
#[case::member_twice(vec![vec![1]], vec![1, 1], "Membership.members: ids do not ascend: 1 after 1")]
#[case::voters(vec![vec![2, 1]], vec![1, 2], "VoterSet.node_ids: ids do not ascend: 1 after 2")]
#[case::voter_twice(vec![vec![0, 0]], vec![0], "VoterSet.node_ids: ids do not ascend: 0 after 0")]
#[case::no_member(vec![vec![1, 9]], vec![1], "VoterSet.node_ids: voter 9 is not a member")]
#[case::joint(vec![vec![1], vec![1, 7]], vec![1], "VoterSet.node_ids: voter 7 is not a member")]
#[case::no_members(vec![vec![0]], vec![], "VoterSet.node_ids: voter 0 is not a member")]
fn ids_that_contradict_are_named(
    #[case] configs: Vec<Vec<u64>>,
    #[case] ids: Vec<u64>,
    #[case] expected: &str,
) {
    let proto = members(configs, ids);
    assert_eq!(invalid::<Membership>(proto.clone()).to_string(), expected);
    let wrapped = entry(1, Some(Payload::Membership(proto)));
    assert_eq!(invalid::<Entry>(wrapped).to_string(), expected);
}

/// A raise stands alone, in an entry of its own format, and to one that is read here.
#[rstest]
#[case::not_read(2, &[0x10, 4], "Batch.format: format version 4, this build reads 1 to 3")]
#[case::to_none(2, &[0x10, 0], "Batch.format: format version 0, this build reads 1 to 3")]
#[case::endless(2, &[0x10, 0xff, 0xff, 0xff, 0xff, 0x7f],
    "Batch.format: format version 4294967295, this build reads 1 to 3")]
#[case::understated(1, &[0x10, 2],
    "Entry.format_version: format version 1, but what it holds needs 2")]
#[case::before_an_operation(2, &[0x10, 2, 0x0a, 2, 0x0a, 0],
    "Batch.*: field 1 (wire type 2) is not known to this version: a node of a newer one wrote it, so \
     upgrade this node")]
#[case::behind_an_operation(2, &[0x0a, 2, 0x0a, 0, 0x10, 2],
    "Batch.*: field 2 (wire type 0) is not known to this version: a node of a newer one wrote it, so \
     upgrade this node")]
fn a_raise_that_is_none_is_refused(
    #[case] version: u32,
    #[case] batch: &'static [u8],
    #[case] expected: &str,
) {
    let entry = entry(version, Some(Payload::Batch(Bytes::from_static(batch))));
    assert_eq!(invalid::<Entry>(entry).to_string(), expected);
}

fn set_with(get: bool, condition: v1::SetCondition) -> v1::Operation {
    let (key, value, condition) = ("k".into(), "v".into(), condition.into());
    v1::Operation { kind: Some(Kind::Set(v1::SetOperation { key, value, get, condition })) }
}

/// Operations that only newer versions of an entry hold.
#[rstest]
#[case::empty_key(set(""), 2)]
#[case::empty_key_deleted(del(&["key", ""]), 2)]
#[case::get(set_with(true, v1::SetCondition::Unspecified), 2)]
#[case::nx(set_with(false, v1::SetCondition::Absent), 3)]
#[case::xx(set_with(false, v1::SetCondition::Present), 3)]
#[case::xx_get(set_with(true, v1::SetCondition::Present), 3)]
fn what_a_version_does_not_hold_is_refused_in_it(#[case] new: v1::Operation, #[case] needs: u32) {
    let batch = v1::Batch { operations: vec![set("key"), new, set("key")], format: 0 };
    let batch = Bytes::from(prost::Message::encode_to_vec(&batch));
    let of = |version| entry(version, Some(Payload::Batch(batch.clone())));
    for understated in 1..needs {
        assert_eq!(
            invalid::<Entry>(of(understated)).to_string(),
            format!(
                "Entry.format_version: format version {understated}, but what it holds needs {needs}"
            )
        );
    }
    assert!(Entry::decode(prost::Message::encode_to_vec(&of(needs)).into()).is_ok());
}

/// A condition that isn't known might hold or not.
#[rstest]
#[case::the_next(&[0x28, 3], "3")]
#[case::negative(&[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "18446744073709551615")]
#[case::beyond_the_type(&[0x28, 0x81, 0x80, 0x80, 0x80, 0x10], "4294967297")]
fn a_condition_that_is_not_known_is_refused(#[case] condition: &'static [u8], #[case] got: &str) {
    let set = [&[0x0a, condition.len() as u8][..], condition].concat();
    let error = Operation::decode(set.into()).unwrap_err();
    let expected = format!("SetOperation.condition: {got} is out of range: at most 2");
    assert_eq!(error.to_string(), expected);
}

#[rstest]
#[case::kind(&[0x0a, 0, 0x12, 2, 0x0a, 0], "Operation.kind: more than once")]
#[case::kind_again(&[0x0a, 0, 0x0a, 0], "Operation.kind: more than once")]
fn what_has_more_than_one_meaning_is_refused(#[case] operation: &[u8], #[case] expected: &str) {
    assert_eq!(refused::<Operation>(operation).to_string(), expected);
}

#[rstest]
#[case::log_id(&[0x08, 1, 0x12, 0, 0x12, 0, 0x1a, 0], "Entry.log_id: more than once")]
#[case::payload(&[0x08, 1, 0x12, 0, 0x1a, 0, 0x22, 0], "Entry.payload: more than once")]
fn an_entry_says_what_it_is_once(#[case] entry: &[u8], #[case] expected: &str) {
    assert_eq!(refused::<Entry>(entry).to_string(), expected);
}

macro_rules! malformed {
    ($($name:ident: $type:ty,)*) => {
        /// A varint without an end.
        fn malformed() -> Vec<DecodeError> {
            vec![$(refused::<$type>(&[0xff; 11]),)*]
        }

        const NAMES: &[&str] = &[$(<$type>::NAME,)*];
    };
}
every_message!(malformed);

#[test]
fn malformed_bytes_name_the_message_and_lead_to_the_cause() {
    for (error, name) in malformed().into_iter().zip(NAMES) {
        assert_eq!(error.to_string(), format!("{name}.*: not a protobuf message"));
        let cause = error.source().expect("the reason is in the text, its source comes next");
        let cause = cause.downcast_ref::<prost::DecodeError>().expect("prost's error itself");
        assert!(cause.to_string().contains("varint"), "{cause}");
    }
}

#[test]
fn a_batch_cut_inside_an_entry_names_the_batch() {
    let error = invalid::<Entry>(batch(&[0x0a, 9, 0x0a]));
    assert_eq!(error.to_string(), "Batch.*: not a protobuf message");
}

#[test]
fn text_that_is_not_utf8_is_malformed() {
    let error = refused::<SnapshotMeta>(&[0x1a, 1, 0xff]);
    assert_eq!(error.to_string(), "SnapshotMeta.*: not a protobuf message");
}
