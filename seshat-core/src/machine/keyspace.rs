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

use bytes::Bytes;
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

/// How much a [`KeySpace`] holds.
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

    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let hash = self.hash(key);
        find(&self.overlay, hash, key)
            .or_else(|| find(&self.top, hash, key))
            .or_else(|| find_frozen(&self.frozen, hash, key))
            .filter(|record| !record.is_tombstone())
            .map(Record::value)
    }

    /// Reads what a change of these keys will need, and changes nothing. The loads of different
    /// keys don't depend on each other, so the processor waits for memory once for all of them
    /// rather than once for each.
    pub(crate) fn touch<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) {
        let mut touched = 0;
        for key in keys {
            let hash = self.hash(key);
            self.top.find(Record::table_hash(hash), |record| {
                touched ^= record.first_byte();
                false
            });
        }
        std::hint::black_box(touched);
    }

    /// Binds `key` to `value`; returns what was there before.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) -> Option<Bytes> {
        let hash = self.hash(key);
        let overlaid = take(&mut self.overlay, hash, key);
        let record = Record::new(hash, key, value);
        let previous = match entry(&mut self.top, hash, key) {
            Entry::Occupied(mut there) => {
                let covered = std::mem::replace(there.get_mut(), record);
                overlaid.unwrap_or(covered).into_value()
            }
            Entry::Vacant(free) => {
                free.insert(record);
                match overlaid {
                    Some(record) => record.into_value(),
                    None => find_frozen(&self.frozen, hash, key)
                        .filter(|record| !record.is_tombstone())
                        .map(|record| Bytes::copy_from_slice(record.value())),
                }
            }
        };
        self.size.bytes += value.len() as u64;
        match &previous {
            Some(previous) => self.size.bytes -= previous.len() as u64,
            None => {
                self.size.keys += 1;
                self.size.bytes += key.len() as u64;
            }
        }
        previous
    }

    /// Removes `key`; returns whether it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let overlaid = take(&mut self.overlay, hash, key);
        let below = find_frozen(&self.frozen, hash, key).filter(|record| !record.is_tombstone());
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
        let Some(was) = was.filter(|record| !record.is_tombstone()) else { return false };
        self.size.keys -= 1;
        self.size.bytes -= (key.len() + was.value().len()) as u64;
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
    /// an overlay, takes the newest frozen layer back if no view holds it.
    pub(crate) fn fold(&mut self, buckets: usize) {
        if self.overlay.is_empty() && !self.thaw() {
            return;
        }
        let lowest = self.frozen.is_empty();
        let end = self.overlay.num_buckets().min(self.cursor.saturating_add(buckets));
        for bucket in self.cursor..end {
            let Ok(there) = self.overlay.get_bucket_entry(bucket) else { continue };
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
        self.cursor = end;
        if self.overlay.is_empty() {
            self.overlay = Layer::new();
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
