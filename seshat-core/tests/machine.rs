//! The rules of [`Machine`]: what entries do, what is answered, and what is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/entries.rs"]
mod entries;
#[path = "common/machine_oracle.rs"]
mod machine_oracle;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use entries::{blank, del, id, membership, normal, set, set_get, set_if, voters};
use machine_oracle::Oracle;
use rstest::rstest;
use seshat_core::machine::{ApplyError, Machine, Size};
use seshat_core::operation::Condition::{Absent, Present};
use seshat_core::operation::{EntryResponse, Operation, Response};
use seshat_core::snapshot;
use seshat_core::types::{Entry, Membership, Node, StoredMembership};

fn previous(value: impl Into<Option<&'static str>>) -> Response {
    Response::Set { previous: value.into().map(Bytes::from) }
}

fn kept(value: impl Into<Option<&'static str>>) -> Response {
    Response::NotSet { previous: value.into().map(Bytes::from) }
}

fn deleted(deleted: u64) -> Response {
    Response::Del { deleted }
}

/// Everything that can be seen of a machine.
fn state(machine: &mut Machine) -> Bytes {
    snapshot::write(&machine.freeze())
}

/// Applies and has the oracle look over the machine's shoulder.
#[track_caller]
fn apply(machine: &mut Machine, oracle: &mut Oracle, entries: Vec<Entry>) -> Vec<EntryResponse> {
    let expected = oracle.apply(&entries);
    let replies = machine.apply(entries).unwrap();
    assert_eq!(replies, expected);
    oracle.assert_live(machine, oracle.keys.keys().cloned());
    replies
}

#[rstest]
#[case::of_nothing(vec![], vec![])]
#[case::set_that_does_not_ask(
    vec![set("k", "v"), set("k", "w"), set_get("k", "x"), set("", "v"), set("", "w")],
    vec![previous(None), previous(None), previous("w"), previous(None), previous(None)]
)]
#[case::the_empty_key(
    vec![set_get("", "v"), set_get("\0", "w"), set_get("", ""), del([""]), del(["", "\0"])],
    vec![previous(None), previous(None), previous("v"), deleted(1), deleted(1)]
)]
#[case::set_of_a_new_key(vec![set_get("k", "v")], vec![previous(None)])]
#[case::set_again(vec![set_get("k", "v"), set_get("k", "w")], vec![previous(None), previous("v")])]
#[case::set_over_an_empty_value(vec![set_get("k", ""), set_get("k", "v")], vec![previous(None), previous("")])]
#[case::set_to_an_empty_value(vec![set_get("k", "v"), set_get("k", "")], vec![previous(None), previous("v")])]
#[case::set_to_the_same(vec![set_get("k", "v"), set_get("k", "v")], vec![previous(None), previous("v")])]
#[case::set_after_del(
    vec![set_get("k", "v"), del(["k"]), set_get("k", "w")],
    vec![previous(None), deleted(1), previous(None)]
)]
#[case::nx(
    vec![set_if(Absent, false, "k", "v"), set_if(Absent, false, "k", "w"), set_get("k", "x")],
    vec![previous(None), kept(None), previous("v")]
)]
#[case::nx_get(
    vec![set_if(Absent, true, "k", ""), set_if(Absent, true, "k", "w"), set_get("k", "x")],
    vec![previous(None), kept(""), previous("")]
)]
#[case::xx(
    vec![set_if(Present, false, "k", "v"), set("k", "w"), set_if(Present, false, "k", "x"), set_get("k", "y")],
    vec![kept(None), previous(None), previous(None), previous("x")]
)]
#[case::xx_get(
    vec![set_if(Present, true, "", "v"), set("", "w"), set_if(Present, true, "", "x"), set_get("", "y")],
    vec![kept(None), previous(None), previous("w"), previous("x")]
)]
#[case::conditions_after_del(
    vec![set("k", "v"), del(["k"]), set_if(Present, true, "k", "w"), set_if(Absent, true, "k", "x"), set_get("k", "y")],
    vec![previous(None), deleted(1), kept(None), previous(None), previous("x")]
)]
#[case::del_of_no_such_key(vec![del(["k"])], vec![deleted(0)])]
#[case::del_twice(
    vec![set_get("k", "v"), del(["k"]), del(["k"])],
    vec![previous(None), deleted(1), deleted(0)]
)]
#[case::del_of_one_key_named_twice(
    vec![set_get("k", "v"), del(["k", "k", "k"])],
    vec![previous(None), deleted(1)]
)]
#[case::del_of_some_that_exist(
    vec![set_get("a", ""), set_get("b", "v"), del(["b", "c", "a", "b"])],
    vec![previous(None), previous(None), deleted(2)]
)]
#[case::keys_that_begin_alike(
    vec![set_get("k", "1"), set_get("kk", "2"), set_get("k\0", "3"), del(["kk"]), set_get("k", "4")],
    vec![previous(None), previous(None), previous(None), deleted(1), previous("1")]
)]
fn a_batch_is_answered_operation_by_operation(
    #[case] operations: Vec<Operation>,
    #[case] replies: Vec<Response>,
) {
    let (mut machine, mut oracle) = (Machine::default(), Oracle::default());
    let together = vec![normal(id(1, 0), operations.clone())];
    let expected = [EntryResponse::Batch(replies.clone())];
    assert_eq!(apply(&mut machine, &mut oracle, together), expected);

    // The same, an entry to an operation, and on a machine that is frozen between them.
    let (mut machine, mut oracle) = (Machine::default(), Oracle::default());
    let mut held = Vec::new();
    for (index, (operation, reply)) in (0..).zip(operations.into_iter().zip(replies)) {
        let entry = normal(id(1, index), [operation]);
        let expected = [EntryResponse::Batch(vec![reply])];
        assert_eq!(apply(&mut machine, &mut oracle, vec![entry]), expected);
        held.push(machine.freeze());
    }
}

