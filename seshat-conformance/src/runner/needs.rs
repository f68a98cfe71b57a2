//! What a back end lacks that a check needs. Decided before the check runs.

#[cfg(feature = "storage-v2")]
use std::any::TypeId;
use std::collections::BTreeSet;
use std::path::Path;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, BoxError, Capabilities, Command, Halves, Keeps, Suite, Transfer};
use crate::check::Need;
use crate::model::{Ballot, Id, Item, Members, Payload};
use crate::words;

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

/// The first of `needs` that the back end doesn't meet. `gifts` is asked for at most once, and
/// only if it matters.
pub(crate) fn missing<B: Backend>(
    backend: &B,
    needs: &[Need],
    mut gifts: impl FnMut() -> Gifts,
) -> Option<Need> {
    let known = |need: &&Need| known(backend, **need);
    let unmet = needs.iter().find(|need| known(need) == Some(false));
    let asked = || needs.iter().find(|need| known(need).is_none() && !given(**need, gifts()));
    unmet.or_else(asked).copied()
}

/// `None` for what only an open store can tell.
fn known<B: Backend>(backend: &B, need: Need) -> Option<bool> {
    let Capabilities {
        halves,
        log_survives_restart,
        machine_keeps,
        files,
        snapshot_checksum,
        snapshot_describes_itself,
    } = backend.capabilities();
    let hooks = backend.hooks();
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
        Need::ExpectedReply if backend.expected_reply(&first).is_some() => return None,
        Need::ExpectedDigest if backend.expected_digest(&first).is_some() => return None,
        Need::ExpectedReply | Need::ExpectedDigest => false,
        Need::SnapshotBytes => B::Transfer::BYTES,
        Need::CutPower => hooks.cut_power.is_some(),
        Need::RefuseWrites => hooks.refuse_writes.is_some(),
        Need::DamageLastRecord => hooks.damage_last_record.is_some(),
        Need::DamageRecord => hooks.damage_record.is_some(),
        Need::DamageSnapshot => hooks.damage_snapshot.is_some(),
        Need::Suite => B::Suite::function("save_vote").is_some(),
        Need::Callback => cfg!(feature = "storage-v2"),
        Need::SeshatTypes => seshat_types::<B>(),
    })
}

#[cfg(feature = "storage-v2")]
fn seshat_types<B: Backend>() -> bool {
    TypeId::of::<B::C>() == TypeId::of::<seshat_core::types::TypeConfig>()
}

#[cfg(not(feature = "storage-v2"))]
fn seshat_types<B: Backend>() -> bool {
    false
}

fn given(need: Need, gifts: Gifts) -> bool {
    match need {
        Need::ShowReply | Need::ExpectedReply => gifts.show_reply,
        _ => gifts.digest,
    }
}

/// Asks a fresh store in `dir`, by calls that openraft makes: a follower gets its first two
/// entries and applies them.
pub(super) async fn ask<B: Backend>(backend: &B, dir: &Path) -> Result<Gifts, BoxError> {
    let (mut log, mut machine) = backend.open(dir).await?;
    let members = Members { configs: vec![BTreeSet::from([1])], nodes: BTreeSet::from([1]) };
    let items = [Payload::Members(members), Payload::Command(Command::plain(0))];
    let id = |index| Id { term: 1, node: 1, index };
    let entries: Vec<_> = items
        .into_iter()
        .zip(0..)
        .filter_map(|(payload, index)| words::entry(backend, &Item { id: id(index), payload }))
        .collect();
    let leader = words::vote(backend, Ballot { term: 1, node: 1, committed: true });
    log.save_vote(&leader).await?;
    log.blocking_append(entries.clone()).await?;
    log.save_committed(Some(words::log_id(backend, id(1)))).await?;
    let replies = machine.apply(entries).await?;
    let show_reply = replies.last().is_none_or(|reply| backend.show_reply(reply).is_some());
    let digest = backend.digest(&mut machine).await.is_some();
    backend.close(dir, log, machine).await?;
    Ok(Gifts { digest, show_reply })
}
