//! What a node is built on: a log store, a state machine, and a way to read the latter.

mod probation;
mod released;

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use tokio::io::AsyncWriteExt;

use self::probation::InMemory;
pub use self::probation::{Probation, Probations};
pub use self::released::{Hold, Released};
use crate::codec::OLDEST_FORMAT;
use crate::log::LogStore;
use crate::machine::{MachineReader, MachineStore, Page, Scan, TooLong};
use crate::snapshot::SnapshotData;
use crate::types::{SnapshotMeta, TypeConfig};
#[doc(no_inline)]
pub use crate::wal::Levels;

/// A log store and a state machine that belong together.
///
/// Any pair that keeps openraft's storage contract will do; `(log, machine, reader)` is one.
pub trait Storage: Send + 'static {
    /// Keeps entries, vote and committed id.
    type Log: RaftLogStorage<TypeConfig>;
    /// Applies entries, builds and installs snapshots.
    type Machine: RaftStateMachine<TypeConfig>;
    /// Reads the state while openraft owns the machine.
    type Reader: StateReader;

    /// How much room there is for entries to come; `None` where that never ends, as it is here. Asked once,
    /// before the parts are taken.
    ///
    /// openraft ends a node whose log refuses an entry. Of a storage that tells before, a node takes no
    /// more than there is room for, and goes on.
    fn room(&self) -> Option<Arc<dyn Room>> {
        None
    }

    /// The parts, to be given to openraft.
    fn into_parts(self) -> (Self::Log, Self::Machine, Self::Reader);

    /// Where the node keeps on whose word it takes part, if it does without a memory. Asked before
    /// [`into_parts`](Self::into_parts).
    ///
    /// By default nowhere beyond the process, which is right for a storage that forgets everything else with
    /// it too, and for no other: a node over gRPC that is killed while it is on probation would pass for one
    /// that remembers.
    fn probations(&self) -> Arc<dyn Probations> {
        Arc::new(InMemory::default())
    }

    /// Tells when all of the parts are dropped, and the storage can be opened again. Asked before
    /// [`into_parts`](Self::into_parts); a node that was stopped waits for it.
    ///
    /// By default nothing is waited for.
    fn released(&self) -> Released {
        Released::at_once()
    }
}

/// The room that a storage has for entries to come. Asked from several threads at once, before each entry.
pub trait Room: Debug + Send + Sync + 'static {
    /// What it lacks for what comes next, in bytes; `None`: nothing, as far as is known. Takes next to no
    /// time, as [`fits`](Self::fits) does.
    fn lacks(&self) -> Option<u64>;

    /// Whether entries of so many bytes in all will be taken, whatever else the disk is used for.
    fn fits(&self, bytes: u64) -> bool;

    /// Sees to it that they will, and says whether they will. May block for as long as it takes to write a
    /// file.
    fn make(&self, bytes: u64) -> bool;

    /// What lies on the disk, for whoever looks after it; `None` where that isn't known, or the storage is no
    /// longer in use. May ask the system, and block for as long as that takes.
    fn levels(&self) -> Option<Levels> {
        None
    }
}