#[test]
fn each_entry_has_one_reply_in_the_entries_order() {
    let entries = vec![
        blank(id(1, 0)),
        membership(id(1, 1), voters([1])),
        normal(id(1, 2), [set("a", "1"), set("b", "2")]),
        blank(id(2, 3)),
        normal(id(2, 4), []),
        normal(id(2, 5), [set_get("a", "3")]),
        normal(id(2, 6), [del(["a", "b"]), set_get("b", "4")]),
    ];
    let expected = [
        EntryResponse::Blank,
        EntryResponse::Membership,
        EntryResponse::Batch(vec![previous(None), previous(None)]),
        EntryResponse::Blank,
        EntryResponse::Batch(vec![]),
        EntryResponse::Batch(vec![previous("1")]),
        EntryResponse::Batch(vec![deleted(2), previous(None)]),
    ];
    let (mut machine, mut oracle) = (Machine::default(), Oracle::default());
    assert_eq!(apply(&mut machine, &mut oracle, entries), expected);
    assert_eq!(machine.size(), Size { keys: 1, bytes: 2 });
    assert_eq!(apply(&mut machine, &mut oracle, vec![]), []);
}

#[rstest]
#[case::blank(blank(id(3, 7)))]
#[case::membership(membership(id(3, 7), voters([1])))]
#[case::empty_batch(normal(id(3, 7), []))]
#[case::batch(normal(id(3, 7), [set("k", "v")]))]
fn every_kind_of_entry_is_remembered_as_applied(#[case] entry: Entry) {
    let mut machine = Machine::default();
    assert_eq!(machine.last_applied(), None);
    machine.apply(vec![entry]).unwrap();
    assert_eq!(machine.last_applied(), Some(id(3, 7)));
}

#[test]
fn the_last_membership_is_kept_whole_with_the_id_of_its_entry() {
    let node = |id: u64| (id, Node::new(format!("node-{id}:7000")));
    let configs = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4])];
    // 9 is a learner.
    let joint = Membership::new(configs, BTreeMap::from([1, 2, 3, 4, 9].map(node)));

    let mut machine = Machine::default();
    assert_eq!(machine.membership(), &StoredMembership::default());
    let entries = vec![
        membership(id(1, 0), voters([1])),
        membership(id(2, 1), joint.clone()),
        blank(id(2, 2)),
        normal(id(2, 3), [set("k", "v")]),
    ];
    machine.apply(entries).unwrap();
    assert_eq!(machine.membership(), &StoredMembership::new(Some(id(2, 1)), joint));
    assert_eq!(machine.last_applied(), Some(id(2, 3)));

    machine.apply(vec![membership(id(2, 4), voters([5]))]).unwrap();
    assert_eq!(machine.membership(), &StoredMembership::new(Some(id(2, 4)), voters([5])));
}

/// The same state by two ways: entry by entry, and from a snapshot.
fn at_entry_5() -> [Machine; 2] {
    let mut applied = Machine::default();
    let entries = vec![membership(id(1, 4), voters([1])), normal(id(2, 5), [set("k", "v")])];
    let mut oracle = Oracle::default();
    apply(&mut applied, &mut oracle, entries);
    let installed = snapshot::read(&state(&mut applied), &oracle.meta()).unwrap();
    [applied, installed]
}

/// Indexes to apply in one call, in term 3, to a machine at entry 5; which is refused, and why.
#[rstest]
#[case::the_last_one_again(&[5], 5, id(2, 5))]
#[case::an_earlier_one(&[2], 2, id(2, 5))]
#[case::the_first(&[0], 0, id(2, 5))]
#[case::the_last_one_again_with_more(&[5, 6], 5, id(2, 5))]
#[case::one_twice(&[6, 6], 6, id(3, 6))]
#[case::the_third_again(&[6, 7, 7, 8], 7, id(3, 7))]
#[case::the_third_earlier(&[6, 8, 7], 7, id(3, 8))]
#[case::the_third_before_all(&[6, 7, 1], 1, id(3, 7))]
#[case::the_last_of_many(&[6, 7, 9, 12, 11], 11, id(3, 12))]
fn an_index_that_does_not_ascend_is_refused_and_changes_nothing(
    #[case] indexes: &[u64],
    #[case] got: u64,
    #[case] last_applied: seshat_core::types::LogId,
) {
    for mut machine in at_entry_5() {
        let before = state(&mut machine);
        let entries: Vec<Entry> = indexes
            .iter()
            .enumerate()
            .map(|(i, index)| match i % 3 {
                0 => normal(id(3, *index), [set("k", "changed"), set("new", "")]),
                1 => membership(id(3, *index), voters([7])),
                _ => normal(id(3, *index), [del(["k"])]),
            })
            .collect();
        let error = machine.apply(entries).unwrap_err();
        assert_eq!(error, ApplyError { got: id(3, got), last_applied });
        assert_eq!(
            error.to_string(),
            format!("entry T3-N1-{got} is not above the last applied entry {last_applied}")
        );
        assert_eq!(state(&mut machine), before);
        assert_eq!(machine.get(b"k"), Some(Bytes::from("v")));

        machine.apply(vec![blank(id(3, 6))]).unwrap();
    }
}

