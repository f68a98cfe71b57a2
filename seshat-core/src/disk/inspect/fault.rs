//! [`Fault`]: something that isn't as it was written.

use std::fmt;

use crate::codec::DecodeError;
use crate::disk::error::{EntryError, Unreadable};
use crate::log::AppendError;
use crate::types::LogId;
use crate::wal::{LostEntries, OpenError, Wrong};

/// Something that isn't as it was written, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Opening the log refuses: `IDENTITY` or a segment is damaged, of a newer version, or can't be read.
    #[error("{}", WithoutAdvice(.0))]
    Log(OpenError),
    /// Entries whose checksums are right, and which aren't entries.
    #[error("entries that can't be read: {source}")]
    Entries {
        /// The file.
        file: String,
        /// Where their frame begins.
        offset: u64,
        /// The group.
        group: u32,
        /// Index of the first of them.
        first: u64,
        /// How many.
        count: u32,
        /// Why.
        source: EntryError,
    },
    /// Entries that contradict each other.
    #[error("the log of group {group} contradicts itself: {source}")]
    Order {
        /// The group.
        group: u32,
        /// How.
        source: AppendError,
    },
    /// What the log says of a group isn't valid.
    #[error("what the log says of {what} of group {group} is not valid: {source}")]
    Invalid {
        /// The group.
        group: u32,
        /// Of what.
        what: &'static str,
        /// Why.
        source: DecodeError,
    },
    /// A snapshot's file is damaged, or isn't there.
    #[error("{source}")]
    Snapshot {
        /// The file.
        file: String,
        /// Whether the state can be had without it.
        spare: bool,
        /// What is wrong with it.
        source: Unreadable,
    },
    /// No snapshot is whole from which the log goes on.
    #[error("no snapshot reaches entry {purged}, up to which the log is purged")]
    NoState {
        /// The last entry that is in no log any more.
        purged: LogId,
    },
}

/// What to do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Part of what the node promised may be lost.
    Replace,
    /// The file isn't needed.
    GoOn,
    /// A newer version wrote it.
    Newer,
    /// The system didn't let it be read.
    Read,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replace => {
                "the node must not go on: remove it from its cluster, move the directory away, and add the \
                 node again, empty; if no other node has the data, see `seshat salvage`"
            }
            Self::GoOn => {
                "nothing is lost, as the node starts from another snapshot or from its log; newer ones take \
                 its place; look after the disk"
            }
            Self::Newer => "use the version of Seshat that wrote it, or a newer one",
            Self::Read => "look at the system's log and the file's permissions, and try again",
        })
    }
}

impl Fault {
    /// The file, within the directory; `None` where it is not one file's fault.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Log(OpenError::Damaged(damage)) => Some(&damage.file),
            Self::Log(OpenError::Newer { file, .. } | OpenError::Locked { file, .. }) => Some(file),
            Self::Log(OpenError::Failed(failure)) => Some(&failure.file),
            Self::Entries { file, .. } | Self::Snapshot { file, .. } => Some(file),
            Self::Log(_) | Self::Order { .. } | Self::Invalid { .. } | Self::NoState { .. } => None,
        }
    }

    /// Where in the file, in bytes, if it is at some place rather than all of it.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Log(OpenError::Damaged(damage)) => Some(damage.offset).filter(|at| *at > 0),
            Self::Entries { offset, .. } => Some(*offset),
            _ => None,
        }
    }

    /// Entries that are lost, or may be.
    pub fn lost(&self) -> Vec<LostEntries> {
        match self {
            Self::Log(OpenError::Damaged(damage)) => damage.lost.clone(),
            Self::Entries { group, first, count, .. } => {
                let to = Some(first.saturating_add(u64::from(*count).saturating_sub(1)));
                vec![LostEntries { group: *group, from: *first, to }]
            }
            _ => Vec::new(),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Log(OpenError::Newer { .. }) => Advice::Newer,
            Self::Log(OpenError::Damaged(damage)) if matches!(damage.wrong, Wrong::Kind(_)) => {
                Advice::Newer
            }
            Self::Log(OpenError::Failed(_))
            | Self::Snapshot { source: Unreadable::Failed(_), .. } => Advice::Read,
            Self::Snapshot { spare: true, .. } => Advice::GoOn,
            _ => Advice::Replace,
        }
    }
}

/// What is wrong, where file, place, entries and advice are told beside it.
struct WithoutAdvice<'a>(&'a OpenError);

impl fmt::Display for WithoutAdvice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OpenError::Damaged(damage) => damage.wrong.fmt(f),
            OpenError::Failed(failure) => write!(f, "{failure}: {}", failure.source),
            other => other.fmt(f),
        }
    }
}
