//! Records of their own that changed on the disk: the vote, and markers. Taken for absent, they are
//! forgotten without a word: an error says so.

use super::damage::opens_right;
use crate::check::{Check, check};
use crate::driver::store::{Log, Machine};
use crate::driver::{Doing, Opened};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Ballot, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::damage::{Damaged, Target};
use crate::subject::{Subject, log_id};
use crate::words::Marker;

pub(super) fn checks() -> Vec<Check> {
    vec![
        // storage/helper.rs:69-70 (read_vote): none is the least of all votes.
        check!(
            "disk/damage/vote", Must, [7, 8, 51], needs: [Log, DamageVote, LogSurvivesRestart],
            promise: "A vote that can't be read is an error, not the absence of a vote, nor another one.",
            consequence: "A node votes twice in a term: two leaders, and committed entries are lost.",
            relies: [START_VOTE],
            since: 2,
            run: vote,
        ),
        // storage/helper.rs:74 (get_log_state), engine/log_id_list.rs:60-61 (load_log_ids).
        check!(
            "disk/damage/purged", Must, [4, 37, 51], needs: [Log, DamageMarker, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A purge marker that can't be read is an error, not a log that was never purged.",
            consequence: "A node starts with another log than it had, or looks for entries that are gone.",
            relies: [START_LOG],
            since: 2,
            run: purged,
        ),
        // storage/helper.rs:72 (read_committed), :97-104: entries up to it are applied.
        check!(
            "disk/damage/committed", Must, [9, 51, 53], needs: [Log, DamageMarker, LogSurvivesRestart],
            promise: "A committed id that can't be read is none that wasn't saved.",
            consequence: "A node applies what isn't committed.",
            relies: [START_COMMITTED],
            since: 2,
            run: committed,
        ),
        // Should: a leader tells it anew, and until then the node is behind what it has answered.
        check!(
            "disk/damage/committed-lost", Should, [9, 51], needs: [Log, DamageMarker, LogSurvivesRestart],
            promise: "A committed id that can't be read is an error, not the absence of one.",
            consequence: "A node that starts again falls back behind what it has answered, and nobody is told.",
            reason: "openraft takes no committed id for one that was never saved, and learns it from the leader.",
            since: 2,
            run: committed_lost,
        ),
        // storage/helper.rs:78 (applied_state): entries are applied again from there on.
        check!(
            "disk/damage/applied", Must, [19, 25, 51], needs: [Machine, DamageMarker, LogSurvivesRestart, AppliedSurvivesRestart],
            promise: "An applied id that can't be read is an error, not a state machine that is fresh.",
            consequence: "Commands are applied twice or never on one replica.",
            relies: [START_APPLIED],
            since: 2,
            run: applied,
        ),
        // storage/helper.rs:128-143 (get_current_snapshot).
        check!(
            "disk/damage/snapshot-meta", Must, [26, 32, 33, 51], needs: [Machine, DamageMarker, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A snapshot's meta that can't be read is an error, not the absence of a snapshot that is needed.",
            consequence: "A node starts from nothing, though its log is purged.",
            relies: [START_SNAPSHOT],
            since: 2,
            run: snapshot_meta,
        ),
    ]
}

/// Where any bit may be struck, the very last record may be one that the power cut off. So entries
/// come behind what is damaged.
async fn bury(subject: &mut Subject<'_>, target: Target) -> Verdict {
    if subject.has_hook(target) {
        return Ok(());
    }
    let next = subject.model.log.next_index();
    let (term, node) = subject.model.log.vote.map_or((9, 2), |vote| (vote.term, vote.node));
    let leads = subject.model.log.vote.is_some_and(|vote| vote.committed);
    let elected = (!leads).then(|| story::leader(term, node));
    let entries = [next, next + 1].map(|n| Step::Append(story::entries(term, node, n, n + 1)));
    subject.run(elected.into_iter().chain(entries)).await
}

/// What one half of the store answers when it is opened again. `None` if it is an error, there or
/// at opening: that is as right as the true answer.
async fn answer<T>(
    subject: &Subject<'_>,
    ask: impl for<'a> FnOnce(&'a mut dyn Log, &'a mut dyn Machine) -> Doing<'a, T>,
) -> Result<Option<T>, Failure> {
    let lab = subject.lab;
    lab.record.step("open");
    lab.record.case();
    let opened: Result<Opened, _> = lab.answer("open", lab.driver.open(&subject.dir)).await?;
    let Ok((mut log, mut machine)) = opened else { return Ok(None) };
    Ok(lab.answer("reading what is damaged", ask(&mut *log, &mut *machine)).await?.ok())
}

async fn vote(lab: &Lab) -> Verdict {
    for (had, committed) in [(0, false), (6, false), (6, true)] {
        let mut subject = Subject::with(lab, story::log_of(had)).await?;
        // Without a hook the newest vote is struck: one that leads, as entries come behind it.
        let committed = committed || !subject.has_hook(Target::Vote);
        subject.perform(Step::Vote(Ballot { term: 9, node: 2, committed })).await?;
        bury(&mut subject, Target::Vote).await?;
        let look = async |damaged: &mut Damaged<'_>| {
            let Damaged { subject, bit, .. } = damaged;
            let right = subject.model.log.vote.map(|ballot| lab.driver.vote(Some(ballot)));
            let Some(got) = answer(subject, |log, _| log.vote()).await? else { return Ok(()) };
            lab.assert(got == right, || {
                let fresh = got.is_none() || got == Some(lab.driver.vote(None));
                let what = format!("a vote that was damaged{bit} is {}", taken(fresh));
                Failure::broken(what, format!("an error, or {right:?}"), format!("{got:?}"))
            })
        };
        subject.damage(Target::Vote, look).await?;
    }
    Ok(())
}

fn taken(for_none: bool) -> &'static str {
    if for_none { "taken for none" } else { "read as another" }
}

