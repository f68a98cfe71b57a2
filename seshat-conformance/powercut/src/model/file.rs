//! [`File`]: what a file holds, and what of it a power cut leaves.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Survives;
use super::blocks::{BLOCK, Blocks};
use super::random::Dice;

/// Bytes that a disk writes whole or not at all.
pub const SECTOR: u64 = 512;

/// One change of a file's contents or size.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Bytes at a place; the file grows if it is too short.
    Write {
        /// Where the first byte goes.
        offset: u64,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
    /// Zeros in a range; the file grows if it is too short.
    Zero(Range<u64>),
    /// Another size: cut off, or extended with zeros.
    Resize(u64),
}

impl Change {
    /// The bytes that it sets. Empty for a change of size.
    pub fn range(&self) -> Range<u64> {
        match self {
            Self::Write { offset, bytes } => *offset..offset.saturating_add(bytes.len() as u64),
            Self::Zero(range) => range.clone(),
            Self::Resize(size) => *size..*size,
        }
    }

    /// How long a file of `size` bytes is after it.
    fn sized(&self, size: u64) -> u64 {
        match self {
            Self::Resize(size) => *size,
            Self::Write { .. } | Self::Zero(_) if self.range().is_empty() => size,
            Self::Write { .. } | Self::Zero(_) => size.max(self.range().end),
        }
    }

    fn apply(&self, blocks: &mut Blocks) {
        match self {
            Self::Write { offset, bytes } => blocks.write(*offset, bytes),
            Self::Zero(range) => blocks.zero(range.clone()),
            Self::Resize(size) => blocks.resize(*size),
        }
    }

    /// What is left of it outside `range`.
    fn outside(&self, range: &Range<u64>) -> Vec<Self> {
        let own = self.range();
        let parts = [own.start..own.end.min(range.start), own.start.max(range.end)..own.end];
        let parts = parts.into_iter().filter(|part| part.start < part.end);
        match self {
            Self::Resize(_) => Vec::new(),
            Self::Zero(_) => parts.map(Self::Zero).collect(),
            Self::Write { offset, bytes } => parts
                .filter_map(|part| {
                    let within = (part.start - offset) as usize..(part.end - offset) as usize;
                    Some(Self::Write { offset: part.start, bytes: bytes.get(within)?.into() })
                })
                .collect(),
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { bytes, .. } => {
                let first = bytes.first().copied().unwrap_or_default();
                write!(f, "Write({:?}, {first:#04x} first)", self.range())
            }
            Self::Zero(range) => write!(f, "Zero({range:?})"),
            Self::Resize(size) => write!(f, "Resize({size})"),
        }
    }
}

/// A change that no completed sync covers, and the event that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The number of the event, from 0.
    pub event: u64,
    /// What it did.
    pub change: Change,
}

/// A file: what the page cache has, what the disk has, and the changes between the two.
#[derive(Debug, Clone, Default)]
pub struct File {
    live: Blocks,
    durable: Blocks,
    pending: Vec<Pending>,
    /// Pages whose write-back failed and that count as clean: no later sync writes them.
    lost: BTreeSet<u64>,
}

impl File {
    /// A file that is on the disk as it is.
    pub fn durable(blocks: Blocks) -> Self {
        Self { live: blocks.clone(), durable: blocks, ..Self::default() }
    }

    /// What a reader sees.
    pub fn live(&self) -> &Blocks {
        &self.live
    }

    /// Changes that no completed sync covers, oldest first.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Pages that a failed sync has dropped, by number.
    pub fn lost(&self) -> impl Iterator<Item = u64> {
        self.lost.iter().copied()
    }

    /// Changes what a reader sees. A page that is written again is dirty again, all of it.
    pub(crate) fn change(&mut self, event: u64, change: &Change) {
        change.apply(&mut self.live);
        let size = self.live.size();
        let pages = pages(change.range());
        self.lost.retain(|page| !pages.contains(page) && page * BLOCK < size);
        self.pending.push(Pending { event, change: change.clone() });
    }

    /// A sync of the whole file has completed.
    pub(crate) fn sync(&mut self) {
        self.durable = self.written_back();
        self.pending.clear();
    }

    /// A sync of some bytes has completed: their pages and the size are on the disk. Truncations
    /// come with it, for they are in the same inode.
    pub(crate) fn sync_range(&mut self, range: Range<u64>) {
        let pages = pages(range);
        let range = pages.start * BLOCK..pages.end.saturating_mul(BLOCK);
        for pending in &self.pending {
            if let Change::Resize(size) = pending.change {
                self.durable.resize(size);
            }
        }
        self.durable.resize(self.live.size());
        let written = self.written_back();
        self.durable.copy_range(&written, range.clone());
        let pending = std::mem::take(&mut self.pending);
        let split = |Pending { event, change }: Pending| {
            change.outside(&range).into_iter().map(move |change| Pending { event, change })
        };
        self.pending = pending.into_iter().flat_map(split).collect();
    }

    /// A sync has failed, as on ext4 and XFS: the dirty pages count as clean and are never
    /// written, though readers go on seeing them. The size isn't in a page: it may yet get there.
    pub(crate) fn fail_sync(&mut self) {
        let differing = self.live.differing(&self.durable);
        let dirty = self.pending.iter().flat_map(|pending| pages(pending.change.range()));
        let lost: Vec<_> = dirty.filter(|page| differing.contains(page)).collect();
        self.lost.extend(lost);
        let last = self.pending.last().map(|pending| pending.event);
        self.pending.retain(|pending| matches!(pending.change, Change::Resize(_)));
        if let Some(event) = last {
            self.pending.push(Pending { event, change: Change::Resize(self.live.size()) });
        }
    }

