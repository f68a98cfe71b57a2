//! A process is killed before its sync, the next one finds in the page cache what it wrote and
//! shows it, and a power cut takes it away.

use super::images::{Half, Past, Plan, Tried, strict};
use crate::check::{Check, check};
use crate::failure::Failure;
use crate::history::Kind;
use crate::lab::Lab;
use crate::model::Step;
use crate::outcome::Verdict;
use crate::power::{Persistence, Side};

pub(super) fn checks() -> Vec<Check> {
    vec![
        // engine/handler/following_handler/mod.rs:82-94, 125-130 (append_entries, do_append_entries):
        // entries that the log has are acknowledged, and nothing is written.
        check!(
            "crash/killed-then-cut/log", Must, [12, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "Entries that a store shows after its process was killed amid a write survive a power cut right after.",
            consequence: "Entries that only the page cache held count toward a quorum, and a power cut takes them.",
            relies: [SKIP_KNOWN, START_LOG],
            since: 3,
            limit: 20,
            run: log,
        ),
        // engine/handler/vote_handler/mod.rs:94-115 (update_vote): a vote that is the node's own is
        // granted again without a write.
        check!(
            "crash/killed-then-cut/vote", Must, [7, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "A vote that a store shows after its process was killed amid saving it survives a power cut right after.",
            consequence: "A vote that only the page cache held is granted, a power cut takes it, and the node votes twice in a term.",
            relies: [GRANT_AGAIN, START_VOTE],
            since: 3,
            limit: 20,
            run: vote,
        ),
        // storage/helper.rs:139-151 (get_initial_state): the snapshot that is found is what the log is
        // purged by; engine/handler/log_handler/mod.rs:78-112 (calc_purge_upto).
        check!(
            "crash/killed-then-cut/snapshot", Must, [26, 30, 51], needs: [Machine, WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A snapshot that a store shows after its process was killed amid a build or an install survives a power cut right after.",
            consequence: "The log is purged up to a snapshot that only the page cache held, and a power cut takes it.",
            relies: [PURGE_UPTO, START_SNAPSHOT],
            since: 3,
            limit: 20,
            run: snapshot,
        ),
        // storage/helper.rs:78-113 (get_initial_state): what the state machine says is committed, and
        // a log that ends before it is purged.
        check!(
            "crash/killed-then-cut/applied", Must, [21, 25, 51], needs: [Machine, WatchedFiles, LogSurvivesRestart, AppliedSurvivesRestart],
            promise: "What a persistent state machine shows as applied after its process was killed amid an apply survives a power cut right after.",
            consequence: "Entries are purged that only the page cache had applied, and a power cut takes them.",
            relies: [START_APPLIED, START_PURGE],
            since: 3,
            limit: 20,
            run: applied,
        ),
    ]
}

async fn log(lab: &Lab) -> Verdict {
    let plan = [
        Kind::Elect.into(),
        Plan::Append(1),
        Plan::Append(2),
        Plan::Append(9),
        Kind::Overwrite.into(),
        Plan::Append(70),
        Kind::ApplyAll.into(),
        Kind::Purge.into(),
        Plan::Append(1),
        Kind::Restart.into(),
        Plan::Append(3),
        Kind::PurgeAll.into(),
        Plan::Append(2),
    ];
    let writes = |step: &Step| matches!(step, Step::Append(_) | Step::Truncate(_) | Step::Purge(_));
    each(lab, &plan, Half::Log, writes).await
}

async fn vote(lab: &Lab) -> Verdict {
    let plan = [
        Kind::Vote.into(),
        Kind::Elect.into(),
        Plan::Append(3),
        Kind::Vote.into(),
        Kind::Vote.into(),
        Kind::Restart.into(),
        Kind::Elect.into(),
    ];
    each(lab, &plan, Half::Log, |step| matches!(step, Step::Vote(_))).await
}

async fn snapshot(lab: &Lab) -> Verdict {
    let plan = [
        Kind::Elect.into(),
        Plan::Append(12),
        Kind::ApplyAll.into(),
        Kind::Build.into(),
        Plan::Append(5),
        Kind::ApplyAll.into(),
        Kind::Build.into(),
        Kind::Purge.into(),
        Kind::Install.into(),
        Kind::Install.into(),
    ];
    each(lab, &plan, Half::Machine, |step| matches!(step, Step::Build | Step::Install(_))).await
}

async fn applied(lab: &Lab) -> Verdict {
    let plan = [
        Kind::Elect.into(),
        Plan::Append(30),
        Kind::Commit.into(),
        Kind::Apply.into(),
        Kind::Apply.into(),
        Kind::ApplyAll.into(),
        Plan::Append(9),
        Kind::ApplyAll.into(),
    ];
    each(lab, &plan, Half::Machine, |step| matches!(step, Step::Apply(_))).await
}

/// Killed before every sync of such a step.
async fn each(lab: &Lab, plan: &[Plan], half: Half, amid: impl Fn(&Step) -> bool) -> Verdict {
    let past = Past::of(lab, plan, half).await?;
    let mut tried = Tried { histories: 1, ..Tried::default() };
    // What is lost without a kill is not the kill's.
    let last = past.images()?.into_iter().next_back();
    let last = last.map_or(Ok(()), |image| past.cut(&image, strict(Persistence::Ext4), false));
    last.map_err(Failure::beforehand)?;
    for image in past.images()? {
        let before = matches!(image.side, Side::Before(_));
        if before && past.under_way(&image).is_some_and(&amid) {
            tried.images += 1;
            tried.cuts += 1;
            past.kill(&image)?;
        }
    }
    if tried.images == 0 {
        lab.inconclusive("no sync was made amid such a step, so there was no moment to kill at");
        return Ok(());
    }
    tried.note(lab);
    Ok(())
}
