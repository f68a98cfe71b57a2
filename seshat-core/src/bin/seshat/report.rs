//! What was found in a directory, for machines.

use seshat_core::disk::inspect::{Fault, Findings, Group, SegmentFile, SnapshotFile, Verdict};
use seshat_core::types::{LogId, Membership};
use seshat_core::wal::{LostEntries, Torn};

use crate::json::Json;

/// Findings as one object. Fields are only ever added.
pub(crate) fn report(findings: &Findings, in_use: bool) -> Json {
    let identity = findings.identity.as_ref().map(|it| {
        Json::Object(vec![
            ("format", it.format.into()),
            ("cluster", it.cluster.as_str().into()),
            ("node", it.node_id.into()),
            ("store", format!("{:016x}", it.store_id).into()),
        ])
    });
    let verdict = match findings.verdict() {
        Verdict::Whole => "whole",
        Verdict::Torn => "torn",
        Verdict::Damaged => "damaged",
    };
    let spares = findings.spares.iter().map(|(file, bytes)| {
        Json::Object(vec![("file", file.as_str().into()), ("bytes", (*bytes).into())])
    });
    Json::Object(vec![
        ("verdict", verdict.into()),
        ("in_use", in_use.into()),
        ("identity", identity.into()),
        ("bytes", findings.bytes().into()),
        ("closed", findings.closed.into()),
        ("torn", findings.torn.as_ref().map(torn).into()),
        ("segments", Json::list(findings.segments.iter().map(segment))),
        ("spares", Json::list(spares)),
        ("groups", Json::list(findings.groups.iter().map(group))),
        ("snapshots", Json::list(findings.snapshots.iter().map(snapshot))),
        ("strangers", Json::list(findings.strangers.iter().map(String::as_str))),
        ("faults", Json::list(findings.faults.iter().map(fault))),
    ])
}

fn torn(torn: &Torn) -> Json {
    let Torn { file, offset, bytes, .. } = torn;
    Json::Object(vec![
        ("file", file.as_str().into()),
        ("offset", (*offset).into()),
        ("bytes", (*bytes).into()),
    ])
}

fn segment(segment: &SegmentFile) -> Json {
    let SegmentFile { file, bytes, used, frames, first } = segment;
    Json::Object(vec![
        ("file", file.as_str().into()),
        ("bytes", (*bytes).into()),
        ("used", (*used).into()),
        ("records", (*frames).into()),
        ("first", first.map(|lsn| lsn.number()).into()),
    ])
}

/// The first and the last of some indexes; null where there is none.
fn indexes(range: &std::ops::Range<u64>) -> Json {
    let last = range.end.checked_sub(1).filter(|last| *last >= range.start);
    last.map(|last| Json::Object(vec![("from", range.start.into()), ("to", last.into())])).into()
}

pub(crate) fn id(id: LogId) -> Json {
    let (term, node) = (id.leader_id.term, id.leader_id.node_id);
    Json::Object(vec![("index", id.index.into()), ("term", term.into()), ("node", node.into())])
}

fn group(group: &Group) -> Json {
    let vote = group.vote.map(|vote| {
        let (term, node) = (vote.leader_id.term, vote.leader_id.node_id);
        Json::Object(vec![
            ("term", term.into()),
            ("node", node.into()),
            ("leads", vote.committed.into()),
        ])
    });
    let terms = group.terms.iter().map(|(leader, made)| {
        Json::Object(vec![
            ("term", leader.term.into()),
            ("node", leader.node_id.into()),
            ("entries", indexes(made)),
        ])
    });
    Json::Object(vec![
        ("group", group.group.into()),
        ("vote", vote.into()),
        ("probation", group.probation.map(|it| id(it.leadership.committed)).into()),
        ("purged", group.purged.map(id).into()),
        ("entries", indexes(&group.entries)),
        ("terms", Json::list(terms)),
        ("missing", Json::list(group.missing.iter().map(indexes))),
        ("committed", group.committed.map(id).into()),
        ("last", group.last.map(id).into()),
        ("snapshot", group.snapshot.as_ref().map(|(file, ..)| file.as_str()).into()),
    ])
}

fn snapshot(snapshot: &SnapshotFile) -> Json {
    let SnapshotFile { file, bytes, current, unfinished, content } = snapshot;
    let header = content.as_ref().map(|content| &content.header);
    Json::Object(vec![
        ("file", file.as_str().into()),
        ("bytes", (*bytes).into()),
        ("current", (*current).into()),
        ("unfinished", (*unfinished).into()),
        ("whole", header.is_some().into()),
        ("last", header.and_then(|header| header.last_log_id).map(id).into()),
        ("keys", header.map(|header| header.record_count).into()),
        ("membership", header.map(|header| membership(header.last_membership.membership())).into()),
    ])
}

pub(crate) fn membership(membership: &Membership) -> Json {
    let voters = membership.get_joint_config().iter();
    let members = membership.nodes().map(|(id, node)| {
        Json::Object(vec![("id", (*id).into()), ("address", node.addr.as_str().into())])
    });
    Json::Object(vec![
        ("voters", Json::list(voters.map(|set| Json::list(set.iter().copied())))),
        ("members", Json::list(members)),
    ])
}

fn fault(fault: &Fault) -> Json {
    let lost = fault.lost().into_iter().map(|LostEntries { group, from, to }| {
        Json::Object(vec![("group", group.into()), ("from", from.into()), ("to", to.into())])
    });
    Json::Object(vec![
        ("file", fault.file().into()),
        ("offset", fault.offset().into()),
        ("what", fault.to_string().into()),
        ("entries", Json::list(lost)),
        ("advice", fault.advice().to_string().into()),
    ])
}
