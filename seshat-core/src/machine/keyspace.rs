//! The keys and values, with views of them that cost microseconds to take.
//!
//! A [`KeySpace`] is a stack of layers: the top one takes all changes, the ones below are frozen
//! and shared with the [`View`]s that were taken. [`freeze`](KeySpace::freeze) makes the top one
//! frozen and opens an empty one, whatever its size. Once no view holds the newest frozen layer,
//! [`fold`](KeySpace::fold) takes that as the top again and moves what was written meanwhile (the
//! overlay) into it, a bounded number of records at a time. A view pins the layers below the one
//! it froze, never one above.
//!
//! Invariant: the record of a key in the highest layer that has one is the truth, from overlay
//! over top down to the oldest frozen layer; a tombstone says that the key is gone. The overlay
//! only shrinks. The lowest layer of all holds no tombstone.

use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::record::Record;

type Layer = HashTable<Record>;

fn find<'a>(layer: &'a Layer, hash: u32, key: &[u8]) -> Option<&'a Record> {
    layer.find(Record::table_hash(hash), |record| record.is(hash, key))
}

fn entry<'a>(layer: &'a mut Layer, hash: u32, key: &[u8]) -> Entry<'a, Record> {
    layer.entry(
        Record::table_hash(hash),
        |record| record.is(hash, key),
        |record| Record::table_hash(record.hash()),
    )
}

fn take(layer: &mut Layer, hash: u32, key: &[u8]) -> Option<Record> {
    if layer.is_empty() {
        return None;
    }
    let found = layer.find_entry(Record::table_hash(hash), |record| record.is(hash, key));
    found.ok().map(|there| there.remove().0)
}

/// The record of a key in frozen layers, newest first.
fn find_frozen<'a>(frozen: &'a [Arc<Layer>], hash: u32, key: &[u8]) -> Option<&'a Record> {
    frozen.iter().rev().find_map(|layer| find(layer, hash, key))
}

/// Records that are looked at together, so that their cache misses overlap.
pub(crate) const GROUP: usize = 32;

/// Reads what a lookup of each hash will read, first in the tables, then behind them. The loads
/// of one round don't depend on each other, so the processor waits for all of them at once
/// rather than for one after the other.
fn touch(layer: &Layer, hashes: &[u32]) {
    if layer.is_empty() {
        return;
    }
    let find = |&hash: &u32| {
        layer.find(Record::table_hash(hash), move |record: &Record| record.hash() == hash)
    };
    let found = hashes.iter().filter(|hash| find(hash).is_some()).count();
    if std::hint::black_box(found) > 0 {
        let ends = hashes.iter().filter_map(find).map(Record::touch);
        std::hint::black_box(ends.fold(0, u8::wrapping_add));
    }
}

/// How much a state machine holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of keys.
    pub keys: u64,
    /// Sum of the lengths of all keys and values.
    pub bytes: u64,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct KeySpace {
    overlay: Layer,
    top: Layer,
    /// Oldest first.
    frozen: Vec<Arc<Layer>>,
    size: Size,
    /// Where [`fold`](KeySpace::fold) goes on in `overlay`.
    cursor: usize,
    hasher: RandomState,
    replaced: Replaced,
}

/// Values that were replaced, until those who asked for them have read them. They share chunks,
/// which costs less than an allocation each; a chunk lives as long as any value in it.
#[derive(Debug, Default)]
struct Replaced(BytesMut);

impl Replaced {
    const CHUNK: usize = 16 << 10;

    fn keep(&mut self, value: &[u8]) -> Bytes {
        if self.0.capacity() < value.len() {
            self.0 = BytesMut::with_capacity(value.len().max(Self::CHUNK));
        }
        self.0.extend_from_slice(value);
        self.0.split().freeze()
    }
}

