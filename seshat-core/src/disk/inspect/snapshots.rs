//! The snapshots of a directory, and whether a node could begin with one.

use super::entries::Reader;
use super::{Fault, Findings};
use crate::disk::GROUP;
use crate::disk::error::Unreadable;
use crate::disk::snapshots::{FOLDER, Named};
use crate::disk::stream::{Content, check};
use crate::snapshot::SnapshotError;
use crate::wal::fs::File;
use crate::wal::scan::Watch;
use crate::wal::{Call, Context, Failure, FileSystem};

/// A snapshot's file.
#[derive(Debug, Clone)]
pub struct SnapshotFile {
    /// Within the directory.
    pub file: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether the log points at it.
    pub current: bool,
    /// Whether it was never finished: what a crash left, which the next opening removes.
    pub unfinished: bool,
    /// What it says of itself, if every byte of it is as it was written.
    pub content: Option<Content>,
}

/// The names in the folder.
pub(super) struct Listed {
    files: Vec<Named>,
    strangers: Vec<String>,
}

pub(super) fn list<F: FileSystem>(fs: &F) -> Result<Listed, Failure> {
    let (mut files, mut strangers) = (Vec::new(), Vec::new());
    let mut names = fs.list(FOLDER).during(Call::List, FOLDER)?;
    names.sort_unstable();
    for name in names {
        match Named::of(&name) {
            Some(named) => files.push(named),
            None => strangers.push(format!("{FOLDER}/{name}")),
        }
    }
    Ok(Listed { files, strangers })
}

impl Listed {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Reads all of them.
    pub(super) fn read<F: FileSystem>(
        self,
        fs: &F,
        reader: &mut Reader<'_>,
        findings: &mut Findings,
    ) {
        let Self { files, strangers } = self;
        findings.strangers.extend(strangers);
        let group = findings.groups.iter().find(|it| it.group == GROUP);
        let pointer = group.and_then(|group| group.snapshot.clone());
        let purged = group.and_then(|group| group.purged);
        let pointed = pointer.as_ref().and_then(|(file, ..)| Named::of(file));
        let mut wrong = Vec::new();
        for named in &files {
            let (file, current) = (named.path(), pointed == Some(*named));
            let unfinished = matches!(named, Named::Unfinished(_));
            let mut found = SnapshotFile { file, bytes: 0, current, unfinished, content: None };
            match look(fs, &mut found) {
                _ if unfinished => {}
                Ok(content) => found.content = Some(content),
                Err(error) => wrong.push((*named, error)),
            }
            reader.progress(found.bytes);
            findings.snapshots.push(found);
        }
        let mut whole = None;
        if let (Some((_, length, meta)), Some(pointed)) = (&pointer, pointed) {
            let found = findings.snapshots.iter_mut().find(|it| it.current);
            if found.is_none() {
                wrong.push((pointed, Unreadable::Missing));
            }
            if let Some(found) = found
                && let Some(content) = &found.content
            {
                let (header, got, expected) = (&content.header, found.bytes, *length);
                let (id, other) = (header.last_log_id, meta.last_log_id);
                let same = header.last_membership == meta.last_membership;
                let error = if got != expected {
                    Some(Unreadable::Length { got, expected })
                } else if id != other {
                    Some(SnapshotError::LastLogId { got: id, expected: other }.into())
                } else if !same {
                    let got = Box::new(header.last_membership.clone());
                    let expected = Box::new(meta.last_membership.clone());
                    Some(SnapshotError::Membership { got, expected }.into())
                } else {
                    None
                };
                match error {
                    Some(error) => wrong.push((pointed, error)),
                    None => whole = Some(pointed),
                }
            }
            whole = whole.or_else(|| {
                let before = files.iter().rev().find(|it| {
                    matches!((it, &pointed), (Named::Snapshot(it), Named::Snapshot(at)) if it < at)
                })?;
                let found = findings.snapshots.iter().find(|it| it.file == before.path())?;
                let last = found.content.as_ref()?.header.last_log_id;
                (last >= purged).then_some(*before)
            });
        }
        let needs_none = purged.is_none() || pointer.is_none();
        wrong.sort_by_key(|(named, _)| named.path());
        for (named, source) in wrong {
            // What nothing points at is left over, whatever it is.
            let spare = needs_none || whole.is_some();
            findings.faults.push(Fault::Snapshot { file: named.path(), spare, source });
        }
        if let (Some(purged), true) = (purged, !needs_none && whole.is_none()) {
            findings.faults.push(Fault::NoState { purged });
        }
    }
}

fn look<F: FileSystem>(fs: &F, found: &mut SnapshotFile) -> Result<Content, Unreadable> {
    let path = found.file.clone();
    let file = fs.open(&path).during(Call::Open, &path)?;
    file.drop_cache().during(Call::DropCache, &path)?;
    found.bytes = file.len().during(Call::Length, &path)?;
    check(&file, &path)
}
