//! `seshat salvage`: what is whole, into a new directory.

use std::io::Write;
use std::process::ExitCode;

use seshat_core::disk::inspect::Findings;
use seshat_core::disk::salvage::{Salvaged, salvage};

use crate::arguments::SalvageOptions;
use crate::directory::Directory;
use crate::words::{Id, Indexes, Lost};
use crate::{DAMAGED, FAILED, Failure, WRONG_USAGE};

/// Behind the name of a cluster.
const SUFFIX: &str = "-salvaged";

pub(crate) fn run(options: &SalvageOptions, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let directory = Directory::open(&options.dir)?;
    let (directory, _lock) = directory.at_rest("what a node still writes can't be salvaged")?;
    let inspected = directory.read()?;
    let findings = inspected.findings();
    let (cluster, node_id) = whose(options, findings)?;
    let at = options.out.display();
    let salvaged = salvage(&inspected, &options.out, &cluster, node_id);
    let salvaged =
        salvaged.map_err(|error| Failure::of(FAILED, format!("{at} is not written"), error))?;
    print(findings, &salvaged, out)?;
    writeln!(
        out,
        "\n{at} is written: node {node_id} of cluster {cluster:?}. It must not take part in the cluster that it \
         comes from, under no id: what the node had promised may be missing. It can be the seed of a new \
         cluster."
    )?;
    Ok(ExitCode::from(if salvaged.is_all() { 0 } else { DAMAGED }))
}

fn whose(options: &SalvageOptions, findings: &Findings) -> Result<(String, u64), Failure> {
    let identity = findings.identity.as_ref();
    let cluster = options.cluster.clone();
    let cluster = cluster.or_else(|| identity.map(|it| format!("{}{SUFFIX}", it.cluster)));
    let node_id = options.node.or(identity.map(|it| it.node_id));
    cluster.zip(node_id).ok_or_else(|| {
        let at = options.dir.display();
        let words = format!(
            "{at} doesn't say whose it is any more: say whose the new directory is to be, with --cluster NAME \
             and --node ID"
        );
        Failure::new(WRONG_USAGE, words)
    })
}

fn print(findings: &Findings, salvaged: &Salvaged, out: &mut dyn Write) -> Result<(), Failure> {
    match &salvaged.snapshot {
        Some((file, last)) => writeln!(out, "snapshot: {file}, up to {}", Id(*last))?,
        None => writeln!(out, "snapshot: none")?,
    }
    writeln!(out, "entries: {}", Indexes(&salvaged.entries))?;
    writeln!(out, "last: {}", Id(salvaged.last))?;
    if salvaged.missing.is_empty() {
        writeln!(out, "missing: nothing that is known of")?;
    } else {
        writeln!(out, "missing: entries {}", Indexes(&salvaged.missing))?;
    }
    if salvaged.committed.is_some() {
        writeln!(out, "missing though committed: up to {}", Id(salvaged.committed))?;
    }
    for group in &salvaged.others {
        writeln!(out, "missing: all of group {group}")?;
    }
    for lost in findings.faults.iter().flat_map(|fault| fault.lost()) {
        writeln!(out, "damaged: {}", Lost(&lost))?;
    }
    for snapshot in findings.snapshots.iter().filter(|it| it.content.is_none() && !it.unfinished) {
        writeln!(out, "damaged: {}", snapshot.file)?;
    }
    Ok(())
}
