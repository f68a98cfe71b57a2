//! [`Record`]: the bytes that came to be during an operation. Whatever the format, they are its
//! record, and a flipped bit in them must be noticed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::blocks::Blocks;
use super::event::Moment;
use super::history::History;
use super::picture::Picture;

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file, relative to the directory.
    pub path: PathBuf,
    /// The bytes.
    pub range: Range<u64>,
}

/// The bytes that changed during an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    spots: Vec<Spot>,
}

impl History {
    /// The bytes that changed during `operation` and are the same at `until`: what was moved or
    /// overwritten since is no longer its record. Empty where nothing is left, such as for a
    /// write that the store has only in memory.
    pub fn record(&self, operation: Range<Moment>, until: Moment) -> Record {
        let states = [operation.start, operation.end, until].map(|at| self.state(at));
        let [before, after, until] = &states;
        let mut spots = Vec::new();
        for (path, node) in until.live().paths() {
            let (Some(new), Some(last)) = (after.file(node), until.file(node)) else { continue };
            let old = before.file(node).map_or_else(Blocks::default, |file| file.live().clone());
            let later = new.live().changed(last.live());
            // Of a file that got shorter, what was behind its new end has changed and is gone.
            let size = last.live().size();
            for range in old.changed(new.live()) {
                let kept = without(range.start..range.end.min(size), &later).into_iter();
                spots.extend(kept.map(|range| Spot { path: path.clone(), range }));
            }
        }
        Record { spots }
    }
}

impl Record {
    /// Where it is.
    pub fn spots(&self) -> &[Spot] {
        &self.spots
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.spots.iter().map(|spot| spot.range.end - spot.range.start).sum()
    }

    /// True if nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.spots.is_empty()
    }

    /// About `count` single bits, at least one in each run of bytes, evenly spread.
    pub fn flips(&self, count: u64) -> Vec<Flip> {
        let total = self.len().max(1);
        let mut flips = Vec::new();
        for Spot { path, range } in &self.spots {
            let len = range.end - range.start;
            let here = (count.saturating_mul(len) / total).clamp(1, len.max(1));
            flips.extend((0..here).map(|n| {
                let offset = range.start + n * len / here;
                Flip { path: path.clone(), offset, bit: (offset % 8) as u8 }
            }));
        }
        flips
    }
}

/// One bit of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// The file, relative to the directory.
    pub path: PathBuf,
    /// The byte.
    pub offset: u64,
    /// The bit, 0 to 7.
    pub bit: u8,
}

impl Flip {
    /// Flips the bit in `dir`, which no store has open. Twice is as if never.
    ///
    /// # Errors
    /// Whatever the file system says, and `UnexpectedEof` if the file is too short by now.
    pub fn apply(&self, dir: &Path) -> io::Result<()> {
        let mut file = File::options().read(true).write(true).open(dir.join(&self.path))?;
        let mut byte = [0];
        file.seek(SeekFrom::Start(self.offset))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(self.offset))?;
        file.write_all(&byte.map(|byte| self.flipped(byte)))
    }

    /// Flips the bit in a picture, before it is written. False if there is no such byte.
    pub fn apply_to(&self, picture: &mut Picture) -> bool {
        let there = picture.file(&self.path).is_some_and(|file| self.offset < file.size());
        there
            && picture.change(&self.path, |blocks| {
                let byte = blocks.read(self.offset..self.offset + 1);
                let byte: Vec<u8> = byte.into_iter().map(|byte| self.flipped(byte)).collect();
                blocks.write(self.offset, &byte);
            })
    }

    fn flipped(&self, byte: u8) -> u8 {
        byte ^ (1 << (self.bit & 7))
    }
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bit {} of byte {} of {}", self.bit, self.offset, self.path.display())
    }
}

/// A range without the bytes of others, which are in order.
fn without(range: Range<u64>, others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut kept = Vec::new();
    let mut from = range.start;
    for other in others {
        if other.end > from && other.start < range.end {
            kept.push(from..other.start.max(from));
            from = other.end;
        }
    }
    kept.push(from..range.end);
    kept.retain(|range| range.start < range.end);
    kept
}
