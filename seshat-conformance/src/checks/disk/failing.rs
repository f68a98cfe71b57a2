//! A disk that fails from some call on, wherever in a history that is. openraft stops at the first
//! error; what was acknowledged is there when the node starts again on a disk that is well, and
//! after a power cut. A call that says success though its write or its sync failed has
//! acknowledged as well.

mod opening;
mod trial;
mod words;

use self::trial::{Half, Sweep, Then};
use crate::check::{Check, check};
use crate::lab::Lab;
use crate::outcome::Verdict;
use crate::power::Harm;

/// In this order: of those that a store fails for one fault the first says best what it is.
pub(super) fn checks() -> Vec<Check> {
    [lost_sync(), short_write(), full(), broken(), restart(), opening::checks()]
        .into_iter()
        .flatten()
        .collect()
}

fn lost_sync() -> Vec<Check> {
    vec![
        check!(
            "disk/lost-sync/log", Must, [7, 12, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "Votes and entries whose sync failed are not acknowledged, though a second sync says success.",
            consequence: "The kernel has dropped them: a power cut takes what the cluster counts on.",
            relies: [SAVE_VOTE, APPEND, START_VOTE, START_LOG],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::LostSync, Half::Log, Then::Restart),
        ),
        check!(
            "disk/lost-sync/machine", Must, [25, 26, 51, 55], needs: [Machine, WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A snapshot whose sync failed is not built and not installed, though a second sync says success.",
            consequence: "The log is purged for a snapshot that the kernel has dropped.",
            relies: [BUILT, INSTALLED, START_APPLIED],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::LostSync, Half::Machine, Then::Restart),
        ),
    ]
}

fn short_write() -> Vec<Check> {
    vec![
        check!(
            "disk/short-write/log", Must, [12, 14, 48, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "A write of which a full disk takes a half is no record, and none is lost that comes behind it.",
            consequence: "After a moment without room the log ends there, or the node can't start again.",
            relies: [APPEND, START_VOTE, START_LOG, START_LOG_IDS],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::Short, Half::Log, Then::CutPower),
        ),
        check!(
            "disk/short-write/machine", Must, [26, 29, 51, 55], needs: [Machine, WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A snapshot of which a full disk takes a half is an error, and the one before it stands.",
            consequence: "Half a snapshot becomes the state of a replica, or the node can't start again.",
            relies: [BUILT, INSTALLED, START_APPLIED],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::Short, Half::Machine, Then::CutPower),
        ),
    ]
}

fn full() -> Vec<Check> {
    vec![
        // A Must: disks of the same size under the same log fill up on all nodes at once.
        check!(
            "disk/full/log", Must, [7, 12, 16, 18, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "A disk that is full at any call takes nothing that was acknowledged, and once there is room the node starts again.",
            consequence: "The nodes of a cluster fill up at once, and none of them comes back.",
            relies: [SAVE_VOTE, APPEND, START_VOTE, START_LOG, START_LOG_IDS],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::Full, Half::Log, Then::CutPower),
        ),
        check!(
            "disk/full/machine", Must, [25, 26, 51, 55], needs: [Machine, WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A disk that is full at any call of a state machine leaves the state and the snapshot before it, and once there is room the node starts again.",
            consequence: "The nodes of a cluster fill up at once, and none of them comes back.",
            relies: [BUILT, INSTALLED, START_APPLIED],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::Full, Half::Machine, Then::CutPower),
        ),
    ]
}

fn broken() -> Vec<Check> {
    vec![
        check!(
            "disk/broken/log", Must, [7, 12, 16, 18, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "A disk that fails at any call, once or for good, takes nothing that was acknowledged before or is after.",
            consequence: "One bad sector costs votes and entries that a cluster counts on.",
            relies: [SAVE_VOTE, APPEND, START_VOTE, START_LOG, START_LOG_IDS],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::Broken, Half::Log, Then::Restart),
        ),
        check!(
            "disk/broken/machine", Must, [25, 26, 51, 55], needs: [Machine, WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A disk that fails at any call of a state machine, once or for good, leaves the state and the snapshot before it.",
            consequence: "One bad sector costs a state whose entries are purged.",
            relies: [BUILT, INSTALLED, START_APPLIED],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::Broken, Half::Machine, Then::Restart),
        ),
    ]
}

fn restart() -> Vec<Check> {
    vec![
        // Rebello et al., ATC 2020: what is read after the failure is not what the disk has.
        check!(
            "disk/lost-sync/restart", Must, [12, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "Entries that are acknowledged after a failed sync and a restart survive a power cut, whatever the start found.",
            consequence: "A start builds on bytes that only the kernel's memory has, and a power cut takes what stands on them.",
            relies: [APPEND, START_LOG],
            since: 3,
            limit: 30,
            run: |lab| sweep(lab, Harm::LostSync, Half::Log, Then::OnlyCutPower),
        ),
    ]
}

async fn sweep(lab: &Lab, harm: Harm, half: Half, then: Then) -> Verdict {
    Sweep { lab, harm, half, then }.run().await
}
