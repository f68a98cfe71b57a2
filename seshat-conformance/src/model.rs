//! [`Model`]: what a store must show after a history of calls. The oracle.
//!
//! Obviously right before anything else: plain collections, no openraft traits, no generics.
//! It also says which calls openraft can make next, so that the kit never makes another.

mod step;
mod stop;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use crate::words::{Command, Keeps};

pub use self::step::{ParseError, Step, StepError};

/// A log id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The leader's term.
    pub term: u64,
    /// The leader, as [`Backend::node_id`](crate::Backend::node_id) numbers it.
    pub node: u64,
    /// Place in the log.
    pub index: u64,
}

impl Id {
    /// What openraft's `initialize` gives the first entry on every node: its `LogId::default()`.
    pub const FIRST: Self = Self { term: 0, node: 0, index: 0 };
}

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// The term voted in.
    pub term: u64,
    /// Who the vote is for.
    pub node: u64,
    /// Whether a quorum granted it.
    pub committed: bool,
}

/// Voters, joint or not, and all members.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Members {
    /// One set of voters; two in a joint configuration.
    pub configs: Vec<BTreeSet<u64>>,
    /// All members: those that are no voters are learners.
    pub nodes: BTreeSet<u64>,
}

/// What an entry carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// A command.
    Command(Command),
    /// A membership.
    Members(Members),
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Item {
    /// Where and by whom.
    pub id: Id,
    /// What.
    pub payload: Payload,
}

/// What the log store must show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogModel {
    /// The last vote saved.
    pub vote: Option<Ballot>,
    /// The greatest id purged.
    pub purged: Option<Id>,
    /// The entries that are there, in order and without a gap, the first one after `purged`.
    pub items: Vec<Item>,
}

/// A snapshot, as far as the oracle knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotModel {
    /// How many entries of the truth it covers.
    pub covers: usize,
}

/// What both halves of a store must show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    /// The log store.
    pub log: LogModel,
    /// All committed ids that were saved, oldest first.
    pub committed: Vec<Id>,
    /// Every entry that was ever applied here, or to the node a snapshot came from, by index.
    pub truth: Vec<Item>,
    /// How many entries of the truth are applied.
    pub applied: usize,
    /// The current snapshot.
    pub snapshot: Option<SnapshotModel>,
    /// What the log may show after a power cut, the present state last: everything since the
    /// last write that was acknowledged as durable.
    pub survivors: Vec<LogModel>,
    /// The first index of what was begun and not yet flushed.
    pub unflushed: Option<u64>,
}

/// A removal of more entries than this is taken to be one step after these.
const STEPWISE: usize = 96;

impl LogModel {
    /// The last entry's id, or the purge marker.
    pub fn last(&self) -> Option<Id> {
        self.items.last().map(|item| item.id).or(self.purged)
    }

    /// The index that the next entry must have.
    pub fn next_index(&self) -> u64 {
        self.last().map_or(0, |id| id.index + 1)
    }

    /// The index of the first entry, if there were one.
    pub fn first_index(&self) -> u64 {
        self.purged.map_or(0, |id| id.index + 1)
    }

    /// The entry at an index.
    pub fn get(&self, index: u64) -> Option<&Item> {
        let place = index.checked_sub(self.first_index())?;
        self.items.get(usize::try_from(place).ok()?)
    }

    /// Entries from `from` to before `to`, as far as they are there.
    pub fn range(&self, from: u64, to: u64) -> Vec<Item> {
        self.items.iter().filter(|i| (from..to.max(from)).contains(&i.id.index)).cloned().collect()
    }

    /// What may be there of an append that was not acknowledged: nothing, all of it, or some from
    /// the front.
    pub fn prefixes(&self, items: &[Item]) -> Vec<Self> {
        let with = |count| {
            let kept = items.iter().take(count).cloned();
            Self { items: self.items.iter().cloned().chain(kept).collect(), ..self.clone() }
        };
        (0..=items.len()).map(with).collect()
    }

    /// Whether all that `shown` has is here: what differs is a truncation or a purge that isn't done
    /// here, and openraft makes again.
    pub fn holds(&self, shown: &Self) -> bool {
        let first = self.first_index();
        let mut kept = shown.items.iter().filter(|item| item.id.index >= first);
        self.vote >= shown.vote
            && self.last() >= shown.last()
            && kept.all(|item| self.get(item.id.index) == Some(item))
    }

    fn truncate(&mut self, index: u64) {
        self.items.retain(|item| item.id.index < index);
    }

    /// Removes what is up to and including an id, and remembers it.
    pub fn purge(&mut self, upto: Id) {
        if self.purged < Some(upto) {
            self.items.retain(|item| item.id.index > upto.index);
            self.purged = Some(upto);
        }
    }
}

