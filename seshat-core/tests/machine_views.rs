//! Views of a [`Machine`] never change, and taking, holding and dropping them in any order never
//! changes the machine.
//!
//! What is frozen stands in layers, and what is written meanwhile is folded back a few places at
//! a time once the view above is gone. The sequences here hold several views, so that there are
//! several layers; write few keys, so that layers hide each other's records; and interrupt folds
//! by freezing again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/entries.rs"]
mod entries;
#[path = "common/machine_oracle.rs"]
mod machine_oracle;

use std::sync::LazyLock;

use bytes::Bytes;
use entries::{blank, del, id, membership, normal, set, set_if, voters};
use machine_oracle::Oracle;
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;
use seshat_core::machine::{FrozenMachine, Machine, Page, Scan};
use seshat_core::operation::{Condition, Operation};
use seshat_core::snapshot;
use seshat_core::types::Entry;

/// More than one fold of a single operation can move.
const KEYS: u8 = 24;

fn key(n: u8) -> Bytes {
    Bytes::from(format!("key-{n}"))
}

fn all_keys() -> impl Iterator<Item = Bytes> {
    static NAMES: LazyLock<Vec<Bytes>> = LazyLock::new(|| (0..KEYS).map(key).collect());
    NAMES.iter().cloned()
}

/// A machine, its oracle, and views with the state that each must show for ever.
#[derive(Default)]
struct Tested {
    machine: Machine,
    oracle: Oracle,
    views: Vec<(FrozenMachine, Oracle)>,
    written: u64,
    /// Views taken since the machine was known to be flat.
    layered: usize,
}

impl Tested {
    fn next_index(&self) -> u64 {
        // Index 0 is the oracle's.
        self.oracle.last_applied.map_or(1, |last| last.index + 1)
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        let expected = self.oracle.apply(&entries);
        assert_eq!(self.machine.apply(entries).unwrap(), expected);
        self.check_live();
    }

    fn run(&mut self, operations: impl Into<Vec<Operation>>) {
        self.apply(vec![normal(id(1, self.next_index()), operations)]);
    }

    /// A value that was never written before.
    fn value(&mut self) -> Bytes {
        self.written += 1;
        Bytes::from(self.written.to_string())
    }

    fn set(&mut self, n: u8) {
        let value = self.value();
        self.run([set(key(n), value)]);
    }

    fn freeze(&mut self) {
        self.views.push((self.machine.freeze(), self.oracle.clone()));
        self.layered += 1;
        self.check_live();
    }

    fn drop_view(&mut self, n: usize) {
        let (view, state) = self.views.remove(n);
        check_view(&view, &state);
        drop(view);
        self.check_live();
    }

    fn drop_newest(&mut self) {
        if let Some(newest) = self.views.len().checked_sub(1) {
            self.drop_view(newest);
        }
    }

    /// Drops all views, and applies until nothing can be left to fold. A view makes two layers at
    /// most, and each of these entries folds one: it has more places than a layer of `KEYS`.
    fn settle(&mut self) {
        while !self.views.is_empty() {
            self.drop_newest();
        }
        let entries = 0..=2 * std::mem::take(&mut self.layered) as u64;
        let first = self.next_index();
        let fold = normal(id(0, 0), vec![del(["no such key"]); 20]);
        self.apply(entries.map(|n| Entry { log_id: id(1, first + n), ..fold.clone() }).collect());
        let frozen = self.machine.freeze();
        check_view(&frozen, &self.oracle);
    }

    /// As a snapshot would, if it were installed.
    fn restore(&mut self) {
        let bytes = snapshot::write(&self.machine.freeze());
        self.machine = snapshot::read(&bytes, &self.oracle.meta()).unwrap();
        self.check_live();
    }

    #[track_caller]
    fn check_live(&self) {
        self.oracle.assert_live(&self.machine, all_keys());
    }

    #[track_caller]
    fn check_views(&self) {
        for (view, state) in &self.views {
            check_view(view, state);
        }
    }
}

#[track_caller]
fn check_view(view: &FrozenMachine, state: &Oracle) {
    let bytes = snapshot::write(view);
    if bytes != state.snapshot() {
        // The bytes differ; what reads back says how.
        let read = snapshot::read(&bytes, &state.meta()).unwrap();
        state.assert_live(&read, all_keys());
        assert_eq!(bytes, state.snapshot(), "equal states, but other bytes");
    }
}