/// Reads the state machine of a node beside `apply`. Clones read the same state.
pub trait StateReader: Clone + Send + Sync + 'static {
    /// Why a read fails.
    type Error: Error + Send + Sync + 'static;

    /// The value of `key` after some prefix of the log; a later read sees no shorter one.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Self::Error>> + Send;

    /// The values of `keys`, in their order, all after the same prefix of the log, which is no shorter
    /// than what an earlier read saw; or how much too long they are, if they have more than `max_bytes`
    /// in all.
    fn get_many(
        &self,
        keys: &[Bytes],
        max_bytes: usize,
    ) -> impl Future<Output = Result<Result<Vec<Option<Bytes>>, TooLong>, Self::Error>> + Send;

    /// A page of the state after some prefix of the log, no shorter than what an earlier read saw. Doesn't
    /// hold up the runtime's threads.
    fn scan(&self, scan: Scan) -> impl Future<Output = Result<Page, Self::Error>> + Send;

    /// Reads a snapshot that came from another node, all of it, before openraft hears of it: once openraft
    /// has told the machine to install it, an error stops the node for good. What passes here must be
    /// installed without one. The state stays as it is.
    ///
    /// Takes it for a snapshot of Seshat's own format (`proto/seshat/v1/snapshot.proto`) unless it is
    /// overridden, and then reads a file once, a piece at a time. What comes out is given to the machine, and
    /// may carry what was read.
    ///
    /// # Errors
    /// It isn't the snapshot that `meta` names, or none that the machine can install, or it can't be read: a
    /// [`ReadError::Failed`](crate::snapshot::ReadError::Failed), or an [`io::Error`](std::io::Error). Its
    /// sender is told.
    ///
    /// # Cancellation
    /// Dropping the future gives the answer up, and no more.
    fn check_snapshot(
        &self,
        meta: &SnapshotMeta,
        mut data: SnapshotData,
    ) -> impl Future<Output = Result<SnapshotData, BoxError>> + Send {
        let meta = meta.clone();
        async move {
            data.flush().await?;
            let check = tokio::task::spawn_blocking(move || data.checked(&meta));
            Ok(check.await??)
        }
    }

    /// The cluster's format as the state has it: the greatest of the
    /// [raises](crate::operation::Batch::raises) applied, 1 before the first. Asked when a node starts.
    ///
    /// A machine that doesn't keep it says 1, as it does here: the node learns of it anew when it is
    /// raised again, and proposes nothing newer before.
    fn format(&self) -> u32 {
        OLDEST_FORMAT
    }
}

/// Whatever a storage finds wrong.
pub type BoxError = Box<dyn Error + Send + Sync>;

impl StateReader for MachineReader {
    type Error = tokio::task::JoinError;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Self::Error> {
        Ok(Self::get(self, key))
    }

    async fn get_many(
        &self,
        keys: &[Bytes],
        max_bytes: usize,
    ) -> Result<Result<Vec<Option<Bytes>>, TooLong>, Self::Error> {
        Ok(Self::get_many(self, keys, max_bytes))
    }

    async fn scan(&self, scan: Scan) -> Result<Page, Self::Error> {
        Self::scan(self, scan).await
    }

    fn format(&self) -> u32 {
        Self::format(self)
    }
}

impl<L, M, R> Storage for (L, M, R)
where
    L: RaftLogStorage<TypeConfig>,
    M: RaftStateMachine<TypeConfig>,
    R: StateReader,
{
    type Log = L;
    type Machine = M;
    type Reader = R;

    fn into_parts(self) -> (L, M, R) {
        self
    }
}

/// Everything in memory: nothing outlives the process. For tests, and for caches whose nodes may all be lost;
/// a node that is to keep its word has a [`DiskStorage`](crate::disk::DiskStorage).
///
/// A member whose process ended has forgotten its vote and its log, so it must not take part under its old
/// membership: it could vote twice in a term (Raft paper, section 5.2), and lacks entries that it acknowledged
/// (5.4). Over gRPC its cluster refuses it; remove it, start it, and add it as a new member. Where a majority
/// of the voters is lost at once, so is the cluster.
///
/// A clone shares log and state. Starting a node on a clone, after the one before was shut down,
/// is what a restart would be if memory were a disk; tests do that.
///
/// ```
/// use seshat_core::storage::{MemStorage, Storage};
///
/// let (log, machine, reader) = MemStorage::new().into_parts();
/// assert_eq!(reader.size().keys, 0);
/// # drop((log, machine));
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemStorage {
    /// Entries, vote and committed id.
    pub log: LogStore,
    /// The state machine and its current snapshot.
    pub machine: MachineStore,
    probations: Arc<InMemory>,
}

impl MemStorage {
    /// A fresh node's storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that holds these.
    #[cfg(feature = "legacy")]
    pub(crate) fn holding(log: LogStore, machine: MachineStore) -> Self {
        Self { log, machine, ..Self::default() }
    }
}

impl Storage for MemStorage {
    type Log = LogStore;
    type Machine = MachineStore;
    type Reader = MachineReader;

    fn into_parts(self) -> (LogStore, MachineStore, MachineReader) {
        let reader = self.machine.reader();
        (self.log, self.machine, reader)
    }

    fn probations(&self) -> Arc<dyn Probations> {
        Arc::clone(&self.probations) as Arc<dyn Probations>
    }
}
