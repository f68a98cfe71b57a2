//! Family `crash`: the power fails. What was acknowledged is there, what wasn't may be, in order
//! and without a hole.

mod images;
#[cfg(feature = "storage-v2")]
mod in_flight;
mod killed;
mod killed_then_cut;
mod kinds;
mod midway;
mod posix;
#[cfg(feature = "storage-v2")]
mod unfinished;

use super::reopen::each_pair;
use crate::check::{Check, check};
use crate::failure::Failure;
use crate::history::{self, Kind};
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(crate) fn checks() -> Vec<Check> {
    let all = [
        of_one_call(),
        #[cfg(feature = "storage-v2")]
        unfinished::checks(),
        of_later_calls(),
        kinds::checks(),
        #[cfg(feature = "storage-v2")]
        in_flight::checks(),
        midway::checks(),
        images::checks(),
        posix::checks(),
        killed::checks(),
        killed_then_cut::checks(),
    ];
    all.into_iter().flatten().collect()
}

fn of_one_call() -> Vec<Check> {
    vec![
        check!(
            "crash/vote", Must, [7, 51], needs: [Log, CutPower, LogSurvivesRestart],
            promise: "A vote that was saved survives a power cut.",
            consequence: "A node votes twice in a term: two leaders, and committed entries are lost.",
            relies: [SAVE_VOTE, START_VOTE],
            run: vote,
        ),
        check!(
            "crash/append", Must, [12, 51], needs: [Log, CutPower, LogSurvivesRestart],
            promise: "Entries whose callback was called survive a power cut, whatever the size of the batch.",
            consequence: "Acknowledged, committed entries vanish.",
            relies: [APPEND, START_LOG],
            limit: 30,
            run: append,
        ),
    ]
}

