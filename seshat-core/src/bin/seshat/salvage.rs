//! `seshat salvage`: what is whole, into a new directory.

use std::io::Write;
use std::process::ExitCode;

use seshat_core::disk::inspect::Findings;
use seshat_core::disk::salvage::{Heir, SalvageError, Salvaged, salvage};

use crate::Failure;
use crate::arguments::SalvageOptions;
use crate::codes::{DAMAGED, FAILED, WRONG_USAGE};
use crate::directory::Directory;
use crate::words::{Id, Indexes, Lost, Members};

/// Behind the name of a cluster.
const SUFFIX: &str = "-salvaged";

pub(crate) fn run(options: &SalvageOptions, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let directory = Directory::open(&options.dir)?;
    let (directory, _lock) = directory.at_rest("what a node still writes can't be salvaged")?;
    let inspected = directory.read()?;
    let findings = inspected.findings();
    let heir = whose(options, findings)?;
    let at = options.out.display();
    let salvaged = salvage(&inspected, &options.out, &heir).map_err(|error| {
        let (code, option) = match error {
            SalvageError::NoAddress { .. } => (WRONG_USAGE, ", with --address HOST:PORT"),
            _ => (FAILED, ""),
        };
        let words = format!("{at} is not written: {error}{option}");
        Failure::of(code, words, error)
    })?;
    print(findings, &salvaged, out)?;
    let Heir { cluster, node_id, .. } = heir;
    writeln!(
        out,
        "\n{at} is written: node {node_id} of cluster {cluster:?}, and its only member: {}.\n\
         It must not take part in the cluster that it comes from, under no id: what the node had promised may be \
         missing. Started, it is the seed of a new cluster, to which others can be added.",
        Members(&salvaged.members)
    )?;
    Ok(ExitCode::from(if salvaged.is_all() { 0 } else { DAMAGED }))
}

fn whose(options: &SalvageOptions, findings: &Findings) -> Result<Heir, Failure> {
    let identity = findings.identity.as_ref();
    let cluster = options.cluster.clone();
    let cluster = cluster.or_else(|| identity.map(|it| format!("{}{SUFFIX}", it.cluster)));
    let node_id = options.node.or(identity.map(|it| it.node_id));
    let (Some(cluster), Some(node_id)) = (cluster, node_id) else {
        let at = options.dir.display();
        let words = format!(
            "{at} doesn't say whose it is any more: say whose the new directory is to be, with --cluster NAME \
             and --node ID"
        );
        return Err(Failure::new(WRONG_USAGE, words));
    };
    Ok(Heir { cluster, node_id, address: options.address.clone() })
}

fn print(findings: &Findings, salvaged: &Salvaged, out: &mut dyn Write) -> Result<(), Failure> {
    match &salvaged.snapshot {
        Some((file, last)) => writeln!(out, "snapshot: {file}, up to {}", Id(*last))?,
        None => writeln!(out, "snapshot: none")?,
    }
    writeln!(out, "entries: {}", Indexes(&salvaged.entries))?;
    writeln!(out, "last: {}", Id(Some(salvaged.last)))?;
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