#[test]
fn a_gap_is_accepted() {
    for mut machine in at_entry_5() {
        let entries = vec![blank(id(2, 9)), normal(id(7, 1_000), [set_get("k", "w")])];
        let replies = machine.apply(entries).unwrap();
        assert_eq!(replies[1], EntryResponse::Batch(vec![previous("v")]));
        assert_eq!(machine.last_applied(), Some(id(7, 1_000)));
    }
    let mut fresh = Machine::default();
    fresh.apply(vec![blank(id(1, 3))]).unwrap();
    assert_eq!(fresh.last_applied(), Some(id(1, 3)));
}

#[test]
fn a_machine_read_from_a_snapshot_has_the_same_state() {
    let [applied, installed] = &mut at_entry_5();
    assert_eq!(installed.get(b"k"), Some(Bytes::from("v")));
    assert_eq!(installed.size(), applied.size());
    assert_eq!(installed.last_applied(), Some(id(2, 5)));
    assert_eq!(installed.membership(), applied.membership());
    assert_eq!(state(installed), state(applied));
}

/// A log with every kind of entry: overwrites, deletes and more keys than a table starts with.
fn long_log() -> Vec<Entry> {
    let entry = |index: u64| match index % 10 {
        0 => blank(id(index / 50, index)),
        7 => membership(id(index / 50, index), voters([index, 2])),
        3 => normal(id(index / 50, index), [del([format!("key-{}", index / 2)])]),
        _ => {
            let sets = [index % 41, index].map(|n| set(format!("key-{n}"), vec![b'v'; n as usize]));
            normal(id(index / 50, index), sets)
        }
    };
    (1..400).map(entry).collect()
}

#[test]
fn equal_logs_give_equal_digests_and_equal_snapshots() {
    let mut oracle = Oracle::default();
    oracle.apply(&long_log());
    let expected = oracle.snapshot();
    let expected_digest = snapshot::digest(&oracle.fresh_machine().freeze());

    // However the log is cut into calls, and whenever the machine is frozen meanwhile.
    for (cut, freeze_each) in [(1, 9), (7, 2), (1, 1), (64, 1_000), (400, 1)] {
        let mut machine = Machine::default();
        let mut views = Vec::new();
        for (call, entries) in long_log().chunks(cut).enumerate() {
            machine.apply(entries.to_vec()).unwrap();
            if call % freeze_each == 0 {
                views.push(machine.freeze());
            }
            if call % 5 == 0 {
                views.pop();
            }
        }
        let frozen = machine.freeze();
        assert_eq!(snapshot::digest(&frozen), expected_digest);
        assert!(snapshot::write(&frozen) == expected, "cut {cut}, frozen each {freeze_each}");
    }
}

#[rstest]
#[case::history(vec![set("b", ""), set("a", "x"), set("a", "1"), set("b", "2")], true)]
#[case::a_key_that_is_gone(vec![set("c", "3"), set("a", "1"), set("b", "2"), del(["c"])], true)]
#[case::another_value(vec![set("a", "1"), set("b", "3")], false)]
#[case::values_changed_places(vec![set("a", "2"), set("b", "1")], false)]
#[case::one_more(vec![set("a", "1"), set("b", "2"), set("c", "")], false)]
#[case::one_less(vec![set("a", "1")], false)]
#[case::key_and_value_cut_elsewhere(vec![set("a1", ""), set("b", "2")], false)]
#[case::nothing(vec![], false)]
fn digests_are_equal_for_equal_keys_and_values_only(
    #[case] operations: Vec<Operation>,
    #[case] equal: bool,
) {
    let digest = |operations: Vec<Operation>, index| {
        let mut machine = Machine::default();
        machine.apply(vec![normal(id(1, index), operations)]).unwrap();
        snapshot::digest(&machine.freeze())
    };
    let one = digest(vec![set("a", "1"), set("b", "2")], 0);
    assert_eq!(one == digest(operations, 7), equal);
}

#[test]
fn a_view_of_nothing_stays_one_of_nothing() {
    let mut machine = Machine::default();
    let view = machine.freeze();
    machine.apply(vec![normal(id(1, 0), [set("k", "v")])]).unwrap();
    assert_eq!(snapshot::write(&view), Oracle::default().snapshot());
}
