//! What a disk holds, and what of it a power cut leaves. Pure: no trap, no clock, and no file but
//! where a [`Picture`] is read or written. Whatever can tell its writes and syncs as [`Event`]s
//! can use it.

mod blocks;
mod damage;
mod event;
mod file;
mod history;
mod names;
mod picture;
mod random;
mod report;
mod state;

use std::fmt;

pub use self::blocks::{BLOCK, Blocks};
pub use self::damage::{Flip, Record, Spot};
pub use self::event::{Act, Born, Event, Moment, NodeId, Outcome};
pub use self::file::{Change, File, Pending, SECTOR};
pub use self::history::{History, Image, Side};
pub use self::names::{Entry, Listing, NameChange, Names, PendingName, Tree};
pub use self::picture::{Item, Kind, Picture};
pub use self::report::{Became, Trace, Unsynced};
pub use self::state::{Body, Node, State};

/// When a name is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Model {
    /// What POSIX promises: a name is durable once its directory was synced, and each directory
    /// for itself. What fails under this alone is advice.
    Posix,
    /// What ext4 and XFS do: names are journalled in order, and a sync of a file takes the journal
    /// along up to what concerns that file. So a new file's own sync makes its name durable.
    /// Neither writes a file's data before a rename of it unless asked to (ext4 does by default,
    /// with `auto_da_alloc`; XFS doesn't), so this doesn't either.
    Ext4,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Posix => "posix",
            Self::Ext4 => "ext4",
        })
    }
}

/// How much of what was not synced is on the disk all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Survives {
    /// Nothing.
    Nothing,
    /// All of it, but for pages that a failed sync has dropped.
    Everything,
    /// A part, by this seed: whole writes, pages or sectors of 512 bytes, torn and out of order;
    /// any size on the way; names, in order under [`Model::Ext4`], in any under [`Model::Posix`].
    Some(u64),
}

impl fmt::Display for Survives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing that was not synced survives"),
            Self::Everything => f.write_str("all that was written survives"),
            Self::Some(seed) => write!(f, "a part of what was not synced survives, by seed {seed}"),
        }
    }
}

/// A power cut. The same cut of the same state leaves the same, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// When a name is on the disk.
    pub model: Model,
    /// What of the rest is.
    pub survives: Survives,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.model, self.survives)
    }
}
