//! Snapshots as files.
//!
//! Guarantees: a file of a snapshot's name is whole and durable; the log points at it only then, and openraft
//! hears of it, and may purge, only when that is durable too. So at every moment the newest snapshot that is
//! pointed at, and the log from its end on, are all there is. The one before it is kept as well, for a file
//! that is damaged later: it does where the log still reaches back to it.
//!
//! Crash windows: before the rename, an unfinished file is left, which goes at the next opening; between the
//! rename and the pointer, a whole file that nobody points at, which goes too; behind the pointer, a file too
//! many.

mod found;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::found::{FOLDER, Loaded, Named, read};
pub(super) use self::found::{Found, find};
use super::GROUP;
use super::error::{KeepError, NoSnapshot};
use super::home::Home;
use crate::machine::{Kept, KeptError, Made, NoRoom, Whole};
use crate::proto::v1;
use crate::snapshot;
use crate::types::SnapshotMeta;
use crate::wal::fs::File;
use crate::wal::{Call, Context, Failure, FileSystem, Record};

/// Bytes that are written at once.
const AT_ONCE: usize = 1 << 20;

/// See the [module](self).
pub(super) struct Snapshots<F: FileSystem> {
    home: Arc<Home<F>>,
    files: Mutex<Found>,
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
        Ok(Self { home, files: Mutex::new(found) })
    }

    // A panic while the lock was held can't have left a half-done change: it is changed at the end.
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a file of it, and the log point at it.
    fn put(&self, files: &mut Found, meta: &SnapshotMeta, bytes: &Bytes) -> Result<(), KeepError> {
        let (wal, sequence) = (self.home.wal(), files.next);
        // Its name is used up, whatever becomes of it.
        files.next += 1;
        let written = write(wal.file_system(), sequence, bytes);
        written.map_err(|failure| match failure {
            full if full.is_full() => {
                KeepError::from(NoRoom { bytes: bytes.len(), source: full.into() })
            }
            failure => wal.fail(failure).into(),
        })?;
        let pointer = v1::SnapshotPointer {
            meta: Some(meta.into()),
            file: Named::Snapshot(sequence).name(),
            length: bytes.len() as u64,
        };
        wal.wait(wal.submit(GROUP, Record::Snapshot(pointer))?)?;
        let before = files.loaded.replace(Loaded { sequence, meta: meta.clone() });
        let gone: Vec<u64> = match before {
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
}

impl<F: FileSystem> Kept for Snapshots<F> {
    fn keep(&self, made: Made, meta: &SnapshotMeta, bytes: &Bytes) -> Result<(), KeptError> {
        let mut files = self.lock();
        if let Some(Loaded { meta: newer, .. }) = &files.loaded
            && made == Made::Built
            && newer.last_log_id > meta.last_log_id
        {
            tracing::info!(newer = %newer.snapshot_id, "a newer snapshot stays current");
            return Ok(());
        }
        self.put(&mut files, meta, bytes).map_err(|error| match error {
            KeepError::Full(full) => KeptError(full.into()),
            error => KeptError(error.into()),
        })
    }

    fn current(&self) -> Result<Option<Whole>, KeptError> {
        let (meta, path, file) = {
            let files = self.lock();
            let Some(Loaded { sequence, meta }) = &files.loaded else {
                // A purge that no snapshot came before isn't openraft's, which asks for the snapshot when it
                // starts, and would make one of nothing. Whoever wants the log alone has it.
                let lost = files
                    .stateless
                    .map(|purged| NoSnapshot { purged: Some(purged), tried: Vec::new() });
                return lost.map_or(Ok(None), |lost| Err(kept_error(lost)));
            };
            let path = Named::Snapshot(*sequence).path();
            // Open, it stays there, even if it is removed meanwhile.
            let file = self.home.wal().file_system().open(&path).during(Call::Open, &path);
            (meta.clone(), path, file.map_err(kept_error)?)
        };
        let bytes = read(&file, &path).map_err(kept_error)?;
        // It may have been damaged since it was written.
        snapshot::verify(&bytes).map_err(kept_error)?;
        Ok(Some((meta, bytes)))
    }
}

fn kept_error(error: impl std::error::Error + Send + Sync + 'static) -> KeptError {
    KeptError(Box::new(error))
}

/// A file of that sequence, under its name only when it is durable, and then durably so. Nothing is left
/// of it where the disk was full.
fn write<F: FileSystem>(fs: &F, sequence: u64, bytes: &[u8]) -> Result<(), Failure> {
    let (unfinished, path) = (Named::Unfinished(sequence).path(), Named::Snapshot(sequence).path());
    let file = fs.create(&unfinished).during(Call::Open, &unfinished)?;
    let fill = || {
        for (at, some) in (0..).step_by(AT_ONCE).zip(bytes.chunks(AT_ONCE)) {
            file.write_at(some, at).during(Call::Write, &unfinished)?;
        }
        file.sync().during(Call::Sync, &unfinished)
    };
    if let Err(failure) = fill() {
        fs.remove(&unfinished).during(Call::Remove, &unfinished)?;
        return Err(failure);
    }
    fs.rename(&unfinished, &path).during(Call::Rename, &path)?;
    fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)
}
