//! What waits to be written, and where it will lie. Pure.
//!
//! Guarantees: a frame that was placed fits where it was placed, and the files it needs are there already:
//! writing can fail because the disk does, and not for lack of room. Frames are written in the order in which
//! they were placed. Entries never take the [`reserve`](Queue::reserve) at a segment's end, and the smallest
//! of them, which a new leader begins with, no more than half of it; whatever else there is may. Entries that
//! continue those that wait last go into their frame, while it is small.

use std::collections::VecDeque;

use super::frame::{Frame, Kind, MAX_BODY, frame_len};
use super::group::Place;
use super::segment::{BLOCK, Spare};

/// Entries that take no more than that part of the reserve may be in it.
const SMALL: u64 = 16;

/// What is to be written next.
#[derive(Debug)]
pub(super) enum Step<T> {
    /// Behind the frame before.
    Frame(Frame),
    /// What follows goes into a new segment. Seldom, and so it takes no room of the others.
    Turn(Box<NewSegment<T>>),
}

/// A segment to begin.
#[derive(Debug)]
pub(super) struct NewSegment<T> {
    pub(super) spare: Spare<T>,
    /// What it begins with.
    pub(super) checkpoint: Frame,
}

/// Bytes of entries that share a frame: few enough that to read one of them costs little more.
const SHARED: usize = 64 << 10;

/// Steps that a list keeps room for while nothing waits.
const STEPS_KEPT: usize = 1024;

/// Where frames go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    /// Sequence of the segment.
    pub(super) segment: u64,
    /// Where the last frame ends.
    pub(super) end: u64,
    /// Length of the file.
    pub(super) capacity: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Queue<T> {
    tail: Tail,
    next_lsn: u64,
    steps: Vec<Step<T>>,
    /// An empty list, to be the next: one is filled while the other is written.
    other: Vec<Step<T>>,
    spares: VecDeque<Spare<T>>,
    /// Bytes at a segment's end that entries leave alone.
    reserve: u64,
    /// What a spare has, unless more is needed.
    usual: u64,
    /// Whether the last spare that was to be made found no room, and what it needed.
    short: Option<u64>,
}

/// A frame needs a file of at least that length, and there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoSpare {
    pub(super) capacity: u64,
}

/// How much room there is for the segments to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// As much as is wanted, as far as is known.
    Enough,
    /// No more than what is set aside. Entries are taken while it lasts, so it is time to refuse proposals and
    /// to hand leadership over.
    Low,
    /// No more than what is left of the last segment: entries that don't fit are refused.
    Full,
}

impl<T> Queue<T> {
    pub(super) fn new(tail: Tail, next_lsn: u64, reserve: u64, usual: u64) -> Self {
        let (steps, other, spares) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { tail, next_lsn, steps, other, spares, reserve, usual, short: None }
    }

    /// The LSN that the next frame gets.
    pub(super) fn next_lsn(&self) -> u64 {
        self.next_lsn
    }

    pub(super) fn tail(&self) -> Tail {
        self.tail
    }

    pub(super) fn space(&self) -> Space {
        match (self.short, self.spares.is_empty()) {
            (None, _) => Space::Enough,
            (Some(_), false) => Space::Low,
            (Some(_), true) => Space::Full,
        }
    }

    /// What the next spare needs, where the last found no room.
    pub(super) fn short(&self) -> Option<u64> {
        self.short
    }

    /// A spare of that length found no room.
    pub(super) fn set_short(&mut self, needed: u64) {
        self.short = Some(needed);
    }

    /// Takes a file for a segment to come.
    pub(super) fn add_spare(&mut self, spare: Spare<T>) {
        self.short = None;
        self.spares.push_back(spare);
    }

    pub(super) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// Whether there is one of at least that length.
    pub(super) fn has_spare(&self, capacity: u64) -> bool {
        self.spares.iter().any(|spare| spare.capacity >= capacity)
    }

    /// Whether entries of so many bytes in all find room, in how many frames ever: behind the last, or in a
    /// spare, which `checkpoint` bytes come first in. If not, the length of a spare that they do.
    pub(super) fn fits(&self, bytes: u64, checkpoint: impl FnOnce() -> u64) -> Result<(), u64> {
        // No record has more, and a file's length has to stay within what an offset reaches.
        let bytes = bytes.min(MAX_BODY);
        if self.tail.end + bytes + self.reserve <= self.tail.capacity {
            return Ok(());
        }
        let needed = BLOCK as u64 + checkpoint() + bytes + self.reserve;
        if self.has_spare(needed) { Ok(()) } else { Err(needed.next_multiple_of(BLOCK as u64)) }
    }

