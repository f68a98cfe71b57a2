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

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::GROUP;
use super::error::{KeepError, NoSnapshot, OpenError, Unreadable};
use super::home::Home;
use crate::machine::{Kept, KeptError, Machine, Made, Whole};
use crate::proto::v1;
use crate::snapshot;
use crate::types::{LogId, SnapshotMeta};
use crate::wal::fs::File;
use crate::wal::{Call, Context, Failure, FileSystem, Record};

const FOLDER: &str = "snap";
/// Bytes that are written at once.
const AT_ONCE: usize = 1 << 20;

/// See the [module](self).
pub(super) struct Snapshots<F: FileSystem> {
    home: Arc<Home<F>>,
    files: Mutex<Files>,
}

impl<F: FileSystem> fmt::Debug for Snapshots<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The files that are whole, as far as is known.
#[derive(Debug, Default)]
struct Files {
    /// The one that the log points at.
    newest: Option<Entry>,
    /// The sequences of what is to go when the next is there, but for the greatest.
    others: Vec<u64>,
    /// The sequence of the next.
    next: u64,
    /// The log is purged up to there, and never had a snapshot.
    stateless: Option<LogId>,
}

#[derive(Debug, Clone)]
struct Entry {
    sequence: u64,
    meta: SnapshotMeta,
}

/// A file in the folder, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Snapshot(u64),
    Unfinished(u64),
}

impl Named {
    fn of(name: &str) -> Option<Self> {
        let named = match name.strip_suffix(".tmp") {
            Some(name) => Self::Unfinished(name.strip_suffix(".snap")?.parse().ok()?),
            None => Self::Snapshot(name.strip_suffix(".snap")?.parse().ok()?),
        };
        // One name for one file.
        (named.name() == name).then_some(named)
    }

    fn name(self) -> String {
        match self {
            Self::Snapshot(sequence) => format!("{sequence:012}.snap"),
            Self::Unfinished(sequence) => format!("{sequence:012}.snap.tmp"),
        }
    }

    fn path(self) -> String {
        format!("{FOLDER}/{}", self.name())
    }
}

impl<F: FileSystem> Snapshots<F> {
    /// The machine that the snapshot holds which the log points at; if that is damaged, the one before; an
    /// empty one where nothing is purged. Tidies the folder once one is found.
    pub(super) fn open(
        home: Arc<Home<F>>,
        pointer: Option<v1::SnapshotPointer>,
        purged: Option<LogId>,
    ) -> Result<(Self, Machine), OpenError> {
        let fs = home.wal().file_system();
        let names = fs.list(FOLDER).during(Call::List, FOLDER)?;
        let files: Vec<Named> = names.iter().filter_map(|name| Named::of(name)).collect();
        let (found, machine) = find(fs, &files, pointer.as_ref(), purged)?;

        let pointed = pointer.as_ref().and_then(|pointer| Named::of(&pointer.file));
        let kept: Vec<u64> = [pointed, before(&files, pointed)]
            .into_iter()
            .flatten()
            .filter_map(|named| match named {
                Named::Snapshot(sequence) => Some(sequence),
                Named::Unfinished(_) => None,
            })
            .collect();
        let mut next = 1;
        for named in &files {
            let (Named::Snapshot(sequence) | Named::Unfinished(sequence)) = *named;
            next = next.max(sequence.saturating_add(1));
            if !kept.contains(&sequence) || matches!(named, Named::Unfinished(_)) {
                fs.remove(&named.path()).during(Call::Remove, &named.path())?;
            }
        }
        fs.create_folder(FOLDER).during(Call::CreateFolder, FOLDER)?;
        fs.sync_folder("").during(Call::SyncFolder, "")?;
        // One that is damaged is no spare; it is evidence until there is a new one.
        let others =
            kept.iter().copied().filter(|it| found.as_ref().is_none_or(|f| f.sequence != *it));
        let stateless = purged.filter(|_| pointer.is_none());
        let files = Files { others: others.collect(), newest: found, next, stateless };
        Ok((Self { home, files: Mutex::new(files) }, machine))
    }

