//! Memberships that are easily taken for none, or for committed ones.

use super::{command, log_with, members};
use crate::check::{Check, check};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Members, Payload, Step};
use crate::outcome::Verdict;
use crate::story;
use crate::subject::{Subject, verify_data};
use crate::words::{Capabilities, Keeps};

pub(super) fn checks() -> Vec<Check> {
    vec![
        // storage/helper.rs:244-264 (get_membership): voters are counted, whatever their ids.
        check!(
            "machine/membership/node-zero", Must, [19, 23, 35], needs: [Machine],
            promise: "Node 0 is a voter or a learner like any other.",
            consequence: "After a restart a node counts another quorum.",
            relies: [START_MEMBERSHIP],
            since: 2,
            run: node_zero,
        ),
        // storage/helper.rs:244-264 (get_membership): where the log has none behind the applied
        // id, the state's is the effective one.
        check!(
            "machine/membership/truncated", Must, [19, 20, 54], needs: [Log, Machine],
            promise: "A membership whose entry was truncated is none of the state's.",
            consequence: "A node counts a quorum that was never agreed on.",
            relies: [START_MEMBERSHIP],
            since: 2,
            run: truncated,
        ),
    ]
}

async fn node_zero(lab: &Lab) -> Verdict {
    // What is wrong of any node isn't wrong of node 0.
    memberships_with(lab, 7).await.map_err(Failure::beforehand)?;
    memberships_with(lab, 0).await
}

async fn memberships_with(lab: &Lab, n: u64) -> Verdict {
    let forms = [
        Members::new(&[n], &[]),
        Members::new(&[n, 1, 2], &[]),
        Members::new(&[1, 2], &[n]),
        Members::joint(&[&[n, 1, 2], &[1, 2, 3]], &[]),
        Members::joint(&[&[1], &[n]], &[2]),
    ];
    let count = forms.len();
    let payloads = forms.map(Payload::Members);
    let mut subject = Subject::with(lab, log_with(payloads)).await?;
    for _ in 0..count {
        subject.perform(Step::Apply(1)).await?;
        subject.verify_applied().await?;
        let built = subject.build().await?;
        verify_data(lab, &subject.model, built).await?;
    }
    Ok(())
}

/// While its entry is in the log, the state may have it (R20).
async fn truncated(lab: &Lab) -> Verdict {
    let Capabilities { log_survives_restart, machine_keeps, .. } = lab.driver.capabilities();
    let survives = log_survives_restart && machine_keeps != Keeps::Nothing;
    for restarted in [false, true] {
        let mut subject = Subject::with(lab, log_with([command(1), command(2)])).await?;
        subject.perform(Step::Apply(2)).await?;
        let news = story::carrying(2, 3, 3, &[members(&[1, 2, 3, 4]), command(4)]);
        subject.perform(Step::Append(news)).await?;
        subject.verify_applied().await?;
        subject.perform(Step::Truncate(3)).await?;
        subject.verify_applied().await?;
        if restarted && survives {
            subject.perform(Step::Restart).await?;
        }
        // A restart may undo a truncation as a whole: openraft makes it again.
        if subject.model.log.next_index() > 3 {
            subject.perform(Step::Truncate(3)).await?;
        }
        let others = story::carrying(3, 1, 3, &[Payload::Blank, command(5)]);
        subject.run([story::leader(3, 1), Step::Append(others), Step::Commit(4)]).await?;
        let open = subject.model.committed_count() - subject.model.applied;
        subject.perform(Step::Apply(open)).await?;
        subject.verify_applied().await?;
    }
    Ok(())
}
