//! Entries of a log that may have holes.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::{Fault, Progress};
use crate::disk::error::EntryError;
use crate::disk::restore::decode;
use crate::log::AppendError;
use crate::types::{Entry, LeaderId, LogId};
use crate::wal::ReadError;
use crate::wal::fs::File;
use crate::wal::scan::{At, Leader, Scan, Trail, Watch, entries_of};

/// What is at an index of a log, or at some.
#[derive(Debug)]
pub enum Item {
    /// An entry; and whether it is certain that the log had it. Otherwise what is lost may have taken it back.
    Entry(Entry, bool),
    /// Entries that should be there and aren't.
    Missing(Range<u64>),
    /// Entries that can't be read, though they could before.
    Unreadable(Range<u64>, EntryError),
}

/// Decodes every entry while the log is read.
pub(super) struct Reader<'a> {
    progress: &'a mut dyn FnMut(Progress),
    so_far: Progress,
    /// Who made the entries of each frame, by where it lies: the index of the first of each leader.
    leaders: BTreeMap<(u64, u32), Vec<(u64, LeaderId)>>,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(progress: &'a mut dyn FnMut(Progress), of: u64) -> Self {
        let so_far = Progress { read: 0, of };
        Self { progress, so_far, leaders: BTreeMap::new(), faults: Vec::new() }
    }

    /// Who led, and which entries it made.
    pub(super) fn terms(
        &self,
        trail: &Trail,
        purged: Option<LogId>,
        faults: &mut Vec<Fault>,
    ) -> Vec<(LeaderId, Range<u64>)> {
        let mut terms: Vec<(LeaderId, Range<u64>)> = Vec::new();
        let mut last = purged;
        for stretch in &trail.stretches {
            let made = self.leaders.get(&stretch.place());
            for (at, (first, leader)) in made.into_iter().flatten().enumerate() {
                let next =
                    made.and_then(|made| made.get(at + 1)).map_or(stretch.end, |(it, _)| *it);
                let range = stretch.first.max(*first)..next.min(stretch.end);
                if range.is_empty() {
                    continue;
                }
                let got = LogId::new(*leader, range.start);
                if let Some(last) = last.filter(|last| last.leader_id > *leader) {
                    let source = AppendError::LeaderDescends { got, last };
                    faults.push(Fault::Order { group: trail.state.group, source });
                }
                last = Some(LogId::new(*leader, range.end - 1));
                match terms.last_mut() {
                    Some((same, before)) if same == leader && before.end == range.start => {
                        before.end = range.end;
                    }
                    _ => terms.push((*leader, range)),
                }
            }
        }
        terms
    }

    fn decode(&self, at: At<'_>, entries: &Bytes) -> Result<Vec<(u64, LeaderId)>, EntryError> {
        let damaged = |source| ReadError::Invalid {
            group: at.group,
            file: at.file.to_owned(),
            offset: at.offset,
            source,
        };
        let entries = entries_of(entries).map_err(damaged)?;
        let got = entries.len() as u64;
        let expected = u64::from(at.count);
        if got != expected {
            return Err(EntryError::Absent { index: at.first.saturating_add(got.min(expected)) });
        }
        let entries = decode((at.first..).zip(entries).collect(), at.first)?;
        let mut leaders: Vec<(u64, LeaderId)> = Vec::new();
        for entry in entries {
            let LogId { leader_id, index } = entry.log_id;
            if leaders.last().is_none_or(|(_, last)| *last != leader_id) {
                leaders.push((index, leader_id));
            }
        }
        Ok(leaders)
    }
}

impl Watch for Reader<'_> {
    fn entries(&mut self, at: At<'_>, entries: Bytes) -> Option<Leader> {
        match self.decode(at, &entries) {
            Ok(leaders) => {
                let last = leaders.last().map(|(_, leader)| (leader.term, leader.node_id));
                self.leaders.insert(at.place(), leaders);
                last
            }
            Err(source) => {
                self.faults.push(Fault::Entries {
                    file: at.file.to_owned(),
                    offset: at.offset,
                    group: at.group,
                    first: at.first,
                    count: at.count,
                    source,
                });
                None
            }
        }
    }

    fn progress(&mut self, bytes: u64) {
        self.so_far.read += bytes;
        (self.progress)(self.so_far);
    }
}

/// See [`Inspected::entries`](super::Inspected::entries).
pub(super) fn items<T: File>(
    scan: &Scan<T>,
    group: u32,
    range: Range<u64>,
) -> impl Iterator<Item = Item> + '_ {
    let trail = scan.trails.get(&group);
    let state = trail.map(|trail| trail.state.first_index..trail.state.next_index);
    let wanted = state.map_or(0..0, |all| all.start.max(range.start)..all.end.min(range.end));
    let mut next = wanted.start;
    let stretches = trail.into_iter().flat_map(|trail| &trail.stretches).copied();
    let with_end = stretches.map(Some).chain([None]);
    with_end.flat_map(move |stretch| {
        let there = stretch.as_ref().map_or(wanted.end..wanted.end, |it| it.first..it.end);
        let taken = there.start.max(next)..there.end.min(wanted.end);
        let hole = next..there.start.min(wanted.end);
        next = next.max(taken.end);
        let hole = (!hole.is_empty()).then_some(Item::Missing(hole));
        let stretch = stretch.filter(|_| !taken.is_empty());
        let entries = stretch.map(|mut stretch| {
            (stretch.first, stretch.end) = (taken.start, taken.end);
            let read = scan.read(group, &stretch).map_err(EntryError::from);
            match read.and_then(|read| decode(read, taken.start)) {
                Ok(entries) => entries
                    .into_iter()
                    .map(|entry| {
                        let certain = entry.log_id.index < stretch.certain_before;
                        Item::Entry(entry, certain)
                    })
                    .collect(),
                Err(error) => vec![Item::Unreadable(taken, error)],
            }
        });
        hole.into_iter().chain(entries.into_iter().flatten())
    })
}