    /// Bytes at a segment's end that the frame leaves alone.
    fn keeps(&self, frame: &Frame) -> u64 {
        match frame.kind {
            Kind::Entries if frame.len() > self.reserve / SMALL => self.reserve,
            Kind::Entries => self.reserve / 2,
            _ => 0,
        }
    }

    /// Gives the frame an LSN and a place, and takes its body; entries may get those of the frame before.
    /// `checkpoint` sums up all that was placed before, and is asked for where a new segment begins.
    pub(super) fn place(
        &mut self,
        frame: &mut Frame,
        checkpoint: impl FnOnce() -> Frame,
    ) -> Result<(u64, Place), NoSpare> {
        if let Some(shared) = self.share(frame) {
            return Ok(shared);
        }
        if self.tail.end + frame.len() + self.keeps(frame) > self.tail.capacity {
            self.turn(checkpoint(), frame.len() + self.reserve)?;
        }
        // A file's length is bounded where it is made.
        let (offset, len) = (self.tail.end as u32, frame.len() as u32);
        let place = Place { segment: self.tail.segment, offset, len };
        self.tail.end += frame.len();
        let body = std::mem::take(&mut frame.body);
        self.steps.push(Step::Frame(Frame { body, ..*frame }));
        let lsn = self.next_lsn;
        self.next_lsn += 1;
        Ok((lsn, place))
    }

    /// Puts entries behind the group's own that wait last, if they continue them. One head and one checksum
    /// do for both, and one place in the index.
    fn share(&mut self, frame: &mut Frame) -> Option<(u64, Place)> {
        let Some(Step::Frame(last)) = self.steps.last_mut() else { return None };
        let continues = frame.kind == Kind::Entries
            && last.kind == Kind::Entries
            && last.group == frame.group
            && last.first + u64::from(last.count) == frame.first
            && last.body.len() + frame.body.len() <= SHARED;
        let offset = self.tail.end - last.len();
        let end = offset + frame_len(last.body.len() + frame.body.len());
        if !continues || end + self.reserve > self.tail.capacity {
            return None;
        }
        last.body.append(&mut frame.body);
        // As few as there are bytes.
        last.count += frame.count;
        last.last_term = frame.last_term;
        self.tail.end = end;
        let (offset, len) = (offset as u32, last.len() as u32);
        Some((self.next_lsn - 1, Place { segment: self.tail.segment, offset, len }))
    }

    /// [Places](Self::place) it, where the frame may as well stay away.
    pub(super) fn place_if_it_fits(&mut self, mut frame: Frame) {
        if self.tail.end + frame.len() <= self.tail.capacity {
            let checkpoint = frame.clone();
            // There is room, so that none is needed.
            let _ = self.place(&mut frame, || checkpoint);
        }
    }

    fn turn(&mut self, checkpoint: Frame, more: u64) -> Result<(), NoSpare> {
        let end = BLOCK as u64 + checkpoint.len();
        let needed = end + more;
        let fits = |spare: &Spare<T>| spare.capacity >= needed;
        let spare = self.spares.iter().position(fits).and_then(|at| self.spares.remove(at));
        let Some(spare) = spare else {
            // Where there was no room for one of the usual length, the least may still find it.
            let usual = if self.short.is_some() { 0 } else { self.usual };
            let capacity = needed.max(usual).next_multiple_of(BLOCK as u64);
            return Err(NoSpare { capacity });
        };
        self.tail = Tail { segment: self.tail.segment + 1, end, capacity: spare.capacity };
        self.steps.push(Step::Turn(Box::new(NewSegment { spare, checkpoint })));
        self.next_lsn += 1;
        Ok(())
    }

    /// All that waits.
    pub(super) fn take(&mut self) -> Vec<Step<T>> {
        std::mem::replace(&mut self.steps, std::mem::take(&mut self.other))
    }

    /// Takes back a list whose steps were written.
    pub(super) fn give_back(&mut self, mut steps: Vec<Step<T>>) {
        steps.clear();
        steps.shrink_to(STEPS_KEPT);
        self.other = steps;
    }
}