/// Layers from the oldest to the newest, then what is written on top of them; a letter for each
/// key: lower case sets it, upper case deletes it.
fn write_letters(tested: &mut Tested, letters: &str) {
    for letter in letters.bytes() {
        let n = letter.to_ascii_lowercase() - b'a';
        match letter.is_ascii_lowercase() {
            true => tested.set(n),
            false => tested.run([del([key(n)])]),
        }
    }
}

#[rstest]
#[case::overwritten(&["abc", "b"])]
#[case::deleted(&["abc", "B"])]
#[case::deleted_and_set_again(&["abc", "Bb"])]
#[case::set_and_deleted_again(&["abc", "dD"])]
#[case::deleted_above_a_tombstone(&["abc", "B", "B"])]
#[case::set_above_a_tombstone(&["abc", "B", "b"])]
#[case::deleted_above_what_was_set_above_a_tombstone(&["abc", "B", "b", "B"])]
#[case::deleted_two_layers_up(&["abc", "d", "A"])]
#[case::deleted_three_layers_up(&["abc", "d", "e", "ABCDE"])]
#[case::everything_deleted_and_written_again(&["abcdefgh", "ABCDEFGH", "abcdefgh", "ABCDEFGH"])]
#[case::alternating(&["abcdefghijklmnop", "AbCdEfGh", "IjKlMnOp", "aBcD", "mNoP", "Q"])]
#[case::nothing_in_between(&["abc", "", "", "B", "", "b"])]
fn views_stay_and_the_machine_too_whichever_view_goes_first(#[case] layers: &[&str]) {
    let count = layers.len();
    for seed in 0..2 * count {
        let mut tested = Tested::default();
        for letters in layers {
            write_letters(&mut tested, letters);
            tested.freeze();
        }
        tested.check_views();
        // From another end each time, with writes between that fold, and don't finish.
        let mut n = seed;
        while !tested.views.is_empty() {
            tested.drop_view(n % tested.views.len());
            tested.set(20);
            tested.check_views();
            n = n / 2 + seed;
        }
        tested.settle();
    }
}

#[test]
fn a_fold_that_is_interrupted_by_a_view_goes_on_after_it() {
    let mut tested = Tested::default();
    (0..KEYS).for_each(|n| tested.set(n));
    tested.freeze();
    for round in 0..40 {
        // An overlay of many keys and tombstones, of which one operation folds a part.
        (0..KEYS).filter(|n| n % 3 != round % 3).for_each(|n| tested.set(n));
        tested.run([del((0..KEYS).filter(|n| n % 5 == round % 5).map(key))]);
        tested.drop_newest();
        tested.set(round % KEYS);
        tested.freeze();
        tested.set((round + 1) % KEYS);
        tested.freeze();
        if round % 4 == 3 {
            tested.drop_view(0);
        }
        tested.check_views();
    }
    tested.settle();
}

#[test]
fn a_layer_of_thousands_of_keys_folds_while_it_is_read_and_written() {
    const MANY: u64 = 3_000;
    let name = |n: u64| Bytes::from(format!("many-{n}"));
    let put = |n: u64, value: &str| set(name(n), format!("{value}-{n}"));
    let mut machine = Machine::default();
    let mut oracle = Oracle::default();
    let apply = |machine: &mut Machine, oracle: &mut Oracle, index, operations: Vec<Operation>| {
        let entry = vec![normal(id(1, index), operations)];
        let expected = oracle.apply(&entry);
        assert_eq!(machine.apply(entry).unwrap(), expected);
    };
    apply(&mut machine, &mut oracle, 1, (0..MANY).map(|n| put(n, "first")).collect());
    let view = machine.freeze();
    let overlay = (0..MANY).map(|n| if n % 3 == 0 { del([name(n)]) } else { put(n, "second") });
    apply(&mut machine, &mut oracle, 2, overlay.collect());
    drop(view);
    for index in 3..MANY {
        let n = (index * 7) % MANY;
        let operation = if index % 2 == 0 { put(n, "third") } else { del([name(n)]) };
        apply(&mut machine, &mut oracle, index, vec![operation]);
        if index % 500 == 0 {
            oracle.assert_live(&machine, (0..MANY).map(name));
            check_view(&machine.freeze(), &oracle);
        }
    }
    oracle.assert_live(&machine, (0..MANY).map(name));
}

#[derive(Debug, Clone)]
enum Op {
    Set(u8),
    SetEmpty(u8),
    SetIf(Condition, bool, u8),
    Del(Vec<u8>),
}

