//! Which snapshot a directory begins with. Reads, and changes nothing.
//!
//! The rule: the one that the log points at; if that is damaged, the one before, if the log still has every
//! entry since; where nothing was ever purged, none at all, as the log has everything. Otherwise part of the
//! state is lost, and nobody may go on.

use std::sync::Arc;

use super::file::SnapshotFile;
use crate::disk::error::{NoSnapshot, OpenError, Unreadable};
use crate::machine::Machine;
use crate::metrics;
use crate::proto::v1;
use crate::snapshot::{self, ReadError, Source};
use crate::types::{LogId, SnapshotMeta};
use crate::wal::fs::File;
use crate::wal::{Call, Context, Failure, FileSystem};

pub(in crate::disk) const FOLDER: &str = "snap";

/// A file in the folder, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::disk) enum Named {
    Snapshot(u64),
    Unfinished(u64),
}

impl Named {
    pub(in crate::disk) fn of(name: &str) -> Option<Self> {
        let named = match name.strip_suffix(".tmp") {
            Some(name) => Self::Unfinished(name.strip_suffix(".snap")?.parse().ok()?),
            None => Self::Snapshot(name.strip_suffix(".snap")?.parse().ok()?),
        };
        // One name for one file.
        (named.name() == name).then_some(named)
    }

    pub(in crate::disk) fn name(self) -> String {
        match self {
            Self::Snapshot(sequence) => format!("{sequence:012}.snap"),
            Self::Unfinished(sequence) => format!("{sequence:012}.snap.tmp"),
        }
    }

    fn sequence(self) -> u64 {
        let (Self::Snapshot(sequence) | Self::Unfinished(sequence)) = self;
        sequence
    }

    pub(in crate::disk) fn path(self) -> String {
        format!("{FOLDER}/{}", self.name())
    }
}

/// A snapshot that was loaded, or written.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) sequence: u64,
    pub(super) meta: SnapshotMeta,
    /// The file, which is open: it can be read for as long as somebody does.
    pub(super) source: Source,
}

/// What the folder has.
#[derive(Debug)]
pub(in crate::disk) struct Found {
    /// The snapshot that the state was read from.
    pub(super) loaded: Option<Loaded>,
    /// The sequences of the others that are kept until there is a newer one: the one before, or one that is
    /// damaged, as evidence.
    pub(super) others: Vec<u64>,
    /// What a crash left behind.
    pub(super) leftovers: Vec<Named>,
    /// A sequence that is after all there ever were.
    pub(super) next: u64,
    /// The log is purged up to there, and never had a snapshot.
    pub(super) stateless: Option<LogId>,
}

/// Looks at all that is there, and reads the state from the snapshot that it begins with.
pub(in crate::disk) fn find<F: FileSystem>(
    fs: &F,
    pointer: Option<&v1::SnapshotPointer>,
    purged: Option<LogId>,
) -> Result<(Found, Machine), OpenError> {
    let names = fs.list(FOLDER).during(Call::List, FOLDER)?;
    let files: Vec<Named> = names.iter().filter_map(|name| Named::of(name)).collect();
    let pointed = pointer.and_then(|pointer| Named::of(&pointer.file));
    let (loaded, machine) = load_newest(fs, &files, pointer, purged)?;

    let kept = [pointed, before(&files, pointed)];
    let (kept, leftovers): (Vec<Named>, Vec<Named>) =
        files.iter().partition(|named| kept.contains(&Some(**named)));
    let mut others: Vec<u64> = kept.into_iter().map(Named::sequence).collect();
    others.retain(|it| loaded.as_ref().is_none_or(|loaded| loaded.sequence != *it));
    let all = files.iter().copied().chain(pointed).map(Named::sequence);
    let next = all.max().unwrap_or(0).saturating_add(1);
    let stateless = purged.filter(|_| pointer.is_none());
    Ok((Found { loaded, others, leftovers, next, stateless }, machine))
}

/// The newest file before that one.
pub(in crate::disk) fn before(files: &[Named], pointed: Option<Named>) -> Option<Named> {
    let Some(Named::Snapshot(pointed)) = pointed else { return None };
    let sequences = files.iter().filter_map(|named| match named {
        Named::Snapshot(sequence) if *sequence < pointed => Some(*sequence),
        _ => None,
    });
    sequences.max().map(Named::Snapshot)
}

/// The newest snapshot that is whole and that the log goes on from, and the machine that it holds.
fn load_newest<F: FileSystem>(
    fs: &F,
    files: &[Named],
    pointer: Option<&v1::SnapshotPointer>,
    purged: Option<LogId>,
) -> Result<(Option<Loaded>, Machine), OpenError> {
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
            match load(fs, sequence, expected, purged) {
                Ok((loaded, machine)) => {
                    if !tried.is_empty() {
                        tracing::warn!(snapshot = named.name(), "an older snapshot is loaded");
                    }
                    return Ok((Some(loaded), machine));
                }
                Err(error) => {
                    tracing::error!(snapshot = named.name(), %error, "a snapshot can't be loaded");
                    if matches!(error, Unreadable::Damaged(_) | Unreadable::Length { .. }) {
                        metrics::Checks::new().snapshot();
                    }
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

/// The snapshot in a file, read once, a piece at a time; of one that nothing is expected of, what it says of
/// itself.
fn load<F: FileSystem>(
    fs: &F,
    sequence: u64,
    expected: Option<(&SnapshotMeta, u64)>,
    purged: Option<LogId>,
) -> Result<(Loaded, Machine), Unreadable> {
    let named = Named::Snapshot(sequence);
    let path = named.path();
    let file = fs.open(&path).during(Call::Open, &path).map_err(|failure| {
        let is_missing = failure.source.kind() == std::io::ErrorKind::NotFound;
        if is_missing { Unreadable::Missing } else { failure.into() }
    })?;
    // Another process may have left pages that the disk never got.
    file.drop_cache().during(Call::DropCache, &path)?;
    let got = file.len().during(Call::Length, &path)?;
    if let Some((_, expected)) = expected.filter(|(_, expected)| got != *expected) {
        return Err(Unreadable::Length { got, expected });
    }
    let source = Source::File(Arc::new(SnapshotFile::<F>::settled(file)), got);
    let machine = snapshot::load(&source, expected.map(|(meta, _)| meta));
    let machine = machine.map_err(|error| match error {
        ReadError::Invalid(error) => Unreadable::Damaged(error),
        ReadError::Failed(error) => Failure::new(Call::Read, path, error).into(),
    })?;
    let meta = expected.map_or_else(
        || SnapshotMeta {
            last_log_id: machine.last_applied,
            last_membership: machine.membership.clone(),
            snapshot_id: named.name(),
        },
        |(meta, _)| meta.clone(),
    );
    let reaches = purged.is_none_or(|purged| meta.last_log_id >= Some(purged));
    if reaches {
        Ok((Loaded { sequence, meta, source }, machine))
    } else {
        Err(Unreadable::TooOld(meta.last_log_id))
    }
}
