//! [`Blocks`]: the bytes of a file, sparse and shared.
//!
//! A clone costs a pointer per MiB that holds data, and a write to a shared file copies the blocks
//! that it touches and nothing else. A block of zeros is not stored, so equal bytes are equal
//! values however they came about.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Bytes in a block: a page of the page cache.
pub const BLOCK: u64 = 4096;

/// Blocks in a chunk.
const CHUNK: u64 = 256;

type Block = [u8; BLOCK as usize];
type Chunk = BTreeMap<u64, Arc<Block>>;

const ZEROS: Block = [0; BLOCK as usize];

/// The bytes of a file. What was never written reads as zeros.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blocks {
    size: u64,
    chunks: BTreeMap<u64, Arc<Chunk>>,
}

impl Blocks {
    /// The length of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Cuts the file off, or extends it with zeros.
    pub fn resize(&mut self, size: u64) {
        if size < self.size {
            self.fill_with_zeros(size..self.size);
        }
        self.size = size;
    }

    /// Writes bytes; a file that is too short grows.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        for (block, within) in pieces(offset..end) {
            let (now, later) = rest.split_at(rest.len().min(within.len()));
            self.change(block, |old| copy(old, within.start, now));
            rest = later;
        }
        self.size = self.size.max(end);
    }

    /// Writes zeros; a file that is too short grows.
    pub fn zero(&mut self, range: Range<u64>) {
        self.size = self.size.max(range.end);
        self.fill_with_zeros(range);
    }

    /// Makes a range what it is in another file. The size stays: what lies beyond it is left out.
    pub fn copy_range(&mut self, from: &Self, range: Range<u64>) {
        for (block, within) in pieces(range.start..range.end.min(self.size)) {
            let new = from.block(block);
            if within.len() == BLOCK as usize {
                self.put(block, new.cloned());
            } else {
                let new = new.map_or(&ZEROS, |new| new);
                let new = new.get(within.clone()).unwrap_or_default();
                self.change(block, |old| copy(old, within.start, new));
            }
        }
    }

    /// The bytes of a range, cut off at the end of the file.
    pub fn read(&self, range: Range<u64>) -> Vec<u8> {
        let range = range.start..range.end.min(self.size);
        let mut bytes = Vec::with_capacity(range.end.saturating_sub(range.start) as usize);
        for (block, within) in pieces(range) {
            let block = self.block(block).map_or(&ZEROS, |block| block);
            bytes.extend_from_slice(block.get(within).unwrap_or_default());
        }
        bytes
    }

    /// All bytes, holes included.
    pub fn to_vec(&self) -> Vec<u8> {
        self.read(0..self.size)
    }

    /// The blocks that hold data, in order: where each starts, and its bytes.
    pub fn extents(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.stored().map(|(number, block)| {
            let start = number * BLOCK;
            let len = self.size.saturating_sub(start).min(BLOCK) as usize;
            (start, block.get(..len).unwrap_or_default())
        })
    }

    /// The blocks in which two files may differ. Shared ones are not looked at.
    pub fn differing(&self, other: &Self) -> BTreeSet<u64> {
        let mut blocks = BTreeSet::new();
        let numbers: BTreeSet<_> = self.chunks.keys().chain(other.chunks.keys()).collect();
        for number in numbers {
            let (a, b) = (self.chunks.get(number), other.chunks.get(number));
            if let (Some(a), Some(b)) = (a, b)
                && Arc::ptr_eq(a, b)
            {
                continue;
            }
            let keys = [a, b].into_iter().flatten().flat_map(|chunk| chunk.keys());
            let differs = |key: &&u64| {
                let of = |chunk: Option<&'_ Arc<Chunk>>| chunk.and_then(|c| c.get(*key).cloned());
                of(a) != of(b)
            };
            blocks.extend(keys.filter(differs));
        }
        blocks
    }

    /// The bytes in which two files differ, as ranges that don't touch. What only one of them has
    /// differs where it isn't zero.
    pub fn changed(&self, other: &Self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for number in self.differing(other) {
            let of = |file: &Self| file.block(number).map_or(ZEROS, |block| **block);
            let (old, new) = (of(self), of(other));
            let places = (number * BLOCK..).zip(old.iter().zip(&new));
            for (place, _) in places.filter(|(_, (old, new))| old != new) {
                match ranges.last_mut() {
                    Some(last) if last.end == place => last.end += 1,
                    _ => ranges.push(place..place + 1),
                }
            }
        }
        ranges
    }

    /// True if these bytes are at that place, within the file.
    pub fn holds(&self, offset: u64, bytes: &[u8]) -> bool {
        let end = offset.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        end <= self.size
            && pieces(offset..end).all(|(block, within)| {
                let (now, later) = rest.split_at(rest.len().min(within.len()));
                rest = later;
                self.block(block).map_or(&ZEROS, |block| block).get(within) == Some(now)
            })
    }

    /// The blocks of a range that hold data, by number.
    pub fn stored_in(&self, range: Range<u64>) -> Vec<u64> {
        let blocks = range.start / BLOCK..range.end.div_ceil(BLOCK);
        let chunks = self.chunks.range(blocks.start / CHUNK..=blocks.end / CHUNK);
        chunks.flat_map(|(_, chunk)| chunk.range(blocks.clone()).map(|(n, _)| *n)).collect()
    }

    fn stored(&self) -> impl Iterator<Item = (u64, &Arc<Block>)> {
        self.chunks.values().flat_map(|chunk| chunk.iter().map(|(number, block)| (*number, block)))
    }

    fn block(&self, number: u64) -> Option<&Arc<Block>> {
        self.chunks.get(&(number / CHUNK))?.get(&number)
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Block)) {
        let mut block = self.block(number).cloned().unwrap_or_else(|| Arc::new(ZEROS));
        change(Arc::make_mut(&mut block));
        self.put(number, Some(block));
    }

    /// Keeps the normal form: no block of zeros, no empty chunk.
    fn put(&mut self, number: u64, block: Option<Arc<Block>>) {
        let place = number / CHUNK;
        match block.filter(|block| **block != ZEROS) {
            Some(block) => {
                let chunk = self.chunks.entry(place).or_default();
                Arc::make_mut(chunk).insert(number, block);
            }
            None if self.block(number).is_some() => {
                if let Some(chunk) = self.chunks.get_mut(&place) {
                    Arc::make_mut(chunk).remove(&number);
                    if chunk.is_empty() {
                        self.chunks.remove(&place);
                    }
                }
            }
            None => {}
        }
    }

    /// Visits the blocks that are stored, not those that a hole is long.
    fn fill_with_zeros(&mut self, range: Range<u64>) {
        for number in self.stored_in(range.clone()) {
            let start = number * BLOCK;
            let within = range.start.max(start) - start..range.end.min(start + BLOCK) - start;
            if within == (0..BLOCK) {
                self.put(number, None);
            } else {
                let within = within.start as usize..within.end as usize;
                self.change(number, |old| {
                    if let Some(old) = old.get_mut(within) {
                        old.fill(0);
                    }
                });
            }
        }
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {} blocks stored", self.size, self.stored().count())
    }
}

/// A range as blocks and the part of each that it covers.
fn pieces(range: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let blocks = range.start / BLOCK..range.end.div_ceil(BLOCK);
    blocks.filter(move |_| range.start < range.end).map(move |number| {
        let start = number * BLOCK;
        let from = range.start.max(start) - start;
        let to = range.end.min(start + BLOCK) - start;
        (number, from as usize..to as usize)
    })
}

fn copy(block: &mut Block, start: usize, bytes: &[u8]) {
    for (old, new) in block.iter_mut().skip(start).zip(bytes) {
        *old = *new;
    }
}
