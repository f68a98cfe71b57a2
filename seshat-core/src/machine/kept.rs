//! [`Kept`]: where the snapshots of a machine are.

use std::error::Error;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::FrozenMachine;
use crate::snapshot::{self, SnapshotData, Source};
use crate::types::SnapshotMeta;

/// A snapshot, its meta beside it.
pub(crate) type Whole = (SnapshotMeta, Source);

/// Keeps the current snapshot of a machine, and has the room for others until they are. Whatever isn't kept
/// leaves nothing behind when it is dropped.
pub(crate) trait Kept: Debug + Send + Sync + 'static {
    /// An empty handle, to be filled with a snapshot of another node's.
    fn blank(&self) -> SnapshotData;

    /// The bytes of a machine.
    ///
    /// # Errors
    /// They can't be written.
    fn write(&self, machine: &FrozenMachine) -> Result<Source, KeptError>;

    /// Makes it the current one, before a machine that was read from it is live; one that was
    /// [built](Made::Built) only if none that reaches further is kept. As durable as it will ever be when
    /// this returns.
    ///
    /// # Errors
    /// The one before is current still.
    fn keep(&self, made: Made, meta: &SnapshotMeta, source: Source) -> Result<(), KeptError>;

    /// The current one.
    ///
    /// # Errors
    /// There must be one, and there is none.
    fn current(&self) -> Result<Option<Whole>, KeptError>;
}

/// Where a snapshot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// From this machine's own state.
    Built,
    /// From a leader's, whose state takes the place of this one's.
    Installed,
}

/// A snapshot can't be kept, or isn't there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    /// All else is as it was.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Whoever keeps it can't go on.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

/// There was no room for a snapshot, and nothing is left of it.
///
/// A [builder](openraft::RaftSnapshotBuilder) whose error is made of this
/// ([`AnyError::new`](openraft::AnyError::new)) says that nothing else is wrong: the node goes on without
/// that snapshot. Any other error ends it.
#[derive(Debug, thiserror::Error)]
#[error("the disk has no room for a snapshot of {bytes} bytes")]
pub struct NoRoom {
    /// Of the snapshot.
    pub bytes: usize,
    /// What the system said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Nowhere but in memory.
#[derive(Debug, Default)]
pub(super) struct InMemory(Mutex<Option<Whole>>);

impl InMemory {
    // A panic while the lock was held can't have left a half-done change.
    fn lock(&self) -> MutexGuard<'_, Option<Whole>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for InMemory {
    fn blank(&self) -> SnapshotData {
        SnapshotData::new()
    }

    fn write(&self, machine: &FrozenMachine) -> Result<Source, KeptError> {
        Ok(Source::Memory(snapshot::write(machine)))
    }

    fn keep(&self, made: Made, meta: &SnapshotMeta, source: Source) -> Result<(), KeptError> {
        // Of one that another storage has in a file.
        let bytes = source.into_bytes().map_err(|error| KeptError::Failed(error.into()))?;
        let mut current = self.lock();
        match &*current {
            Some((newer, _)) if made == Made::Built && newer.last_log_id > meta.last_log_id => {
                tracing::info!(newer = %newer.snapshot_id, "a newer snapshot stays current");
            }
            _ => *current = Some((meta.clone(), Source::Memory(bytes))),
        }
        Ok(())
    }

    fn current(&self) -> Result<Option<Whole>, KeptError> {
        Ok(self.lock().clone())
    }
}
