//! What is whole of a damaged directory, in a new one: [`salvage`].
//!
//! Guarantees: nothing is in the new directory that the old log wasn't [certain](super::inspect::Item::Entry) to
//! have, and it opens. It has a snapshot and the entries behind it up to the first that isn't whole; what is
//! behind a hole can't be used, as a log has none. The old directory is only read.
//!
//! The new one is no stand-in for the old: what the node acknowledged, and whom it voted for, may be missing.
//! Against mistakes it belongs to a cluster of another name, unless one is chosen.

use std::ops::Range;
use std::path::Path;

use super::GROUP;
use super::draft::{BuildError, Draft};
use super::inspect::{Inspected, Item, SnapshotFile};
use crate::types::{LogId, NodeId, SnapshotMeta};
use crate::wal::fs::File;
use crate::wal::{Call, Context, Entries, FileSystem};

/// Bytes of entries that are written at once, unless one has more.
const AT_ONCE: u64 = 1 << 20;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// There is no state to begin with.
    #[error(
        "no snapshot is whole, and the log is purged up to {purged}: the state can't be had from this \
         directory. `seshat dump` prints the entries that are left"
    )]
    NoState {
        /// The last entry that is in no log any more.
        purged: LogId,
    },
    /// The log says nothing of the group that there is.
    #[error("nothing is left of the log, and no snapshot is whole")]
    Nothing,
    /// The new directory can't be written.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What is in the new directory, and what isn't.
#[derive(Debug, Clone, PartialEq)]
pub struct Salvaged {
    /// The snapshot's file in the old directory, and the last entry that it covers.
    pub snapshot: Option<(String, Option<LogId>)>,
    /// Indexes of the entries behind it.
    pub entries: Range<u64>,
    /// The last entry of all.
    pub last: Option<LogId>,
    /// Entries that the old log should have and that the new one hasn't, though no snapshot covers them.
    pub missing: Range<u64>,
    /// The last that the old one knew to be committed, if that is among them.
    pub committed: Option<LogId>,
    /// Raft groups that are left out, as no node has them yet.
    pub others: Vec<u32>,
}

impl Salvaged {
    /// Whether nothing is missing that is known of.
    pub fn is_all(&self) -> bool {
        self.missing.is_empty() && self.committed.is_none() && self.others.is_empty()
    }
}

/// Writes what is whole into a directory that is empty, or isn't there yet; a cluster's and a node's of those
/// names.
///
/// # Errors
/// See [`SalvageError`]. The directory is as it was.
pub fn salvage<F: FileSystem>(
    from: &Inspected<F>,
    dir: &Path,
    cluster: &str,
    node_id: NodeId,
) -> Result<Salvaged, SalvageError> {
    let plan = Plan::of(from)?;
    let draft = Draft::begin(dir, cluster, node_id)?;
    if let Some((file, meta)) = &plan.snapshot {
        draft.snapshot(meta, |filling| {
            let source = from.fs.open(&file.file).during(Call::Open, &file.file)?;
            let mut bytes = vec![0; AT_ONCE as usize];
            for at in (0..file.bytes).step_by(AT_ONCE as usize) {
                let len = (file.bytes - at).min(AT_ONCE) as usize;
                let piece = bytes.get_mut(..len).unwrap_or_default();
                source.read_at(piece, at).during(Call::Read, &file.file)?;
                filling.put(piece)?;
            }
            Ok(())
        })?;
    }
    let last = write(from, &draft, &plan)?;
    let end = last.map_or(plan.begin, |last| last.index.saturating_add(1).max(plan.begin));
    let group = from.findings().groups.iter().find(|it| it.group == GROUP);
    let known = group.and_then(|group| group.committed);
    draft.finish(group.and_then(|group| group.vote), known.min(last), last)?;
    let missing = end..group.map_or(end, |group| group.entries.end).max(end);
    let others = from.findings().groups.iter().map(|it| it.group).filter(|it| *it != GROUP);
    Ok(Salvaged {
        snapshot: plan.snapshot.map(|(file, meta)| (file.file, meta.last_log_id)),
        entries: plan.begin..end,
        last,
        missing,
        committed: known.filter(|known| Some(*known) > last),
        others: others.collect(),
    })
}

/// What the new directory begins with.
struct Plan {
    snapshot: Option<(SnapshotFile, SnapshotMeta)>,
    /// The first entry.
    begin: u64,
    /// The one before it.
    before: Option<LogId>,
}

impl Plan {
    /// Of all that it could begin with, that behind which the most is whole.
    fn of<F: FileSystem>(from: &Inspected<F>) -> Result<Self, SalvageError> {
        let findings = from.findings();
        let group = findings.groups.iter().find(|it| it.group == GROUP);
        let purged = group.and_then(|group| group.purged);
        let reach = |begin: u64| {
            let Some(group) = group else { return begin };
            let hole = group.missing.iter().find(|missing| missing.end > begin);
            let end = hole.map_or(group.entries.end, |hole| hole.start);
            let is_there = group.entries.start <= begin;
            if is_there { end.max(begin) } else { begin }
        };
        let whole = findings.snapshots.iter().filter(|it| !it.unfinished);
        let snapshots = whole.filter_map(|file| {
            let header = &file.content.as_ref()?.header;
            let meta = SnapshotMeta {
                last_log_id: header.last_log_id,
                last_membership: header.last_membership.clone(),
                snapshot_id: file.file.clone(),
            };
            let begin = header.last_log_id.map_or(0, |last| last.index.saturating_add(1));
            Some(Self { before: meta.last_log_id, snapshot: Some((file.clone(), meta)), begin })
        });
        let log = group.filter(|group| group.purged.is_none()).map(|group| group.entries.start);
        let log = log.map(|begin| Self { snapshot: None, begin, before: None });
        let all = log.into_iter().chain(snapshots);
        all.max_by_key(|plan| (reach(plan.begin), plan.begin)).ok_or_else(|| match purged {
            Some(purged) => SalvageError::NoState { purged },
            None => SalvageError::Nothing,
        })
    }
}

/// Copies the entries; returns the id of the last.
fn write<F: FileSystem>(
    from: &Inspected<F>,
    draft: &Draft,
    plan: &Plan,
) -> Result<Option<LogId>, BuildError> {
    let mut last = plan.before;
    let mut record = Entries::new(plan.begin);
    let mut next = plan.begin;
    for item in from.entries(GROUP, plan.begin..u64::MAX) {
        let Item::Entry(entry, true) = item else { break };
        let ascends = last.is_none_or(|last| last.leader_id <= entry.log_id.leader_id);
        if entry.log_id.index != next || !ascends {
            break;
        }
        (last, next) = (Some(entry.log_id), next + 1);
        record.push(entry.log_id.leader_id.term, &entry);
        if record.encoded_len() >= AT_ONCE {
            draft.entries(std::mem::replace(&mut record, Entries::new(next)))?;
        }
    }
    draft.entries(record)?;
    Ok(last)
}
