//! What is in a node's directory, whatever is wrong with it: for tools and those who use them.
//!
//! Guarantees: reads only, over any [`FileSystem`] ([`ReadOnly`](crate::wal::ReadOnly) refuses anything else).
//! Where it finds [no fault](Findings::verdict), [`DiskStorage`](super::DiskStorage) opens the directory; what
//! that refuses is among the faults. It goes on behind each fault and finds all there are. In memory are one
//! segment, one record of a snapshot, and some words for each append.
//!
//! What can't be told from a torn end is told in [`wal`](crate::wal): the last group of a log that neither was
//! closed nor rested.
//!
//! The directory of a node that runs changes while it is read. Take its [`lock`], or doubt what is found.
//!
//! ```
//! use seshat_core::disk::inspect::{Inspected, Verdict};
//! use seshat_core::disk::{DiskOptions, DiskStorage};
//! use seshat_core::wal::ReadOnly;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! drop(DiskStorage::open(dir.path(), DiskOptions::new("cluster", 1))?);
//! let found = Inspected::read(ReadOnly::at(dir.path())?, &mut |_| {})?;
//! assert_eq!(found.findings().verdict(), Verdict::Whole);
//! # Ok(())
//! # }
//! ```

mod entries;
mod fault;
mod snapshots;

use std::ops::Range;

pub use self::entries::Item;
use self::entries::Reader;
pub use self::fault::{Advice, Fault};
pub use self::snapshots::SnapshotFile;
use crate::proto::v1;
use crate::storage::Probation;
use crate::types::{LeaderId, LogId, SnapshotMeta, Vote};
pub use crate::wal::scan::SegmentFile;
use crate::wal::scan::{self, Scan, Trail, scan};
use crate::wal::{Call, Context, Failure, FileSystem, OpenError, Torn};

#[doc(no_inline)]
pub use crate::disk::stream::Content;

/// What was found in a directory.
#[derive(Debug)]
pub struct Findings {
    /// Whose directory it is; `None` if that can't be read.
    pub identity: Option<Identity>,
    /// The log's files, in their order.
    pub segments: Vec<SegmentFile>,
    /// Files that are ready, or being made, for segments to come, each with its length in bytes.
    pub spares: Vec<(String, u64)>,
    /// What the log says of each Raft group.
    pub groups: Vec<Group>,
    /// Whether the log was closed, so that nothing in it is in doubt.
    pub closed: bool,
    /// What was written at the log's end and never promised.
    pub torn: Option<Torn>,
    /// The newest last.
    pub snapshots: Vec<SnapshotFile>,
    /// Files that are nobody's in the folders of log and snapshots.
    pub strangers: Vec<String>,
    /// All that is damaged: of the log in the order of its files, then of the snapshots.
    pub faults: Vec<Fault>,
}

/// Whose directory it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Of the directory's layout.
    pub format: u32,
    /// The cluster's name.
    pub cluster: String,
    /// The node's id.
    pub node_id: u64,
    /// Tells this directory from every other.
    pub store_id: u64,
}

/// What the log says of a Raft group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its number.
    pub group: u32,
    /// The privilege that the node granted last.
    pub vote: Option<Vote>,
    /// The last entry that was purged.
    pub purged: Option<LogId>,
    /// The last entry that is known to be committed.
    pub committed: Option<LogId>,
    /// The last entry, or the last purged one if there is none.
    pub last: Option<LogId>,
    /// Indexes of the entries that should be in the log.
    pub entries: Range<u64>,
    /// Those of them that aren't, or may have been taken back by what is lost.
    pub missing: Vec<Range<u64>>,
    /// On whose word the node takes part, if it ever did: until its log has what that leader had committed.
    pub probation: Option<Probation>,
    /// Who led, and which entries it made, as far as they are there.
    pub terms: Vec<(LeaderId, Range<u64>)>,
    /// The snapshot that the log points at: its file, its length in bytes, and what it is of.
    pub snapshot: Option<(String, u64, SnapshotMeta)>,
}

/// What findings come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All that was promised is there.
    Whole,
    /// So it is, and a crash left something half-written behind it. The next opening goes on in a new segment.
    Torn,
    /// Something is not as it was written.
    Damaged,
}

impl Findings {
    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        match (&self.faults[..], &self.torn) {
            ([], None) => Verdict::Whole,
            ([], Some(_)) => Verdict::Torn,
            _ => Verdict::Damaged,
        }
    }

    /// Bytes of all the files that are the directory's.
    pub fn bytes(&self) -> u64 {
        let segments = self.segments.iter().map(|segment| segment.bytes);
        let spares = self.spares.iter().map(|(_, bytes)| *bytes);
        segments.chain(spares).chain(self.snapshots.iter().map(|it| it.bytes)).sum()
    }
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is neither an identity nor a log nor a snapshot.
    #[error("it is no node's directory: it has neither IDENTITY nor segments in wal/")]
    NotOurs,
    /// The system doesn't let it be listed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// How far the reading got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that there are, or some less.
    pub of: u64,
}

