//! From an open log to what a node's faces keep of it in memory.
//!
//! Guarantees: the state is that of a snapshot from which the log goes on, so that openraft, which applies what
//! is committed before a node does anything, comes to the state that was there; the log holds in memory no
//! more than it may, however long it is, also while it is read. What it won't hold isn't read again here: every
//! byte was verified when the log was opened, and is again whenever it is read.

use std::ops::Range;

use bytes::Bytes;

use super::GROUP;
use super::error::{EntryError, OpenError};
use super::snapshots::{Found, find};
use crate::codec::{DecodeError, Message};
use crate::log::{BoundedLog, Gone};
use crate::machine::Machine;
use crate::proto::v1;
use crate::storage::Probation;
use crate::types::{Entry, LogId, Vote};
use crate::wal::{FileSystem, Wal};

/// Bytes of entries that are read at once, unless one has more.
const AT_ONCE: u64 = 4 << 20;

/// What a directory came to.
pub(super) struct Restored {
    pub(super) log: Held,
    pub(super) machine: Machine,
    pub(super) snapshots: Found,
}

/// What a log's face keeps in memory.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) log: BoundedLog,
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
}

/// Reads all of it, and changes nothing.
pub(super) fn restore<F: FileSystem>(
    wal: &Wal<F>,
    hot_bytes: usize,
) -> Result<Restored, OpenError> {
    let state = wal.group(GROUP);
    let vote = state.vote.map(Vote::try_from).transpose().map_err(invalid("the vote"))?;
    let committed = log_id(state.committed, "what is committed")?;
    let purged = log_id(state.purged, "what is purged")?;
    state.probation.map(Probation::try_from).transpose().map_err(invalid("a probation"))?;
    let (snapshots, machine) = find(wal.file_system(), state.snapshot.as_ref(), purged)?;
    let log = restore_log(wal, &state, purged, hot_bytes)?;
    let index = |id: Option<LogId>| id.map(|id| id.index);
    tracing::info!(
        snapshot = index(machine.last_applied()),
        purged = index(purged),
        committed = index(committed),
        last = index(log.log().last_log_id()),
        "storage restored"
    );
    Ok(Restored { log: Held { log, vote, committed }, machine, snapshots })
}

/// Reads the newest entries into memory, as far as they may be there, and of the others whose they are.
fn restore_log<F: FileSystem>(
    wal: &Wal<F>,
    state: &v1::GroupState,
    purged: Option<LogId>,
    hot_bytes: usize,
) -> Result<BoundedLog, OpenError> {
    // In memory they take more than on the disk, as long as they are small.
    let hot = wal.tail(GROUP, hot_bytes as u64);
    let cold = state.first_index..hot.max(state.first_index);
    let mut next = cold.end;
    let reigns = reigns(wal, cold.clone())?;
    let mut log = BoundedLog::resume(cold, reigns, purged, hot_bytes)?;
    while next < state.next_index {
        let read = wal.read(GROUP, next..state.next_index, AT_ONCE);
        let entries = decode(read.map_err(EntryError::from)?, next)?;
        next += entries.len() as u64;

        log.append(entries)?;
        log.cool(&mut Gone::default());
    }
    Ok(log)
}

/// The ids of the entries that each leader began with, in order. Leaders never descend, so that between two
/// entries of one leader there is no other's: few entries tell.
fn reigns<F: FileSystem>(wal: &Wal<F>, range: Range<u64>) -> Result<Vec<LogId>, EntryError> {
    let id = |index: u64| {
        let read = wal.read(GROUP, index..index + 1, AT_ONCE)?;
        let entry = decode(read, index)?.into_iter().next();
        entry.map(|entry| entry.log_id).ok_or(EntryError::Absent { index })
    };
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let (mut now, last) = (id(range.start)?, id(range.end - 1)?);
    let mut found = vec![now];
    while now.leader_id != last.leader_id {
        let (mut of_now, mut of_next) = (now, last);
        while of_now.index + 1 < of_next.index {
            let middle = id(of_now.index.midpoint(of_next.index))?;
            let same = middle.leader_id == now.leader_id;
            *(if same { &mut of_now } else { &mut of_next }) = middle;
        }
        now = of_next;
        found.push(now);
    }
    Ok(found)
}

/// Entries that were read from `first` on, of which there must be one.
pub(super) fn decode(read: Vec<(u64, Bytes)>, first: u64) -> Result<Vec<Entry>, EntryError> {
    let decode = |((index, bytes), expected): ((u64, Bytes), u64)| {
        if index != expected {
            return Err(EntryError::Absent { index: expected });
        }
        let entry = Entry::decode(bytes).map_err(|source| EntryError::Invalid { index, source })?;
        let got = entry.log_id.index;
        if got == index { Ok(entry) } else { Err(EntryError::Other { got, expected }) }
    };
    if read.is_empty() {
        return Err(EntryError::Absent { index: first });
    }
    // In this order: behind the last index there is none.
    read.into_iter().zip(first..).map(decode).collect()
}

fn log_id(proto: Option<v1::LogId>, what: &'static str) -> Result<Option<LogId>, OpenError> {
    proto.map(LogId::try_from).transpose().map_err(invalid(what))
}

fn invalid(what: &'static str) -> impl Fn(DecodeError) -> OpenError {
    move |source| OpenError::Invalid { what, source }
}
