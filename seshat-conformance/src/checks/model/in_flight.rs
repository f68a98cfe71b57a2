//! Random histories with appends in flight: a check of its own, so that what `model/power` asks for
//! stays what it was.

use super::random;
use crate::check::{Check, check};
use crate::history::Kind;
use crate::lab::Lab;
use crate::outcome::Verdict;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        // Should: 0.9.25 awaits each callback before its next write (core/raft_core.rs:726-730).
        check!(
            "model/in-flight", Should, [2, 10, 11, 12, 13, 50, 51], needs: [Log, LogSurvivesRestart, MachineSurvivesRestart, CutPower, Callback],
            promise: "Whatever is in flight together, with power cuts anywhere, what was called back is there.",
            consequence: "None with openraft 0.9, which waits for each; a later one loses what it has acknowledged.",
            reason: "openraft waits for the callback of each append before the next.",
            since: 2,
            limit: 60,
            run: in_flight,
        ),
    ]
}

const KINDS: &[Kind] = &[
    Kind::Vote,
    Kind::Elect,
    Kind::Begin,
    Kind::Begin,
    Kind::Begin,
    Kind::Begin,
    Kind::Flush,
    Kind::Flush,
    Kind::Append,
    Kind::Overwrite,
    Kind::Members,
    Kind::Truncate,
    Kind::Commit,
    Kind::ApplyAll,
    Kind::PurgeAll,
    Kind::Install,
    Kind::Restart,
    Kind::CutPower,
    Kind::CutPower,
    Kind::CutPower,
];

async fn in_flight(lab: &Lab) -> Verdict {
    random(lab, KINDS)
}
