//! [`Scan`]: all keys that begin alike, in order, a page at a time.
//!
//! Guarantees: a page is what one state has between the key before it and the one that ends it: each key
//! in there once, none left out. Pages of several states, read on from one to the next, hold each key that
//! was there throughout once, and each that came or went meanwhile once or never. Where to read on is a
//! key, so that it means the same to every node, and for ever.
//!
//! The keys are in a hash table, so a page costs a look at each of them, however many it holds; one look may be
//! for several pages together. What it takes beside that is the page alone. An index in order would cost each
//! write more, and each key some 60 bytes.

use std::hint::black_box;

use bytes::Bytes;

use super::Record;
use super::keyspace::GROUP;

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

/// The page of each scan among `records`, which have each key once.
pub(super) fn pages<'a>(
    mut records: impl Iterator<Item = &'a Record>,
    scans: &'a [Scan],
) -> Vec<Page> {
    let mut all: Vec<Chosen<'a>> = scans.iter().map(Chosen::new).collect();
    let mut group = Vec::with_capacity(GROUP);
    loop {
        group.extend(records.by_ref().take(GROUP));
        if group.is_empty() {
            break;
        }
        // All that the looks at them read, at once, as one look would wait for the next.
        black_box(group.iter().map(|record: &&Record| record.touch()).fold(0, u8::wrapping_add));
        for chosen in &mut all {
            group.iter().for_each(|record| chosen.offer(record));
        }
        group.clear();
    }
    all.into_iter().map(Chosen::page).collect()
}

/// The least of the records that were offered, as many as there is room for; until it is settled up to as many more.
struct Chosen<'a> {
    scan: &'a Scan,
    least: Vec<&'a Record>,
    bytes: usize,
    /// The least key that there was no room for, so that none behind it belongs to the page either.
    end: Option<&'a [u8]>,
}

impl<'a> Chosen<'a> {
    fn new(scan: &'a Scan) -> Self {
        Self { scan, least: Vec::new(), bytes: 0, end: None }
    }

    fn page(mut self) -> Page {
        self.settle();
        let copied = |record: &Record| {
            let (key, value) = record.split();
            let value = if self.scan.values { Bytes::copy_from_slice(value) } else { Bytes::new() };
            (Bytes::copy_from_slice(key), value)
        };
        Page { more: self.end.is_some(), records: self.least.into_iter().map(copied).collect() }
    }

    fn offer(&mut self, record: &'a Record) {
        let Scan { prefix, after, max_keys, max_bytes, .. } = self.scan;
        let key = record.key();
        if self.end.is_some_and(|end| key >= end)
            || !key.starts_with(prefix)
            || after.as_ref().is_some_and(|after| key <= after.as_ref())
        {
            return;
        }
        self.least.push(record);
        self.bytes = self.bytes.saturating_add(self.weight(record));
        if self.least.len() > max_keys.saturating_mul(2) || self.bytes > max_bytes.saturating_mul(2)
        {
            self.settle();
        }
    }

    /// Puts them in order, and lets go what there is no room for.
    fn settle(&mut self) {
        self.least.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        let (mut kept, mut bytes) = (0, 0_usize);
        for record in &self.least {
            let more = bytes.saturating_add(self.weight(record));
            if kept > 0 && (kept >= self.scan.max_keys || more > self.scan.max_bytes) {
                self.end = Some(record.key());
                break;
            }
            (kept, bytes) = (kept + 1, more);
        }
        self.least.truncate(kept);
        self.bytes = bytes;
    }

    fn weight(&self, record: &Record) -> usize {
        if self.scan.values { record.bytes().len() } else { record.key().len() }
    }
}
