//! The thin face of the model: calls that stop, and what becomes of them.
//!
//! A keeper thread makes each call below a watched directory in the caller's place, so it knows
//! the result and the order of all of them, and tells the model. Syncs it answers without making
//! them: what is on the disk is decided by the model, and no test has to wait for a real one.

mod faults;
mod filter;
mod handle;
mod keeper;
mod names;
mod strangers;
mod sync;
mod sys;
mod watched;
mod write;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::keeper::{bystanders, ensure};
pub(crate) use self::sys::{Family, data};
pub(crate) use self::watched::Watched;
use crate::model::NodeId;

/// A watched directory, shared by its [`Disk`](crate::Disk) and the keepers.
pub(crate) type Shared = Arc<Mutex<Watched>>;

/// All of them. Locked before any one of them; nobody who holds either makes a call that stops.
static REGISTRY: Mutex<Registry> = Mutex::new(Registry { disks: Vec::new() });

/// Which directories are watched.
pub(crate) struct Registry {
    disks: Vec<Shared>,
}

impl Registry {
    pub(crate) fn lock() -> MutexGuard<'static, Self> {
        REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one; `false` if it is within one that is there, or around it.
    pub(crate) fn add(&mut self, disk: &Shared) -> bool {
        let root = lock(disk).root().to_owned();
        let apart = self.disks.iter().all(|other| {
            let other = lock(other);
            !root.starts_with(other.root()) && !other.root().starts_with(&root)
        });
        if apart {
            self.disks.push(Arc::clone(disk));
        }
        apart
    }

    pub(crate) fn remove(&mut self, disk: &Shared) {
        self.disks.retain(|other| !Arc::ptr_eq(other, disk));
    }

    /// Those that a call without a file is about: the family's own, so that tests side by side
    /// don't meet each other's.
    fn of(&self, notice: &sys::Notice<'_>) -> impl Iterator<Item = &Shared> {
        let family = notice.family();
        self.disks.iter().filter(move |disk| lock(disk).family() == family)
    }

    /// The node that an inode is, and where.
    fn find(&self, inode: impl Into<Inode>) -> Option<(&Shared, NodeId)> {
        let inode = inode.into();
        self.disks.iter().find_map(|disk| Some((disk, lock(disk).node(inode)?)))
    }
}

/// What the file system calls a node, for as long as it lives.
#[derive(Debug, Clone, Copy)]
struct Inode {
    /// Device and number.
    key: (u64, u64),
    /// How many names it has.
    links: u64,
}

impl From<&Metadata> for Inode {
    fn from(meta: &Metadata) -> Self {
        Self { key: (meta.dev(), meta.ino()), links: meta.nlink() }
    }
}

impl From<sys::Stat> for Inode {
    fn from(stat: sys::Stat) -> Self {
        Self { key: stat.key, links: stat.links }
    }
}

pub(crate) fn lock(disk: &Shared) -> MutexGuard<'_, Watched> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}
