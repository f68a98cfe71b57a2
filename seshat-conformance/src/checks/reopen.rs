//! Family `reopen`: what was acknowledged is there after a restart, and openraft can start on it.

mod kinds;
mod marks;
mod snapshots;

use crate::check::{Check, check};
use crate::failure::Failure;
use crate::history::{self, Kind};
use crate::lab::Lab;
use crate::model::{Id, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(crate) fn checks() -> Vec<Check> {
    let all = [after_calls(), kinds::checks(), marks::checks(), snapshots::checks(), in_pairs()];
    all.into_iter().flatten().collect()
}

fn after_calls() -> Vec<Check> {
    vec![
        check!(
            "reopen/nothing", Must, [57], needs: [LogSurvivesRestart],
            promise: "A store that was opened and closed is still a fresh one.",
            consequence: "A node that was stopped before it was initialized can't be.",
            relies: [INITIALIZE],
            run: nothing,
        ),
        check!(
            "reopen/vote", Must, [7, 8, 51], needs: [Log, LogSurvivesRestart],
            promise: "The vote is there after a restart, every field of it.",
            consequence: "A node that starts again votes twice in a term: two leaders, and committed entries are lost.",
            relies: [START_VOTE],
            run: vote,
        ),
        check!(
            "reopen/append", Must, [12, 51], needs: [Log, LogSurvivesRestart],
            promise: "Appended entries are there after a restart, every bit of them.",
            consequence: "Acknowledged entries are lost when nodes start again.",
            relies: [START_LOG, APPEND],
            run: append,
        ),
        check!(
            "reopen/truncate", Should, [47, 51], needs: [Log, LogSurvivesRestart],
            promise: "Truncated entries are still gone after a restart.",
            consequence: "Entries of a deposed leader come back.",
            reason: "Entries that come back were there before, and their leader has them truncated once more.",
            was: Must until 1,
            run: truncate,
        ),
        check!(
            "reopen/truncate-then-append", Must, [47, 51], needs: [Log, LogSurvivesRestart],
            promise: "After a restart, what was appended after a truncation is there, and nothing behind it.",
            consequence: "Entries of a deposed leader come back, or hide those of the new one.",
            relies: [START_LOG, TRUNCATE],
            run: truncate_then_append,
        ),
        check!(
            "reopen/purge", Must, [4, 37, 51, 63], needs: [Log, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "The purge marker is there after a restart, with its term, and what was gone stays gone; or all is as before the purge.",
            consequence: "A node can't start again after its first compaction.",
            relies: [START_LOG, START_LOG_IDS],
            run: purge,
        ),
        check!(
            "reopen/purge-all", Must, [6, 37, 51], needs: [Log, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A log that was purged to its end, or beyond, is so after a restart, and can be continued.",
            consequence: "A node that was just caught up by a snapshot starts again from nothing.",
            relies: [START_LOG, START_PURGE],
            run: purge_all,
        ),
        check!(
            "reopen/install-before-purge", Must, [37, 56], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A restart between the install of a snapshot and the purge that follows is repaired.",
            consequence: "A node that stops at the wrong moment can't start again.",
            relies: [START_PURGE],
            run: install_before_purge,
        ),
        check!(
            "reopen/apply", Must, [19, 25, 26, 51], needs: [Machine, LogSurvivesRestart],
            promise: "After a restart, applied id, membership and state are of one moment, as late as declared.",
            consequence: "Commands are applied twice or never on one replica.",
            relies: [START_APPLIED, START_REAPPLY],
            run: apply,
        ),
        check!(
            "reopen/build", Must, [26, 32, 33, 51], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "After a snapshot was built and the log purged, a restart finds the state.",
            consequence: "State that is no longer in the log is lost.",
            relies: [START_APPLIED, START_SNAPSHOT],
            run: build,
        ),
        check!(
            "reopen/install", Must, [26, 30, 51, 55], needs: [Machine, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "An installed snapshot is there after a restart: state, membership and snapshot.",
            consequence: "A follower that was caught up forgets it all when it starts again.",
            relies: [START_APPLIED, START_MEMBERSHIP, START_SNAPSHOT],
            run: install,
        ),
        check!(
            "reopen/membership", Must, [19, 23, 51], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "Memberships of every form are there after a restart, in log and state.",
            consequence: "A node that starts again counts another quorum.",
            relies: [START_MEMBERSHIP],
            run: membership,
        ),
        check!(
            "reopen/ids", Must, [4, 8, 9, 19, 51], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "Terms and leaders of any size are there after a restart: of entries, purge marker, committed and applied id.",
            consequence: "A node that starts again takes logs to match where they don't.",
            relies: [START_VOTE, START_LOG_IDS, START_APPLIED],
            run: ids,
        ),
        check!(
            "reopen/many-times", Must, [51], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A store goes on working over many restarts.",
            consequence: "The second restart loses what the first one kept.",
            relies: [START_LOG, START_APPLIED],
            limit: 30,
            run: many_times,
        ),
    ]
}

fn in_pairs() -> Vec<Check> {
    vec![check!(
        "reopen/pairs", Must, [4, 8, 19, 30, 37, 51, 52], needs: [LogSurvivesRestart, MachineSurvivesRestart],
        promise: "After every pair of steps a restart shows the same store, and openraft can start on it.",
        consequence: "A node that stops at the wrong moment can't start again, or starts with another log or state.",
        relies: [START_VOTE, START_LOG, START_APPLIED, START_LOG_IDS, START_SNAPSHOT],
        limit: 60,
        run: pairs,
    )]
}

/// Twelve entries: the first two purged, the first six applied, the last four not committed.
pub(crate) fn base() -> Vec<Step> {
    let mut steps = story::applied_of(12, 6);
    steps.extend([Step::Build, Step::Purge(story::id_of(12, 1)), Step::Commit(7)]);
    steps
}

/// Performs kinds of steps on a fresh store and on a used one, restarting after each.
async fn after_each(lab: &Lab, kinds: &[Kind], bases: &[Vec<Step>]) -> Verdict {
    for base in bases {
        let mut subject = Subject::with(lab, base.clone()).await?;
        for kind in kinds {
            subject.run(history::steps(&subject.model, kind.choice())).await?;
            subject.perform(Step::Restart).await?;
            subject.verify().await?;
        }
        subject.perform(Step::Restart).await?;
        subject.verify().await?;
        subject.run(history::steps(&subject.model, Kind::Append.choice())).await?;
        subject.verify().await?;
        subject.perform(Step::Restart).await?;
    }
    Ok(())
}

async fn nothing(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [Step::Restart, Step::Restart]).await?;
    subject.verify().await
}

async fn vote(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    for (place, term) in story::BOUNDARIES.into_iter().enumerate() {
        for committed in [false, true] {
            let node = story::far(place as u64);
            subject.perform(Step::Vote(crate::model::Ballot { term, node, committed })).await?;
            subject.perform(Step::Restart).await?;
        }
    }
    after_each(lab, &[Kind::Vote, Kind::Elect, Kind::Vote], &[story::log_of(6)]).await
}

async fn append(lab: &Lab) -> Verdict {
    after_each(lab, &[Kind::Append, Kind::Append], &[Vec::new(), story::log_of(9)]).await?;
    let count = lab.budget.pick(1_100, 3_000, 20_000);
    let steps = [story::leader(1, 1), Step::Append(story::entries(1, 1, 0, count))];
    let mut subject = Subject::with(lab, steps).await?;
    subject.perform(Step::Restart).await?;
    let items = crate::checks::machine::shaped(lab);
    for payload in items {
        let id = story::id(1, 1, subject.model.log.next_index());
        subject.perform(Step::Append(vec![story::item(id, payload)])).await?;
    }
    subject.perform(Step::Restart).await
}

async fn truncate(lab: &Lab) -> Verdict {
    for from in [1, 2, 3, 4, 7, 8, 11] {
        let mut subject = Subject::with(lab, story::log_of(12)).await?;
        subject.perform(Step::Truncate(from)).await?;
        let truncated = subject.model.log.clone();
        subject.perform(Step::Restart).await?;
        subject.verify_log_state(&truncated).await?;
        subject.verify().await?;
    }
    after_each(lab, &[Kind::Truncate, Kind::Truncate, Kind::Append], &[story::log_of(12)]).await
}

async fn truncate_then_append(lab: &Lab) -> Verdict {
    for from in [1, 3, 5, 8, 11] {
        for appended in [1, 2, 5, 20] {
            let mut subject = Subject::with(lab, story::log_of(12)).await?;
            subject.run([Step::Truncate(from), story::leader(6, 1)]).await?;
            let entries = story::entries(6, 1, from, from + appended);
            subject.run([Step::Append(entries), Step::Restart]).await?;
            subject.verify().await?;
        }
    }
    after_each(lab, &[Kind::Overwrite, Kind::Overwrite], &[story::log_of(12)]).await
}

/// With a snapshot of what is to be purged, as openraft has it.
fn purgeable(count: u64, applied: u64) -> Vec<Step> {
    let mut steps = story::applied_of(count, applied);
    steps.push(Step::Build);
    steps
}

/// What is gone stays gone. What a purge leaves readable is for `log/purge/gone` to say.
async fn purge_and_restart(subject: &mut Subject<'_>, upto: Id) -> Result<(), Failure> {
    subject.perform(Step::Purge(upto)).await?;
    let gone = subject.verify_purged().await.is_ok();
    subject.run([Step::Restart, Step::Restart]).await?;
    if gone { subject.verify_purged().await } else { Ok(()) }
}

async fn purge(lab: &Lab) -> Verdict {
    for upto in [0, 1, 3, 4, 7] {
        let mut subject = Subject::with(lab, purgeable(12, 8)).await?;
        purge_and_restart(&mut subject, story::id_of(12, upto)).await?;
        subject.verify().await?;
    }
    Ok(())
}

async fn purge_all(lab: &Lab) -> Verdict {
    for count in [1, 12] {
        let mut subject = Subject::with(lab, purgeable(count, count)).await?;
        purge_and_restart(&mut subject, story::id_of(count, count - 1)).await?;
        subject.perform(Step::Append(story::entries(4, 3, count, count + 3))).await?;
        subject.perform(Step::Restart).await?;
    }
    after_each(lab, &[Kind::Install], &[Vec::new(), story::log_of(5), base()]).await
}

async fn install_before_purge(lab: &Lab) -> Verdict {
    after_each(lab, &[Kind::InstallOnly], &[Vec::new(), story::log_of(5), base()]).await
}

async fn apply(lab: &Lab) -> Verdict {
    for applied in [1, 4, 9, 12] {
        let mut subject = Subject::with(lab, story::applied_of(12, applied)).await?;
        subject.run([Step::Restart, Step::Restart]).await?;
    }
    after_each(lab, &[Kind::Apply, Kind::ApplyAll], &[story::applied_of(12, 3)]).await
}

async fn build(lab: &Lab) -> Verdict {
    let kinds = [Kind::Build, Kind::PurgeAll, Kind::ApplyAll, Kind::Build, Kind::PurgeAll];
    after_each(lab, &kinds, &[purgeable(12, 6), base()]).await
}

async fn install(lab: &Lab) -> Verdict {
    let kinds = [Kind::Install, Kind::ApplyAll, Kind::Install];
    after_each(lab, &kinds, &[Vec::new(), story::log_of(4), purgeable(12, 6)]).await
}

async fn membership(lab: &Lab) -> Verdict {
    for members in crate::checks::log::memberships() {
        let payload = crate::model::Payload::Members(members);
        let mut items = story::entries(1, 1, 0, 2);
        items.push(story::item(story::id(1, 1, 2), payload));
        items.extend(story::commands(1, 1, 3, 5));
        let mut subject = Subject::with(lab, [story::leader(1, 1), Step::Append(items)]).await?;
        subject.run([Step::Restart, Step::Commit(4), Step::Apply(4), Step::Restart]).await?;
        // What is applied may have been forgotten, if nothing else but snapshots is kept.
        subject.run(history::steps(&subject.model, Kind::ApplyAll.choice())).await?;
        subject.run(history::steps(&subject.model, Kind::Build.choice())).await?;
        subject.perform(Step::Restart).await?;
        subject.run(history::steps(&subject.model, Kind::PurgeAll.choice())).await?;
        subject.perform(Step::Restart).await?;
        subject.verify().await?;
    }
    Ok(())
}

async fn ids(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::leaders()).await?;
    for index in 0..subject.model.log.next_index() {
        subject.run([Step::Commit(index), Step::Restart]).await?;
        subject.run(history::steps(&subject.model, Kind::Apply.choice())).await?;
        subject.run([Step::Build, Step::Restart]).await?;
        if index % 2 == 1 {
            subject.run(history::steps(&subject.model, Kind::PurgeAll.choice())).await?;
            subject.perform(Step::Restart).await?;
        }
        subject.verify().await?;
    }
    Ok(())
}

async fn many_times(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [story::leader(1, 1)]).await?;
    let kinds =
        [Kind::Append, Kind::ApplyAll, Kind::Build, Kind::Purge, Kind::Overwrite, Kind::Vote];
    let kinds = kinds.into_iter().cycle();
    for kind in kinds.take(lab.budget.pick(18, 40, 400)) {
        if lab.enough() {
            break;
        }
        for kind in [kind, Kind::Append] {
            subject.run(history::steps(&subject.model, kind.choice())).await?;
        }
        subject.perform(Step::Restart).await?;
        subject.verify().await?;
    }
    Ok(())
}

/// Every kind of step that changes something.
pub(crate) const KINDS: [Kind; 14] = [
    Kind::Vote,
    Kind::Append,
    Kind::Overwrite,
    Kind::Members,
    Kind::Truncate,
    Kind::Commit,
    Kind::Apply,
    Kind::ApplyAll,
    Kind::Purge,
    Kind::PurgeAll,
    Kind::Build,
    Kind::Install,
    Kind::InstallOwn,
    Kind::InstallOnly,
];

async fn pairs(lab: &Lab) -> Verdict {
    each_pair(lab, &Step::Restart).await
}

/// Every pair of steps on a used store, then a misfortune, then that it is still usable.
pub(crate) async fn each_pair(lab: &Lab, misfortune: &Step) -> Verdict {
    for first in KINDS {
        for second in KINDS {
            if lab.enough() {
                return Ok(());
            }
            let mut subject = Subject::with(lab, base()).await?;
            for kind in [first, second] {
                subject.run(history::steps(&subject.model, kind.choice())).await?;
            }
            subject.perform(misfortune.clone()).await?;
            subject.perform(misfortune.clone()).await?;
            subject.run(history::steps(&subject.model, Kind::Append.choice())).await?;
            subject.verify().await?;
        }
    }
    Ok(())
}
