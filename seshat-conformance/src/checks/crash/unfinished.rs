//! Appends whose callback wasn't called, and what is written beside them: by the callback in the kit's
//! own hands.

use crate::check::{Check, check};
use crate::checks::callback;
use crate::failure::Failure;
use crate::history::{self, Kind};
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(super) fn checks() -> Vec<Check> {
    vec![
        check!(
            "crash/append-unfinished", Must, [1, 2, 14, 48], needs: [Log, CutPower, LogSurvivesRestart, Callback],
            promise: "Of an append whose callback wasn't called, a power cut leaves a prefix: no hole, nothing else.",
            consequence: "A node claims entries that it doesn't have.",
            relies: [START_LOG, START_LOG_IDS],
            run: append_unfinished,
        ),
        check!(
            "crash/order", Must, [2], needs: [Log, CutPower, LogSurvivesRestart, Callback],
            promise: "Votes and entries reach the disk in the order in which they were written.",
            consequence: "A node grants a vote in a term in which it has accepted entries of another leader.",
            relies: [SAVE_VOTE, START_VOTE, START_LOG],
            run: order,
        ),
        check!(
            "crash/overtaken", Should, [2], needs: [Log, CutPower, LogSurvivesRestart, Callback],
            promise: "A vote that is saved while an append awaits its callback doesn't overtake it.",
            consequence: "None with openraft 0.9, which waits for the callback; a later one would lose entries.",
            reason: "`append_to_log` waits for the callback before the next vote is saved.",
            since: 2,
            run: overtaken,
        ),
    ]
}

/// Writes without waiting for the callback, and notes what a power cut may leave: any prefix.
async fn append_unawaited(subject: &mut Subject<'_>, from: u64, to: u64, term: u64) -> Verdict {
    let before = subject.model.survivors.clone();
    let log = subject.model.log.clone();
    let items = story::entries(term, 1, from, to);
    let flushed = callback::append(subject, items.clone()).await?;
    subject.model.survivors = before.into_iter().chain(log.prefixes(&items)).collect();
    drop(flushed);
    Ok(())
}

async fn append_unfinished(lab: &Lab) -> Verdict {
    for (had, count) in [(0, 1), (0, 4), (3, 1), (3, 9), (12, 70)] {
        let mut subject = Subject::with(lab, story::log_of(had)).await?;
        subject.perform(story::leader(5, 1)).await?;
        append_unawaited(&mut subject, had, had + count, 5).await?;
        subject.perform(Step::CutPower).await?;
        subject.run(history::steps(&subject.model, Kind::Append.choice())).await?;
        subject.verify_log().await?;
        subject.perform(Step::CutPower).await?;
    }
    Ok(())
}

async fn order(lab: &Lab) -> Verdict {
    for awaited in [true, false] {
        let mut subject = Subject::with(lab, story::log_of(6)).await?;
        // A new leader: its vote, then its entries, then a vote for the next one.
        subject.perform(story::leader(5, 1)).await?;
        if awaited {
            subject.perform(Step::Append(story::entries(5, 1, 6, 9))).await?;
        } else {
            append_unawaited(&mut subject, 6, 9, 5).await?;
        }
        subject.perform(Step::CutPower).await?;
        let last = lab.call("get_log_state", subject.log.state()).await?.last;
        let vote = lab.call("read_vote", subject.log.vote()).await?;
        let term = last.map_or(0, |id| id.term);
        let voted = vote.as_ref().map_or(0, |vote| vote.term);
        lab.assert(term <= voted, || {
            Failure::broken(
                "after a power cut the log is of a later term than the vote",
                format!("entries of term {voted} at most"),
                format!("entries of term {term}"),
            )
        })?;
    }
    Ok(())
}

/// A later vote that was acknowledged takes the entries before it along.
async fn overtaken(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, story::log_of(6)).await?;
    subject.perform(story::leader(5, 1)).await?;
    append_unawaited(&mut subject, 6, 9, 5).await?;
    subject.run([story::leader(6, 2), Step::CutPower]).await
}
