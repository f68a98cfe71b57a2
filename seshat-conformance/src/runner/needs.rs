//! What a back end lacks that a check needs. Decided before the check runs.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::driver::Driver;
use crate::model::{Ballot, Id, Item, Members, Payload};
use crate::spec::Need;
use crate::words::{BoxError, Capabilities, Command, Halves, Hooks, Keeps};

/// What can't be known without asking a store. Where the store can't even be asked, both are taken
/// for given, so that checks run and name the true cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gifts {
    digest: bool,
    show_reply: bool,
}

impl Default for Gifts {
    fn default() -> Self {
        Self { digest: true, show_reply: true }
    }
}

/// Why the back end doesn't meet the first of `needs` that it doesn't. `gifts` is asked for at most
/// once, and only if it matters.
pub(crate) fn missing(
    driver: &dyn Driver,
    needs: &[Need],
    mut gifts: impl FnMut() -> Gifts,
) -> Option<String> {
    let known = |need: &&Need| known(driver, **need);
    let unmet = needs.iter().find(|need| known(need) == Some(false));
    let asked = || needs.iter().find(|need| known(need).is_none() && !given(**need, gifts()));
    unmet.or_else(asked).map(|need| reason(driver, *need))
}

/// Whether a check's threads are watched: it needs something that no hook does.
pub(crate) fn watches(driver: &dyn Driver, needs: &[Need]) -> bool {
    let by_watching = |need: &Need| hooked(&driver.hooks(), *need) == Some(false);
    driver.capabilities().files && needs.iter().any(by_watching)
}

/// Whether there is a hook that does it; `None` for what no hook does, nor watching.
fn hooked(hooks: &Hooks, need: Need) -> Option<bool> {
    Some(match need {
        Need::CutPower => hooks.cut_power.is_some(),
        Need::RefuseWrites => hooks.refuse_writes.is_some(),
        Need::WatchedFiles => false,
        Need::DamageLastRecord => hooks.damage_last_record.is_some(),
        Need::DamageRecord => hooks.damage_record.is_some(),
        Need::DamageSnapshot => hooks.damage_snapshot.is_some(),
        Need::DamageVote => hooks.damage_vote.is_some(),
        Need::DamageMarker => hooks.damage_marker.is_some(),
        _ => return None,
    })
}

fn reason(driver: &dyn Driver, need: Need) -> String {
    match seshat_powercut::supported() {
        Err(why) if hooked(&driver.hooks(), need).is_some() && driver.capabilities().files => {
            format!("its files can't be watched here: {why}")
        }
        _ => need.reason().to_owned(),
    }
}

/// `None` for what only an open store can tell.
fn known(driver: &dyn Driver, need: Need) -> Option<bool> {
    let Capabilities {
        halves,
        log_survives_restart,
        machine_keeps,
        files,
        snapshot_checksum,
        snapshot_describes_itself,
    } = driver.capabilities();
    let hooks = driver.hooks();
    let first = [Command::plain(0)];
    Some(match need {
        Need::Log => halves != Halves::Machine,
        Need::Machine => halves != Halves::Log,
        Need::LogSurvivesRestart => log_survives_restart,
        Need::MachineSurvivesRestart => machine_keeps != Keeps::Nothing,
        Need::AppliedSurvivesRestart => machine_keeps == Keeps::Applied,
        Need::SnapshotSurvivesRestart => machine_keeps == Keeps::Snapshot,
        Need::Files => files,
        Need::SnapshotChecksum => snapshot_checksum,
        Need::SnapshotDescribesItself => snapshot_describes_itself,
        Need::Digest | Need::ShowReply => return None,
        // The other half of each is asked of the store.
        Need::ExpectedReply if driver.expected_reply(&first).is_some() => return None,
        Need::ExpectedDigest if driver.expected_digest(&first).is_some() => return None,
        Need::ExpectedReply | Need::ExpectedDigest => false,
        Need::SnapshotBytes => driver.snapshot_bytes(),
        Need::CutPower
        | Need::RefuseWrites
        | Need::WatchedFiles
        | Need::DamageLastRecord
        | Need::DamageRecord
        | Need::DamageSnapshot
        | Need::DamageVote
        | Need::DamageMarker => {
            let watched = || files && seshat_powercut::supported().is_ok();
            hooked(&hooks, need) == Some(true) || watched()
        }
        Need::Suite => driver.has_suite(),
        Need::Callback => cfg!(feature = "storage-v2"),
        Need::SeshatTypes => driver.seshat_types(),
    })
}

fn given(need: Need, gifts: Gifts) -> bool {
    match need {
        Need::ShowReply | Need::ExpectedReply => gifts.show_reply,
        _ => gifts.digest,
    }
}

/// Asks a fresh store in `dir`, by calls that openraft makes: a follower gets its first two
/// entries and applies them.
pub(super) async fn ask(driver: &dyn Driver, dir: &Path) -> Result<Gifts, BoxError> {
    let (mut log, mut machine) = driver.open(dir).await?;
    let members = Members { configs: vec![BTreeSet::from([1])], nodes: BTreeSet::from([1]) };
    let items = [Payload::Members(members), Payload::Command(Command::plain(0))];
    let id = |index| Id { term: 1, node: 1, index };
    let entries: Vec<_> = items
        .into_iter()
        .zip(0..)
        .filter_map(|(payload, index)| driver.entry(&Item { id: id(index), payload }))
        .collect();
    let leader = driver.vote(Some(Ballot { term: 1, node: 1, committed: true }));
    log.save_vote(leader).await?;
    log.append(entries.clone()).await?;
    log.save_committed(Some(driver.id(id(1)))).await?;
    let replies = machine.apply(entries).await?;
    let last = replies.len().checked_sub(1);
    let show_reply = last.is_none_or(|last| replies.show(last).is_some());
    let digest = machine.digest().await?.is_some();
    driver.close(dir, log, machine).await?;
    Ok(Gifts { digest, show_reply })
}
