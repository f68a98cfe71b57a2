//! [`Scan`]: all keys that begin alike, in order, a page at a time.
//!
//! Guarantees: a page is what one state has between the key before it and the one that ends it: each key
//! in there once, none left out. Pages of several states, read on from one to the next, hold each key that
//! was there throughout once, and each that came or went meanwhile once or never. Where to read on is a
//! key, so that it means the same to every node, and for ever.
//!
//! The keys are in a hash table, so a page costs a look at each of them, however many it holds; what it
//! takes beside that is the page alone. An index in order would cost each write more, and each key some
//! 60 bytes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bytes::Bytes;

use super::Record;

/// Which keys, and how many of them at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What they begin with. Empty: every key does.
    pub prefix: Bytes,
    /// Only keys after this one, which need not exist; `None`: from the first.
    pub after: Option<Bytes>,
    /// The most keys in a page. 0 is as 1.
    pub max_keys: usize,
    /// The most bytes of keys and values in a page, unless its first key has more.
    pub max_bytes: usize,
    /// Whether values are wanted, or keys alone.
    pub values: bool,
}

impl Default for Scan {
    /// Every key, a thousand or 1 MiB at a time, with values.
    fn default() -> Self {
        Self { prefix: Bytes::new(), after: None, max_keys: 1000, max_bytes: 1 << 20, values: true }
    }
}

/// What one state has of a [`Scan`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys, which ascend, and their values, which are empty where they aren't wanted.
    pub records: Vec<(Bytes, Bytes)>,
    /// Whether there are more behind them. The next page is the same [`Scan`], after the last key here.
    pub more: bool,
}

/// The page among `records`, which have each key once.
pub(super) fn page<'a>(records: impl Iterator<Item = &'a Record>, scan: &Scan) -> Page {
    let mut chosen = Chosen { scan, least: BinaryHeap::new(), bytes: 0, end: None };
    for record in records {
        let key = record.key();
        let wanted = key.starts_with(&scan.prefix)
            && scan.after.as_ref().is_none_or(|after| key > after.as_ref());
        if wanted {
            chosen.offer(record);
        }
    }
    let more = chosen.end.is_some();
    let copied = |ByKey(record): ByKey<'_>| {
        let (key, value) = record.split();
        let value = if scan.values { Bytes::copy_from_slice(value) } else { Bytes::new() };
        (Bytes::copy_from_slice(key), value)
    };
    Page { records: chosen.least.into_sorted_vec().into_iter().map(copied).collect(), more }
}

/// The least of the records that were offered, as many as there is room for.
struct Chosen<'a> {
    scan: &'a Scan,
    /// Its greatest on top.
    least: BinaryHeap<ByKey<'a>>,
    bytes: usize,
    /// The least key that there was no room for, so that none behind it belongs to the page either.
    end: Option<&'a [u8]>,
}

impl<'a> Chosen<'a> {
    fn offer(&mut self, record: &'a Record) {
        if self.end.is_some_and(|end| record.key() >= end) {
            return;
        }
        self.bytes += self.weight(record);
        self.least.push(ByKey(record));
        while self.least.len() > 1
            && (self.least.len() > self.scan.max_keys || self.bytes > self.scan.max_bytes)
            && let Some(ByKey(greatest)) = self.least.pop()
        {
            self.bytes -= self.weight(greatest);
            self.end = Some(greatest.key());
        }
    }

    fn weight(&self, record: &Record) -> usize {
        if self.scan.values { record.bytes().len() } else { record.key().len() }
    }
}

/// In the order of their keys.
struct ByKey<'a>(&'a Record);

impl Ord for ByKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key().cmp(other.0.key())
    }
}

impl PartialOrd for ByKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByKey<'_> {}
