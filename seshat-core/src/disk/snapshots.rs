//! Snapshots as files.
//!
//! Guarantees: a file of a snapshot's name is whole and durable; the log points at it only then, and openraft
//! hears of it, and may purge, only when that is durable too. So at every moment the newest snapshot that is
//! pointed at, and the log from its end on, are all there is. The one before it is kept as well, for a file
//! that is damaged later: it does where the log still reaches back to it. No more than a piece of a snapshot
//! is in memory. One that isn't kept, or only in part there, is gone with its last handle.
//!
//! Crash windows: before the rename, an unfinished file is left, which goes at the next opening; between the
//! rename and the pointer, a whole file that nobody points at, which goes too; behind the pointer, a file too
//! many.

mod file;
mod found;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::file::SnapshotFile;
use self::found::Loaded;
pub(super) use self::found::{FOLDER, Found, Named, before, find};
use super::GROUP;
use super::error::{KeepError, NoSnapshot};
use super::home::Home;
use crate::machine::{FrozenMachine, Kept, KeptError, Made, NoRoom, Whole};
use crate::proto::v1;
use crate::snapshot::{self, SnapshotData, Source};
use crate::types::SnapshotMeta;
use crate::wal::{Call, Context, Failure, FileSystem, Record, Stopped, SubmitError};

/// Bytes of a snapshot from elsewhere that are copied at once.
const AT_ONCE: usize = 1 << 20;

/// See the [module](self).
pub(super) struct Snapshots<F: FileSystem> {
    home: Arc<Home<F>>,
    files: Mutex<Found>,
    /// How many unfinished ones there were.
    begun: AtomicU64,
}

impl<F: FileSystem> fmt::Debug for Snapshots<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<F: FileSystem> Snapshots<F> {
    /// Goes on with what was found. Tidies the folder.
    pub(super) fn of(home: Arc<Home<F>>, found: Found) -> Result<Self, Failure> {
        let fs = home.wal().file_system();
        for named in &found.leftovers {
            fs.remove(&named.path()).during(Call::Remove, &named.path())?;
        }
        fs.create_folder(FOLDER).during(Call::CreateFolder, FOLDER)?;
        fs.sync_folder("").during(Call::SyncFolder, "")?;
        Ok(Self { home, files: Mutex::new(found), begun: AtomicU64::new(0) })
    }

    // A panic while the lock was held can't have left a half-done change: it is changed at the end.
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file to be filled. Whether it gets a snapshot's name, and which, is seen when it is whole.
    fn begin(&self) -> Arc<SnapshotFile<F>> {
        let named = Named::Unfinished(self.begun.fetch_add(1, Ordering::Relaxed) + 1);
        Arc::new(SnapshotFile::new(Arc::clone(&self.home), named))
    }

    /// The file with those bytes: theirs, if it is one of this storage's that isn't kept yet, else a copy.
    fn own(&self, source: &Source) -> Result<Arc<SnapshotFile<F>>, KeepError> {
        if let Source::File(file, _) = source {
            let file: Arc<dyn Any + Send + Sync> = Arc::clone(file) as _;
            if let Ok(file) = file.downcast::<SnapshotFile<F>>()
                && file.is_unsettled(&self.home)
            {
                return Ok(file);
            }
        }
        let copy = self.begin();
        for at in (0..source.len()).step_by(AT_ONCE) {
            let some = source.read(at, AT_ONCE).map_err(KeepError::Source)?;
            copy.write(&some, at).map_err(|failure| failed(source.len(), failure))?;
        }
        Ok(copy)
    }

