//! Our encoding round-trips; what passes through openraft's types comes back, but for what the
//! documentation names.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes};
use proptest::prelude::*;
use prost::Message as _;
use prost::encoding::encode_varint;
use seshat_core::legacy::bincode::{read_operation, write_operation};
use seshat_core::legacy::eraftpb::{self, ConfState, EntryType};
use seshat_core::legacy::{Configuration, LegacyEntry, LegacyPayload, committed, vote};
use seshat_core::log::{HardState, Log};
use seshat_core::operation::{Batch, Operation};
use seshat_core::types::{
    Entry, EntryPayload, LeaderId, LogId, Membership, SnapshotMeta, StoredMembership,
};

use super::arbitrary::{self, configuration, counter, number, operation};
use super::fixtures::address;

const CASES: u32 = 2048;

macro_rules! round_trips {
    ($($name:ident: $type:ident,)*) => {
        $(proptest! {
            #![proptest_config(ProptestConfig::with_cases(CASES))]

            #[test]
            fn $name(message in arbitrary::$name()) {
                let bytes = Bytes::from(message.encode_to_vec());
                prop_assert_eq!(eraftpb::$type::decode(bytes), Ok(message));
            }
        })*
    };
}

round_trips! {
    entry: Entry,
    hard_state: HardState,
    conf_state: ConfState,
    conf_change: ConfChange,
    conf_change_single: ConfChangeSingle,
    conf_change_v2: ConfChangeV2,
    snapshot_metadata: SnapshotMetadata,
    snapshot: Snapshot,
    message: Message,
}

/// As rust-protobuf writes it.
fn unpacked(state: &ConfState) -> Bytes {
    let mut buf = Vec::new();
    let sets = [&state.voters, &state.learners, &state.voters_outgoing, &state.learners_next];
    for (number, set) in (1..).zip(sets) {
        for id in set {
            buf.put_u8(number << 3);
            encode_varint(*id, &mut buf);
        }
    }
    buf.put_slice(if state.auto_leave { &[5 << 3, 1] } else { &[] });
    buf.into()
}

/// Without what the documentation of [`Configuration`] names.
fn kept(configuration: Configuration) -> Configuration {
    Configuration { learners_next: BTreeSet::new(), auto_leave: false, ..configuration }
}

