//! [`SnapshotFile`]: a snapshot's file, from its first byte on.
//!
//! Guarantees: it is created with its first byte, so that to begin one can't fail, and is removed with its
//! last handle, unless it is [pointed at](SnapshotFile::settle) by then; from then on nothing changes it. A
//! removal that fails is made up for by the next opening of the directory. A write, a sync or a rename that
//! fails for another reason than a full disk stops the log, as its own do.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::found::{FOLDER, Named};
use crate::disk::home::Home;
use crate::snapshot::Stored;
use crate::wal::fs::File;
use crate::wal::{Call, Context, Failure, FileSystem};

/// See the [module](self).
pub(super) struct SnapshotFile<F: FileSystem> {
    file: OnceLock<F::File>,
    unsettled: Mutex<Option<Unsettled<F>>>,
}

/// Of a file that nobody points at. Whoever has a handle on one has the directory.
struct Unsettled<F: FileSystem> {
    home: Arc<Home<F>>,
    named: Named,
}

impl<F: FileSystem> SnapshotFile<F> {
    /// One that will be created under that name.
    pub(super) fn new(home: Arc<Home<F>>, named: Named) -> Self {
        let unsettled = Mutex::new(Some(Unsettled { home, named }));
        Self { file: OnceLock::new(), unsettled }
    }

    /// One that the log points at.
    pub(super) fn settled(file: F::File) -> Self {
        Self { file: file.into(), unsettled: Mutex::new(None) }
    }

    // A panic while the lock was held can't have left a half-done change.
    fn lock(&self) -> MutexGuard<'_, Option<Unsettled<F>>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is one of that home's that nobody points at yet.
    pub(super) fn is_unsettled(&self, home: &Arc<Home<F>>) -> bool {
        self.lock().as_ref().is_some_and(|unsettled| Arc::ptr_eq(&unsettled.home, home))
    }

    /// Writes all of `bytes` there.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        let lock = self.lock();
        let Some(Unsettled { home, named }) = &*lock else {
            return Err(io::ErrorKind::PermissionDenied.into()).during(Call::Write, "a snapshot");
        };
        let path = named.path();
        let written = self
            .created(home, &path)
            .and_then(|file| file.write_at(bytes, offset).during(Call::Write, &path));
        written.inspect_err(|failure| stop(home, failure))
    }

    fn created(&self, home: &Home<F>, path: &str) -> Result<&F::File, Failure> {
        if self.file.get().is_none() {
            let file = home.wal().file_system().create(path).during(Call::Open, path)?;
            // Whoever writes has the lock.
            let _ = self.file.set(file);
        }
        self.file.get().ok_or(io::ErrorKind::NotFound.into()).during(Call::Open, path)
    }

    /// Makes durable what was written.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        let lock = self.lock();
        let (Some(file), Some(Unsettled { home, named })) = (self.file.get(), &*lock) else {
            return Ok(());
        };
        let synced = file.sync().during(Call::Sync, &named.path());
        synced.inspect_err(|failure| stop(home, failure))
    }

    /// Gives it that name, durably.
    pub(super) fn rename(&self, to: Named) -> Result<(), Failure> {
        let mut lock = self.lock();
        let Some(Unsettled { home, named }) = &mut *lock else { return Ok(()) };
        let (fs, path) = (home.wal().file_system(), to.path());
        let renamed = fs.rename(&named.path(), &path).during(Call::Rename, &path);
        let durable = renamed.and_then(|()| {
            *named = to;
            fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)
        });
        durable.inspect_err(|failure| stop(home, failure))
    }

    /// Takes its name away, unless it is settled. Whoever has it can read it still.
    pub(super) fn discard(&self) {
        let (Some(unsettled), Some(_)) = (self.lock().take(), self.file.get()) else { return };
        let path = unsettled.named.path();
        if let Err(error) = unsettled.home.wal().file_system().remove(&path) {
            tracing::warn!(file = path, %error, "a snapshot's file is left until the storage is opened");
        }
    }

    /// The log may point at it from now on.
    pub(super) fn settle(&self) {
        drop(self.lock().take());
    }
}

/// What is on the disk isn't known any more.
fn stop<F: FileSystem>(home: &Home<F>, failure: &Failure) {
    if !failure.is_full() {
        home.wal().fail(failure.clone());
    }
}

impl<F: FileSystem> Stored for SnapshotFile<F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.get().ok_or(io::ErrorKind::UnexpectedEof)?.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write(bytes, offset).map_err(told)
    }

    fn sync(&self) -> io::Result<()> {
        Self::sync(self).map_err(told)
    }
}

/// With its kind, and all its words.
fn told(failure: Failure) -> io::Error {
    io::Error::new(failure.source.kind(), failure)
}

impl<F: FileSystem> Drop for SnapshotFile<F> {
    fn drop(&mut self) {
        self.discard();
    }
}
