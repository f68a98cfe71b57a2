//! What a node is built on: a log store, a state machine, and a way to read the latter.

use std::error::Error;
use std::future::Future;

use bytes::Bytes;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use tokio::io::AsyncWriteExt;

use crate::codec::OLDEST_FORMAT;
use crate::log::LogStore;
use crate::machine::{MachineReader, MachineStore};
use crate::snapshot::SnapshotData;
use crate::types::{SnapshotMeta, TypeConfig};

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

    /// The parts, to be given to openraft.
    fn into_parts(self) -> (Self::Log, Self::Machine, Self::Reader);
}

/// Reads the state machine of a node beside `apply`. Clones read the same state.
pub trait StateReader: Clone + Send + Sync + 'static {
    /// Why a read fails.
    type Error: Error + Send + Sync + 'static;

    /// The value of `key` after some prefix of the log; a later read sees no shorter one.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Self::Error>> + Send;

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
    type Error = std::convert::Infallible;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Self::Error> {
        Ok(Self::get(self, key))
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

/// Everything in memory: nothing outlives the process.
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
}

impl MemStorage {
    /// A fresh node's storage.
    pub fn new() -> Self {
        Self::default()
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
}
