//! [`DiskStorage`]: a node's storage in a directory, which outlives the process and the power.
//!
//! # What is promised
//!
//! - What was acknowledged is there again: entries and votes when the call that stored them has returned.
//!   `append` returns, and calls back, when the entries are durable, on the thread it was called on: openraft
//!   0.9 waits for that before it does anything else, so a hand-over to another thread would only cost.
//! - A node that starts on its directory again is what it was: the state is the snapshot's, and openraft
//!   applies the log to it, up to where it was known to be committed, before it does anything else.
//! - A purge comes after the snapshot that makes it right: its file and the log's pointer to it are durable
//!   before openraft hears of it.
//! - Whatever is wrong with the directory refuses to open ([`OpenError`]), and says what to do. Nothing in it is
//!   changed, but for the word that a log adds whenever it is opened.
//! - Memory: the state, and of the log no more than [`DiskOptions::hot_bytes`], the newest. Older entries are
//!   read from the disk, verified each time. For each record of entries [`BYTES_PER_FRAME`] more. While a
//!   snapshot is built, sent or installed, its bytes as well.
//!
//! - A node over gRPC that takes part on its cluster's word, as its directory was empty, is on probation until
//!   it has caught up, however often it is killed meanwhile ([`Probations`]): it holds less than an earlier
//!   life of it may have promised, and doesn't pass for one that remembers.
//!
//! # What isn't, yet
//!
//! - A disk that is full ends the node, as openraft ends for whatever a log doesn't take. [`DiskLog::space`]
//!   tells before it comes to that.
//! - A copy of a directory that is put back is an older self, which may have promised more since: Raft has no
//!   place for such a node.
//!
//! # What is on disk
//!
//! The files of a [write-ahead log](crate::wal), whose `LOCK` and `IDENTITY` speak for the whole directory, and
//! `snap/`, snapshots (`proto/seshat/v1/snapshot.proto`) of which the newest is the one that the log points at
//! and one more is kept. See `disk/snapshots.rs`.
//!
//! ```
//! use seshat_core::disk::{DiskOptions, DiskStorage};
//! use seshat_core::storage::Storage;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let storage = DiskStorage::open(dir.path(), DiskOptions::new("cluster", 1))?;
//! let (log, machine, reader) = storage.into_parts();
//! assert_eq!(reader.size().keys, 0);
//! # drop((log, machine));
//! # Ok(())
//! # }
//! ```

mod error;
mod home;
mod log;
mod probation;
mod reading;
mod restore;
mod snapshots;

use std::path::Path;
use std::sync::Arc;

pub use self::error::{EntryError, NoSnapshot, OpenError, Unreadable};
use self::home::Home;
pub use self::log::DiskLog;
use self::probation::OnDisk;
use self::restore::Restored;
use self::snapshots::Snapshots;
use crate::machine::{MachineReader, MachineStore};
use crate::storage::{Probations, Released, Room, Storage};
use crate::wal::{self, Call, Disk, Failure, FileSystem, Wal};

#[doc(no_inline)]
pub use crate::wal::BYTES_PER_FRAME;

/// The one Raft group that there is today.
const GROUP: u32 = 0;

/// How a node's storage is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskOptions {
    /// Whose directory it is, and how its log is kept.
    pub wal: wal::Options,
    /// Bytes that entries may take in memory; an entry counts for what it carries and some words more.
    /// Where replication or the state lags behind by more than that, entries come from the disk.
    pub hot_bytes: usize,
}

impl DiskOptions {
    /// 64 MiB of entries in memory, and [`wal::Options::new`].
    pub fn new(cluster: impl Into<String>, node_id: u64) -> Self {
        Self { wal: wal::Options::new(cluster, node_id), hot_bytes: 64 << 20 }
    }
}

/// See the [module](self). The directory is locked until all of the parts are dropped; then the log is closed,
/// which [`released`](Storage::released) tells. A node's `shutdown` and `stop` wait for it.
#[derive(Debug)]
pub struct DiskStorage<F: FileSystem = Disk> {
    /// Entries, vote and committed id.
    pub log: DiskLog<F>,
    /// The state machine; its current snapshot is in a file.
    pub machine: MachineStore,
}

impl DiskStorage {
    /// Opens the storage in a directory, or creates it where nothing is: the directory too, durably.
    ///
    /// Blocks for as long as it takes to read log and snapshot. Call it off the runtime's worker threads.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing that was there is changed.
    pub fn open(dir: impl AsRef<Path>, options: DiskOptions) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        let disk = Disk::at(dir)
            .map_err(|error| Failure::new(Call::CreateFolder, dir.to_string_lossy(), error))?;
        Self::open_on(disk, options)
    }
}

impl<F: FileSystem> DiskStorage<F> {
    /// The same, in the directory that a file system stands for.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_on(fs: F, options: DiskOptions) -> Result<Self, OpenError> {
        let (wal, _) = Wal::open(fs, options.wal)?;
        let Restored { log, machine, snapshots } = restore::restore(&wal, options.hot_bytes)?;
        // What was refused isn't looked after, nor closed.
        let home = Arc::new(Home::of(wal).map_err(OpenError::Thread)?);
        let snapshots = Snapshots::of(Arc::clone(&home), snapshots)?;
        let log = DiskLog::new(home, log);
        Ok(Self { log, machine: MachineStore::keeping(machine, Arc::new(snapshots)) })
    }
}

impl<F: FileSystem> Storage for DiskStorage<F> {
    type Log = DiskLog<F>;
    type Machine = MachineStore;
    type Reader = MachineReader;

    fn room(&self) -> Option<Arc<dyn Room>> {
        Some(self.log.room())
    }

    fn into_parts(self) -> (DiskLog<F>, MachineStore, MachineReader) {
        let reader = self.machine.reader();
        (self.log, self.machine, reader)
    }

    fn probations(&self) -> Arc<dyn Probations> {
        Arc::new(OnDisk::of(self.log.home()))
    }

    fn released(&self) -> Released {
        self.log.home().released()
    }
}
