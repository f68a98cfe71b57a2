//! The log as those who use it see it, and whose turn it is to write. No I/O.
//!
//! Guarantees: a record is in the log, in its group's state and in the queue, or in none of them. Whoever
//! waits first, while nobody writes, gets the [`Turn`] and with it all that is queued, also of those who came
//! later. Who waits meanwhile sleeps, and is woken when what it waits for is durable or when it is its turn.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, Thread};

use super::error::{Failure, Stopped, SubmitError};
use super::frame::{Frame, Kind};
use super::group::{FrameAt, Group};
use super::queue::{NoSpare, Queue, Step};
use super::record::Change;
use super::recovery::checkpoint;
use super::segment::Segment;
use super::writer::Writer;
use crate::codec::MAX_GROUPS;
use crate::proto::v1;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Core<T> {
    groups: BTreeMap<u32, Group>,
    segments: BTreeMap<u64, Arc<Segment<T>>>,
    pub(super) queue: Queue<T>,
    /// `None` while somebody writes.
    writer: Option<Writer<T>>,
    /// The last LSN that is durable, and where its frame ends.
    durable: (u64, (u64, u64)),
    /// The last LSN of which a frame that was written says that it is durable.
    said: u64,
    /// The last frame that says something of a group.
    last_record: u64,
    pub(super) stopped: Option<Stopped>,
    sleepers: Vec<(u64, Thread)>,
}

/// The right to write, and what.
#[derive(Debug)]
pub(super) struct Turn<T> {
    pub(super) writer: Writer<T>,
    pub(super) steps: Vec<Step<T>>,
    /// The last LSN that is durable before.
    pub(super) durable: u64,
    /// The last that will be.
    upto: u64,
    end: (u64, u64),
}

/// Why a record isn't placed.
pub(super) enum Refused {
    /// It can be once there is a spare of that length.
    NoSpare(NoSpare),
    Error(SubmitError),
}

impl<T> Core<T> {
    /// A log of which all is durable.
    pub(super) fn new(
        groups: BTreeMap<u32, Group>,
        segments: BTreeMap<u64, Arc<Segment<T>>>,
        queue: Queue<T>,
        writer: Writer<T>,
    ) -> Self {
        let (last, tail) = (queue.next_lsn() - 1, queue.tail());
        Self {
            groups,
            segments,
            queue,
            writer: Some(writer),
            durable: (last, (tail.segment, tail.end)),
            said: last,
            last_record: 0,
            stopped: None,
            sleepers: Vec::new(),
        }
    }

