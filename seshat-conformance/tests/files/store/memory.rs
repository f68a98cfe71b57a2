//! [`Memory`]: what a log holds, and [`Change`], what is done to it. Pure.

use std::collections::BTreeMap;

use super::wire::Wire;
use super::{Entry, LogId, Vote};

/// All that a log store keeps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub entries: BTreeMap<u64, Entry>,
}

/// What is acknowledged once it is on the disk.
#[derive(Debug, Clone)]
pub enum Change {
    Vote(Vote),
    Committed(Option<LogId>),
    Append(Vec<Entry>),
    Truncate(u64),
    Purge(LogId),
}

impl Memory {
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Vote(vote) => self.vote = Some(vote),
            Change::Committed(committed) => self.committed = committed,
            Change::Append(entries) => {
                self.entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
            }
            Change::Truncate(since) => drop(self.entries.split_off(&since)),
            Change::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = self.purged.max(Some(upto));
            }
        }
    }

    /// What it is after a change.
    pub fn after(&self, change: &Change) -> Self {
        let mut after = self.clone();
        after.apply(change.clone());
        after
    }

    pub fn last(&self) -> Option<LogId> {
        self.entries.last_key_value().map(|(_, entry)| entry.log_id).or(self.purged)
    }

    /// Takes in the entries that were found, in order. `None` if one is missing between them.
    pub fn fill(&mut self, found: impl IntoIterator<Item = Entry>) -> Option<()> {
        let mut next = self.purged.map_or(0, |id| id.index + 1);
        for entry in found {
            match entry.log_id.index {
                index if index < next && self.entries.is_empty() => continue,
                index if index == next => next += 1,
                _ => return None,
            }
            self.entries.insert(entry.log_id.index, entry);
        }
        Some(())
    }
}

impl Wire for Memory {
    fn put(&self, out: &mut Vec<u8>) {
        let entries: Vec<Entry> = self.entries.values().cloned().collect();
        ((self.vote, self.committed), (self.purged, entries)).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let ((vote, committed), (purged, entries)): (_, (_, Vec<Entry>)) = Wire::take(from)?;
        let mut memory = Self { vote, committed, purged, entries: BTreeMap::new() };
        memory.fill(entries)?;
        Some(memory)
    }
}

/// Each kind in a place of its own.
impl Wire for Change {
    fn put(&self, out: &mut Vec<u8>) {
        let (mut vote, mut committed, mut entries) = (None, None, Vec::new());
        let (mut since, mut upto) = (None, None);
        match self {
            Self::Vote(new) => vote = Some(*new),
            Self::Committed(new) => committed = Some(*new),
            Self::Append(new) => entries.clone_from(new),
            Self::Truncate(new) => since = Some(*new),
            Self::Purge(new) => upto = Some(*new),
        }
        ((vote, committed), ((since, upto), entries)).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let ((vote, committed), ((since, upto), entries)) = Wire::take(from)?;
        Some(match (vote, committed, since, upto) {
            (Some(vote), ..) => Self::Vote(vote),
            (_, Some(committed), ..) => Self::Committed(committed),
            (_, _, Some(since), _) => Self::Truncate(since),
            (.., Some(upto)) => Self::Purge(upto),
            _ => Self::Append(entries),
        })
    }
}