    /// Makes it the newest snapshot, and the log point at it.
    fn put(
        &self,
        files: &mut Found,
        meta: &SnapshotMeta,
        (file, len): (Arc<SnapshotFile<F>>, u64),
    ) -> Result<(), KeepError> {
        let (wal, sequence) = (self.home.wal(), files.next);
        let named = Named::Snapshot(sequence);
        // Its name is used up, whatever becomes of it.
        files.next += 1;
        file.rename(named).map_err(|failure| failed(len, failure))?;
        let pointer =
            v1::SnapshotPointer { meta: Some(meta.into()), file: named.name(), length: len };
        let lsn = wal.submit(GROUP, Record::Snapshot(pointer)).map_err(|error| match error {
            SubmitError::DiskFull { .. } => no_room(len, error),
            error => error.into(),
        })?;
        file.settle();
        wal.wait(lsn)?;
        let loaded = Loaded { sequence, meta: meta.clone(), source: Source::File(file, len) };
        let gone: Vec<u64> = match files.loaded.replace(loaded) {
            Some(before) => {
                let gone = files.others.drain(..).collect();
                files.others.push(before.sequence);
                gone
            }
            // What was damaged stays beside the first that is not.
            None => Vec::new(),
        };
        self.remove(&gone)?;
        Ok(())
    }

    fn remove(&self, gone: &[u64]) -> Result<(), KeepError> {
        let (wal, fs) = (self.home.wal(), self.home.wal().file_system());
        for sequence in gone {
            let path = Named::Snapshot(*sequence).path();
            let removed = fs.remove(&path).during(Call::Remove, &path);
            removed.map_err(|failure| wal.fail(failure))?;
        }
        Ok(())
    }

    /// Whether it is one that was built, and what is kept reaches further.
    fn is_superseded(files: &Found, made: Made, meta: &SnapshotMeta) -> bool {
        let newer =
            files.loaded.as_ref().filter(|loaded| loaded.meta.last_log_id > meta.last_log_id);
        let superseded = newer.filter(|_| made == Made::Built);
        if let Some(Loaded { meta: newer, .. }) = superseded {
            tracing::info!(newer = %newer.snapshot_id, "a newer snapshot stays current");
        }
        superseded.is_some()
    }
}

impl<F: FileSystem> Kept for Snapshots<F> {
    fn blank(&self) -> SnapshotData {
        SnapshotData::blank(self.begin())
    }

    fn write(&self, machine: &FrozenMachine) -> Result<Source, KeptError> {
        let (file, mut len) = (self.begin(), 0);
        let written = snapshot::stream(machine, |some| {
            file.write(some, len)?;
            len += some.len() as u64;
            Ok(())
        });
        let bytes = machine.keys.size().bytes;
        written.map_err(|failure| failed(bytes, failure))?;
        Ok(Source::File(file, len))
    }

    fn keep(&self, made: Made, meta: &SnapshotMeta, source: Source) -> Result<(), KeptError> {
        let file = self.own(&source)?;
        // Before the lock is taken: it may take long, and `current` must not.
        file.sync().map_err(|failure| failed(source.len(), failure))?;
        let mut files = self.lock();
        if Self::is_superseded(&files, made, meta) {
            file.discard();
            return Ok(());
        }
        Ok(self.put(&mut files, meta, (file, source.len()))?)
    }

    fn current(&self) -> Result<Option<Whole>, KeptError> {
        let files = self.lock();
        if let Some(Loaded { meta, source, .. }) = &files.loaded {
            return Ok(Some((meta.clone(), source.clone())));
        }
        // A purge that no snapshot came before isn't openraft's, which asks for the snapshot when it
        // starts, and would make one of nothing. Whoever wants the log alone has it.
        match files.stateless {
            None => Ok(None),
            purged => Err(KeptError::Failed(NoSnapshot { purged, tried: Vec::new() }.into())),
        }
    }
}

/// What it means to a snapshot of so many bytes. The log has stopped if there is more to it than no room.
fn failed(bytes: u64, failure: Failure) -> KeepError {
    match failure.is_full() {
        true => no_room(bytes, failure),
        false => Stopped::Failed(failure).into(),
    }
}

fn no_room(bytes: u64, source: impl Error + Send + Sync + 'static) -> KeepError {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    NoRoom { bytes, source: source.into() }.into()
}

impl From<KeepError> for KeptError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Full(full) => full.into(),
            _ => Self::Failed(error.into()),
        }
    }
}
