//! The power fails in the middle of a call: what is left is the state before it or after it, or,
//! of an append, a prefix.
//!
//! A call is polled so many times and then dropped, together with the power. A store that does
//! its work in one poll has no middle that can be seen from here.

use std::pin::pin;

use crate::check::{Check, check};
use crate::checks::snapshot::bytes_of;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{LogModel, Step};
use crate::outcome::Verdict;
use crate::poll::poll_times;
use crate::story;
use crate::subject::Subject;
use crate::subject::restart::Closed;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "crash/midway/log", Must, [2, 14, 16, 18, 48, 51], needs: [Log, CutPower, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A power cut in the middle of a vote, an append, a truncation or a purge leaves no hole and no half of a vote.",
            consequence: "A node can't start again, or claims entries that it doesn't have.",
            relies: [START_VOTE, START_LOG, START_LOG_IDS],
            limit: 20,
            run: log,
        ),
        check!(
            "crash/midway/install", Must, [29, 30, 51, 55], needs: [Machine, CutPower, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A power cut in the middle of an install leaves all of the old state or all of the new one.",
            consequence: "A follower that was being caught up rejoins with half a state.",
            relies: [START_APPLIED, START_PURGE],
            limit: 20,
            run: install,
        ),
        check!(
            "crash/midway/build", Must, [26, 32, 51], needs: [Machine, CutPower, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A power cut in the middle of a build leaves the old snapshot or the new one, whole.",
            consequence: "A node has neither the snapshot nor the entries that it stood for.",
            relies: [START_APPLIED, START_SNAPSHOT],
            limit: 20,
            run: build,
        ),
        check!(
            "crash/midway/apply", Must, [21, 25, 51], needs: [Machine, CutPower, LogSurvivesRestart, AppliedSurvivesRestart],
            promise: "A power cut in the middle of an apply leaves state and applied id of one moment.",
            consequence: "Commands are applied twice or never on one replica.",
            relies: [START_APPLIED],
            limit: 20,
            run: apply,
        ),
    ]
}

/// Polls a call this often at most and drops it. True if it was done by then.
async fn poll_some<T>(call: impl Future<Output = T>, polls: u32) -> bool {
    poll_times(pin!(call), polls).await.is_some()
}

/// Cuts the power and opens the store.
async fn cut(subject: &mut Subject<'_>, polls: u32, done: bool) -> Verdict {
    let outcome = if done { "it was done" } else { "it was not done" };
    subject.lab.record.step(format!("cut power (after {polls} polls; {outcome})"));
    subject.lose_power()?;
    subject.open_again().await
}

/// How many polls are tried; one more than it takes is enough.
fn most(lab: &Lab) -> u32 {
    lab.budget.pick(6, 12, 64)
}

async fn log(lab: &Lab) -> Verdict {
    for kind in 0..4 {
        for polls in 0..most(lab) {
            let mut steps = story::applied_of(12, 6);
            steps.extend([Step::Build, story::leader(5, 1)]);
            let mut subject = Subject::with(lab, steps).await?;
            let old = subject.model.log.clone();
            let (done, after) = match kind {
                0 => begin_vote(&mut subject, polls).await,
                1 => begin_append(&mut subject, polls).await?,
                2 => begin_truncate(&mut subject, polls).await,
                _ => begin_purge(&mut subject, polls).await,
            };
            subject.model.survivors = std::iter::once(old).chain(after).collect();
            cut(&mut subject, polls, done).await?;
            subject.verify_reopened(Closed::Powerless).await?;
            subject.start().await?;
            if done {
                break;
            }
        }
    }
    Ok(())
}

async fn begin_vote(subject: &mut Subject<'_>, polls: u32) -> (bool, Vec<LogModel>) {
    let ballot = crate::model::Ballot { term: 8, node: 3, committed: false };
    let vote = subject.lab.driver.vote(Some(ballot));
    subject.lab.record.step("vote t8.n3");
    let done = poll_some(subject.log.save_vote(vote), polls).await;
    (done, vec![LogModel { vote: Some(ballot), ..subject.model.log.clone() }])
}