    // A panic while the lock was held can't have left a half-done change: it is changed at the end.
    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a file of it, and the log point at it.
    fn put(&self, files: &mut Files, meta: &SnapshotMeta, bytes: &Bytes) -> Result<(), KeepError> {
        let (wal, sequence) = (self.home.wal(), files.next);
        // Its name is used up, whatever becomes of it.
        files.next += 1;
        let written = write(wal.file_system(), sequence, bytes);
        written.map_err(|failure| match failure {
            full if full.is_full() => KeepError::Full { bytes: bytes.len(), source: full },
            failure => wal.fail(failure).into(),
        })?;
        let pointer = v1::SnapshotPointer {
            meta: Some(meta.into()),
            file: Named::Snapshot(sequence).name(),
            length: bytes.len() as u64,
        };
        wal.wait(wal.submit(GROUP, Record::Snapshot(pointer))?)?;
        let before = files.newest.replace(Entry { sequence, meta: meta.clone() });
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
        if let Some(Entry { meta: newer, .. }) = &files.newest
            && made == Made::Built
            && newer.last_log_id > meta.last_log_id
        {
            tracing::info!(newer = %newer.snapshot_id, "a newer snapshot stays current");
            return Ok(());
        }
        self.put(&mut files, meta, bytes).map_err(|error| KeptError(error.into()))
    }

    fn current(&self) -> Result<Option<Whole>, KeptError> {
        let (meta, path, file) = {
            let files = self.lock();
            let Some(Entry { sequence, meta }) = &files.newest else {
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

/// The newest file before that one.
fn before(files: &[Named], pointed: Option<Named>) -> Option<Named> {
    let Some(Named::Snapshot(pointed)) = pointed else { return None };
    let sequences = files.iter().filter_map(|named| match named {
        Named::Snapshot(sequence) if *sequence < pointed => Some(*sequence),
        _ => None,
    });
    sequences.max().map(Named::Snapshot)
}

/// The newest snapshot that is whole and that the log goes on from, and the machine that it holds.
fn find<F: FileSystem>(
    fs: &F,
    files: &[Named],
    pointer: Option<&v1::SnapshotPointer>,
    purged: Option<LogId>,
) -> Result<(Option<Entry>, Machine), OpenError> {
    let mut tried = Vec::new();
    let invalid = |source| OpenError::Invalid { what: "the snapshot", source };
    if let Some(pointer) = pointer {
        let meta = pointer.meta.clone().unwrap_or_default();
        let meta = SnapshotMeta::try_from(meta).map_err(invalid)?;
        let pointed = Named::of(&pointer.file);
        let candidates = [
            pointed.map(|named| (named, Some((&meta, pointer.length)))),
            before(files, pointed).map(|named| (named, None)),
        ];
        for (named, expected) in candidates.into_iter().flatten() {
            let Named::Snapshot(sequence) = named else { continue };
            match load(fs, named, expected, purged) {
                Ok((meta, machine)) => {
                    if !tried.is_empty() {
                        tracing::warn!(snapshot = named.name(), "an older snapshot is loaded");
                    }
                    return Ok((Some(Entry { sequence, meta }), machine));
                }
                Err(error) => {
                    tracing::error!(snapshot = named.name(), %error, "a snapshot can't be loaded");
                    tried.push((named.path(), error));
                }
            }
        }
    }
    // The log has all of it, or is not this machine's: see `Snapshots::current`.
    if purged.is_none() || pointer.is_none() {
        return Ok((None, Machine::default()));
    }
    Err(Box::new(NoSnapshot { purged, tried }).into())
}

/// The snapshot in a file; of one that nothing is expected of, what it says of itself.
fn load<F: FileSystem>(
    fs: &F,
    named: Named,
    expected: Option<(&SnapshotMeta, u64)>,
    purged: Option<LogId>,
) -> Result<(SnapshotMeta, Machine), Unreadable> {
    let path = named.path();
    let file = fs.open(&path).during(Call::Open, &path).map_err(|failure| {
        let is_missing = failure.source.kind() == std::io::ErrorKind::NotFound;
        if is_missing { Unreadable::Missing } else { failure.into() }
    })?;
    // Another process may have left pages that the disk never got.
    file.drop_cache().during(Call::DropCache, &path)?;
    let bytes = read(&file, &path)?;
    let got = bytes.len() as u64;
    let (meta, machine) = match expected {
        Some((_, expected)) if got != expected => return Err(Unreadable::Length { got, expected }),
        Some((meta, _)) => (meta.clone(), snapshot::read(&bytes, meta)?),
        None => snapshot::read_itself(&bytes, named.name())?,
    };
    let reaches = purged.is_none_or(|purged| meta.last_log_id >= Some(purged));
    if reaches { Ok((meta, machine)) } else { Err(Unreadable::TooOld(meta.last_log_id)) }
}

fn read(file: &impl File, path: &str) -> Result<Bytes, Failure> {
    let len = file.len().during(Call::Length, path)?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0).during(Call::Read, path)?;
    Ok(bytes.into())
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
