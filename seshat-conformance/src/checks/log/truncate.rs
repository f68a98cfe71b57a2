//! Truncating: from an entry on, that one included, and nothing else.

use crate::check::{Check, check};
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "log/truncate/inclusive", Must, [15, 16, 47], needs: [Log],
            promise: "Truncating removes the entry given and all after it, wherever it lies.",
            consequence: "A conflicting entry stays: replicas commit different commands.",
            relies: [TRUNCATE, APPLY_READ],
            run: inclusive,
        ),
        check!(
            "log/truncate/keeps-marker", Must, [4, 6, 15], needs: [Log],
            promise: "Truncating leaves the purge marker alone; a log truncated to nothing ends there.",
            consequence: "The node can't start again, or votes with a log it doesn't have.",
            relies: [START_LOG, TRUNCATE],
            run: keeps_marker,
        ),
        check!(
            "log/truncate/then-append", Must, [1, 11, 15, 46], needs: [Log],
            promise: "What is appended after a truncation is what is there, and no more.",
            consequence: "Entries of a deposed leader come back, or hide those of the new one.",
            relies: [TRUNCATE, APPLY_READ],
            run: then_append,
        ),
        check!(
            "log/truncate/again", Must, [6, 15, 47], needs: [Log],
            promise: "A log can be truncated again and again, further down each time.",
            consequence: "A follower of several short-lived leaders ends up with a wrong log.",
            relies: [TRUNCATE],
            run: again,
        ),
        // May: openraft truncates what it has found in its own list of ids
        // (engine/handler/following_handler/mod.rs:85-91); its suite does this.
        check!(
            "log/truncate/absent", May, [15], needs: [Log],
            promise: "Truncating from where the log ends removes nothing, and is no error.",
            consequence: "None: openraft truncates entries that are there. Its suite, and tools, may not.",
            reason: "openraft truncates at an entry that it has.",
            since: 2,
            run: absent,
        ),
    ]
}

async fn inclusive(lab: &Lab) -> Verdict {
    const COUNT: u64 = 12;
    for from in 1..COUNT {
        let mut subject = Subject::with_log(lab, story::log_of(COUNT)).await?;
        subject.perform(Step::Truncate(from)).await?;
        subject.verify_log().await?;
        subject.verify_vote().await?;
    }
    Ok(())
}

async fn keeps_marker(lab: &Lab) -> Verdict {
    const COUNT: u64 = 12;
    for upto in [0, 3, 4, 7] {
        for from in upto + 1..COUNT {
            let mut subject = Subject::with_log(lab, story::purged_of(COUNT, upto)).await?;
            subject.perform(Step::Truncate(from)).await?;
            subject.verify_log().await?;
        }
    }
    Ok(())
}

async fn then_append(lab: &Lab) -> Verdict {
    const COUNT: u64 = 12;
    for purge in [None, Some(3)] {
        for from in [4, 5, 8, 11] {
            for appended in [1, 2, 7, 20] {
                let start = purge.map_or(story::log_of(COUNT), |p| story::purged_of(COUNT, p));
                let mut subject = Subject::with_log(lab, start).await?;
                subject.run([Step::Truncate(from), story::leader(6, 2)]).await?;
                let entries = story::entries(6, 2, from, from + appended);
                subject.perform(Step::Append(entries)).await?;
                subject.verify_log().await?;
            }
        }
    }
    Ok(())
}

async fn again(lab: &Lab) -> Verdict {
    let mut subject = Subject::with_log(lab, story::purged_of(30, 2)).await?;
    for from in [29, 28, 20, 19, 9, 4, 3] {
        subject.perform(Step::Truncate(from)).await?;
        subject.verify_log().await?;
    }
    for (term, from) in [(5, 3), (6, 7), (7, 5), (8, 3)] {
        if subject.model.log.get(from).is_some() {
            subject.perform(Step::Truncate(from)).await?;
        }
        let next = subject.model.log.next_index();
        subject.run([story::leader(term, 1)]).await?;
        subject.perform(Step::Append(story::entries(term, 1, next, next + 6))).await?;
        subject.verify_log().await?;
    }
    Ok(())
}

async fn absent(lab: &Lab) -> Verdict {
    for steps in [story::log_of(6), story::purged_of(6, 2), story::purged_of(6, 5)] {
        let mut subject = Subject::with(lab, steps).await?;
        let end = story::id(4, 3, 6);
        lab.record.step(format!("truncate {end}, which the log doesn't have"));
        lab.call("truncate", subject.log.truncate(lab.driver.id(end))).await?;
        subject.verify_log().await?;
    }
    Ok(())
}
