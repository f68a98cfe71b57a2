//! [`Home`]: the log that the parts of a storage share, and the thread that looks after it.

use std::io;

use crate::storage::{Hold, Released};
use crate::wal::{FileSystem, Keeper, Wal};

/// Closes the log when its last user is gone.
pub(super) struct Home<F: FileSystem> {
    wal: Wal<F>,
    /// `None` while it is dropped.
    keeper: Option<Keeper>,
    released: Released,
    /// Dropped last, behind the log and its lock.
    _hold: Hold,
}

impl<F: FileSystem> Home<F> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has none to give.
    pub(super) fn of(wal: Wal<F>) -> io::Result<Self> {
        let keeper = Some(Keeper::start(wal.clone())?);
        let (hold, released) = Hold::new();
        Ok(Self { wal, keeper, released, _hold: hold })
    }

    pub(super) fn wal(&self) -> &Wal<F> {
        &self.wal
    }

    /// Tells when the directory can be opened again.
    pub(super) fn released(&self) -> Released {
        self.released.clone()
    }

    /// Something is purged: there may be segments to let go.
    pub(super) fn purged(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.nudge();
        }
    }
}

impl<F: FileSystem> Drop for Home<F> {
    fn drop(&mut self) {
        // It holds the log, and with it the lock.
        drop(self.keeper.take());
        // What fails here is found at the next opening; it was told when it was the log's first failure.
        let _ = self.wal.close();
    }
}
