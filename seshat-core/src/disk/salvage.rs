//! What is whole of a damaged directory, in a new one: [`salvage`].
//!
//! Guarantees: nothing is in the new directory that the old log wasn't [certain](super::inspect::Item::Entry) to
//! have, but for one entry more, and it opens. It has a snapshot and the entries behind it up to the first that
//! isn't whole; what is behind a hole can't be used, as a log has none. The old directory is only read.
//!
//! The new one is no stand-in for the old: what the node acknowledged, and whom it voted for, may be missing.
//! So it is the seed of a cluster of its own: the entry that is added makes the node its only member, and its
//! cluster has another name, so that no member of the old one takes it for what it was.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::GROUP;
use super::draft::{BuildError, Draft, Filling};
use super::error::Unreadable;
use super::inspect::{Inspected, Item, SnapshotFile};
use crate::types::{Entry, EntryPayload, LogId, Membership, Node, NodeId, SnapshotMeta};
use crate::wal::fs::File;
use crate::wal::{Call, Context, Entries, FileSystem};

/// Bytes of entries that are written at once, unless one has more.
const AT_ONCE: u64 = 1 << 20;

/// Whose the new directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heir {
    /// The name of its cluster; another than that of the old one's.
    pub cluster: String,
    /// The node.
    pub node_id: NodeId,
    /// Where others will reach it; `None`: where they did, by the last membership that is there.
    pub address: Option<String>,
}

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
    /// There is neither an entry nor a snapshot.
    #[error("nothing is left of the log, and no snapshot is whole")]
    Nothing,
    /// The new cluster's member must be reachable.
    #[error("what is left doesn't say where node {node_id} is: say where others will reach it")]
    NoAddress {
        /// The node.
        node_id: NodeId,
    },
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
    /// The last entry that the old log had.
    pub last: LogId,
    /// The members since the entry that was added behind it.
    pub members: Membership,
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

/// Writes what is whole into a directory that is empty, or isn't there yet.
///
/// # Errors
/// See [`SalvageError`]. The directory is as it was.
pub fn salvage<F: FileSystem>(
    from: &Inspected<F>,
    dir: &Path,
    heir: &Heir,
) -> Result<Salvaged, SalvageError> {
    let plan = Plan::of(from)?;
    let draft = Draft::begin(dir, &heir.cluster, heir.node_id)?;
    if let Some((file, meta)) = &plan.snapshot {
        draft.snapshot(meta, |filling| copy(from, file, filling))?;
    }
    let Written { last, members: old } = write(from, &draft, &plan)?;
    let last = last.ok_or(SalvageError::Nothing)?;
    let members = alone(heir, &old)?;
    let added = LogId::new(last.leader_id, last.index.saturating_add(1));
    let mut record = Entries::new(added.index);
    let payload = EntryPayload::Membership(members.clone());
    record.push(added.leader_id.term, &Entry { log_id: added, payload });
    draft.entries(record)?;
    let group = from.findings().groups.iter().find(|it| it.group == GROUP);
    let known = group.and_then(|group| group.committed);
    draft.finish(group.and_then(|group| group.vote), known.min(Some(last)), Some(added))?;
    let missing = added.index..group.map_or(0, |group| group.entries.end).max(added.index);
    let others = from.findings().groups.iter().map(|it| it.group).filter(|it| *it != GROUP);
    Ok(Salvaged {
        snapshot: plan.snapshot.map(|(file, meta)| (file.file, meta.last_log_id)),
        entries: plan.begin..added.index.max(plan.begin),
        last,
        members,
        missing,
        committed: known.filter(|known| *known > last),
        others: others.collect(),
    })
}

/// The node, and nobody else.
fn alone(heir: &Heir, old: &Membership) -> Result<Membership, SalvageError> {
    let Heir { node_id, address, .. } = heir;
    let known = || old.get_node(node_id).map(|node| node.addr.clone());
    let address = address.clone().or_else(known);
    let address = address.ok_or(SalvageError::NoAddress { node_id: *node_id })?;
    let nodes = BTreeMap::from([(*node_id, Node::new(address))]);
    Ok(Membership::new(vec![[*node_id].into()], nodes))
}

fn copy<F: FileSystem>(
    from: &Inspected<F>,
    snapshot: &SnapshotFile,
    filling: &mut Filling<'_>,
) -> Result<(), Unreadable> {
    let SnapshotFile { file, bytes, .. } = snapshot;
    let source = from.fs.open(file).during(Call::Open, file)?;
    let mut piece = vec![0; AT_ONCE as usize];
    for at in (0..*bytes).step_by(AT_ONCE as usize) {
        let len = (bytes - at).min(AT_ONCE) as usize;
        let piece = piece.get_mut(..len).unwrap_or_default();
        source.read_at(piece, at).during(Call::Read, file)?;
        filling.put(piece)?;
    }
    Ok(())
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

/// What was copied.
struct Written {
    last: Option<LogId>,
    /// The last that there were.
    members: Membership,
}

fn write<F: FileSystem>(
    from: &Inspected<F>,
    draft: &Draft,
    plan: &Plan,
) -> Result<Written, BuildError> {
    let snapshot = plan.snapshot.as_ref();
    let members = snapshot.map(|(_, meta)| meta.last_membership.membership().clone());
    let mut written = Written { last: plan.before, members: members.unwrap_or_default() };
    let (mut record, mut next) = (Entries::new(plan.begin), plan.begin);
    for item in from.entries(GROUP, plan.begin..u64::MAX) {
        let Item::Entry(entry, true) = item else { break };
        let ascends = written.last.is_none_or(|last| last.leader_id <= entry.log_id.leader_id);
        if entry.log_id.index != next || !ascends {
            break;
        }
        if let EntryPayload::Membership(members) = &entry.payload {
            written.members = members.clone();
        }
        (written.last, next) = (Some(entry.log_id), next + 1);
        record.push(entry.log_id.leader_id.term, &entry);
        if record.encoded_len() >= AT_ONCE {
            draft.entries(std::mem::replace(&mut record, Entries::new(next)))?;
        }
    }
    draft.entries(record)?;
    Ok(written)
}
