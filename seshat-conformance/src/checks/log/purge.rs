//! Purging: up to an entry, that one included, also beyond the end of the log.

use crate::check::{Check, check};
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;
use crate::words::{Capabilities, Keeps};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "log/purge/inclusive", Must, [4, 6, 17, 18, 39], needs: [Log],
            promise: "Purging removes the entry given and all before it, and remembers its id.",
            consequence: "A node can't start again, or can't tell where its log begins.",
            relies: [START_LOG, START_LOG_IDS],
            run: inclusive,
        ),
        check!(
            "log/purge/gone", Should, [17, 39], needs: [Log],
            promise: "What was purged can't be read any more, at once or within a second.",
            consequence: "The log grows for ever, or a node starts again on entries that it has forgotten.",
            reason: "openraft reads from behind the purge marker on, and no further back.",
            was: Must until 1,
            limit: 60,
            run: gone,
        ),
        check!(
            "log/purge/then-append", Must, [1, 6, 14, 17], needs: [Log],
            promise: "A log that is purged, even whole, is continued right after its last entry.",
            consequence: "A node that has just compacted its log can't accept entries.",
            relies: [PURGE, APPEND],
            run: then_append,
        ),
        check!(
            "log/purge/beyond-last", Must, [6, 17, 38, 39, 56], needs: [Log],
            promise: "Purging beyond the last entry, as after a snapshot, empties the log and moves its end there.",
            consequence: "A follower that was caught up by a snapshot can never append again.",
            relies: [PURGE_BEYOND, START_PURGE],
            run: beyond_last,
        ),
        check!(
            "log/purge/again", Must, [4, 17], needs: [Log],
            promise: "A log can be purged again and again.",
            consequence: "The second compaction of a node's life breaks its log.",
            relies: [PURGE],
            run: again,
        ),
        check!(
            "log/purge/twice", May, [4, 17], needs: [Log],
            promise: "Purging the same entry twice changes nothing.",
            consequence: "None: openraft never does it.",
            reason: "`purge_log` purges only beyond the marker.",
            since: 2,
            run: twice,
        ),
        check!(
            "log/purge/keeps-the-rest", Must, [8, 9, 17], needs: [Log],
            promise: "Purging leaves vote, committed id and later entries alone.",
            consequence: "A node forgets its vote when it compacts its log: two leaders in a term.",
            relies: [PURGE, START_VOTE],
            run: keeps_the_rest,
        ),
        check!(
            "log/state/all-purged", Should, [6, 39], needs: [Log],
            promise: "The last log id of a log that has nothing but its purge marker is the marker.",
            consequence: "A node that was just caught up by a snapshot says that its log is empty.",
            reason: "`get_initial_state` purges a log that says less than the state once more, and goes on from there.",
            was: Must until 1,
            run: all_purged,
        ),
        check!(
            "log/state/not-applied", Must, [5], needs: [Log, Machine],
            promise: "The log's state doesn't depend on what the state machine has applied.",
            consequence: "A node that installs a snapshot claims entries that it doesn't have.",
            relies: [START_PURGE],
            run: not_applied,
        ),
    ]
}

async fn inclusive(lab: &Lab) -> Verdict {
    const COUNT: u64 = 12;
    for upto in 0..COUNT {
        let mut steps = story::purged_of(COUNT, upto);
        let purge = steps.pop();
        let mut subject = Subject::with_log(lab, steps).await?;
        subject.run(purge).await?;
        subject.verify_log().await?;
    }
    Ok(())
}

async fn gone(lab: &Lab) -> Verdict {
    let mut beyond = story::log_of(6);
    beyond.extend([
        story::leader(5, 2),
        Step::Install(story::entries(5, 2, 0, 30)),
        Step::Purge(story::id(5, 2, 29)),
    ]);
    let to_the_end = story::purged_of(12, 11);
    for mut steps in [story::purged_of(12, 0), story::purged_of(12, 5), to_the_end, beyond] {
        let purge = steps.pop();
        // What readers have seen must not be what they see later.
        let mut subject = Subject::with_log(lab, steps).await?;
        subject.run(purge).await?;
        subject.verify_purged().await?;
    }
    Ok(())
}