#[derive(Debug, Clone)]
enum Payload {
    Blank,
    Membership(u64),
    Batch(Vec<Op>),
}

#[derive(Debug, Clone)]
enum Step {
    /// One call with an entry for each payload, its index so much above the one before.
    Apply(Vec<(u64, Payload)>),
    Freeze,
    Drop(prop::sample::Index),
    Check(prop::sample::Index),
    /// The newest view goes, one operation folds a part, and the next view interrupts it.
    Interrupt(Op),
    Settle,
    Restore,
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..KEYS).prop_map(Op::Set),
        1 => (0..KEYS).prop_map(Op::SetEmpty),
        2 => (0..KEYS, any::<bool>()).prop_map(|(n, get)| Op::SetIf(Condition::Absent, get, n)),
        2 => (0..KEYS, any::<bool>()).prop_map(|(n, get)| Op::SetIf(Condition::Present, get, n)),
        6 => vec(0..KEYS, 1..6).prop_map(Op::Del),
    ]
}

fn any_payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        1 => Just(Payload::Blank),
        1 => (1..9_u64).prop_map(Payload::Membership),
        6 => vec(any_op(), 1..3).prop_map(Payload::Batch),
        2 => vec(any_op(), 0..40).prop_map(Payload::Batch),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => vec((1..3_u64, any_payload()), 1..4).prop_map(Step::Apply),
        4 => Just(Step::Freeze),
        4 => any::<prop::sample::Index>().prop_map(Step::Drop),
        2 => any::<prop::sample::Index>().prop_map(Step::Check),
        3 => any_op().prop_map(Step::Interrupt),
        1 => Just(Step::Settle),
        1 => Just(Step::Restore),
    ]
}

impl Tested {
    fn operation(&mut self, op: Op) -> Operation {
        match op {
            Op::Set(n) => {
                let value = self.value();
                set(key(n), value)
            }
            Op::SetEmpty(n) => set(key(n), ""),
            Op::SetIf(condition, get, n) => {
                let value = self.value();
                set_if(condition, get, key(n), value)
            }
            Op::Del(ns) => del(ns.into_iter().map(key)),
        }
    }

    fn entries(&mut self, payloads: Vec<(u64, Payload)>) -> Vec<Entry> {
        let mut index = self.next_index() - 1;
        let mut entry = |(gap, payload)| {
            index += gap;
            let log_id = id(index / 10, index);
            match payload {
                Payload::Blank => blank(log_id),
                Payload::Membership(voter) => membership(log_id, voters([voter])),
                Payload::Batch(ops) => {
                    let ops: Vec<_> = ops.into_iter().map(|op| self.operation(op)).collect();
                    normal(log_id, ops)
                }
            }
        };
        payloads.into_iter().map(&mut entry).collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Apply(payloads) => {
                let entries = self.entries(payloads);
                self.apply(entries);
            }
            Step::Freeze => self.freeze(),
            Step::Drop(n) if !self.views.is_empty() => self.drop_view(n.index(self.views.len())),
            Step::Check(n) if !self.views.is_empty() => {
                let (view, state) = n.get(&self.views);
                check_view(view, state);
            }
            Step::Drop(_) | Step::Check(_) => {}
            Step::Interrupt(op) => {
                self.drop_newest();
                let operation = self.operation(op);
                self.run([operation]);
                self.freeze();
            }
            Step::Settle => self.settle(),
            Step::Restore => self.restore(),
        }
    }
}

proptest! {
    #[test]
    fn any_sequence_of_applies_and_views_does_what_the_oracle_does(
        steps in vec(any_step(), 1..80),
        order in vec(any::<prop::sample::Index>(), 1..8),
    ) {
        let mut tested = Tested::default();
        for step in steps {
            tested.step(step);
        }
        tested.check_views();
        let mut order = order.into_iter().cycle();
        while let Some(n) = order.next().filter(|_| !tested.views.is_empty()) {
            tested.drop_view(n.index(tested.views.len()));
            tested.set(0);
            tested.check_views();
        }
        tested.settle();
    }
}

/// Pages, as long as there are more.
fn pages(view: &FrozenMachine, mut scan: Scan) -> Vec<Page> {
    let mut pages = Vec::new();
    loop {
        let page = view.scan(&scan);
        let more = page.more;
        if let Some((last, _)) = page.records.last() {
            scan.after = Some(last.clone());
        }
        pages.push(page);
        if !more {
            return pages;
        }
        assert!(pages.len() < 1000, "it never ends");
    }
}

