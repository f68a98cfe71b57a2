//! Appends that were in flight together, and what a process finds that was killed amid them.

use crate::check::{Check, check};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;
use crate::subject::restart::Closed;

pub(super) fn checks() -> Vec<Check> {
    vec![
        // Should: 0.9.25 awaits each callback before its next write (core/raft_core.rs:726-730).
        check!(
            "crash/append-in-flight", Should, [2, 10, 12, 51], needs: [Log, CutPower, LogSurvivesRestart, Callback],
            promise: "Of several appends in flight each that is called back survives a power cut, and all before it.",
            consequence: "None with openraft 0.9, which waits for each; a later one loses what it has acknowledged.",
            reason: "openraft waits for the callback of each append before the next.",
            since: 2,
            run: append_in_flight,
        ),
        // engine/handler/following_handler/mod.rs:82-94: what the log has is acknowledged without
        // another write.
        check!(
            "crash/found-after-kill", Must, [12, 51], needs: [Log, CutPower, LogSurvivesRestart, Callback],
            promise: "What a store shows when it is opened after a kill is durable from then on.",
            consequence: "Entries that only the page cache held count toward a quorum, and a power cut takes them.",
            relies: [SKIP_KNOWN],
            since: 2,
            run: found_after_kill,
        ),
    ]
}

/// Entries of the leader of term 5.
fn entries(from: u64, to: u64) -> Vec<Item> {
    story::entries(5, 1, from, to)
}

async fn append_in_flight(lab: &Lab) -> Verdict {
    let begin = |from, to| Step::Begin(entries(from, to));
    let three = vec![begin(6, 7), begin(7, 11), begin(11, 12)];
    let and_append = vec![begin(6, 9), Step::Append(entries(9, 10))];
    let and_vote = vec![begin(6, 9), begin(9, 10), story::leader(6, 2)];
    let around_truncate = vec![begin(6, 10), Step::Truncate(8), begin(8, 9), begin(9, 13)];
    for steps in [three, and_append, and_vote, around_truncate] {
        let mut subject = Subject::with(lab, story::log_of(6)).await?;
        subject.perform(story::leader(5, 1)).await?;
        for step in steps {
            subject.perform(step).await?;
            subject.verify_log().await?;
        }
        subject.run([Step::Flush, Step::CutPower]).await?;
        subject.verify().await?;
        // And some that are called back, with others behind them that aren't.
        let leader = subject.model.log.vote.map_or((5, 1), |vote| (vote.term, vote.node));
        let next = subject.model.log.next_index();
        let more = |from, to| Step::Begin(story::entries(leader.0, leader.1, from, to));
        subject.run([more(next, next + 2), more(next + 2, next + 5), Step::Flush]).await?;
        subject.run([more(next + 5, next + 9), Step::CutPower]).await?;
        subject.verify().await?;
    }
    Ok(())
}

async fn found_after_kill(lab: &Lab) -> Verdict {
    // What is lost without a kill is not the kill's.
    let acknowledged = [story::leader(5, 1), Step::Append(entries(3, 5)), Step::CutPower];
    let steps = story::log_of(3).into_iter().chain(acknowledged);
    Subject::with(lab, steps).await.map_err(Failure::beforehand)?;
    for (had, count) in [(0, 1), (3, 1), (6, 9), (12, 70)] {
        let mut subject = Subject::with(lab, story::log_of(had)).await?;
        subject.run([story::leader(5, 1), Step::Begin(entries(had, had + count))]).await?;
        lab.record.step("the process is killed; the store is opened again");
        subject.vanish();
        subject.open_again().await?;
        subject.verify_reopened(Closed::Powerless).await?;
        subject.perform(Step::CutPower).await?;
        subject.verify().await?;
    }
    Ok(())
}
