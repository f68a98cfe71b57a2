//! What the author of a plug-in meets: mistakes in it, directories that are held, and what `new`
//! writes.
#![cfg(feature = "storage-v2")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::todo,
    unreachable_pub
)]

mod held;
mod mistakes;
mod written;

use std::time::Duration;

use seshat_conformance::Backend;
use seshat_conformance::budget::Budget;
use seshat_conformance::check::Outcome;
use seshat_conformance::failure::Failure;
use seshat_conformance::report::Report;
use seshat_conformance::runner::{Filter, Options, run};

/// A run of a few checks. Nothing here depends on how long a call takes.
fn checked<B: Backend>(backend: B, checks: &[&str]) -> Report {
    let options = Options {
        budget: Budget::Quick,
        patience: Duration::from_secs(20),
        filter: Filter::only(checks.iter().copied()),
        ..Options::default()
    };
    run(backend, &options, &mut |_| {})
}

/// The failure of the one check that ran, and its id.
fn only_failure(report: &Report) -> (&'static str, &Failure) {
    let [result] = &report.results[..] else { panic!("{report:#?}") };
    let Outcome::Failed(failure) = &result.outcome else { panic!("{result:#?}") };
    (result.spec.id, failure)
}