async fn then_append(lab: &Lab) -> Verdict {
    const COUNT: u64 = 12;
    for upto in [0, 5, 10, 11] {
        for appended in [1, 5, 70] {
            let mut subject = Subject::with_log(lab, story::purged_of(COUNT, upto)).await?;
            subject.perform(Step::Append(story::entries(4, 3, COUNT, COUNT + appended))).await?;
            subject.verify_log().await?;
        }
    }
    Ok(())
}

/// What openraft does when it installs a snapshot: the state first, then the purge.
async fn beyond_last(lab: &Lab) -> Verdict {
    for had in [0, 1, 6] {
        for snapshot_at in [had + 2, had + 20, had + 100] {
            // What readers have seen must not be what they see later.
            let mut subject = Subject::with_log(lab, story::log_of(had)).await?;
            let purge = Step::Purge(story::id(5, 2, snapshot_at - 1));
            subject.run([story::leader(5, 2)]).await?;
            subject.perform(Step::Install(story::entries(5, 2, 0, snapshot_at))).await?;
            subject.perform(purge).await?;
            subject.verify_log().await?;
            let entries = story::entries(5, 2, snapshot_at, snapshot_at + 3);
            subject.perform(Step::Append(entries)).await?;
            subject.verify_log().await?;
        }
    }
    Ok(())
}

async fn again(lab: &Lab) -> Verdict {
    purge_each(lab, &[0, 1, 4, 9, 10, 19, 25, 28, 29]).await
}

async fn twice(lab: &Lab) -> Verdict {
    purge_each(lab, &[0, 0, 9, 9, 29, 29]).await
}

async fn purge_each(lab: &Lab, places: &[u64]) -> Verdict {
    const COUNT: u64 = 30;
    let mut subject = Subject::with_log(lab, story::applied_of(COUNT, COUNT)).await?;
    subject.perform(Step::Build).await?;
    for &upto in places {
        subject.perform(Step::Purge(story::id_of(COUNT, upto))).await?;
        subject.verify_log().await?;
    }
    Ok(())
}

async fn keeps_the_rest(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_log(lab, story::applied_of(12, 8)).await?;
    subject.perform(Step::Build).await?;
    for upto in [2, 7] {
        subject.perform(Step::Purge(story::id_of(12, upto))).await?;
        subject.verify_log_half().await?;
    }
    Ok(())
}

/// Purged to the end, beyond it, and truncated down to the marker; and after a restart.
async fn all_purged(lab: &Lab) -> Verdict {
    let beyond = [
        story::leader(5, 2),
        Step::Install(story::entries(5, 2, 0, 30)),
        Step::Purge(story::id(5, 2, 29)),
    ];
    let mut truncated = story::purged_of(12, 4);
    truncated.push(Step::Truncate(5));
    for steps in [story::purged_of(1, 0), story::purged_of(12, 11), beyond.to_vec(), truncated] {
        let mut subject = Subject::with(lab, steps).await?;
        state_exactly(&mut subject).await?;
        let Capabilities { log_survives_restart, machine_keeps, .. } = lab.driver.capabilities();
        if log_survives_restart && machine_keeps != Keeps::Nothing {
            subject.reopen().await?;
            state_exactly(&mut subject).await?;
        }
    }
    Ok(())
}

async fn state_exactly(subject: &mut Subject<'_>) -> Verdict {
    let lab = subject.lab;
    let state = lab.call("get_log_state", subject.log.state()).await?;
    lab.exact_state(&state, &subject.model.log)
}

async fn not_applied(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_log(lab, story::log_of(4)).await?;
    subject.run([story::leader(5, 2)]).await?;
    subject.perform(Step::Install(story::entries(5, 2, 0, 20))).await?;
    // Between the install and the purge that follows it, the log is what it was.
    subject.verify_log().await?;
    subject.perform(Step::Purge(story::id(5, 2, 19))).await?;
    subject.verify_log_half().await
}