/// Takes the directory's lock, so that nothing in it changes while it is held. Where there is no file to lock
/// and none may be created, nothing has it.
///
/// # Errors
/// [`Locked`](OpenError::Locked): a node runs on it. Or the system says so.
pub fn lock<F: FileSystem>(fs: &F) -> Result<F::Lock, OpenError> {
    scan::lock(fs)
}

/// A directory that was read, and can be read on.
#[derive(Debug)]
pub struct Inspected<F: FileSystem> {
    pub(super) fs: F,
    scan: Scan<F::File>,
    findings: Findings,
}

impl<F: FileSystem> Inspected<F> {
    /// Reads all of a directory, and decodes every entry. Blocks for as long as that takes.
    ///
    /// # Errors
    /// See [`InspectError`]. Whatever is wrong with a file is among the [`Findings`].
    pub fn read(fs: F, progress: &mut dyn FnMut(Progress)) -> Result<Self, InspectError> {
        let mut reader = Reader::new(progress, total(&fs)?);
        let scan = scan(&fs, &mut reader)?;
        let snapshots = snapshots::list(&fs)?;
        let nothing = scan.segments.is_empty() && snapshots.is_empty();
        if scan.identity.is_none() && scan.faults.is_empty() && nothing {
            return Err(InspectError::NotOurs);
        }
        let mut findings = Findings {
            identity: scan.identity.clone().map(Identity::from),
            segments: scan.segments.clone(),
            spares: scan.spares.clone(),
            groups: Vec::new(),
            closed: scan.closed,
            torn: scan.torn.clone(),
            snapshots: Vec::new(),
            strangers: scan.strangers.clone(),
            faults: scan.faults.iter().cloned().map(Fault::Log).collect(),
        };
        findings.faults.append(&mut reader.faults);
        for trail in scan.trails.values() {
            let group = group(trail, &reader, &mut findings.faults);
            findings.groups.push(group);
        }
        snapshots.read(&fs, &mut reader, &mut findings);
        Ok(Self { fs, scan, findings })
    }

    /// What was found.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// What is at each index of a group's log in `range`, in order: entries, read and verified again, and
    /// where there is none.
    pub fn entries(&self, group: u32, range: Range<u64>) -> impl Iterator<Item = Item> + '_ {
        entries::items(&self.scan, group, range)
    }
}

impl From<v1::Identity> for Identity {
    fn from(proto: v1::Identity) -> Self {
        let v1::Identity { format_version, cluster, node_id, store_id } = proto;
        Self { format: format_version, cluster, node_id, store_id }
    }
}

/// Bytes that there are to read, as far as that can be told.
fn total<F: FileSystem>(fs: &F) -> Result<u64, Failure> {
    use crate::wal::fs::File;
    let mut total = 0;
    for (folder, end) in [("wal", ".seg"), (super::snapshots::FOLDER, ".snap")] {
        for name in fs.list(folder).during(Call::List, folder)? {
            let file = name.ends_with(end).then(|| fs.open(&format!("{folder}/{name}")));
            total += file.and_then(|file| file.ok()?.len().ok()).unwrap_or(0);
        }
    }
    Ok(total)
}

fn group(trail: &Trail, reader: &Reader<'_>, faults: &mut Vec<Fault>) -> Group {
    let v1::GroupState { group, first_index, next_index, .. } = trail.state;
    let mut invalid = |what, source| faults.push(Fault::Invalid { group, what, source });
    let mut id = |what, proto: Option<v1::LogId>| {
        let id = proto.map(LogId::try_from).transpose();
        id.unwrap_or_else(|source| {
            invalid(what, source);
            None
        })
    };
    let purged = id("what is purged", trail.state.purged);
    let committed = id("what is committed", trail.state.committed);
    let vote = trail.state.vote.map(Vote::try_from).transpose();
    let vote = vote.unwrap_or_else(|source| {
        invalid("the vote", source);
        None
    });
    let probation = trail.state.probation.map(Probation::try_from).transpose();
    let probation = probation.unwrap_or_else(|source| {
        invalid("a probation", source);
        None
    });
    let snapshot = trail.state.snapshot.clone().and_then(|pointer| {
        let meta = SnapshotMeta::try_from(pointer.meta.unwrap_or_default());
        let meta = meta.map_err(|source| invalid("the snapshot", source));
        Some((pointer.file, pointer.length, meta.ok()?))
    });
    let terms = reader.terms(trail, purged, faults);
    let last = terms.last().map(|(leader, made)| LogId::new(*leader, made.end.saturating_sub(1)));
    Group {
        group,
        vote,
        purged,
        committed,
        last: last.or(purged),
        entries: first_index..next_index,
        missing: trail.missing(),
        probation,
        terms,
        snapshot,
    }
}
