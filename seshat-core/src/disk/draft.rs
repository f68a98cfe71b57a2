//! [`Draft`]: a node's directory that is written as a whole, or not at all.
//!
//! Guarantees: where anything is, nothing is written. The directory is built in a folder of its own inside it,
//! and what is in there moves up at the end, durably and in this order: the log, without which a node takes
//! the directory for empty, as it was; the snapshots; `IDENTITY`, without which a log refuses to open. So a
//! crash leaves a directory that is empty for a node, or refused by it, and the next draft in it begins anew
//! where no log has moved.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::GROUP;
use super::error::Unreadable;
use super::snapshots::{FOLDER, Named};
use crate::proto::v1;
use crate::types::{LogId, SnapshotMeta, Vote};
use crate::wal::fs::File;
use crate::wal::{
    Call, Context, Disk, Entries, Failure, FileSystem, OpenError, Options, Record, Stopped,
    SubmitError, Wal,
};

/// Where it is built.
const UNFINISHED: &str = "UNFINISHED";
/// Bytes that are written at once.
const AT_ONCE: usize = 1 << 20;

/// Why a directory wasn't written. It is as it was, or there is what can be removed in it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Only an empty directory, or none, is written to.
    #[error("{} is not empty: it has {has:?}; name a directory that is empty or isn't there", .dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
        /// Something that is in it.
        has: String,
    },
    /// The system doesn't let it.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The new log can't be created.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new log doesn't take a record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The new log failed.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// What is to be copied can't be read, or the copy can't.
    #[error(transparent)]
    Copy(#[from] Unreadable),
}

/// See the [module](self). Dropping it takes back what was written.
#[derive(Debug)]
pub(super) struct Draft {
    dir: PathBuf,
    whole: Disk,
    part: Disk,
    wal: Option<Wal>,
}

impl Draft {
    /// Begins one in a directory that is empty, or isn't there.
    pub(super) fn begin(dir: &Path, cluster: &str, node_id: u64) -> Result<Self, BuildError> {
        let at = dir.to_string_lossy();
        let whole = Disk::at(dir).during(Call::CreateFolder, &at)?;
        let names = whole.list("").during(Call::List, &at)?;
        if let Some(has) = names.iter().find(|name| *name != UNFINISHED) {
            return Err(BuildError::NotEmpty { dir: dir.to_owned(), has: has.clone() });
        }
        clear(dir).during(Call::Remove, UNFINISHED)?;
        let part = Disk::at(dir.join(UNFINISHED)).during(Call::CreateFolder, UNFINISHED)?;
        let mut draft = Self { dir: dir.to_owned(), whole, part, wal: None };
        let part = Disk::at(dir.join(UNFINISHED)).during(Call::CreateFolder, UNFINISHED)?;
        let (wal, _) = Wal::open(part, Options::new(cluster, node_id))?;
        draft.wal = Some(wal);
        draft.part.create_folder(FOLDER).during(Call::CreateFolder, FOLDER)?;
        draft.part.sync_folder("").during(Call::SyncFolder, "")?;
        Ok(draft)
    }

    /// Writes the snapshot's file, by way of what fills it, and has the log point at it and begin behind it.
    pub(super) fn snapshot(
        &self,
        meta: &SnapshotMeta,
        fill: impl FnOnce(&mut Filling<'_>) -> Result<(), Unreadable>,
    ) -> Result<(), BuildError> {
        let named = Named::Snapshot(1);
        let path = named.path();
        let file = self.part.create(&path).during(Call::Open, &path)?;
        let mut filling = Filling { file: &file, path: &path, at: 0, bytes: Vec::new() };
        fill(&mut filling)?;
        let length = filling.end()?;
        file.sync().during(Call::Sync, &path)?;
        self.part.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)?;
        // What is handed over was read once more.
        super::stream::check(&file, &path)?;
        let pointer = v1::SnapshotPointer { meta: Some(meta.into()), file: named.name(), length };
        self.submit(Record::Snapshot(pointer))?;
        if let Some(last) = &meta.last_log_id {
            self.submit(Record::Purge(last.into()))?;
        }
        Ok(())
    }

    pub(super) fn entries(&self, entries: Entries) -> Result<(), BuildError> {
        if entries.is_empty() { Ok(()) } else { self.submit(Record::Entries(entries)) }
    }

    fn submit(&self, record: Record) -> Result<(), BuildError> {
        if let Some(wal) = &self.wal {
            // In turn, so that no more waits in memory than one record.
            wal.wait(wal.submit(GROUP, record)?)?;
        }
        Ok(())
    }

    /// Writes the rest, and moves all of it to its place. The node remembers that it voted for nobody in the
    /// term of the log's last entry, so that it can't lead in that term or an older one.
    pub(super) fn finish(
        mut self,
        vote: Option<Vote>,
        committed: Option<LogId>,
        last: Option<LogId>,
    ) -> Result<(), BuildError> {
        let seen = [vote.map(|vote| vote.leader_id), last.map(|last| last.leader_id)];
        if let Some(leader_id) = seen.into_iter().flatten().max() {
            let vote = Vote { leader_id, committed: false };
            self.submit(Record::Vote((&vote).into()))?;
        }
        self.submit(Record::Committed(committed.as_ref().map(Into::into)))?;
        if let Some(wal) = self.wal.take() {
            wal.close()?;
        }
        for steps in [["wal", FOLDER].as_slice(), &["IDENTITY"]] {
            for name in steps {
                let from = format!("{UNFINISHED}/{name}");
                self.whole.rename(&from, name).during(Call::Rename, name)?;
            }
            self.whole.sync_folder("").during(Call::SyncFolder, "")?;
        }
        clear(&self.dir).during(Call::Remove, UNFINISHED)?;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        drop(self.wal.take());
        // Whoever comes next does it otherwise.
        let _ = clear(&self.dir);
    }
}

fn clear(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir.join(UNFINISHED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file that is being written.
pub(super) struct Filling<'a> {
    file: &'a fs::File,
    path: &'a str,
    at: u64,
    bytes: Vec<u8>,
}

impl Filling<'_> {
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() < AT_ONCE { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.file.write_at(&self.bytes, self.at).during(Call::Write, self.path)?;
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// The file's length.
    fn end(mut self) -> Result<u64, Failure> {
        self.flush()?;
        Ok(self.at)
    }
}
