//! Family `vote`: what was saved last is what is read, every field of it.

use crate::check::{Check, check};
use crate::lab::Lab;
use crate::model::{Ballot, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "vote/last-saved", Must, [7, 8], needs: [Log],
            promise: "The vote read is the one saved last: term, node, and whether it is committed.",
            consequence: "A node votes twice in a term: two leaders, and committed entries are lost.",
            relies: [START_VOTE],
            run: last_saved,
        ),
        check!(
            "vote/terms", Must, [7, 8], needs: [Log],
            promise: "Votes of any term and for any node come back exactly.",
            consequence: "A node takes part in a term it has left: two leaders in a term.",
            relies: [START_VOTE],
            run: terms,
        ),
        check!(
            "vote/beside-the-log", Must, [2, 8], needs: [Log],
            promise: "Appending, truncating, purging and committing leave the vote alone, and it them.",
            consequence: "A node forgets its vote when its log changes: two leaders in a term.",
            relies: [START_VOTE],
            run: beside_the_log,
        ),
        check!(
            "vote/again", May, [7, 8], needs: [Log],
            promise: "Saving the same vote again changes nothing.",
            consequence: "A leader's heartbeat after a restart undoes its vote.",
            reason: "`update_vote` saves only a vote that is greater than the one before.",
            was: Must until 1,
            run: again,
        ),
        // storage/helper.rs:69 (read_vote), engine/engine_impl.rs:285 (handle_vote_req).
        check!(
            "vote/node-zero", Must, [7, 8], needs: [Log],
            promise: "A vote for node 0 is a vote.",
            consequence: "A node votes twice in a term: two leaders, and committed entries are lost.",
            relies: [START_VOTE],
            since: 2,
            run: node_zero,
        ),
    ]
}

fn save(term: u64, node: u64, committed: bool) -> Step {
    Step::Vote(Ballot { term, node, committed })
}

async fn last_saved(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    for term in 1..=4 {
        // A vote may move to a greater node of the same term: openraft's leader ids have an order.
        for node in [1, 2, 3] {
            for committed in [false, true] {
                // Not every vote is granted, not every one commits.
                if (term + node + u64::from(committed)) % 4 != 3 {
                    subject.perform(save(term, node, committed)).await?;
                    subject.verify_vote().await?;
                }
            }
        }
    }
    subject.verify_log().await
}

async fn terms(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    for (place, term) in (0..).zip(story::BOUNDARIES) {
        for committed in [false, true] {
            subject.perform(save(term, story::far(place), committed)).await?;
            subject.verify_vote().await?;
        }
    }
    Ok(())
}

async fn beside_the_log(lab: &Lab) -> Verdict {
    let mut subject = Subject::with(lab, [save(1, 2, false)]).await?;
    subject.verify_log_half().await?;
    let steps = [
        save(1, 2, true),
        Step::Append(story::entries(1, 2, 0, 9)),
        save(2, 3, false),
        Step::Truncate(7),
        save(2, 3, true),
        Step::Append(story::entries(2, 3, 7, 12)),
        save(3, 1, false),
        Step::Commit(8),
        Step::Apply(9),
        Step::Build,
        Step::Purge(story::id(1, 2, 5)),
        save(4, 2, false),
        Step::Purge(story::id(2, 3, 8)),
        Step::Truncate(10),
        Step::Truncate(9),
        save(9, 9, true),
    ];
    for step in steps {
        subject.perform(step).await?;
        subject.verify_vote().await?;
        subject.verify_log().await?;
    }
    subject.verify_log_half().await
}

async fn again(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    for step in [save(3, 1, false), save(3, 1, false), save(3, 1, true), save(3, 1, true)] {
        subject.perform(step).await?;
        subject.verify_vote().await?;
    }
    Ok(())
}

async fn node_zero(lab: &Lab) -> Verdict {
    let mut subject = Subject::fresh(lab).await?;
    let votes =
        [(1, 0, false), (1, 0, true), (1, 1, false), (2, 0, true), (3, 2, true), (4, 0, false)];
    for (term, node, committed) in votes {
        subject.perform(save(term, node, committed)).await?;
        subject.verify_vote().await?;
    }
    subject.verify_log().await
}
