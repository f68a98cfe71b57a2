//! Arbitrary messages of raft-rs's, with the extremes often among them.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;
use seshat_core::legacy::Configuration;
use seshat_core::legacy::eraftpb::{
    ConfChange, ConfChangeSingle, ConfChangeV2, ConfState, Entry, HardState, Message, Snapshot,
    SnapshotMetadata,
};
use seshat_core::operation::{Limits, Operation};

pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX - 1), Just(u64::MAX), 2..300_u64, any::<u64>()]
}

/// A term or an index that openraft can count.
pub(crate) fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX - 1), 2..300_u64, 0..u64::MAX]
}

fn enumeration() -> impl Strategy<Value = i32> {
    prop_oneof![8 => 0..3_i32, 1 => any::<i32>()]
}

pub(crate) fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        Just(Bytes::new()),
        vec(any::<u8>(), 1..24).prop_map(Bytes::from),
        (126..130_usize).prop_map(|len| vec![7; len].into()),
    ]
}

fn ids() -> impl Strategy<Value = Vec<u64>> {
    vec(number(), 0..5)
}

pub(crate) fn hard_state() -> impl Strategy<Value = HardState> {
    (number(), number(), number()).prop_map(|(term, vote, commit)| HardState { term, vote, commit })
}

pub(crate) fn conf_state() -> impl Strategy<Value = ConfState> {
    (ids(), ids(), ids(), ids(), any::<bool>()).prop_map(
        |(voters, learners, voters_outgoing, learners_next, auto_leave)| ConfState {
            voters,
            learners,
            voters_outgoing,
            learners_next,
            auto_leave,
        },
    )
}

pub(crate) fn conf_change() -> impl Strategy<Value = ConfChange> {
    (number(), enumeration(), number(), bytes()).prop_map(|(id, change_type, node_id, context)| {
        ConfChange { id, change_type, node_id, context }
    })
}

pub(crate) fn conf_change_single() -> impl Strategy<Value = ConfChangeSingle> {
    (enumeration(), number())
        .prop_map(|(change_type, node_id)| ConfChangeSingle { change_type, node_id })
}

pub(crate) fn conf_change_v2() -> impl Strategy<Value = ConfChangeV2> {
    (enumeration(), vec(conf_change_single(), 0..4), bytes())
        .prop_map(|(transition, changes, context)| ConfChangeV2 { transition, changes, context })
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    (enumeration(), number(), number(), bytes(), any::<bool>(), bytes()).prop_map(
        |(entry_type, term, index, data, sync_log, context)| Entry {
            entry_type,
            term,
            index,
            data,
            sync_log,
            context,
        },
    )
}

pub(crate) fn snapshot_metadata() -> impl Strategy<Value = SnapshotMetadata> {
    (option::of(conf_state()), number(), number())
        .prop_map(|(conf_state, index, term)| SnapshotMetadata { conf_state, index, term })
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    (bytes(), option::of(snapshot_metadata()))
        .prop_map(|(data, metadata)| Snapshot { data, metadata })
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    let numbers = vec(number(), 10);
    let rest = (vec(entry(), 0..3), option::of(snapshot()), bytes(), any::<bool>(), any::<i64>());
    (-1..20_i32, numbers, rest).prop_map(|(msg_type, numbers, rest)| {
        let (entries, snapshot, context, reject, priority) = rest;
        let numbers: [u64; 10] = numbers.try_into().expect("ten");
        let [to, from, term, log_term, index, commit, numbers @ ..] = numbers;
        let [commit_term, request_snapshot, reject_hint, deprecated_priority] = numbers;
        Message {
            msg_type,
            to,
            from,
            term,
            log_term,
            index,
            entries,
            commit,
            snapshot,
            reject,
            reject_hint,
            context,
            request_snapshot,
            deprecated_priority,
            commit_term,
            priority,
        }
    })
}

/// What raft-rs would restore: empty, plain or joint.
pub(crate) fn configuration() -> impl Strategy<Value = Configuration> {
    let id = prop_oneof![4 => 1..9_u64, 1 => Just(u64::MAX), 1 => 1..u64::MAX];
    (btree_set(id, 0..8), any::<bool>(), any::<bool>()).prop_flat_map(|(ids, joint, auto_leave)| {
        let ids: Vec<u64> = ids.into_iter().collect();
        let some = subsequence(ids.clone(), 0..=ids.len());
        (some.clone(), some.clone(), some).prop_map(move |(voters, outgoing, next)| {
            let all: BTreeSet<u64> = ids.iter().copied().collect();
            let voters: BTreeSet<u64> = voters.into_iter().collect();
            let joint = joint && !voters.is_empty() && !outgoing.is_empty();
            let outgoing = if joint { outgoing } else { Vec::new() };
            let voters_outgoing: BTreeSet<u64> = outgoing.into_iter().collect();
            let next: BTreeSet<u64> = next.into_iter().collect();
            Configuration {
                learners: &(&all - &voters) - &voters_outgoing,
                learners_next: &(&next & &voters_outgoing) - &voters,
                auto_leave: auto_leave && joint,
                voters,
                voters_outgoing,
            }
        })
    })
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let key = || vec(any::<u8>(), 1..20);
    let limits = Limits::default();
    let set = (key(), bytes()).prop_map(move |(key, value)| Operation::set(key, value, &limits));
    let del = vec(key(), 1..4).prop_map(move |keys| Operation::del(keys, &limits));
    prop_oneof![set, del].prop_map(|made| made.expect("within the limits"))
}