impl Model {
    /// A fresh store.
    pub fn new() -> Self {
        let mut model = Self::default();
        model.survivors.push(LogModel::default());
        model
    }

    /// The id of the last entry applied.
    pub fn applied_id(&self) -> Option<Id> {
        self.covered_id(self.applied)
    }

    /// The id of the last of the first `count` entries of the truth.
    pub fn covered_id(&self, count: usize) -> Option<Id> {
        Some(self.truth.get(count.checked_sub(1)?)?.id)
    }

    /// The last membership among the first `count` entries of the truth.
    pub fn membership_at(&self, count: usize) -> Option<(Id, &Members)> {
        self.truth.iter().take(count).rev().find_map(|item| match &item.payload {
            Payload::Members(members) => Some((item.id, members)),
            _ => None,
        })
    }

    /// The commands among the first `count` entries of the truth.
    pub fn commands_at(&self, count: usize) -> Vec<Command> {
        self.truth
            .iter()
            .take(count)
            .filter_map(|item| match item.payload {
                Payload::Command(command) => Some(command),
                _ => None,
            })
            .collect()
    }

    /// How many entries may be applied: those committed, and those of a snapshot.
    pub fn committed_count(&self) -> usize {
        let committed = self.committed.last().map_or(0, |id| count_of(*id));
        committed.max(self.applied)
    }

    /// A write that is not acknowledged as durable by itself: truncate, purge.
    fn soft(&mut self) {
        self.survivors.push(self.log.clone());
    }

    /// A write that is acknowledged, and with it everything before it.
    fn hard(&mut self) {
        self.survivors.clear();
        self.survivors.push(self.log.clone());
    }

    /// Performs a step that is legal.
    ///
    /// # Errors
    /// openraft could not make this call now. Nothing is changed.
    pub fn perform(&mut self, step: &Step) -> Result<(), StepError> {
        self.check(step)?;
        match step {
            Step::Vote(ballot) => {
                self.log.vote = Some(*ballot);
                self.hard();
            }
            Step::Append(items) => {
                self.log.items.extend(items.iter().cloned());
                self.hard();
            }
            Step::Begin(items) => {
                // Any part of it, from the front, may be durable before it is flushed.
                self.survivors.extend(self.log.prefixes(items).into_iter().skip(1));
                let first = self.log.next_index();
                self.log.items.extend(items.iter().cloned());
                self.unflushed = Some(self.unflushed.map_or(first, |before| before.min(first)));
            }
            Step::Flush => {
                self.hard();
                self.unflushed = None;
            }
            Step::Truncate(index) => {
                // In several steps it goes from the end towards its place (R48).
                for next in (*index..self.log.next_index()).rev().take(STEPWISE) {
                    self.log.truncate(next);
                    self.soft();
                }
                self.log.truncate(*index);
                self.soft();
            }
            Step::Purge(upto) => {
                let first = usize::try_from(self.log.first_index()).unwrap_or(usize::MAX);
                let stepwise: Vec<Id> =
                    self.truth.iter().skip(first).take(STEPWISE).map(|item| item.id).collect();
                for id in stepwise.into_iter().filter(|id| id < upto) {
                    self.log.purge(id);
                    self.soft();
                }
                self.log.purge(*upto);
                self.soft();
            }
            Step::Commit(index) => self.committed.extend(self.log.get(*index).map(|i| i.id)),
            Step::Apply(count) => {
                let from = self.applied as u64;
                let items = self.log.range(from, from + *count as u64);
                self.truth.truncate(self.applied);
                self.truth.extend(items);
                self.applied += *count;
            }
            Step::Build => self.snapshot = Some(SnapshotModel { covers: self.applied }),
            Step::Install(items) => {
                self.truth.truncate(self.applied);
                self.truth.extend(items.iter().cloned());
                self.applied = self.truth.len();
                self.snapshot = Some(SnapshotModel { covers: self.applied });
            }
            // What a restart leaves is read off the store and checked by `restarted`.
            Step::Restart => {}
            Step::CutPower => self.unflushed = None,
        }
        Ok(())
    }