/// Of a map in order it is what anybody would write.
fn expected(state: &Oracle, scan: &Scan) -> Vec<(Bytes, Bytes)> {
    let wanted = |(key, _): &(&Bytes, &Bytes)| {
        key.starts_with(&scan.prefix) && scan.after.as_ref().is_none_or(|after| *key > after)
    };
    let value = |value: &Bytes| if scan.values { value.clone() } else { Bytes::new() };
    state.keys.iter().filter(wanted).map(|(k, v)| (k.clone(), value(v))).collect()
}

fn any_scan() -> impl Strategy<Value = Scan> {
    let prefix = prop_oneof![Just(""), Just("key-"), Just("key-1"), Just("key-12"), Just("no")];
    let after = prop::option::of((0..KEYS, any::<bool>()).prop_map(|(n, behind)| {
        let behind = if behind { "\0" } else { "" };
        [&key(n)[..], behind.as_bytes()].concat().into()
    }));
    let bytes = prop_oneof![Just(0), Just(usize::MAX), 1..60_usize];
    let keys = prop_oneof![Just(0), Just(1), Just(usize::MAX), 2..10_usize];
    (prefix, after, keys, bytes, any::<bool>()).prop_map(
        |(prefix, after, max_keys, max_bytes, values)| {
            let prefix = Bytes::from_static(prefix.as_bytes());
            Scan { prefix, after, max_keys, max_bytes, values }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_of_one_state_are_all_that_it_has_in_order_and_each_is_as_long_as_it_may_be(
        steps in vec(any_step(), 1..40),
        scan in any_scan(),
    ) {
        let mut tested = Tested::default();
        for step in steps {
            tested.step(step);
        }
        tested.freeze();
        for (view, state) in &tested.views {
            let expected = expected(state, &scan);
            let pages = pages(view, scan.clone());
            let bytes = |records: &[(Bytes, Bytes)]| -> usize {
                records.iter().map(|(key, value)| key.len() + value.len()).sum()
            };
            for (place, page) in pages.iter().enumerate() {
                let records = &page.records;
                prop_assert!(records.len() <= scan.max_keys.max(1));
                prop_assert!(records.len() < 2 || bytes(records) <= scan.max_bytes);
                if let Some(next) = pages.get(place + 1).and_then(|next| next.records.first()) {
                    let one_more = [&records[..], std::slice::from_ref(next)].concat();
                    prop_assert!(
                        one_more.len() > scan.max_keys || bytes(&one_more) > scan.max_bytes,
                        "there was room for {:?}", next
                    );
                }
            }
            let found: Vec<_> = pages.into_iter().flat_map(|page| page.records).collect();
            prop_assert_eq!(found, expected);
        }
    }

    /// Each page is of another state, and keys come and go between them.
    #[test]
    fn pages_of_many_states_have_each_key_once_that_was_there_throughout(
        before in vec(any_step(), 1..30),
        between in vec(vec(any_op(), 0..6), 1..30),
        max_keys in 1..5_usize,
    ) {
        let mut tested = Tested::default();
        for step in before {
            tested.step(step);
        }
        let mut scan = Scan { max_keys, ..Scan::default() };
        let mut throughout: Vec<Bytes> = tested.oracle.keys.keys().cloned().collect();
        let (mut ever, mut found) = (throughout.clone(), Vec::new());
        let mut between = between.into_iter().cycle();
        loop {
            let page = tested.machine.freeze().scan(&scan);
            prop_assert_eq!(
                page.records.iter().filter(|(k, v)| tested.oracle.keys.get(k) != Some(v)).count(),
                0,
                "a page is of one state"
            );
            found.extend(page.records.into_iter().map(|(key, _)| key));
            if !page.more {
                break;
            }
            scan.after = found.last().cloned();
            let operations = between.next().unwrap();
            let operations: Vec<_> =
                operations.into_iter().map(|op| tested.operation(op)).collect();
            for operation in operations {
                tested.run([operation]);
                throughout.retain(|key| tested.oracle.keys.contains_key(key));
                ever.extend(tested.oracle.keys.keys().cloned());
            }
        }
        prop_assert!(found.is_sorted_by(|one, next| one < next), "twice, or out of order");
        prop_assert!(throughout.iter().all(|key| found.contains(key)));
        prop_assert!(found.iter().all(|key| ever.contains(key)));
    }
}