async fn purged(lab: &Lab) -> Verdict {
    let target = Target::Marker(Marker::Purged);
    for (count, upto) in [(12, 5), (12, 11), (1, 0)] {
        let mut subject = Subject::with(lab, story::purged_of(count, upto)).await?;
        bury(&mut subject, target).await?;
        let look = async |damaged: &mut Damaged<'_>| {
            let Damaged { subject, bit, .. } = damaged;
            let right = log_id(lab, subject.model.log.purged);
            let Some(state) = answer(subject, |log, _| log.state()).await? else { return Ok(()) };
            lab.assert(state.purged == right, || {
                let taken = taken(state.purged.is_none());
                let what = format!("a purge marker that was damaged{bit} is {taken}");
                Failure::broken(what, format!("an error, or {right:?}"), format!("{state:?}"))
            })
        };
        subject.damage(target, look).await?;
    }
    Ok(())
}

async fn committed(lab: &Lab) -> Verdict {
    committed_is(lab, true).await
}

async fn committed_lost(lab: &Lab) -> Verdict {
    committed_is(lab, false).await
}

/// It may be gone, and an older one may be back, if `may_be_less`.
async fn committed_is(lab: &Lab, may_be_less: bool) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(12)).await?;
    subject.run([Step::Commit(3), Step::Commit(7)]).await?;
    let kept = match may_be_less {
        true => subject.verify_saved().await.map(drop),
        false => subject.verify_committed().await,
    };
    kept.map_err(Failure::beforehand)?;
    if subject.committed_kept() == Some(false) {
        lab.inconclusive("the store keeps no committed id, which it need not");
        return Ok(());
    }
    let target = Target::Marker(Marker::Committed);
    bury(&mut subject, target).await?;
    let look = async |damaged: &mut Damaged<'_>| {
        let Damaged { subject, bit, .. } = damaged;
        let Some(got) = answer(subject, |log, _| log.committed()).await? else { return Ok(()) };
        let saved = subject.model.committed.iter().rev().map(|id| log_id(lab, Some(*id)));
        let less = if may_be_less { usize::MAX } else { 1 };
        let right: Vec<_> = saved.chain([None]).take(less).collect();
        lab.assert(right.contains(&got), || {
            let what = format!("a committed id that was damaged{bit} is {}", taken(got.is_none()));
            Failure::broken(what, format!("an error, or {:?}", right.first()), format!("{got:?}"))
        })
    };
    subject.damage(target, look).await
}

/// With entries purged that a fresh state would need.
async fn applied(lab: &Lab) -> Verdict {
    machine_after(lab, Marker::Applied).await
}

async fn snapshot_meta(lab: &Lab) -> Verdict {
    machine_after(lab, Marker::SnapshotMeta).await
}

async fn machine_after(lab: &Lab, marker: Marker) -> Verdict {
    let mut subject = Subject::with(lab, story::applied_of(12, 8)).await?;
    subject.run([Step::Build, Step::Purge(story::id_of(12, 5))]).await?;
    let look = async |damaged: &mut Damaged<'_>| opens_right(damaged, "a marker").await;
    subject.damage(Target::Marker(marker), look).await
}
