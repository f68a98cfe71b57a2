//! The snapshots of a directory, and whether a node could begin with one.

use super::entries::Reader;
use super::{Fault, Findings};
use crate::disk::GROUP;
use crate::disk::error::Unreadable;
use crate::disk::snapshots::{FOLDER, Named, before};
use crate::disk::stream::{Content, check};
use crate::snapshot::{Header, SnapshotError};
use crate::types::{LogId, SnapshotMeta};
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

/// What the log says: file, length and what it is of.
type Pointer = (String, u64, SnapshotMeta);

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
                // Nobody's, whatever it is.
                _ if unfinished => {}
                Ok(content) => found.content = Some(content),
                Err(error) => wrong.push((*named, error)),
            }
            reader.progress(found.bytes);
            findings.snapshots.push(found);
        }
        let begins = pointer.as_ref().zip(pointed).is_some_and(|(pointer, pointed)| {
            let found = findings.snapshots.iter().find(|it| it.current);
            let current = found.map_or(Err(Unreadable::Missing), |found| same(found, pointer));
            let is_whole = current.is_ok() && found.is_some_and(|found| found.content.is_some());
            wrong.extend(current.err().map(|error| (pointed, error)));
            is_whole || reaches(before(&files, Some(pointed)), &findings.snapshots, purged)
        });
        // The log has all of it, or is no machine's.
        let spare = begins || purged.is_none() || pointer.is_none();
        wrong.sort_by_key(|(named, _)| named.path());
        let faults = wrong.into_iter().map(|(named, source)| {
            let file = named.path();
            Fault::Snapshot { file, spare, source }
        });
        findings.faults.extend(faults);
        if let Some(purged) = purged.filter(|_| !spare) {
            findings.faults.push(Fault::NoState { purged });
        }
    }
}

/// Whether a file that is whole is the one that the log points at.
fn same(found: &SnapshotFile, pointer: &Pointer) -> Result<(), Unreadable> {
    let Some(content) = &found.content else { return Ok(()) };
    let (_, expected, meta) = pointer;
    if found.bytes != *expected {
        return Err(Unreadable::Length { got: found.bytes, expected: *expected });
    }
    let Header { last_log_id: got, last_membership, .. } = &content.header;
    if *got != meta.last_log_id {
        let (got, expected) = (*got, meta.last_log_id);
        return Err(SnapshotError::LastLogId { got, expected }.into());
    }
    if *last_membership != meta.last_membership {
        let got = Box::new(last_membership.clone());
        let expected = Box::new(meta.last_membership.clone());
        return Err(SnapshotError::Membership { got, expected }.into());
    }
    Ok(())
}

/// Whether that one is whole, and the log goes on from it.
fn reaches(named: Option<Named>, found: &[SnapshotFile], purged: Option<LogId>) -> bool {
    let file = named.map(Named::path);
    let content = found.iter().find(|it| Some(&it.file) == file.as_ref());
    let content = content.and_then(|found| found.content.as_ref());
    content.is_some_and(|content| content.header.last_log_id >= purged)
}

fn look<F: FileSystem>(fs: &F, found: &mut SnapshotFile) -> Result<Content, Unreadable> {
    let path = found.file.clone();
    let file = fs.open(&path).during(Call::Open, &path)?;
    file.drop_cache().during(Call::DropCache, &path)?;
    found.bytes = file.len().during(Call::Length, &path)?;
    check(&file, &path)
}
