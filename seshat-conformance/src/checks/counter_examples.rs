//! Family `model`, what it found before: every shrunk history that ever showed a fault, again.

use crate::check::{Check, check};
use crate::checks::model::{self, Birth};
use crate::failure::{Failure, Kind};
use crate::fixtures::{File, embedded};
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check!(
            "model/counter-examples/store", Must, [1, 4, 6, 8, 9, 15, 17, 19, 21, 23, 29, 30, 34, 40], needs: [],
            promise: "Each history that once showed a fault shows what was done.",
            consequence: "A fault that somebody has made before: see the comment above the history.",
            relies: [APPEND, TRUNCATE, PURGE, APPLY, INSTALLED, BUILT],
            limit: 20,
            run: store,
        ),
        check!(
            "model/counter-examples/restarts", Must, [25, 26, 37, 51, 56, 63], needs: [LogSurvivesRestart, MachineSurvivesRestart],
            promise: "Each history that once showed a fault after a restart shows what was done.",
            consequence: "A fault that somebody has made before: see the comment above the history.",
            relies: [START_VOTE, START_LOG, START_APPLIED, START_LOG_IDS, START_SNAPSHOT],
            limit: 20,
            run: restarts,
        ),
        check!(
            "model/counter-examples/power", Must, [7, 12, 25, 26, 48, 51], needs: [LogSurvivesRestart, MachineSurvivesRestart, CutPower],
            promise: "Each history that once showed a fault after a power cut shows what was acknowledged.",
            consequence: "A fault that somebody has made before: see the comment above the history.",
            relies: [START_VOTE, START_LOG, START_APPLIED, APPEND, SAVE_VOTE],
            limit: 20,
            run: power,
        ),
    ]
}

async fn store(lab: &Lab) -> Verdict {
    replay(lab, STORE).await
}

async fn restarts(lab: &Lab) -> Verdict {
    replay(lab, RESTARTS).await
}

async fn power(lab: &Lab) -> Verdict {
    replay(lab, POWER).await
}

async fn replay(lab: &Lab, files: &[File]) -> Verdict {
    let birth = Birth::of(lab).await?;
    for (name, text) in files {
        let steps = Step::parse_numbered(text).map_err(|error| {
            Failure::new(Kind::Kit, format!("counter-example {name}: {error}"), "", "")
        })?;
        model::replay(lab, &steps, &birth).await.map_err(|mut failure| {
            failure.what = format!("counter-example {name}: {}", failure.what);
            failure.steps = lab.record.steps();
            failure.history = Some(failure.steps.join("\n"));
            failure
        })?;
    }
    birth.beside(Ok(()))
}

/// Histories of `fixtures/model/store`.
pub(crate) const STORE: &[File] = embedded!("model/store", "txt":
    "append_keeps_old",
    "applied_not_by_blank",
    "apply_not_delete",
    "apply_reversed",
    "build_deleted_back",
    "build_membership_old",
    "build_not_current",
    "committed_one_behind",
    "current_meta_live",
    "install_not_current_if_any",
    "install_second_ignored",
    "last_by_term_of_vote",
    "log_joint_flattened",
    "membership_first_of_batch",
    "node_is_own",
    "purge_beyond_clamped",
    "purge_moves_last",
    "reply_reversed",
    "truncate_exclusive",
    "truncate_forgets_purged",
    "truncate_last_term_stale",
);

/// Histories of `fixtures/model/restarts`.
pub(crate) const RESTARTS: &[File] = embedded!("model/restarts", "txt":
    "apply_applied_missing",
    "open_last_lost",
    "open_not_rebuilt",
    "purge_in_memory",
    "purged_come_back",
    "truncate_in_memory",
    "truncate_undone_by_append",
    "vote_in_memory",
    "vote_old_slot",
    "vote_with_append",
);

/// Histories of `fixtures/model/power`.
pub(crate) const POWER: &[File] = embedded!("model/power", "txt":
    "apply_unsynced",
    "build_unsynced",
    "callback_early",
    "callback_half_synced",
    "install_unsynced",
    "truncate_unsynced",
    "vote_unsynced",
);
