//! The digest: keys and values, each of their bytes, and nothing else.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use rstest::rstest;
use seshat_core::snapshot;

use super::*;

fn digest_of(keys: &Keys) -> u128 {
    snapshot::digest(&machine(keys).freeze())
}

#[test]
fn what_was_applied_and_who_takes_part_do_not_count() {
    let sets = || vec![set(b"a", b"1"), set(b"b", b"2")];
    let mut digests = vec![];
    let mut written = vec![];
    for entries in [
        vec![normal(0, sets())],
        vec![normal(7, sets())],
        vec![normal(0, sets()), blank(id(5, 2, 1))],
        vec![cluster(id(1, 1, 0)), normal(1, sets())],
    ] {
        let mut machine = Machine::default();
        machine.apply(entries).unwrap();
        digests.push(snapshot::digest(&machine.freeze()));
        written.push(snapshot::write(&machine.freeze()));
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:x?}");
    written.dedup();
    assert_eq!(written.len(), 4, "a snapshot does tell them apart");
}

#[rstest]
#[case::another_key(keys([("a", "1")]), keys([("b", "1")]))]
#[case::another_value(keys([("a", "1")]), keys([("a", "2")]))]
#[case::one_more(keys([("a", "1")]), keys([("a", "1"), ("b", "")]))]
#[case::one_less(keys([("a", "1")]), keys([]))]
#[case::the_empty_value(keys([("a", "")]), keys([("a", "\0")]))]
#[case::a_trailing_zero(keys([("a", "")]), keys([("a\0", "")]))]
#[case::from_key_to_value(keys([("ab", "c")]), keys([("a", "bc")]))]
#[case::from_value_to_next_key(keys([("a", "bb"), ("c", "")]), keys([("a", "b"), ("bc", "")]))]
#[case::two_become_one(keys([("a", "1"), ("b", "2")]), keys([("a", "1b2")]))]
#[case::values_swapped(keys([("a", "1"), ("b", "2")]), keys([("a", "2"), ("b", "1")]))]
// One record that spells out two, if a length were left out.
#[case::record_in_a_value(
    keys([("a", "x"), ("b", "y")]),
    keys([("a", "x\x01\0\0\0\0\0\0\0by")])
)]
#[case::record_in_a_key(
    keys([("a", "x"), ("b", "y")]),
    keys([("a\x01\0\0\0\0\0\0\0xb", "y")])
)]
fn any_change_shows(#[case] one: Keys, #[case] other: Keys) {
    assert_ne!(digest_of(&one), digest_of(&other));
}

fn small() -> impl Strategy<Value = Keys> {
    let bytes = |len| vec(select(b"a\0".to_vec()), len);
    btree_map(bytes(1..3), bytes(0..3), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn digests_are_equal_exactly_if_keys_and_values_are(one in small(), other in small()) {
        prop_assert_eq!(digest_of(&one) == digest_of(&other), one == other);
    }
}