fn membership(configuration: &Configuration) -> Membership {
    configuration.to_membership(&address).expect("each has an address")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn numbers_may_be_packed_or_not(state in arbitrary::conf_state()) {
        prop_assert_eq!(ConfState::decode(unpacked(&state)), Ok(state));
    }

    #[test]
    fn configurations_come_back_from_conf_states(configuration in configuration()) {
        let state = ConfState::from(&configuration);
        prop_assert_eq!(Configuration::try_from(&state), Ok(configuration));
    }

    #[test]
    fn configurations_come_back_from_memberships(configuration in configuration()) {
        let membership = membership(&configuration);
        // openraft goes on from the last one.
        let voters = (!configuration.voters.is_empty()).then_some(&configuration.voters);
        prop_assert_eq!(membership.get_joint_config().last(), voters);
        let back = Configuration::try_from(&membership);
        prop_assert_eq!(back.as_ref(), Ok(&kept(configuration)));
        // And the other way round nothing is lost but addresses, which the caller has.
        let again = back.unwrap().to_membership(&address);
        prop_assert_eq!(again, Ok(membership));
    }

    #[test]
    fn operations_come_back_from_bincode(operation in operation()) {
        prop_assert_eq!(read_operation(&write_operation(&operation)), Ok(operation));
    }

    #[test]
    fn one_key_to_delete_is_not_taken_for_a_list(key in prop::collection::vec(any::<u8>(), 1..40)) {
        let operation = Operation::del([key], &Default::default()).unwrap();
        let one = write_operation(&operation);
        let list = [&one[..4], &1_u64.to_le_bytes(), &one[4..]].concat().into();
        prop_assert_eq!(read_operation(&one), Ok(operation.clone()));
        prop_assert_eq!(read_operation(&list), Ok(operation));
    }

    #[test]
    fn entries_come_back(
        term in counter(), index in counter(), operation in prop::option::of(operation()),
        sync_log: bool, context in arbitrary::bytes(),
    ) {
        let data = operation.as_ref().map_or(Bytes::new(), write_operation);
        let entry_type = EntryType::EntryNormal.into();
        let written = eraftpb::Entry { entry_type, term, index, data, ..Default::default() };
        let entry = eraftpb::Entry { sync_log, context, ..written.clone() };

        let read = LegacyEntry::try_from(&entry).unwrap();
        prop_assert_eq!(read.log_id, LogId::new(LeaderId::new(term, 0), index));
        let ours = read.into_entry(&mut Configuration::default(), &address).unwrap();
        let payload = operation.map_or(EntryPayload::Blank, |one| EntryPayload::Normal(one.into()));
        prop_assert_eq!(&ours.payload, &payload);
        prop_assert_eq!(eraftpb::Entry::try_from(&ours), Ok(written));
    }

    #[test]
    fn changes_of_the_first_version_are_of_the_second(change in arbitrary::conf_change()) {
        let data = |message: &[u8]| Bytes::copy_from_slice(message);
        let entry = |kind: EntryType, data| eraftpb::Entry { entry_type: kind.into(), data, ..Default::default() };
        let one = entry(EntryType::EntryConfChange, data(&change.encode_to_vec()));
        let second = eraftpb::ConfChangeV2::from(change);
        let other = entry(EntryType::EntryConfChangeV2, data(&second.encode_to_vec()));
        prop_assert_eq!(LegacyEntry::try_from(&one), LegacyEntry::try_from(&other));
        let payload = LegacyPayload::Change(second);
        prop_assert_eq!(LegacyEntry::try_from(&one).unwrap().payload, payload);
    }

    #[test]
    fn hard_states_come_back(term in counter(), vote_for in number(), commit in counter()) {
        let state = eraftpb::HardState { term, vote: vote_for, commit };
        let mut log = Log::default();
        let id = LogId::new(LeaderId::new(term, 0), commit);
        log.purge(id).unwrap();
        let committed = committed(&state, &log).unwrap();
        prop_assert_eq!(committed, (commit > 0).then_some(id));
        let vote = vote(&state).unwrap();
        prop_assert!(vote.is_none_or(|vote| !vote.committed));
        let ours = HardState { vote, committed, purged: None };
        prop_assert_eq!(eraftpb::HardState::from(&ours), state);
    }

    #[test]
    fn what_is_committed_is_in_the_log_or_nowhere(first in 0..5_u64, count in 0..5_u64, commit in number()) {
        let id = |index| LogId::new(LeaderId::new(1, 0), index);
        let mut log = Log::default();
        log.purge(id(first)).unwrap();
        let entries = (first + 1..=first + count).map(|index| Entry { log_id: id(index), payload: EntryPayload::Blank });
        log.append(entries).unwrap();
        let got = committed(&eraftpb::HardState { commit, ..Default::default() }, &log);
        if (first..=first + count).contains(&commit) {
            prop_assert_eq!(got, Ok((commit > 0).then(|| id(commit))));
        } else {
            let error = got.unwrap_err();
            prop_assert_eq!((error.got, error.first, error.last), (commit, first, first + count));
        }
    }

    #[test]
    fn metadata_comes_back(configuration in configuration(), term in counter(), index in counter()) {
        let last = Some(LogId::new(LeaderId::new(term, 0), index));
        let meta = SnapshotMeta {
            last_log_id: last,
            last_membership: StoredMembership::new(last, membership(&configuration)),
            snapshot_id: "any".to_owned(),
        };
        let conf_state = Some((&kept(configuration)).into());
        let expected = eraftpb::SnapshotMetadata { conf_state, index, term };
        prop_assert_eq!(eraftpb::SnapshotMetadata::try_from(&meta), Ok(expected));
    }
}

#[test]
fn what_raft_rs_cannot_say_is_refused() {
    let entry = |payload| Entry { log_id: LogId::default(), payload };
    let del = Operation::del(["key"], &Default::default()).unwrap();
    let two = Batch::new(vec![del.clone(), del]);
    let unsaid = |entry| eraftpb::Entry::try_from(&entry).unwrap_err().to_string();
    let membership = Membership::new(vec![[1].into(), [2].into(), [3].into()], None::<BTreeSet<_>>);
    insta::assert_snapshot!(unsaid(entry(EntryPayload::Normal(two))), @"a batch of 2 operations, expected 1");
    insta::assert_snapshot!(
        unsaid(entry(EntryPayload::Membership(membership.clone()))),
        @"a membership, expected a step from one to the next"
    );
    insta::assert_snapshot!(
        Configuration::try_from(&membership).unwrap_err(), @"3 sets of voters, expected at most 2"
    );
}
