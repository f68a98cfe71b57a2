//! [`Event`]: one call below the directory, and what it did.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::blocks::Blocks;
use super::file::Change;
use super::names::{Entry, NameChange};

/// A file, directory or link for as long as it lives, whatever its names. Never used twice, as an
/// inode's number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The directory itself.
    pub const ROOT: Self = Self(0);
}

/// A moment in a history: so many events have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after call {}", self.0)
    }
}

/// A call, as far as it concerns what is on the disk.
#[derive(Debug, Clone)]
pub struct Event {
    /// The name of the system call.
    pub call: &'static str,
    /// The thread that made it, as the kernel counts them.
    pub thread: u32,
    /// What it did, or would have done had it not failed.
    pub act: Act,
    /// How it ended.
    pub outcome: Outcome,
}

impl Event {
    /// What it did.
    pub fn done(&self) -> &Act {
        match (self.outcome, &self.act) {
            (Outcome::Done | Outcome::Short, act) => act,
            (Outcome::Refused(_), act @ Act::LoseSync { .. }) => act,
            (Outcome::Failed(_) | Outcome::Refused(_), _) => &Act::Nothing,
        }
    }

    /// True for a call that a [`Fault`](crate::Fault) has met.
    pub fn is_hit(&self) -> bool {
        matches!(self.outcome, Outcome::Refused(_) | Outcome::Short)
    }

    /// True for a call that promises durability when it returns, whether it kept the promise or
    /// not: the power is cut before and after each.
    pub fn is_sync(&self) -> bool {
        matches!(
            self.act,
            Act::Sync { .. } | Act::SyncRange { .. } | Act::SyncAll | Act::LoseSync { .. }
        )
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// With this error number, of the kernel.
    Failed(i32),
    /// With this error number, of a [`Fault`](crate::Fault).
    Refused(i32),
    /// Well, and only a part was written, by a [`Fault`](crate::Fault).
    Short,
}

/// What a call does to the state of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// Nothing that counts: `sync_file_range` and `msync(MS_ASYNC)` promise nothing.
    Hint {
        /// The file.
        node: NodeId,
    },
    /// A node comes to be.
    Born {
        /// Its number, used for the first time.
        node: NodeId,
        /// What it is.
        born: Born,
        /// Permission bits.
        mode: u32,
        /// Its first name; none for `O_TMPFILE`.
        name: Option<NameChange>,
    },
    /// Contents or size of a file change.
    Change {
        /// The file.
        node: NodeId,
        /// How.
        change: Change,
    },
    /// Names change.
    Name(NameChange),
    /// A file or directory is synced, whole.
    Sync {
        /// Which.
        node: NodeId,
    },
    /// Bytes of a file are synced: `msync`, or a write through `O_DSYNC`.
    SyncRange {
        /// The file.
        node: NodeId,
        /// The bytes. Their pages are synced whole.
        range: Range<u64>,
    },
    /// Everything is synced.
    SyncAll,
    /// A sync fails, and the pages that it was to write count as clean from then on.
    LoseSync {
        /// The file.
        node: NodeId,
    },
}

impl Act {
    /// The names that change.
    pub(crate) fn name(&self) -> Option<&NameChange> {
        match self {
            Self::Name(change) | Self::Born { name: Some(change), .. } => Some(change),
            _ => None,
        }
    }
}

/// What a node is at birth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Born {
    /// A file; what it has already, on the disk, if it came from outside.
    File(Blocks),
    /// A directory.
    Dir,
    /// A symbolic link.
    Link(PathBuf),
}

impl NameChange {
    /// A name comes to mean a node.
    pub fn link(dir: NodeId, name: &OsStr, node: NodeId) -> Self {
        Self { entries: vec![Entry { dir, name: name.into(), node: Some(node) }] }
    }

    /// A name goes.
    pub fn unlink(dir: NodeId, name: &OsStr) -> Self {
        Self { entries: vec![Entry { dir, name: name.into(), node: None }] }
    }

    /// What one name meant is what another means; `back` is what the first means from then on.
    pub fn rename(
        from: (NodeId, &OsStr),
        to: (NodeId, &OsStr),
        node: NodeId,
        back: Option<NodeId>,
    ) -> Self {
        let entry = |(dir, name): (NodeId, &OsStr), node| Entry { dir, name: name.into(), node };
        Self { entries: vec![entry(from, back), entry(to, Some(node))] }
    }
}
