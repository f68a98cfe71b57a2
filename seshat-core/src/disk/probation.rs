//! On whose word the node takes part: a record of the log, in its order and as durable as a vote.

use std::fmt;
use std::sync::{Arc, Weak};

use super::GROUP;
use super::home::Home;
use crate::storage::{Probation, Probations};
use crate::types::{StorageError, StorageIOError};
use crate::wal::{FileSystem, Record, Stopped, SubmitError};

/// Doesn't hold the log open.
pub(super) struct OnDisk<F: FileSystem>(Weak<Home<F>>);

impl<F: FileSystem> OnDisk<F> {
    pub(super) fn of(home: &Arc<Home<F>>) -> Self {
        Self(Arc::downgrade(home))
    }

    fn write(&self, probation: Probation) -> Result<(), SubmitError> {
        let home = self.0.upgrade().ok_or(Stopped::Closed)?;
        let lsn = home.wal().submit(GROUP, Record::Probation((&probation).into()))?;
        Ok(home.wal().wait(lsn)?)
    }
}

impl<F: FileSystem> fmt::Debug for OnDisk<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDisk").field("kept", &self.kept()).finish_non_exhaustive()
    }
}

impl<F: FileSystem> Probations for OnDisk<F> {
    fn kept(&self) -> Option<Probation> {
        // It was valid when the storage was opened, or came from `keep`.
        let kept = self.0.upgrade()?.wal().group(GROUP).probation?;
        Probation::try_from(kept).ok()
    }

    fn keep(&self, probation: Probation) -> Result<(), StorageError> {
        self.write(probation).map_err(|error| {
            tracing::error!(%error, "probation not kept");
            StorageIOError::write(&error).into()
        })
    }
}