impl KeySpace {
    /// Room for that many keys.
    pub(crate) fn with_capacity(keys: usize) -> Self {
        Self { top: Layer::with_capacity(keys), ..Self::default() }
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    fn hash(&self, key: &[u8]) -> u32 {
        // The upper half: foldhash mixes it best.
        (self.hasher.hash_one(key) >> 32) as u32
    }

    /// Makes the changes of up to [`GROUP`] keys, which follow, find what they need in the cache.
    pub(crate) fn expect<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) {
        let mut hashes = [0; GROUP];
        let mut count = 0;
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = self.hash(key);
            count += 1;
        }
        let hashes = hashes.get(..count).unwrap_or_default();
        touch(&self.overlay, hashes);
        touch(&self.top, hashes);
        self.frozen.iter().for_each(|layer| touch(layer, hashes));
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let hash = self.hash(key);
        find(&self.overlay, hash, key)
            .or_else(|| find(&self.top, hash, key))
            .or_else(|| find_frozen(&self.frozen, hash, key))
            .and_then(Record::live)
    }

    /// Binds `key` to `value`.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) {
        self.bind(key, value, |_, _| ());
    }

    /// Binds `key` to `value`; returns a copy of what was there before.
    pub(crate) fn set_get(&mut self, key: &[u8], value: &[u8]) -> Option<Bytes> {
        self.bind(key, value, Replaced::keep)
    }

    /// Binds `key` to `value`; returns what `keep` makes of the value before.
    fn bind<T>(
        &mut self,
        key: &[u8],
        value: &[u8],
        keep: impl FnOnce(&mut Replaced, &[u8]) -> T,
    ) -> Option<T> {
        let hash = self.hash(key);
        let overlaid = take(&mut self.overlay, hash, key);
        let keep = |was: &[u8]| (was.len(), keep(&mut self.replaced, was));
        let previous = match entry(&mut self.top, hash, key) {
            Entry::Occupied(mut there) => {
                let there = there.get_mut();
                let previous = overlaid.as_ref().unwrap_or(there).live().map(keep);
                there.bind(key, value);
                previous
            }
            Entry::Vacant(free) => {
                free.insert(Record::new(hash, key, value));
                let was = overlaid.as_ref().or_else(|| find_frozen(&self.frozen, hash, key));
                was.and_then(Record::live).map(keep)
            }
        };
        self.size.bytes += value.len() as u64;
        match &previous {
            Some((len, _)) => self.size.bytes -= *len as u64,
            None => {
                self.size.keys += 1;
                self.size.bytes += key.len() as u64;
            }
        }
        previous.map(|(_, kept)| kept)
    }

    /// A record of a key and its value, to be [inserted](KeySpace::insert_new).
    pub(crate) fn record(&self, key: &[u8], value: &[u8]) -> Record {
        Record::new(self.hash(key), key, value)
    }

    /// Adds records of keys that aren't there, as whoever fills an empty space knows. Many at
    /// once are faster: their cache misses overlap.
    pub(crate) fn insert_new(&mut self, records: impl Iterator<Item = Record>) {
        for record in records {
            self.size.keys += 1;
            self.size.bytes += record.bytes().len() as u64;
            let hasher = |record: &Record| Record::table_hash(record.hash());
            self.top.insert_unique(Record::table_hash(record.hash()), record, hasher);
        }
    }

    /// Removes `key`; returns whether it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let overlaid = take(&mut self.overlay, hash, key);
        let below = find_frozen(&self.frozen, hash, key).filter(|record| record.live().is_some());
        let covered = match entry(&mut self.top, hash, key) {
            Entry::Occupied(there) if below.is_none() => Some(there.remove().0),
            Entry::Occupied(mut there) => {
                Some(std::mem::replace(there.get_mut(), Record::tombstone(hash, key)))
            }
            Entry::Vacant(free) if below.is_some() => {
                free.insert(Record::tombstone(hash, key));
                None
            }
            Entry::Vacant(_) => None,
        };
        let was = overlaid.as_ref().or(covered.as_ref()).or(below);
        let Some(value) = was.and_then(Record::live) else { return false };
        self.size.keys -= 1;
        self.size.bytes -= (key.len() + value.len()) as u64;
        true
    }

    /// A view of this moment. Takes no longer for many keys than for few.
    pub(crate) fn freeze(&mut self) -> View {
        for layer in [&mut self.top, &mut self.overlay] {
            if !layer.is_empty() {
                self.frozen.push(Arc::new(std::mem::take(layer)));
            }
        }
        View { layers: self.frozen.clone(), size: self.size }
    }

    /// Moves what stands in the next `buckets` places of the overlay into the top layer. Without
    /// an overlay, takes the newest frozen layer back if no view holds it. Returns whether there is more
    /// to do.
    pub(crate) fn fold(&mut self, buckets: usize) -> bool {
        if self.overlay.is_empty() && !self.thaw() {
            return false;
        }
        let lowest = self.frozen.is_empty();
        let end = self.overlay.num_buckets().min(self.cursor.saturating_add(buckets));
        for start in (self.cursor..end).step_by(GROUP) {
            let buckets = start..end.min(start + GROUP);
            let (mut hashes, mut count) = ([0; GROUP], 0);
            let records = buckets.clone().filter_map(|bucket| self.overlay.get_bucket(bucket));
            for (hash, record) in hashes.iter_mut().zip(records) {
                *hash = record.hash();
                count += 1;
                std::hint::black_box(record.touch());
            }
            touch(&self.top, hashes.get(..count).unwrap_or_default());
            for bucket in buckets {
                self.fold_one(bucket, lowest);
            }
        }
        self.cursor = end;
        if self.overlay.is_empty() {
            self.overlay = Layer::new();
            return self.frozen.last().is_some_and(|newest| Arc::strong_count(newest) == 1);
        }
        true
    }

    fn fold_one(&mut self, bucket: usize, lowest: bool) {
        let Ok(there) = self.overlay.get_bucket_entry(bucket) else { return };
        let record = there.remove().0;
        match entry(&mut self.top, record.hash(), record.key()) {
            Entry::Occupied(covered) if record.is_tombstone() && lowest => {
                covered.remove();
            }
            Entry::Occupied(mut covered) => *covered.get_mut() = record,
            Entry::Vacant(_) if record.is_tombstone() && lowest => {}
            Entry::Vacant(free) => {
                free.insert(record);
            }
        }
    }

    /// Makes the newest frozen layer the top, and the top the overlay, if no view holds it.
    fn thaw(&mut self) -> bool {
        let Some(newest) = self.frozen.pop() else { return false };
        match Arc::try_unwrap(newest) {
            Ok(layer) => {
                self.overlay = std::mem::replace(&mut self.top, layer);
                self.cursor = 0;
                true
            }
            Err(held) => {
                self.frozen.push(held);
                false
            }
        }
    }

    /// Layers that a lookup may have to pass.
    #[cfg(test)]
    pub(crate) fn layers(&self) -> usize {
        self.frozen.len() + usize::from(!self.overlay.is_empty()) + 1
    }

    /// Whether there is nothing to fold.
    #[cfg(test)]
    pub(crate) fn is_flat(&self) -> bool {
        self.frozen.is_empty() && self.overlay.is_empty()
    }
}

/// A [`KeySpace`] as it was when the view was taken. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Oldest first.
    layers: Vec<Arc<Layer>>,
    size: Size,
}

impl View {
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Every key once, in no order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.layers.iter().enumerate().flat_map(|(i, layer)| {
            // Never fails: `i` is an index of `layers`.
            let newer = self.layers.get(i + 1..).unwrap_or_default();
            layer.iter().filter(move |record| {
                !record.is_tombstone()
                    && (newer.is_empty()
                        || find_frozen(newer, record.hash(), record.key()).is_none())
            })
        })
    }
}

#[cfg(test)]
mod tests;
