//! From an open log to what a node's faces keep of it in memory.
//!
//! Guarantees: the state is that of a snapshot from which the log goes on, so that openraft, which applies what
//! is committed before a node does anything, comes to the state that was there; the log holds in memory no
//! more than it may, however long it is, also while it is read.

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
    let mut log = BoundedLog::new(state.first_index, purged, hot_bytes);
    replay(wal, &state, &mut log)?;
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

/// Reads the log once, into memory as far as it may be there.
fn replay<F: FileSystem>(
    wal: &Wal<F>,
    state: &v1::GroupState,
    log: &mut BoundedLog,
) -> Result<(), OpenError> {
    let mut next = state.first_index;
    while next < state.next_index {
        let read = wal.read(GROUP, next..state.next_index, AT_ONCE);
        let entries = decode(read.map_err(EntryError::from)?, next)?;
        next += entries.len() as u64;

        log.append(entries)?;
        log.cool(&mut Gone::default());
    }
    Ok(())
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
