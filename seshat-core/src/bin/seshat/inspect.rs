//! `seshat inspect`: what is in a directory.

use std::io::{self, Write};
use std::process::ExitCode;

use seshat_core::disk::inspect::{Findings, Group, SegmentFile, SnapshotFile, Verdict};

use crate::Failure;
use crate::arguments::InspectOptions;
use crate::directory::Directory;
use crate::report::report;
use crate::words::{Bytes, Count, Id, Indexes, Members};

pub(crate) fn run(options: &InspectOptions, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let directory = Directory::open(&options.dir)?;
    let in_use = directory.in_use();
    let inspected = directory.read_in_use()?;
    let findings = inspected.findings();
    if options.json {
        writeln!(out, "{}", report(findings, in_use))?;
    } else {
        print(findings, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    match &findings.identity {
        Some(it) => writeln!(
            out,
            "node {} of cluster {:?}, format {}, store {:016x}",
            it.node_id, it.cluster, it.format, it.store_id
        )?,
        None => writeln!(out, "whose it is can't be read, or never was written")?,
    }
    let segments = findings.segments.len() as u64;
    let closed = if findings.closed { "closed" } else { "not closed" };
    writeln!(out, "\nlog: {}, {closed}", Count(segments, "segment"))?;
    findings.segments.iter().try_for_each(|it| segment(it, out))?;
    for (file, bytes) in &findings.spares {
        writeln!(out, "  {file:<24}{:>10}  ready for a segment to come", Bytes(*bytes))?;
    }
    findings.groups.iter().try_for_each(|it| group(it, out))?;
    writeln!(out, "\n{}", Count(findings.snapshots.len() as u64, "snapshot"))?;
    findings.snapshots.iter().try_for_each(|it| snapshot(it, out))?;
    for file in &findings.strangers {
        writeln!(out, "\n{file} is no file of Seshat's")?;
    }
    writeln!(out, "\nall files: {}", Bytes(findings.bytes()))?;
    match findings.verdict() {
        Verdict::Whole => writeln!(out, "nothing is damaged"),
        Verdict::Torn => {
            writeln!(out, "nothing is damaged; the log's end is torn, see `seshat verify`")
        }
        Verdict::Damaged => {
            let faults = Count(findings.faults.len() as u64, "fault");
            writeln!(out, "damaged: {faults}, see `seshat verify`")
        }
    }
}

fn segment(segment: &SegmentFile, out: &mut dyn Write) -> io::Result<()> {
    let SegmentFile { file, bytes, used, frames, first } = segment;
    write!(out, "  {file:<24}{:>10}  ", Bytes(*bytes))?;
    let Some(first) = first else { return writeln!(out, "can't be read") };
    writeln!(out, "{} used, {} from {first} on", Bytes(*used), Count(*frames, "record"))
}

fn group(group: &Group, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\ngroup {}", group.group)?;
    match group.vote {
        Some(vote) => {
            let granted = if vote.committed { ", which leads" } else { "" };
            let leader = vote.leader_id;
            writeln!(out, "  vote       term {}, node {}{granted}", leader.term, leader.node_id)?;
        }
        None => writeln!(out, "  vote       none")?,
    }
    if let Some(probation) = group.probation {
        let until = probation.leadership.committed;
        writeln!(out, "  probation  until the log has {}", Id(Some(until)))?;
    }
    writeln!(out, "  purged     {}", Id(group.purged))?;
    writeln!(out, "  entries    {}", Indexes(&group.entries))?;
    for (leader, made) in &group.terms {
        let (term, node) = (leader.term, leader.node_id);
        writeln!(out, "    term {term}, node {node}: {}", Indexes(made))?;
    }
    for missing in &group.missing {
        writeln!(out, "    missing: {}", Indexes(missing))?;
    }
    writeln!(out, "  committed  {}", Id(group.committed))?;
    writeln!(out, "  last       {}", Id(group.last))?;
    match &group.snapshot {
        Some((file, ..)) => writeln!(out, "  snapshot   {file}"),
        None => writeln!(out, "  snapshot   none"),
    }
}

fn snapshot(snapshot: &SnapshotFile, out: &mut dyn Write) -> io::Result<()> {
    let SnapshotFile { file, bytes, current, unfinished, content } = snapshot;
    let current = if *current { "current, " } else { "" };
    write!(out, "  {file:<24}{:>10}  {current}", Bytes(*bytes))?;
    match content {
        Some(content) => {
            let header = &content.header;
            let keys = Count(header.record_count, "key");
            writeln!(out, "whole: {keys} up to {}", Id(header.last_log_id))?;
            writeln!(out, "    members: {}", Members(header.last_membership.membership()))
        }
        None if *unfinished => writeln!(out, "never finished, and nobody's"),
        None => writeln!(out, "damaged"),
    }
}
