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
//!   read from the disk, verified each time. For each record of entries [`BYTES_PER_FRAME`] more. A snapshot is
//!   never in memory as a whole: 16 MiB and the longest key more while one is built; while one is sent or
//!   received over gRPC, or read when the storage is opened, some chunks of it and the longest record. While
//!   one is installed, the state that it holds is there beside the one that it replaces.
//! - A snapshot that isn't kept, or only in part there, leaves no file behind: it is removed with whoever had it,
//!   and after a kill when the storage is opened. Where the disk has no room for one that is built, there is
//!   a warning, and the one before stays; one that arrives is refused. The node goes on.
//! - A full disk ends no node. It is noticed when the file for a segment to come can't be made, while there is
//!   room still for what is under way ([`DiskLog::space`]). From then on proposals are refused
//!   ([`DiskFull`](crate::error::DiskFull)), entries from a leader when they don't fit any more; leadership goes
//!   to a voter that has room; votes, purges and truncations have a reserve. When there is room again, whether
//!   somebody made it or a snapshot let the log go, the node takes writes again, without a word. It is the
//!   node's transport that refuses entries: a [`GrpcServer`](crate::network::grpc::GrpcServer) does, others
//!   have to ask the node's [intake](crate::node::RaftNode::intake).
//! - A disk that fails ends the node that is on it: a write, sync, rename or removal that failed is not tried
//!   again, and nothing is promised after it. Started again, the node is itself, or is refused.
//! - A node over gRPC that takes part on its cluster's word, as its directory was empty, is on probation until
//!   it has caught up, however often it is killed meanwhile ([`Probations`]): it holds less than an earlier
//!   life of it may have promised, and doesn't pass for one that remembers.
//!
//! # What isn't
//!
//! - **Never put back a copy of a directory**, a file system's snapshot or a virtual machine's image under a node
//!   that has run since. It would be an older self: it could vote twice in a term, and lacks entries that it
//!   acknowledged, so that a quorum with it may lose what clients were told is done. Nobody can tell: the copy is
//!   whole, and says what was true once. A leader that goes on through it finds its follower's log shorter than
//!   it was, which openraft 0.9 notices in debug builds only. To replace a node, or to go back: remove it from
//!   the cluster, empty its directory, and add it again. All nodes of a cluster may be put back together only if
//!   their copies are of one moment at which none of them ran.
//! - A file system that needs room to overwrite what is there (copy on write: btrfs, ZFS, and images that are
//!   allocated as they are written) may be full where a segment was made long before. Its refusal is a failed
//!   write, which ends the node.
//! - A snapshot that is received needs room beside the log's. It is refused while the log lacks some; found
//!   too large later, when it is installed, it ends the node.
//!
//! # Beside a node
//!
//! [`inspect`] reads whatever is in a directory, damaged or not; [`salvage`] writes what is whole of it into a new
//! one; [`seed`] begins a new cluster with a snapshot's file. The program `seshat` is made of them.
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

mod draft;
mod error;
mod home;
pub mod inspect;
mod log;
mod probation;
mod reading;
mod restore;
pub mod salvage;
pub mod seed;
mod snapshots;
mod stream;
mod waiting;

use std::path::Path;
use std::sync::Arc;

pub use self::draft::BuildError;
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
