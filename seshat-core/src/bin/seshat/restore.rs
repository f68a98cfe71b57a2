//! `seshat restore`: a member's directory of a new cluster, from a backup.

use std::io::Write;
use std::process::ExitCode;

use seshat_core::config::NodeConfig;
use seshat_core::disk::seed::{NewMember, SeedError, seed};

use crate::Failure;
use crate::arguments::RestoreOptions;
use crate::codes::{FAILED, WRONG_USAGE};
use crate::words::{Bytes, Count, Id, Members};

pub(crate) fn run(options: &RestoreOptions, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let member = checked(options)?;
    let at = options.dir.display();
    let seeded = seed(&options.file, &options.dir, &member).map_err(|error| {
        let code = if matches!(error, SeedError::NotAMember { .. }) { WRONG_USAGE } else { FAILED };
        Failure::of(code, format!("{at} is not written"), error)
    })?;
    let NewMember { cluster, node_id, .. } = member;
    writeln!(
        out,
        "{at} is written: node {node_id} of the new cluster {cluster:?}, {} of {} up to {}",
        Count(seeded.record_count, "key"),
        Bytes(seeded.record_bytes),
        Id(seeded.last_log_id),
    )?;
    writeln!(out, "members: {}", Members(seeded.last_membership.membership()))?;
    writeln!(
        out,
        "restore the other members from the same file, with the same members, and start all of them"
    )?;
    Ok(ExitCode::SUCCESS)
}

/// As a node's configuration would have them: with its rules, and the addresses that it makes of them.
fn checked(options: &RestoreOptions) -> Result<NewMember, Failure> {
    let wrong = |words: String| Failure::new(WRONG_USAGE, words);
    let builder = NodeConfig::builder(options.node).cluster_name(&options.cluster);
    let builder = if options.members.len() == 1 { builder.single_node() } else { builder };
    let members = options.members.iter();
    let builder = members.fold(builder, |it, (id, address)| it.member(*id, address.as_str()));
    let config = builder.build().map_err(|error| {
        let must = "--cluster, --node and --member must be as nodes' configurations have them";
        wrong(format!("{must}:\n{}", error.to_string().trim_end()))
    })?;
    Ok(NewMember {
        cluster: config.cluster_name().to_owned(),
        node_id: options.node,
        members: config.members().clone(),
    })
}