    /// Whether openraft could make this call now.
    ///
    /// # Errors
    /// It couldn't, and why.
    pub fn check(&self, step: &Step) -> Result<(), StepError> {
        let last = self.log.last();
        let refuse = |legal: bool, why| if legal { Ok(()) } else { Err(StepError(why)) };
        if matches!(step, Step::Append(_) | Step::Begin(_) | Step::Truncate(_) | Step::Commit(_)) {
            refuse(last >= self.applied_id(), "the log is purged right after an install")?;
        }
        if matches!(step, Step::Install(_) | Step::Restart) {
            refuse(self.unflushed.is_none(), "what was begun is flushed first")?;
        }
        match step {
            Step::Vote(ballot) => refuse(self.log.vote <= Some(*ballot), "a vote never goes back"),
            Step::Append(items) | Step::Begin(items) => {
                let ids: Vec<Id> = last.into_iter().chain(items.iter().map(|i| i.id)).collect();
                let next = items.first().is_none_or(|i| i.id.index == self.log.next_index());
                refuse(next, "an append continues the log")?;
                let joined = ids.windows(2).all(|w| match w {
                    [a, b] => b.index == a.index + 1 && (b.term, b.node) >= (a.term, a.node),
                    _ => true,
                });
                refuse(joined, "indexes go up by one, and leaders never go back")?;
                let first = items.iter().all(|i| i.id.index > 0 || i.id == Id::FIRST);
                refuse(first, "the first entry has the same id on every node")?;
                let leader = items.last().map(|i| i.id.term);
                refuse(
                    leader.is_none_or(|term| term <= self.log.vote.map_or(0, |vote| vote.term)),
                    "a leader's vote is saved before its entries",
                )
            }
            Step::Truncate(index) => {
                refuse(*index >= self.log.first_index(), "what is purged is committed")?;
                let kept = *index as usize >= self.committed_count();
                refuse(kept, "what is committed is never truncated")?;
                refuse(*index > 0, "the first entry is the same everywhere, so it stays")?;
                refuse(self.log.get(*index).is_some(), "an entry that is there is truncated")
            }
            Step::Purge(upto) => {
                let applied = self.truth.iter().take(self.applied).any(|item| item.id == *upto);
                refuse(applied, "only what is applied is purged")?;
                let covers = self.snapshot.map_or(0, |snapshot| snapshot.covers);
                let covered = count_of(*upto) <= covers || self.log.last() < Some(*upto);
                refuse(covered, "only what a snapshot holds is purged")
            }
            Step::Commit(index) => {
                refuse(self.log.get(*index).is_some(), "what is committed is in the log")?;
                let forward = *index as usize >= self.committed_count();
                refuse(forward, "the committed id never goes back")?;
                let flushed = self.unflushed.is_none_or(|first| *index < first);
                refuse(flushed, "what is committed was flushed")
            }
            Step::Apply(count) => {
                let there = self.log.first_index() as usize <= self.applied;
                refuse(there && *count > 0, "entries to apply are in the log")?;
                let committed = self.applied + *count <= self.committed_count();
                refuse(committed, "only what is committed is applied")
            }
            Step::Install(items) => {
                let next = items.first().is_some_and(|i| i.id.index == self.applied as u64);
                refuse(next, "a snapshot brings what follows the state")?;
                let news = self.applied + items.len() > self.committed_count();
                refuse(news, "a snapshot that is not ahead of what is committed is ignored")?;
                let agrees = items.last().is_none_or(|item| {
                    self.log.get(item.id.index).is_none_or(|local| local.id == item.id)
                });
                refuse(agrees, "entries that contradict a snapshot are truncated first")?;
                let committed = self.committed_count() as u64;
                let safe = items
                    .iter()
                    .filter(|item| item.id.index < committed)
                    .all(|item| self.log.get(item.id.index).is_none_or(|local| local == item));
                refuse(safe, "a snapshot holds what is committed")?;
                let same = items.iter().all(|item| {
                    let local = self.log.get(item.id.index);
                    local.is_none_or(|local| local.id != item.id || local == item)
                });
                refuse(same, "an id names one entry, here and elsewhere")
            }
            Step::Flush => refuse(self.unflushed.is_some(), "what is flushed was begun"),
            Step::Build | Step::Restart | Step::CutPower => Ok(()),
        }
    }

    /// How many entries may be applied when the store is open again.
    pub fn applied_after_restart(&self, keeps: Keeps) -> std::ops::RangeInclusive<usize> {
        let floor = match keeps {
            Keeps::Applied => self.applied,
            Keeps::Snapshot => self.snapshot.map_or(0, |snapshot| snapshot.covers),
            Keeps::Nothing => 0,
        };
        floor..=self.applied
    }
}

/// How many entries there are up to and including an id: indexes begin at 0.
pub fn count_of(id: Id) -> usize {
    id.index as usize + 1
}

impl Members {
    /// One set of voters and some learners.
    pub fn new(voters: &[u64], learners: &[u64]) -> Self {
        Self::joint(&[voters], learners)
    }

    /// Several sets of voters and some learners.
    pub fn joint(configs: &[&[u64]], learners: &[u64]) -> Self {
        let configs: Vec<BTreeSet<u64>> =
            configs.iter().map(|voters| voters.iter().copied().collect()).collect();
        let nodes = configs.iter().flatten().chain(learners).copied().collect();
        Self { configs, nodes }
    }
}

/// `t3.n1.i7`.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}.n{}.i{}", self.term, self.node, self.index)
    }
}
