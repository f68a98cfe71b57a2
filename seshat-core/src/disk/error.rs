//! What a storage on disk says when it can't: with both sides, and what to do.

use std::fmt;
use std::io;

use crate::codec::DecodeError;
use crate::log::AppendError;
use crate::machine::NoRoom;

use crate::snapshot::SnapshotError;
use crate::types::LogId;
use crate::wal::{self, Failure, Stopped, SubmitError};

/// Why a storage didn't open. What is in the directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log is locked, somebody else's, newer, damaged, or the system doesn't let it be read.
    #[error(transparent)]
    Log(#[from] wal::OpenError),
    /// What the log says of vote, committed, purged or snapshot isn't valid, though its checksum is.
    #[error("what the log says of {what} is not valid")]
    Invalid {
        /// Of what.
        what: &'static str,
        /// Why.
        source: DecodeError,
    },
    /// An entry of the log can't be read.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// An entry contradicts the one before it, though the checksums of both are right.
    #[error("the log contradicts itself")]
    Order(#[from] AppendError),

    /// There is no state to begin with.
    #[error(transparent)]
    NoSnapshot(#[from] Box<NoSnapshot>),
    /// The folder of snapshots can't be read or tidied.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// There is no thread to look after the log.
    #[error("could not start the log's thread")]
    Thread(#[source] io::Error),
}

/// Why an entry can't be read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The log doesn't have it as it was written.
    #[error(transparent)]
    Log(#[from] wal::ReadError),
    /// What was written isn't an entry.
    #[error("entry {index} is not valid")]
    Invalid {
        /// Its index.
        index: u64,
        /// Why.
        source: DecodeError,
    },
    /// It is another entry than the log takes it for.
    #[error("in place of entry {expected} there is entry {got}")]
    Other {
        /// The one that was read.
        got: u64,
        /// Its place.
        expected: u64,
    },
    /// The log ends before it, though it says that it doesn't.
    #[error("entry {index} is not there")]
    Absent {
        /// Its index.
        index: u64,
    },
}

/// No snapshot is whole from which the log goes on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log is purged up to {}, and no snapshot reaches that: {}. Nothing was changed. This node has lost \
     part of its state, so it must not go on: remove it from its cluster, move the directory away, and add \
     the node again, empty", OrNothing(*.purged), Tried(.tried)
)]
pub struct NoSnapshot {
    /// The last entry that is in no log any more.
    pub purged: Option<LogId>,
    /// The snapshots that were tried, the newest first, and what is wrong with each.
    pub tried: Vec<(String, Unreadable)>,
}

struct OrNothing(Option<LogId>);

impl fmt::Display for OrNothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => id.fmt(f),
            None => f.write_str("nothing"),
        }
    }
}

struct Tried<'a>(&'a [(String, Unreadable)]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the log points at none");
        }
        for (number, (file, wrong)) in self.0.iter().enumerate() {
            write!(f, "{}{file}: {wrong}", if number == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// What is wrong with a snapshot's file.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It isn't there.
    #[error("the file is missing")]
    Missing,
    /// It was cut, or something follows it.
    #[error("{got} bytes, the log says {expected}")]
    Length {
        /// Of the file.
        got: u64,
        /// As the log has it.
        expected: u64,
    },
    /// It isn't the snapshot that was written.
    #[error(transparent)]
    Damaged(#[from] SnapshotError),
    /// The log goes on later.
    #[error("it ends with {}", OrNothing(*.0))]
    TooOld(Option<LogId>),
    /// The system doesn't let it.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why a snapshot isn't kept. The one before is.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// Where it comes from, it can't be read.
    #[error("could not read the snapshot that was to be kept")]
    Source(#[source] io::Error),
    /// There is no room, and nothing is left of it.
    #[error(transparent)]
    Full(#[from] NoRoom),
    /// The log takes nothing any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The log doesn't take the pointer.
    #[error(transparent)]
    Log(#[from] SubmitError),
}