fn of_later_calls() -> Vec<Check> {
    vec![
        check!(
            "crash/truncate-then-append", Must, [2, 47, 48, 51], needs: [Log, CutPower, LogSurvivesRestart],
            promise: "What was truncated doesn't come back after a later write was acknowledged.",
            consequence: "Entries of a deposed leader come back behind those of the new one.",
            relies: [TRUNCATE, START_LOG],
            run: truncate_then_append,
        ),
        check!(
            "crash/truncate-alone", Must, [16, 48, 51], needs: [Log, CutPower, LogSurvivesRestart],
            promise: "A power cut after a truncation leaves the log as it was before it or after it.",
            consequence: "Entries that were never truncated are lost, or the log has a hole.",
            relies: [START_LOG, START_LOG_IDS],
            run: truncate_alone,
        ),
        check!(
            "crash/purge", Must, [2, 18, 37, 38, 51], needs: [CutPower, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A power cut after a purge leaves marker and entries of one moment; after a later write was acknowledged, the purge is done.",
            consequence: "The log begins above its marker: the node can't start again.",
            relies: [START_LOG, START_LOG_IDS],
            run: purge,
        ),
        check!(
            "crash/apply", Must, [19, 25, 51], needs: [Machine, CutPower, LogSurvivesRestart, AppliedSurvivesRestart],
            promise: "What a persistent state machine has applied survives a power cut, as one whole.",
            consequence: "Commands are applied twice or never on one replica.",
            relies: [START_APPLIED],
            run: apply,
        ),
        check!(
            "crash/build-then-purge", Must, [25, 26, 37, 38, 51], needs: [Machine, CutPower, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A snapshot that was built survives a power cut, or the state it is of does.",
            consequence: "State that is no longer in the log is lost.",
            relies: [BUILT, START_APPLIED],
            run: build_then_purge,
        ),
        check!(
            "crash/install", Must, [26, 29, 30, 51, 55, 56], needs: [Machine, CutPower, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A snapshot that was installed survives a power cut, whole, before and after the purge.",
            consequence: "A follower that was caught up rejoins with half a state.",
            relies: [INSTALLED, START_APPLIED, START_PURGE],
            run: install,
        ),
        check!(
            "crash/again", Must, [51], needs: [CutPower, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "What survived one power cut survives the next, and a store goes on working over many.",
            consequence: "A node that fails twice is lost.",
            relies: [START_VOTE, START_LOG, START_APPLIED],
            limit: 30,
            run: again,
        ),
        check!(
            "crash/pairs", Must, [2, 4, 7, 12, 25, 26, 37, 48, 51], needs: [CutPower, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "After every pair of steps a power cut leaves what was acknowledged, and openraft can start on it.",
            consequence: "Acknowledged entries or votes are lost: a cluster loses committed data.",
            relies: [SAVE_VOTE, APPEND, START_VOTE, START_LOG, START_APPLIED],
            limit: 60,
            run: pairs,
        ),
    ]
}

async fn vote(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    for kind in [Kind::Vote, Kind::Elect, Kind::Vote, Kind::Vote, Kind::Elect] {
        subject.run(history::steps(&subject.model, kind.choice())).await?;
        subject.perform(Step::CutPower).await?;
    }
    // With a log around it, and after a restart.
    subject.run(history::steps(&subject.model, Kind::Append.choice())).await?;
    subject.perform(Step::CutPower).await.map_err(Failure::beforehand)?;
    subject.run([Step::Restart]).await?;
    subject.run(history::steps(&subject.model, Kind::Vote.choice())).await?;
    subject.perform(Step::CutPower).await
}

async fn append(lab: &Lab) -> Verdict {
    let sizes: &[u64] = lab.budget.pick(
        &[1, 2, 5, 64, 300],
        &[1, 2, 3, 5, 8, 9, 10, 33, 64, 65, 128, 257, 1_000, 1_100],
        &[1, 2, 3, 5, 10, 65, 129, 257, 1_025, 4_097, 10_001],
    );
    for &size in sizes {
        let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
        for round in 0..3 {
            let entries = story::entries(1, 1, round * size, (round + 1) * size);
            subject.perform(Step::Append(entries)).await?;
        }
        subject.perform(Step::CutPower).await?;
    }
    // Many small ones, cut now and then: where files end is anyone's guess.
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    for round in 0..lab.budget.pick(40, 120, 3_000) {
        if lab.enough() {
            break;
        }
        let next = subject.model.log.next_index();
        let entries = story::entries(1, 1, next, next + 1 + round % 4);
        subject.perform(Step::Append(entries)).await?;
        if round % 7 == 6 {
            subject.perform(Step::CutPower).await?;
        }
    }
    Ok(())
}

async fn truncate_then_append(lab: &Lab) -> Verdict {
    for from in [1, 3, 6, 8] {
        for appended in [1, 2, 12] {
            let mut subject = Subject::with(lab, story::log_of(9)).await?;
            subject.run([Step::Truncate(from), story::leader(6, 1)]).await?;
            let entries = story::entries(6, 1, from, from + appended);
            subject.run([Step::Append(entries), Step::CutPower]).await?;
        }
        // The vote for a new leader is an acknowledged write as well.
        let mut subject = Subject::with(lab, story::log_of(9)).await?;
        subject.run([Step::Truncate(from), story::leader(6, 1), Step::CutPower]).await?;
    }
    Ok(())
}

async fn truncate_alone(lab: &Lab) -> Verdict {
    for from in [1, 3, 5, 8] {
        let mut subject = Subject::with(lab, story::log_of(9)).await?;
        subject.run([Step::Truncate(from), Step::CutPower]).await?;
        subject.run(history::steps(&subject.model, Kind::Append.choice())).await?;
        subject.run([Step::CutPower]).await?;
    }
    Ok(())
}

async fn purge(lab: &Lab) -> Verdict {
    for upto in [0, 2, 4, 8] {
        for followed in [false, true] {
            let mut subject = Subject::with(lab, story::purged_of(9, upto)).await?;
            if followed {
                subject.perform(Step::Append(story::entries(4, 3, 9, 12))).await?;
            }
            subject.run([Step::CutPower, Step::CutPower]).await?;
        }
        let mut subject = Subject::with(lab, story::purged_of(9, upto)).await?;
        subject.run([story::leader(7, 2), Step::CutPower]).await?;
    }
    // Beyond the last entry, as after an install, and then on from there.
    let mut subject = Subject::with(lab, story::log_of(4)).await?;
    subject.run(history::steps(&subject.model, Kind::Install.choice())).await?;
    subject.run(history::steps(&subject.model, Kind::Append.choice())).await?;
    subject.perform(Step::CutPower).await
}

async fn apply(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::applied_of(60, 1)).await?;
    subject.perform(Step::Commit(59)).await?;
    for count in [1, 2, 7, 20] {
        subject.run([Step::Apply(count), Step::CutPower]).await?;
        if subject.model.applied >= 60 {
            break;
        }
    }
    Ok(())
}

async fn build_then_purge(lab: &Lab) -> Verdict {
    for purged in [false, true] {
        let mut subject = Subject::with(lab, story::applied_of(12, 6)).await?;
        subject.perform(Step::Build).await?;
        if purged {
            subject.run([Step::Purge(story::id_of(12, 5)), story::leader(6, 1)]).await?;
        }
        subject.perform(Step::CutPower).await?;
        // A second snapshot replaces the first.
        subject.run(history::steps(&subject.model, Kind::ApplyAll.choice())).await?;
        subject.perform(Step::Build).await?;
        if purged {
            subject.run(history::steps(&subject.model, Kind::PurgeAll.choice())).await?;
            subject.run(history::steps(&subject.model, Kind::Append.choice())).await?;
        }
        subject.perform(Step::CutPower).await?;
        subject.verify().await?;
    }
    Ok(())
}

async fn install(lab: &Lab) -> Verdict {
    for had in [0, 6] {
        for kind in [Kind::InstallOnly, Kind::Install] {
            let mut subject = Subject::with(lab, story::applied_of(had, had / 2)).await?;
            for _ in 0..2 {
                subject.run(history::steps(&subject.model, kind.choice())).await?;
                subject.perform(Step::CutPower).await?;
                subject.verify().await?;
            }
        }
    }
    Ok(())
}

async fn again(lab: &Lab) -> Verdict {
    let kinds =
        [Kind::Append, Kind::ApplyAll, Kind::Build, Kind::Purge, Kind::Overwrite, Kind::Vote];
    let mut subject = Subject::fresh(lab).await?;
    let kinds = kinds.into_iter().cycle().enumerate();
    for (round, kind) in kinds.take(lab.budget.pick(12, 40, 400)) {
        if lab.enough() {
            break;
        }
        for kind in [kind, Kind::Append] {
            subject.run(history::steps(&subject.model, kind.choice())).await?;
        }
        subject.run([Step::CutPower, Step::CutPower]).await?;
        if round % 5 == 4 {
            subject.perform(Step::Restart).await?;
        }
    }
    Ok(())
}

async fn pairs(lab: &Lab) -> Verdict {
    each_pair(lab, &Step::CutPower).await
}