    /// What a sync of everything would leave.
    fn written_back(&self) -> Blocks {
        let mut written = self.live.clone();
        for page in &self.lost {
            written.copy_range(&self.durable, page * BLOCK..(page + 1) * BLOCK);
        }
        written
    }

    /// What a power cut leaves.
    pub(crate) fn after_cut(&self, survives: Survives, node: u64) -> Blocks {
        match survives {
            Survives::Nothing => self.durable.clone(),
            Survives::Everything => self.written_back(),
            Survives::Some(seed) => match self.pending.last() {
                None => self.durable.clone(),
                Some(last) => self.some(Dice::new(seed, node, last.event)),
            },
        }
    }

    /// A part of what is pending, in one of the ways in which disks and file systems are known to
    /// leave it.
    fn some(&self, mut dice: Dice) -> Blocks {
        let count = self.pending.len() as u64;
        match dice.below(6) {
            // The first writes, the last of them perhaps torn.
            0 | 1 => {
                let whole = dice.below(count + 1) as usize;
                let mut blocks = self.durable.clone();
                self.pending.iter().take(whole).for_each(|p| p.change.apply(&mut blocks));
                if let Some(torn) = self.pending.get(whole)
                    && dice.coin()
                {
                    tear(&torn.change, &mut dice).apply(&mut blocks);
                }
                blocks
            }
            2 => self.any_writes(dice),
            3 => self.pieces(BLOCK, dice),
            4 => self.pieces(SECTOR, dice),
            _ if dice.coin() => self.durable.clone(),
            _ => self.written_back(),
        }
    }

    /// Any of the writes. A page goes to the disk as it stands, so none is there without those
    /// before it to the same page.
    fn any_writes(&self, mut dice: Dice) -> Blocks {
        let mut blocks = self.durable.clone();
        let mut missing: Vec<Range<u64>> = Vec::new();
        for Pending { change, .. } in &self.pending {
            let touched = match change {
                // Nothing is written behind an end that isn't there yet.
                Change::Resize(size) => size / BLOCK..u64::MAX,
                Change::Write { .. } | Change::Zero(_) => pages(change.range()),
            };
            let overlaps = |gone: &Range<u64>| gone.start < touched.end && touched.start < gone.end;
            match dice.coin() && !missing.iter().any(overlaps) {
                true => change.apply(&mut blocks),
                false => missing.push(touched),
            }
        }
        blocks
    }

    /// Any of the pages or sectors that differ, and a size that the file had or went through.
    fn pieces(&self, unit: u64, mut dice: Dice) -> Blocks {
        let written = self.written_back();
        let mut blocks = self.durable.clone();
        blocks.resize(blocks.size().max(written.size()));
        for page in self.durable.differing(&written) {
            for unit in units(page * BLOCK..(page + 1) * BLOCK, unit) {
                if dice.coin() {
                    blocks.copy_range(&written, unit);
                }
            }
        }
        let sizes =
            [self.durable.size(), written.size(), written.size(), self.some_size(&mut dice)];
        let size = sizes.get(dice.below(4) as usize).copied().unwrap_or(written.size());
        blocks.resize(size);
        blocks
    }

    /// One that the file had, or went through while a write made it longer.
    fn some_size(&self, dice: &mut Dice) -> u64 {
        let place = dice.below(self.pending.len() as u64) as usize;
        let (done, next) = self.pending.split_at(place.min(self.pending.len()));
        let before = done.iter().fold(self.durable.size(), |size, done| done.change.sized(size));
        match next.first().map(|next| &next.change) {
            Some(change @ (Change::Write { .. } | Change::Zero(_))) => {
                before + dice.below(change.sized(before) - before + 1)
            }
            Some(Change::Resize(size)) if dice.coin() => *size,
            _ => before,
        }
    }
}

/// The first sectors of a write.
fn tear(change: &Change, dice: &mut Dice) -> Change {
    let range = change.range();
    let sectors = units(range.clone(), SECTOR).count() as u64;
    let end = units(range.clone(), SECTOR).nth(dice.below(sectors) as usize);
    let end = end.map_or(range.start, |sector| sector.start);
    match change {
        Change::Write { offset, bytes } => {
            let len = (end - range.start) as usize;
            Change::Write { offset: *offset, bytes: bytes.get(..len).unwrap_or_default().into() }
        }
        Change::Zero(_) => Change::Zero(range.start..end),
        Change::Resize(size) => Change::Resize(*size),
    }
}

/// The pages that a range touches.
fn pages(range: Range<u64>) -> Range<u64> {
    match range.is_empty() {
        true => 0..0,
        false => range.start / BLOCK..range.end.div_ceil(BLOCK),
    }
}

/// A range, cut at every multiple of `unit`.
fn units(range: Range<u64>, unit: u64) -> impl Iterator<Item = Range<u64>> {
    let numbers = range.start / unit..range.end.div_ceil(unit);
    numbers.map(move |n| range.start.max(n * unit)..range.end.min((n + 1) * unit))
}
