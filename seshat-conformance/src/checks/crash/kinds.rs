//! Every kind of entry over a power cut: blank entries and memberships by themselves.

use crate::check::{Check, check};
use crate::checks::snapshot::identity::apply;
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::story;
use crate::subject::Subject;

pub(super) fn checks() -> Vec<Check> {
    vec![
        // core/raft_core.rs:726-730 (append_to_log): flushed is acknowledged, whatever it is.
        check!(
            "crash/append-every-kind", Must, [12, 51], needs: [Log, CutPower, LogSurvivesRestart],
            promise: "Blank entries and memberships whose callback was called survive a power cut, as commands do.",
            consequence: "A leader's first entry, or a new quorum, is acknowledged and vanishes.",
            relies: [APPEND],
            since: 2,
            run: append_every_kind,
        ),
        // storage/helper.rs:78 (applied_state): what is purged isn't applied again.
        check!(
            "crash/apply-every-kind", Must, [19, 21, 23, 25, 51], needs: [Machine, CutPower, LogSurvivesRestart, AppliedSurvivesRestart],
            promise: "Blank entries and memberships that a persistent state machine has applied survive a power cut.",
            consequence: "A node starts behind what it has purged, or counts another quorum.",
            relies: [START_APPLIED],
            since: 2,
            run: apply_every_kind,
        ),
    ]
}

async fn append_every_kind(lab: &Lab) -> Verdict {
    for payloads in story::without_commands() {
        for had in [1, 6] {
            let mut subject = Subject::with(lab, story::log_of(had)).await?;
            subject.perform(story::leader(5, 1)).await?;
            let items = story::carrying(5, 1, had, &payloads);
            subject.run([Step::Append(items), Step::CutPower]).await?;
            subject.verify().await?;
        }
    }
    Ok(())
}

async fn apply_every_kind(lab: &Lab) -> Verdict {
    for payloads in story::without_commands() {
        let mut subject = Subject::with(lab, story::applied_of(6, 6)).await?;
        apply(&mut subject, &payloads).await?;
        subject.run([Step::CutPower, Step::CutPower]).await?;
        subject.verify().await?;
    }
    Ok(())
}
