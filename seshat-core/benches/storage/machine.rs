//! The state machine: `apply`, alone and beside snapshots.
//!
//! Entries are made just before they are applied, 256 at a time and outside the measured time, so
//! that they are as warm as entries that openraft has just read from the log.

use std::collections::HashMap;

use openraft::storage::RaftStateMachine;
use seshat_core::machine::{Machine, MachineStore};
use seshat_core::types::Entry;

use crate::common::data::{Make, Rng, packed};
use crate::common::measure::{Scale, Stopwatch, now};
use crate::common::naive::{self, NaiveConfig};

pub(crate) type NaiveMachine = naive::MachineStore<NaiveConfig>;

/// Keys in hand at once.
const CHUNK: u64 = 256;
/// Snapshots whose `freeze` is timed.
const FREEZES: usize = 16;

/// Chunks of keys: all of them in order, or `count` at random.
fn chunks(keys: u64, random: Option<u64>) -> impl Iterator<Item = (u64, Vec<u64>)> {
    let mut rng = Rng::new(42);
    let count = random.unwrap_or(keys);
    (0..count).step_by(CHUNK as usize).map(move |start| {
        let chunk = start..count.min(start + CHUNK);
        let key = |i| if random.is_some() { rng.below(keys) } else { i };
        (start, chunk.map(key).collect())
    })
}

fn make<E: Make>(start: u64, keys: &[u64]) -> Vec<E> {
    (start..).zip(keys).map(|(i, key)| E::make(i, *key)).collect()
}

/// Times `apply` on what `make` makes: fresh keys, then overwriting random ones.
fn fill_and_overwrite<E>(
    scale: Scale,
    make: impl Fn(u64, &[u64]) -> E,
    mut apply: impl FnMut(E),
) -> Vec<f64> {
    let mut numbers = Vec::new();
    let mut longest = 0_f64;
    for (base, random) in [(0, None), (scale.keys, Some(scale.keys))] {
        let mut watch = Stopwatch::new();
        for (start, keys) in chunks(scale.keys, random) {
            let made = make(base + start, &keys);
            watch.time(|| apply(made));
        }
        numbers.push(watch.ns_per(scale.keys));
        longest = longest.max(watch.longest_ms());
    }
    numbers.push(longest);
    numbers
}

pub(crate) fn apply_naive(scale: Scale) -> Vec<f64> {
    let mut store = NaiveMachine::default();
    let apply = |entries: Vec<_>| drop(now(store.apply(entries)).unwrap());
    fill_and_overwrite(scale, make, apply)
}

pub(crate) fn apply_ours(scale: Scale) -> Vec<f64> {
    apply_to_store(scale, make)
}

pub(crate) fn apply_packed(scale: Scale) -> Vec<f64> {
    apply_to_store(scale, |start, keys| vec![packed(start, keys)])
}

/// Entries shared with the log, as openraft hands them out, are freed by the log later on.
fn apply_to_store(scale: Scale, make: impl Fn(u64, &[u64]) -> Vec<Entry>) -> Vec<f64> {
    let mut store = MachineStore::default();
    let mut log = Vec::new();
    let make = |start, keys: &[u64]| {
        let entries = make(start, keys);
        (entries.clone(), entries)
    };
    fill_and_overwrite(scale, make, |(entries, logged)| {
        drop(now(store.apply(entries)).unwrap());
        log = logged;
    })
}

pub(crate) fn apply_limit(scale: Scale) -> Vec<f64> {
    let mut map: HashMap<Vec<u8>, Vec<u8>, foldhash::fast::RandomState> = HashMap::default();
    let apply = |pairs: Vec<(Vec<u8>, Vec<u8>)>| {
        for (key, value) in pairs {
            drop(map.insert(key, value));
        }
    };
    fill_and_overwrite(scale, make, apply)
}

/// Sets every key.
pub(crate) fn fill(keys: u64, mut apply: impl FnMut(Vec<Entry>)) {
    chunks(keys, None).for_each(|(start, chunk)| apply(make(start, &chunk)));
}

/// Ours, holding every key.
pub(crate) fn full_machine(keys: u64) -> Machine {
    let mut machine = Machine::default();
    fill(keys, |entries| drop(machine.apply(entries).unwrap()));
    machine
}

/// The naive one, holding every key.
pub(crate) fn full_naive(keys: u64) -> NaiveMachine {
    let mut store = NaiveMachine::default();
    for (start, chunk) in chunks(keys, None) {
        now(store.apply(make::<openraft::Entry<_>>(start, &chunk))).unwrap();
    }
    store
}

/// Applies overwrites of random keys and takes their time.
fn overwrite(machine: &mut Machine, count: u64, keys: u64, watch: &mut Stopwatch) {
    let base = machine.last_applied().map_or(0, |last| last.index + 1);
    for (start, chunk) in chunks(keys, Some(count)) {
        let entries = make(base + start, &chunk);
        watch.time(|| drop(machine.apply(entries).unwrap()));
    }
}

pub(crate) fn held_ours(scale: Scale) -> Vec<f64> {
    let mut machine = full_machine(scale.keys);
    let (mut freeze, mut held, mut after) = (Stopwatch::new(), Stopwatch::new(), Stopwatch::new());
    for _ in 0..FREEZES {
        let frozen = freeze.time(|| machine.freeze());
        overwrite(&mut machine, 4 * CHUNK, scale.keys, &mut Stopwatch::new());
        drop(frozen);
        overwrite(&mut machine, 4 * CHUNK, scale.keys, &mut Stopwatch::new());
    }
    // Time to fold what is left.
    overwrite(&mut machine, scale.keys / 4, scale.keys, &mut Stopwatch::new());

    let frozen = machine.freeze();
    overwrite(&mut machine, scale.keys / 4, scale.keys, &mut held);
    drop(frozen);
    overwrite(&mut machine, scale.keys / 4, scale.keys, &mut after);
    numbers_of_held(scale, &freeze, &held, &after)
}

pub(crate) fn held_naive(scale: Scale) -> Vec<f64> {
    let mut store = full_naive(scale.keys);
    let (mut freeze, mut held, mut after) = (Stopwatch::new(), Stopwatch::new(), Stopwatch::new());
    let mut base = scale.keys;
    let mut frozen = None;
    // A copy is a copy: three show the longest as well as sixteen.
    for _ in 0..3 {
        drop(frozen.take());
        frozen = Some(freeze.time(|| now(store.get_snapshot_builder())));
    }
    for watch in [&mut held, &mut after] {
        for (start, chunk) in chunks(scale.keys, Some(scale.keys / 4)) {
            let entries = make::<openraft::Entry<_>>(base + start, &chunk);
            watch.time(|| drop(now(store.apply(entries)).unwrap()));
        }
        base += scale.keys / 4;
        drop(frozen.take());
    }
    numbers_of_held(scale, &freeze, &held, &after)
}

fn numbers_of_held(
    scale: Scale,
    freeze: &Stopwatch,
    held: &Stopwatch,
    after: &Stopwatch,
) -> Vec<f64> {
    let count = scale.keys / 4;
    vec![
        freeze.longest_ms(),
        held.ns_per(count),
        after.ns_per(count),
        held.longest_ms(),
        after.longest_ms(),
    ]
}