async fn begin_append(
    subject: &mut Subject<'_>,
    polls: u32,
) -> Result<(bool, Vec<LogModel>), Failure> {
    let items = story::entries(5, 1, 12, 21);
    let entries = subject.entries(&items)?;
    subject.lab.record.step(Step::Append(items.clone()).to_string());
    let done = poll_some(subject.log.append(entries), polls).await;
    Ok((done, subject.model.log.prefixes(&items)))
}

/// A truncation in several steps goes from the end towards its place (R48).
async fn begin_truncate(subject: &mut Subject<'_>, polls: u32) -> (bool, Vec<LogModel>) {
    let id = subject.lab.driver.id(story::id_of(12, 7));
    subject.lab.record.step("truncate 7");
    let done = poll_some(subject.log.truncate(id), polls).await;
    let log = subject.model.log.clone();
    let shorter = (7..12).map(|last| LogModel { items: log.range(0, last), ..log.clone() });
    (done, shorter.collect())
}

async fn begin_purge(subject: &mut Subject<'_>, polls: u32) -> (bool, Vec<LogModel>) {
    let id = subject.lab.driver.id(story::id_of(12, 5));
    subject.lab.record.step("purge up to 5");
    let done = poll_some(subject.log.purge(id), polls).await;
    let mut log = subject.model.log.clone();
    // In several steps, from the beginning on.
    let shorter = (0..6).map(|upto| {
        log.purge(story::id_of(12, upto));
        log.clone()
    });
    (done, shorter.collect())
}

/// All of the old or all of the new: whichever the applied id says, everything else must say.
async fn install(lab: &Lab) -> Verdict {
    for polls in 0..most(lab) {
        let mut steps = story::applied_of(8, 6);
        steps.push(Step::Build);
        let mut subject = Subject::with(lab, steps).await?;
        let items = story::entries(9, 2, 6, 40);
        let truth: Vec<_> = subject.model.truth.iter().cloned().chain(items).collect();
        let (meta, bytes) = bytes_of(lab, &truth).await?;
        let data = subject.receive_bytes(&bytes).await?;
        lab.record.step("install a snapshot of 40 entries");
        let done = poll_some(subject.machine.install(&meta, data), polls).await;
        cut(&mut subject, polls, done).await?;
        subject.learn_install(&meta, truth).await?;
        subject.verify_reopened(Closed::Powerless).await?;
        subject.start().await?;
        if done {
            break;
        }
    }
    Ok(())
}

async fn build(lab: &Lab) -> Verdict {
    for polls in 0..most(lab) {
        let mut subject = Subject::with(lab, story::applied_of(12, 4)).await?;
        subject.run([Step::Build, Step::Commit(9), Step::Apply(4)]).await?;
        let making = subject.machine.builder();
        let mut builder = lab.call("get_snapshot_builder", making).await?;
        lab.record.step("build");
        let done = poll_some(builder.build(), polls).await;
        drop(builder);
        // The old one or the new one: `verify_reopened` takes any that isn't older.
        cut(&mut subject, polls, done).await?;
        subject.verify_reopened(Closed::Powerless).await?;
        subject.start().await?;
        if done {
            break;
        }
    }
    Ok(())
}

async fn apply(lab: &Lab) -> Verdict {
    for polls in 0..most(lab) {
        let mut subject = Subject::with(lab, story::applied_of(30, 4)).await?;
        subject.perform(Step::Commit(29)).await?;
        let items = subject.model.log.range(4, 24);
        let entries = subject.entries(&items)?;
        lab.record.step("apply 20");
        let done = poll_some(subject.machine.apply(entries), polls).await;
        cut(&mut subject, polls, done).await?;
        subject.learn_applied(items).await?;
        subject.verify_reopened(Closed::Powerless).await?;
        subject.start().await?;
        if done {
            break;
        }
    }
    Ok(())
}
