//! Deterministic inputs: keys of 16 bytes, values of 128, and entries that carry them.

use std::ops::Range;

use openraft::{CommittedLeaderId, EntryPayload};
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::types::{Entry, LogId};

use super::naive::{NaiveConfig, Set};

pub(crate) const KEY_LEN: usize = 16;
pub(crate) const VALUE_LEN: usize = 128;

/// splitmix64: passes BigCrush, three lines, the same on every machine.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// "key:" and twelve digits.
pub(crate) fn key(number: u64) -> Vec<u8> {
    format!("key:{number:012}").into_bytes()
}

/// Not compressible, and different for each seed.
pub(crate) fn value(seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..VALUE_LEN / 8).flat_map(|_| rng.next().to_le_bytes()).collect()
}

pub(crate) fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

/// One `SET`, as a client proposes it: key and value each with bytes of its own.
pub(crate) fn operation(key_number: u64, seed: u64) -> Operation {
    Operation::set(key(key_number), value(seed), &Limits::default()).unwrap()
}

/// A kind of entry that both sides make from the same numbers.
pub(crate) trait Make: Sized {
    fn make(index: u64, key_number: u64) -> Self;
}

impl Make for Entry {
    fn make(index: u64, key_number: u64) -> Self {
        let batch = Batch::from(operation(key_number, index));
        Self { log_id: log_id(index), payload: EntryPayload::Normal(batch) }
    }
}

impl Make for openraft::Entry<NaiveConfig> {
    fn make(index: u64, key_number: u64) -> Self {
        let set = Set { key: key(key_number), value: value(index) };
        Self { log_id: log_id(index), payload: EntryPayload::Normal(set) }
    }
}

/// What the limits work with.
impl Make for (Vec<u8>, Vec<u8>) {
    fn make(index: u64, key_number: u64) -> Self {
        (key(key_number), value(index))
    }
}

/// One entry that sets each of the keys.
pub(crate) fn packed(index: u64, keys: &[u64]) -> Entry {
    let operations = keys.iter().map(|key| operation(*key, index)).collect::<Vec<_>>();
    Entry { log_id: log_id(index), payload: EntryPayload::Normal(Batch::new(operations)) }
}

/// The entries of those indexes, in batches, each setting a key of its own.
pub(crate) fn batches<E: Make>(indexes: Range<u64>, batch: u64) -> Vec<Vec<E>> {
    let starts = indexes.clone().step_by(batch as usize);
    starts.map(|at| (at..indexes.end.min(at + batch)).map(|i| E::make(i, i)).collect()).collect()
}
