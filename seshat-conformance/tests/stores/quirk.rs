//! [`Quirk`]: ways to be right but unusual. None of them may be accused of anything.

use super::log::{Memory, id_of};
use super::types::{Entry, LogId, Vote};

macro_rules! quirks {
    ($($name:ident, $doc:literal;)*) => {
        /// Something unusual that the contract allows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Quirk { $(#[doc = $doc] $name,)* }

        /// Each quirk with what it is.
        pub const QUIRKS: &[(Quirk, &str)] = &[$((Quirk::$name, $doc),)*];
    };
}

quirks! {
    Strict, "panics on every call that openraft can't make";
    LazyPurge, "purged entries are hidden at once and deleted with the next append";
    CommittedNever, "the committed id is not kept: read_committed is always None";
    CommittedUnsynced, "the committed id is written and not synced: a power cut may set it back";
    LateCallback, "append returns at once; another thread syncs and calls back";
    LimitedToOne, "a limited read gives one entry";
    OneLock, "one lock over log and state machine, held through every call and its waiting";
    TruncateUnsynced, "a truncate is not durable until a later write is";
    HalfSurvives, "of what was not acknowledged the first half survives a power cut";
    DefaultVote, "a fresh store's vote is the default one, not None";
    MembershipAhead, "the membership is kept by itself and may be ahead of last_applied";
    PersistentState, "what is applied is durable, snapshots aren't kept";
    PersistentBoth, "what is applied is durable, and so are snapshots";
    BuilderLocks, "building locks the state: apply waits until it is done";
    BuilderLocksEarly, "a builder locks the state from its making until it is dropped";
    ViewAtBuild, "a builder takes its view when it builds, not when it is made";
    RandomIds, "snapshot ids are random";
    EqualIds, "two snapshots of the same state have the same id";
    ShortWrites, "the handle for receiving takes three bytes at a time";
    RebuildsSnapshot, "a snapshot that didn't survive is built anew at opening";
    StopsAtError, "after a write that failed every write fails, until the store is opened again";
    ForgetsUnsynced, "opening takes the disk back to what was synced";
    TwoCopies, "vote, markers and applied state are kept twice: a damaged one is read from its copy";
    ExclusiveLock, "a directory that is open can't be opened again";
    PlainRange, "the log is read by BTreeMap::range, which panics where a range ends before it begins";
    EmptySnapshots, "a snapshot has no bytes: what it is of is kept elsewhere, under its id";
    ForgetsMachine, "nothing of the state machine outlives a restart";
    ForgetsAll, "nothing at all outlives a restart";
}

pub fn allow_vote(old: Option<Vote>, new: Vote) {
    assert!(old.is_none_or(|old| old <= new), "a vote goes back: {old:?} to {new:?}");
}

pub fn allow_append(memory: &Memory, entries: &[Entry]) {
    assert!(!entries.is_empty(), "an append of nothing");
    let mut last = memory.last();
    for entry in entries {
        let id = entry.log_id;
        let next = last.map_or(0, |last| last.index + 1);
        assert_eq!(id.index, next, "an append that doesn't continue the log at {last:?}");
        assert!(last.is_none_or(|last| last.leader_id <= id.leader_id), "a leader goes back");
        let voted = memory.vote.map_or(0, |vote| vote.leader_id.term);
        assert!(id.leader_id.term <= voted, "an entry of a term that wasn't voted in");
        last = Some(id);
    }
}

pub fn allow_truncate(memory: &Memory, at: LogId) {
    let there = memory.records.get(&at.index).map(|record| id_of(record));
    assert_eq!(there, Some(at), "a truncate of what isn't there");
    assert!(memory.committed < Some(at), "a truncate of what is committed");
}

/// A purge may be ahead of the state machine: openraft queues an install and purges at once.
pub fn allow_purge(memory: &Memory, upto: LogId) {
    assert!(memory.purged <= Some(upto), "a purge that goes back");
    let there = memory.records.get(&upto.index).map(|record| id_of(record));
    assert!(there.is_none_or(|there| there == upto), "a purge of an id that isn't the log's");
}

pub fn allow_apply(applied: Option<LogId>, entries: &[Entry]) {
    assert!(!entries.is_empty(), "an apply of nothing");
    let mut last = applied;
    for entry in entries {
        let next = last.map_or(0, |last| last.index + 1);
        assert_eq!(entry.log_id.index, next, "applied out of order, after {last:?}");
        assert!(last < Some(entry.log_id), "applied out of order, after {last:?}");
        last = Some(entry.log_id);
    }
}

pub fn allow_install(applied: Option<LogId>, last: Option<LogId>) {
    assert!(last > applied, "an install of {last:?} that isn't ahead of {applied:?}");
}
