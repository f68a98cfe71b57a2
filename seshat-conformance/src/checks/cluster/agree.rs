//! What must hold of a cluster at the end: histories, logs and states agree.

use std::collections::BTreeMap;
use std::ops::Range;

use super::client::History;
use super::nodes::Cluster;
use crate::driver::node::Metrics;
use crate::driver::seen::{Entry, LogId};
use crate::driver::store::Reader;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::outcome::Verdict;
use crate::subject::Subject;
use crate::words::Command;

/// The history is linearizable; every node that is up has every acknowledged write at its place,
/// and all of them hold the same.
pub(crate) async fn agree(cluster: Cluster<'_>, history: &History) -> Verdict {
    let lab = cluster.lab;
    let last = cluster.settle().await?;
    lab.assert(history.linearizable(), || {
        let what = "what clients saw is not linearizable: two acknowledged writes are at one place, or in the wrong order";
        Failure::broken(what, "an order of all writes", "none")
    })?;
    let acknowledged = history.acknowledged();
    lab.assert(!acknowledged.is_empty(), || {
        Failure::broken("no write was acknowledged", "progress", "none")
    })?;
    if !lab.driver.capabilities().log_survives_restart {
        return logs_agree(cluster, &acknowledged).await;
    }
    lab.record.step("stop all nodes, open their stores, and compare");
    let mut digests: Vec<Option<Vec<u8>>> = Vec::new();
    for mut store in cluster.stop().await? {
        let state = lab.call("get_log_state", store.log.state()).await?;
        let all = next(state.purged)..next(state.last);
        read_back(lab, &mut **store.log, all, &acknowledged).await?;
        apply_all(&mut store, last).await?;
        let digesting = store.machine.digest();
        digests.push(lab.call("digest", digesting).await?);
    }
    let first = digests.first().cloned().flatten();
    for digest in digests.into_iter().flatten() {
        let first = first.clone().unwrap_or_default();
        lab.assert(digest == first, || {
            let text = crate::subject::text;
            Failure::broken("two nodes hold different states", text(&first), text(&digest))
        })?;
    }
    Ok(())
}

/// The index after an id.
fn next(id: Option<LogId>) -> u64 {
    id.map_or(0, |id| id.index + 1)
}

/// What can be compared of stores that keep nothing once they are closed: the logs of running
/// nodes. openraft shows nobody its state machine.
async fn logs_agree(mut cluster: Cluster<'_>, acknowledged: &BTreeMap<u64, Command>) -> Verdict {
    let lab = cluster.lab;
    lab.record.step("compare the logs of all nodes while they run");
    for (n, node) in &cluster.up {
        let Metrics { last, purged, .. } = node.metrics();
        let all = purged.map_or(0, |index| index + 1)..last.map_or(0, |last| last + 1);
        if let Some(reader) = cluster.readers.get_mut(n) {
            let got = read_back(lab, &mut **reader, all.clone(), acknowledged).await?;
            let count = all.end.saturating_sub(all.start);
            lab.equal(&format!("the length of node {n}'s log"), &(got as u64), &count)?;
        }
    }
    Ok(())
}

/// Reads a log, of which every acknowledged entry is what it was. How many entries there are.
async fn read_back(
    lab: &Lab,
    reader: &mut dyn Reader,
    all: Range<u64>,
    acknowledged: &BTreeMap<u64, Command>,
) -> Result<usize, Failure> {
    // Such ranges as openraft reads: the others have checks of their own.
    if all.is_empty() {
        return Ok(0);
    }
    let entries = lab.call("try_get_log_entries", reader.read(all)).await?;
    for entry in &entries {
        if let Some(command) = acknowledged.get(&entry.index()) {
            holds(lab, entry, command)?;
        }
    }
    Ok(entries.len())
}

/// The entry is the command that was acknowledged at its index.
fn holds(lab: &Lab, entry: &Entry, command: &Command) -> Verdict {
    let Some(expected) = lab.driver.command_at(command, entry) else { return Ok(()) };
    let (expected, got) = (lab.driver.fingerprint(&expected), lab.driver.fingerprint(entry));
    lab.assert(got == expected, || {
        let text = crate::subject::text;
        let what = format!("the acknowledged write at {} is not there", entry.id());
        Failure::broken(what, text(&expected), text(&got))
    })
}

/// Brings the state to the last entry that the cluster had applied, as openraft does when it
/// starts and commits.
async fn apply_all(store: &mut Subject<'_>, last: u64) -> Verdict {
    let lab = store.lab;
    let starting = lab.driver.start(&mut **store.log, &mut **store.machine);
    lab.call("StorageHelper::get_initial_state", starting).await?;
    let (applied, _) = lab.call("applied_state", store.machine.applied()).await?;
    let next = applied.map_or(0, |id| id.index + 1);
    if next <= last {
        let missing = store.read(next, last + 1).await?;
        lab.assert(missing.len() as u64 == last + 1 - next, || {
            let what = "a node that was stopped lacks entries that it had applied";
            let got = format!("{} of them", missing.len());
            Failure::broken(what, format!("the entries {next} to {last}"), got)
        })?;
        lab.call("apply", store.machine.apply(missing)).await?;
    }
    let (applied, _) = lab.call("applied_state", store.machine.applied()).await?;
    lab.equal("a node's state ends elsewhere", &applied.map(|id| id.index), &Some(last))
}
