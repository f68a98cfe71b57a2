//! [`Kept`]: where the current snapshot is.

use std::error::Error;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::types::SnapshotMeta;

/// A snapshot, its meta beside it.
pub(crate) type Whole = (SnapshotMeta, Bytes);

/// Keeps the current snapshot of a machine.
pub(crate) trait Kept: Debug + Send + Sync + 'static {
    /// Makes it the current one, before a machine that was read from it is live; one that was
    /// [built](Made::Built) only if none that reaches further is kept. As durable as it will ever be when
    /// this returns.
    ///
    /// # Errors
    /// The one before is current still.
    fn keep(&self, made: Made, meta: &SnapshotMeta, bytes: &Bytes) -> Result<(), KeptError>;

    /// The current one.
    ///
    /// # Errors
    /// There is one, and it can't be read.
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

/// A snapshot can't be kept, or read back.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct KeptError(pub(crate) Box<dyn Error + Send + Sync>);

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
    fn keep(&self, made: Made, meta: &SnapshotMeta, bytes: &Bytes) -> Result<(), KeptError> {
        let mut current = self.lock();
        match &*current {
            Some((newer, _)) if made == Made::Built && newer.last_log_id > meta.last_log_id => {
                tracing::info!(newer = %newer.snapshot_id, "a newer snapshot stays current");
            }
            _ => *current = Some((meta.clone(), bytes.clone())),
        }
        Ok(())
    }

    fn current(&self) -> Result<Option<Whole>, KeptError> {
        Ok(self.lock().clone())
    }
}