    pub(super) fn group(&self, group: u32) -> Option<&Group> {
        self.groups.get(&group)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &v1::GroupState> {
        self.groups.values().map(Group::state)
    }

    pub(super) fn running(&self) -> Result<(), Stopped> {
        self.stopped.clone().map_or(Ok(()), Err)
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.0
    }

    /// The last frame of all.
    pub(super) fn last(&self) -> u64 {
        self.queue.next_lsn() - 1
    }

    /// The last frame that says something of a group.
    pub(super) fn last_record(&self) -> u64 {
        self.last_record
    }

    /// The segments, without those that are planned, and the bytes that their files have.
    pub(super) fn sizes(&self) -> (usize, u64) {
        let bytes = self.segments.values().map(|segment| segment.header.capacity).sum();
        (self.segments.len(), bytes)
    }

    /// Puts a record into the log.
    pub(super) fn submit(&mut self, frame: &mut Frame, change: &Change) -> Result<u64, Refused> {
        self.running().map_err(|stopped| Refused::Error(stopped.into()))?;
        let number = frame.group;
        let check = match self.groups.get(&number) {
            Some(group) => group.check(change),
            None if self.groups.len() >= MAX_GROUPS => {
                let error = SubmitError::TooManyGroups { group: number, max: MAX_GROUPS };
                return Err(Refused::Error(error));
            }
            None => Group::new(number).check(change),
        };
        check.map_err(|illegal| Refused::Error(SubmitError::Illegal { group: number, illegal }))?;
        let Self { queue, groups, .. } = self;
        let (lsn, place) = queue.place(frame, || checkpoint(groups)).map_err(Refused::NoSpare)?;
        let group = self.groups.entry(number).or_insert_with(|| Group::new(number));
        group.apply(change.clone(), place);
        self.last_record = lsn;
        Ok(lsn)
    }

    /// See [`Queue::fits`].
    pub(super) fn fits(&self, bytes: u64) -> Result<(), u64> {
        self.queue.fits(bytes, || checkpoint(&self.groups).len())
    }

    /// Puts in a frame that the log itself needs, or not if there is no room for it.
    pub(super) fn mark(&mut self, kind: Kind) {
        self.queue.place_if_it_fits(Frame::new(kind, 0, Vec::new()));
    }

    /// The right to write all that waits, if nobody has it.
    pub(super) fn turn(&mut self) -> Option<Turn<T>> {
        let writer = self.writer.take()?;
        let (steps, tail) = (self.queue.take(), self.queue.tail());
        let end = (tail.segment, tail.end);
        Some(Turn { writer, steps, durable: self.durable.0, upto: self.last(), end })
    }

    /// The right to write, unsynced, that all records are durable, if they are and no frame says so.
    pub(super) fn turn_to_say(&mut self) -> Option<Turn<T>> {
        let silent = self.said < self.last_record && self.durable.0 >= self.last_record;
        if !silent || self.writer.is_none() || self.last() != self.durable.0 {
            return None;
        }
        self.mark(Kind::Synced);
        let turn = self.turn()?;
        self.said = self.durable.0;
        Some(turn)
    }

    /// What was written unsynced is as good as queued.
    pub(super) fn said(&mut self, writer: Writer<T>, written: Result<(), Failure>) -> Vec<Thread> {
        match written {
            Ok(()) => {
                self.writer = Some(writer);
                self.wake()
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// All of a turn is durable, or nothing will be any more. Returns whom to wake.
    pub(super) fn wrote(
        &mut self,
        turn: Turn<T>,
        written: Result<Vec<Arc<Segment<T>>>, Failure>,
    ) -> Vec<Thread> {
        match written {
            Ok(begun) => {
                let named = begun.into_iter().map(|segment| (segment.header.sequence, segment));
                self.segments.extend(named);
                // What the frames of this turn say; those behind a new segment's header say more.
                if turn.upto > turn.durable {
                    self.said = turn.durable;
                }
                self.durable = (turn.upto, turn.end);
                self.queue.give_back(turn.steps);
                self.writer = Some(turn.writer);
                self.wake()
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// Nothing is promised any more. Returns whom to wake.
    pub(super) fn fail(&mut self, failure: Failure) -> Vec<Thread> {
        if self.stopped.is_none() {
            self.stopped = Some(Stopped::Failed(failure));
        }
        self.sleepers.drain(..).map(|(_, thread)| thread).collect()
    }

    /// This thread is to be woken when that LSN is durable, or when it is its turn.
    pub(super) fn sleep(&mut self, lsn: u64) {
        self.sleepers.push((lsn, thread::current()));
    }

    /// Those whose wait is over, and one of the others to write for them.
    fn wake(&mut self) -> Vec<Thread> {
        let durable = self.durable.0;
        let mut over = Vec::new();
        self.sleepers.retain(|(lsn, thread)| {
            let waits = *lsn > durable;
            if !waits {
                over.push(thread.clone());
            }
            waits
        });
        over.extend(self.sleepers.pop().map(|(_, thread)| thread));
        over
    }

    /// The frames with a group's entries of a range, and their segments, until they have `max` bytes; and
    /// whether all of them are durable.
    #[expect(clippy::type_complexity, reason = "taken apart where it is called")]
    pub(super) fn frames(
        &self,
        group: u32,
        range: Range<u64>,
        max: u64,
    ) -> (bool, Vec<(FrameAt, Range<u64>, Arc<Segment<T>>)>) {
        let mut bytes = 0;
        let frames =
            self.groups.get(&group).into_iter().flat_map(|held| held.frames(range.clone()));
        let some = frames.take_while(|(frame, _)| {
            let before = bytes;
            bytes += u64::from(frame.place.len);
            before == 0 || before < max
        });
        let mut durable = true;
        let mut found = Vec::new();
        for (frame, taken) in some {
            durable &= (frame.place.segment, u64::from(frame.place.offset)) < self.durable.1;
            // A segment that was planned is not there before it is written.
            if let Some(segment) = self.segments.get(&frame.place.segment) {
                found.push((frame, taken, Arc::clone(segment)));
            }
        }
        (durable, found)
    }

    /// The oldest segment, if no group needs it and nothing reads it; and the last LSN, which must be durable
    /// before it goes, as what made it dispensable may be among the last.
    pub(super) fn dispensable(&self) -> Option<(u64, u64)> {
        let (oldest, segment) = self.segments.first_key_value()?;
        let needed = self.groups.values().filter_map(Group::needs).min();
        let needed = needed.unwrap_or(u64::MAX).min(self.queue.tail().segment);
        (*oldest < needed && Arc::strong_count(segment) == 1).then(|| (*oldest, self.last()))
    }

    /// Takes a segment out of the log that was [dispensable](Self::dispensable), unless somebody began to
    /// read it.
    pub(super) fn let_go(&mut self, sequence: u64) -> Option<Segment<T>> {
        let segment = self.segments.remove(&sequence)?;
        match Arc::try_unwrap(segment) {
            Ok(segment) => Some(segment),
            Err(segment) => {
                self.segments.insert(sequence, segment);
                None
            }
        }
    }
}
