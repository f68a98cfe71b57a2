//! Where a log begins and ends, and who voted, over a restart: high indexes, node 0 and index 0, a
//! marker that was truncated down to, and another node beside it.

use crate::check::{Check, check};
use crate::failure::Kind as Ended;
use crate::history::{self, Kind};
use crate::lab::Lab;
use crate::model::{Ballot, Members, Model, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(super) fn checks() -> Vec<Check> {
    vec![
        // storage/helper.rs:74 (get_log_state), engine/log_id_list.rs:60-84 (load_log_ids).
        check!(
            "reopen/indexes", Must, [1, 4, 8, 51], needs: [Log, LogSurvivesRestart],
            promise: "Entries of any index are there after a restart, and so is the marker before them.",
            consequence: "A cluster that has lived long enough loses its log.",
            relies: [START_LOG],
            since: 2,
            run: indexes,
        ),
        // storage/helper.rs:74 (get_log_state), engine/log_id_list.rs:60-61 (load_log_ids).
        check!(
            "reopen/truncate-after-purge", Must, [4, 6, 15, 37, 51, 63], needs: [Log, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "The purge marker is there after a truncation and a restart.",
            consequence: "A node can't start again: it looks for entries that it has purged.",
            relies: [START_LOG, START_LOG_IDS],
            since: 2,
            run: truncate_after_purge,
        ),
        // storage/helper.rs:69-78: vote, committed, log state and applied state of this node.
        check!(
            "reopen/isolated", Must, [7, 12, 26, 51], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "Stores in different directories share nothing, also after they are opened again.",
            consequence: "Two nodes on one machine start with each other's vote, log or snapshot.",
            relies: [HOLD],
            since: 2,
            run: isolated,
        ),
        // storage/helper.rs:69-78 and engine/log_id_list.rs:60-61: each may be of node 0, at index 0.
        check!(
            "reopen/zero", Must, [4, 8, 9, 19, 26, 33, 51], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "Vote, entries, marker, applied id and snapshot of node 0 and at index 0 are there after a restart.",
            consequence: "A node takes what it has for nothing: it forgets its vote, or can't start again.",
            relies: [START_VOTE, START_LOG, START_APPLIED, START_SNAPSHOT],
            since: 2,
            run: zero,
        ),
    ]
}

/// There is no other way to a high index than through a snapshot: the log is purged beyond its
/// end, as after an install. A store whose halves know of each other may refuse to open on it.
async fn indexes(lab: &Lab) -> Verdict {
    for boundary in story::BOUNDARIES.into_iter().filter(|boundary| *boundary < u64::MAX - 100) {
        let mut subject = Subject::with(lab, [story::leader(3, 2)]).await?;
        let first = boundary - 2;
        subject.skip_to(story::id(2, 1, first - 1)).await?;
        subject.perform(Step::Append(story::commands(3, 2, first, first + 6))).await?;
        for truncated in [None, Some(boundary + 1), Some(boundary)] {
            subject.run(truncated.map(Step::Truncate)).await?;
            match subject.reopen().await {
                Err(refused) if refused.kind == Ended::Error => {
                    let why = "opening a log that is purged beyond the state is refused";
                    lab.inconclusive(format!("{why}: {}", refused.got));
                    return Ok(());
                }
                opened => opened?,
            }
            subject.verify_log().await?;
            subject.verify_vote().await?;
        }
    }
    Ok(())
}

async fn truncate_after_purge(lab: &Lab) -> Verdict {
    for (upto, from) in [(0, 1), (0, 5), (3, 4), (3, 9), (7, 8), (7, 11)] {
        let mut subject = Subject::with(lab, story::purged_of(12, upto)).await?;
        subject.run([Step::Truncate(from), Step::Restart, Step::Restart]).await?;
        subject.verify().await?;
    }
    Ok(())
}

async fn isolated(lab: &Lab) -> Verdict {
    let mut one = Subject::with(lab, story::applied_of(9, 4)).await?;
    let mut other = Subject::open(lab, lab.directory()?, Model::new()).await?;
    other.run([story::leader(7, 7), Step::Append(story::entries(7, 7, 0, 6))]).await?;
    other.run([Step::Commit(2), Step::Apply(3), Step::Build]).await?;
    one.perform(Step::Build).await?;
    other.perform(Step::Vote(Ballot { term: 8, node: 1, committed: false })).await?;
    for round in 0..2 {
        // Each is opened last once.
        let order = if round == 0 { [&mut one, &mut other] } else { [&mut other, &mut one] };
        for subject in order {
            subject.perform(Step::Restart).await?;
            subject.verify().await?;
            subject.run(history::steps(&subject.model, Kind::Append.choice())).await?;
            subject.run(history::steps(&subject.model, Kind::ApplyAll.choice())).await?;
            subject.perform(Step::Build).await?;
        }
    }
    for subject in [&mut one, &mut other] {
        subject.verify().await?;
    }
    Ok(())
}

async fn zero(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    let members = Payload::Members(Members::new(&[0, 1, 2], &[]));
    let first = story::carrying(1, 0, 0, std::slice::from_ref(&members));
    let vote = |committed| Step::Vote(Ballot { term: 1, node: 0, committed });
    for step in [vote(false), vote(true), Step::Append(first.clone()), Step::Commit(0)] {
        subject.run([step, Step::Restart]).await?;
        subject.verify().await?;
    }
    // A store that keeps the committed id was brought up to it.
    subject.run(history::steps(&subject.model, Kind::ApplyAll.choice())).await?;
    for kind in [Kind::Build, Kind::PurgeAll] {
        subject.run(history::steps(&subject.model, kind.choice())).await?;
        subject.perform(Step::Restart).await?;
        subject.verify().await?;
    }
    let mut items = story::carrying(1, 0, 1, &[members, Payload::Blank]);
    items.extend(story::commands(1, 0, 3, 6));
    subject.run([Step::Append(items), Step::Restart, Step::Truncate(5), Step::Restart]).await?;
    for kind in [Kind::ApplyAll, Kind::PurgeAll] {
        subject.run(history::steps(&subject.model, kind.choice())).await?;
        subject.perform(Step::Restart).await?;
        subject.verify().await?;
    }
    // A snapshot that ends at index 0, as one received.
    let mut subject = Subject::fresh(lab).await?;
    subject.run([Step::Install(first), Step::Restart, Step::Restart]).await?;
    subject.verify().await
}
