//! What happened on a failing disk, in words that an author can act on.

use crate::failure::{Failure, Kind};
use crate::model::Step;
use crate::power::{Fault, Harm};

pub(super) fn name(harm: Harm) -> &'static str {
    match harm {
        Harm::Full => "a full disk",
        Harm::Short => "a disk that is full half-way through a write",
        Harm::Broken => "a broken disk",
        Harm::LostSync => "a sync that fails",
    }
}

/// `a full disk, for good`.
pub(super) fn in_words(fault: Fault) -> String {
    let lasts = if fault.times == 1 { "once" } else { "for good" };
    format!("{}, {lasts}", name(fault.harm))
}

/// Where among the steps, and at which of the calls that it can meet.
pub(super) fn as_a_step(fault: Fault) -> String {
    format!(
        "# from here on: {}, at the {} call that it can meet",
        in_words(fault),
        ordinal(fault.from)
    )
}

fn ordinal(number: u64) -> String {
    let end = match (number % 10, number % 100) {
        (1, n) if n != 11 => "st",
        (2, n) if n != 12 => "nd",
        (3, n) if n != 13 => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}

/// The failure, after what led there.
pub(super) fn told(failure: Failure, so_far: &str) -> Failure {
    match failure.kind {
        Kind::Hollow | Kind::Kit | Kind::NotTried | Kind::Untold => failure,
        _ => Failure { what: format!("{so_far}: {}", failure.what), ..failure },
    }
}

/// The call of openraft's that a step is.
pub(super) fn verb(step: &Step) -> &'static str {
    match step {
        Step::Vote(_) => "save_vote",
        Step::Append(_) | Step::Begin(_) | Step::Flush => "append",
        Step::Truncate(_) => "truncate",
        Step::Purge(_) => "purge",
        Step::Commit(_) => "save_committed",
        Step::Apply(_) => "apply",
        Step::Build => "build_snapshot",
        Step::Install(_) => "install_snapshot",
        Step::Restart | Step::CutPower => "open",
    }
}

/// What of an author's error there is room for among the steps.
pub(super) fn line(error: &str) -> String {
    error.lines().next().unwrap_or_default().chars().take(120).collect()
}
