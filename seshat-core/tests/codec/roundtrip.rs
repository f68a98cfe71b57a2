//! What was encoded decodes to the same, absent and zero included.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use rstest::rstest;
use seshat_core::codec::{
    FormatsRequest, FormatsResponse, FullSnapshotPart, Message, SnapshotOffsetRequest,
    SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use seshat_core::log::HardState;
use seshat_core::operation::{Batch, Operation, Response};
use seshat_core::snapshot::Header;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, EntryPayload, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Membership, SnapshotMeta, SnapshotResponse, StoredMembership,
    Vote, VoteRequest, VoteResponse,
};

use super::{Comparable, arbitrary};

macro_rules! round_trips {
    ($($name:ident: $type:ty,)*) => {
        $(proptest! {
            #![proptest_config(ProptestConfig::with_cases(512))]

            #[test]
            fn $name(value in arbitrary::$name()) {
                let bytes = value.encode();
                let back = <$type>::decode(bytes.clone());
                prop_assert!(
                    back.as_ref().is_ok_and(|back| back.same(&value)),
                    "{value:?}\nbecame {back:?}\nby way of {bytes:?}"
                );
                // What was decoded may be sent on: it must not drift.
                prop_assert_eq!(back.unwrap().encode(), bytes);
            }
        })*
    };
}
every_message!(round_trips);

/// Encodes both, decodes both, and makes sure that neither step takes them for each other.
#[track_caller]
fn assert_distinguished<M: Comparable>(absent: M, zero: M) {
    let (absent_bytes, zero_bytes) = (absent.encode(), zero.encode());
    assert_ne!(absent_bytes, zero_bytes, "{absent:?} and {zero:?} look the same");
    assert!(M::decode(absent_bytes).unwrap().same(&absent), "{absent:?} changed");
    assert!(M::decode(zero_bytes).unwrap().same(&zero), "{zero:?} changed");
}

#[test]
fn no_vote_is_not_the_vote_of_all_zeros() {
    let voted = HardState { vote: Some(Vote::default()), ..HardState::default() };
    assert_distinguished(HardState::default(), voted);
}

#[test]
fn no_entry_is_not_the_entry_of_all_zeros() {
    let zero = Some(LogId::default());
    let none = HardState::default;
    assert_distinguished(none(), HardState { committed: zero, ..none() });
    assert_distinguished(none(), HardState { purged: zero, ..none() });

    let append = |prev_log_id, leader_commit| AppendEntriesRequest {
        vote: Vote::default(),
        prev_log_id,
        entries: vec![],
        leader_commit,
    };
    assert_distinguished(append(None, None), append(zero, None));
    assert_distinguished(append(None, None), append(None, zero));
    assert_distinguished(append(zero, None), append(None, zero));

    let partial = AppendEntriesResponse::PartialSuccess;
    assert_distinguished(partial(None), partial(zero));

    let request = |last_log_id| VoteRequest { vote: Vote::default(), last_log_id };
    assert_distinguished(request(None), request(zero));
    let response =
        |last_log_id| VoteResponse { vote: Vote::default(), vote_granted: false, last_log_id };
    assert_distinguished(response(None), response(zero));

    let stored = |id| StoredMembership::new(id, Membership::default());
    assert_distinguished(stored(None), stored(zero));
    let meta = |last_log_id| SnapshotMeta {
        last_log_id,
        last_membership: StoredMembership::default(),
        snapshot_id: "s".to_owned(),
    };
    assert_distinguished(meta(None), meta(zero));
    let header = |last_log_id| Header {
        format_version: 1,
        last_log_id,
        last_membership: StoredMembership::default(),
        record_count: 0,
        record_bytes: 0,
    };
    assert_distinguished(header(None), header(zero));
}

#[test]
fn no_previous_value_is_not_the_empty_value() {
    let set = |previous| Response::Set { previous };
    assert_distinguished(set(None), set(Some(Bytes::new())));
    assert_distinguished(set(None), Response::NotSet { previous: None });
}

#[test]
fn an_empty_batch_is_not_a_blank_entry() {
    let entry = |payload| Entry { log_id: LogId::default(), payload };
    let empty = || EntryPayload::Normal(Batch::new([]));
    assert_distinguished(entry(EntryPayload::Blank), entry(empty()));
    let uninitialized = EntryPayload::Membership(Membership::default());
    assert_distinguished(entry(empty()), entry(uninitialized));
}

/// A set of voters that merges with the next one would need other quorums.
#[rstest]
#[case::no_config(vec![])]
#[case::one_config(vec![vec![1, 2, 3]])]
#[case::joint(vec![vec![1, 2, 3], vec![3, 4, 5]])]
#[case::joint_of_equals(vec![vec![1, 2], vec![1, 2]])]
#[case::three_configs(vec![vec![1], vec![2], vec![5]])]
fn configs_and_learners_stay_apart(#[case] configs: Vec<Vec<u64>>) {
    let configs: Vec<BTreeSet<u64>> = configs.into_iter().map(BTreeSet::from_iter).collect();
    let everyone: BTreeSet<u64> = (1..=6).collect();
    let back = Membership::decode(Membership::new(configs.clone(), everyone.clone()).encode());

    let back = back.unwrap();
    assert_eq!(back.get_joint_config(), &configs);
    let voters: BTreeSet<u64> = configs.iter().flatten().copied().collect();
    let learners: BTreeSet<u64> = back.learner_ids().collect();
    assert_eq!(learners, &everyone - &voters);
}
