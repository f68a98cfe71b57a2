//! What the log says when it can't: an error for each operation, with both sides.

mod damage;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

pub use self::damage::{Damage, LostEntries, Part, Wrong};
use crate::codec::DecodeError;

/// A call to the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Opening or creating a file.
    Open,
    /// Creating a folder.
    CreateFolder,
    /// Asking for a file's length.
    Length,
    /// Listing a folder.
    List,
    /// Taking the lock.
    Lock,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Syncing a file.
    Sync,
    /// Syncing a folder.
    SyncFolder,
    /// Dropping what is cached of a file.
    DropCache,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::CreateFolder => "create folder",
            Self::Length => "ask for the length of",
            Self::List => "list",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::SyncFolder => "sync folder",
            Self::DropCache => "drop the cache of",
            Self::Rename => "rename",
            Self::Remove => "remove",
        })
    }
}

/// A call to the file system failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not {call} {file:?}")]
pub struct Failure {
    /// What was called.
    pub call: Call,
    /// The file, within the log's directory.
    pub file: String,
    /// What the system said.
    #[source]
    pub source: Arc<io::Error>,
}

impl Failure {
    pub(crate) fn new(call: Call, file: impl Into<String>, source: io::Error) -> Self {
        Self { call, file: file.into(), source: Arc::new(source) }
    }

    /// Whether the disk has no room, or the user may take no more.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Adds call and file to what the system says.
pub(crate) trait Context<T> {
    fn during(self, call: Call, file: &str) -> Result<T, Failure>;
}

impl<T> Context<T> for io::Result<T> {
    fn during(self, call: Call, file: &str) -> Result<T, Failure> {
        self.map_err(|source| Failure::new(call, file, source))
    }
}

/// The log takes and promises nothing any more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stopped {
    /// It was closed.
    #[error("the log is closed")]
    Closed,
    /// A write, a sync, a rename or a removal failed. What is on the disk isn't known any more: the process
    /// must end, and opening the log finds out.
    #[error("the log failed, and takes nothing until it is opened anew by another process")]
    Failed(#[source] Failure),
}

/// A record that contradicts what its group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// Entries leave a hole, or overlap.
    #[error("entry {got} does not continue the log: expected {expected}")]
    NotConsecutive {
        /// Index of the first entry.
        got: u64,
        /// The index it should have.
        expected: u64,
    },
    /// No entry, or indexes beyond the last.
    #[error("{count} entries from {first} on can't be counted")]
    Count {
        /// Index of the first.
        first: u64,
        /// How many.
        count: u32,
    },
    /// What is purged can't be taken back.
    #[error("can't truncate since {got}: the log is purged up to {purged}")]
    Purged {
        /// Where to truncate.
        got: u64,
        /// The purge marker.
        purged: u64,
    },
}

/// Why a record isn't in the log. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// It contradicts what its group has.
    #[error("group {group}: {illegal}")]
    Illegal {
        /// The group.
        group: u32,
        /// What is wrong.
        illegal: Illegal,
    },
    /// More than one frame holds.
    #[error(
        "{got} bytes and {count} entries are too much for one record: at most {max} and {max_count}"
    )]
    TooLarge {
        /// Its bytes.
        got: u64,
        /// Its entries.
        count: usize,
        /// The most bytes.
        max: u64,
        /// The most entries.
        max_count: usize,
    },
    /// A group more than a checkpoint may name.
    #[error("group {group} is one too many: {max} are")]
    TooManyGroups {
        /// The group.
        group: u32,
        /// The most.
        max: usize,
    },
    /// There is no room for another segment, and not enough in the last. Votes, truncations and purges still
    /// fit in what is kept for them; entries are taken again once [`Wal::maintain`](super::Wal::maintain) found room.
    #[error("the disk is full: {needed} bytes are needed for the log's next segment")]
    DiskFull {
        /// What the next segment takes.
        needed: u64,
    },
    /// It takes nothing any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why entries could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The disk returned something else than what was written, and was synced.
    #[error("entries {} to {} of group {group} are damaged: the frame in {file} at byte {offset} {part}", .indexes.start, .indexes.end.saturating_sub(1))]
    Damaged {
        /// The group.
        group: u32,
        /// The entries in that frame.
        indexes: Range<u64>,
        /// The file.
        file: String,
        /// Where the frame begins.
        offset: u64,
        /// What of the frame.
        part: Part,
    },
    /// The disk returned what was written, and it isn't entries.
    #[error("entries of group {group} can't be read from {file} at byte {offset}")]
    Invalid {
        /// The group.
        group: u32,
        /// The file.
        file: String,
        /// Where the frame begins.
        offset: u64,
        /// Why.
        source: DecodeError,
    },
    /// The disk returned nothing.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The entries aren't durable, and never will be.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a log didn't open. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open, or this one has.
    #[error("{file} is locked: process {} has the log open", MaybePid(*.holder))]
    Locked {
        /// The lock.
        file: String,
        /// Who has it, if it says so.
        holder: Option<u32>,
    },
    /// It belongs to a node of another cluster.
    #[error("the directory belongs to cluster {got:?}, this node is of {expected:?}")]
    OtherCluster {
        /// The directory's.
        got: String,
        /// This node's.
        expected: String,
    },
    /// It belongs to another node.
    #[error("the directory belongs to node {got}, this is node {expected}")]
    OtherNode {
        /// The directory's.
        got: u64,
        /// This node's.
        expected: u64,
    },
    /// A newer build wrote it.
    #[error(
        "{file} has format {got}, this build reads 1 to {known}: a newer one wrote it, so run that"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its format.
        got: u32,
        /// The newest that this build reads.
        known: u32,
    },
    /// Part of it was changed, cut or lost after it was durable.
    #[error(transparent)]
    Damaged(#[from] Box<Damage>),
    /// The system doesn't let it.
    #[error(transparent)]
    Failed(#[from] Failure),
}

struct MaybePid(Option<u32>);

impl fmt::Display for MaybePid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => pid.fmt(f),
            None => f.write_str("(unknown)"),
        }
    }
}
