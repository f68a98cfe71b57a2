//! Stores that are right, however unusual, are accused of nothing.
#![cfg(feature = "storage-v2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, dead_code, unused_imports)]

mod stores;

use std::time::Duration;

use rstest::rstest;
use seshat_conformance::Backend;
use seshat_conformance::backend::Keeps;
use seshat_conformance::budget::Budget;
use seshat_conformance::check::{Level, Outcome};
use seshat_conformance::runner::{Filter, Options, run, run_one};
use stores::plain::Plain;
use stores::{QUIRKS, Quirk, Store};

/// Megabytes, ten thousands of entries, and clusters: once for each correct store is enough.
const HEAVY: &[&str] = &[
    "suite",
    "cluster",
    "log/append/entry-sizes",
    "log/append/huge-entry",
    "log/range/limited-large",
    "callback/every-size",
    "machine/applied/many",
    "machine/shapes",
    "snapshot/shapes",
    "reopen/append",
    "reopen/shapes",
    "reopen/pairs",
    "crash/pairs",
];

/// What the whole registry holds against a store; or those checks that `UNUSUAL_ONLY` names, which
/// is how to try a new one.
fn accusations(backend: impl Backend, mut filter: Filter) -> Vec<String> {
    if let Ok(only) = std::env::var("UNUSUAL_ONLY") {
        filter = Filter::only(only.split(','));
    }
    let options = Options { budget: Budget::Quick, filter, ..Options::default() };
    let report = run(backend, &options, &mut |_| {});
    let accused = report.results.iter().filter_map(|result| match &result.outcome {
        Outcome::Failed(failure) if result.spec.level != Level::May => {
            Some(format!("{}: {} is accused: {failure:#?}", report.backend, result.spec.id))
        }
        _ => None,
    });
    accused.collect()
}

#[test]
fn right_stores_are_accused_of_nothing() {
    let mut accused = accusations(Store::right(Keeps::Snapshot), Filter::all());
    accused.extend(accusations(Store::right(Keeps::Applied), Filter::all()));
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

/// What a store with a quirk is tried with: not all, for there are many.
fn moderate(quirk: Quirk, light: &[&str]) -> Filter {
    let mut filter = Filter::all();
    if std::env::var_os("UNUSUAL_EVERYTHING").is_none() {
        let heavy = HEAVY.iter().filter(|family| !light.contains(family));
        filter.exclude.extend(heavy.map(|family| (*family).to_owned()));
    } else if quirk == Quirk::Strict {
        // openraft's own suite makes calls that openraft itself can't make.
        filter.exclude.push("suite".to_owned());
    }
    filter
}

/// What a restart leaves is what clusters of them are about.
const FORGETFUL: [Quirk; 2] = [Quirk::ForgetsMachine, Quirk::ForgetsAll];

/// In three parts, side by side: together they take longer than a test may.
#[rstest]
fn unusual_stores_are_accused_of_nothing(#[values(0, 1, 2)] part: usize) {
    let quirks = QUIRKS.iter().map(|(quirk, _)| *quirk).filter(|q| !FORGETFUL.contains(q));
    let accused: Vec<String> = quirks
        .skip(part)
        .step_by(3)
        .flat_map(|quirk| accusations(Store::unusual(quirk), moderate(quirk, &[])))
        .collect();
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

#[test]
fn forgetful_stores_are_accused_of_nothing() {
    let accused: Vec<String> = FORGETFUL
        .into_iter()
        .flat_map(|quirk| accusations(Store::unusual(quirk), moderate(quirk, &["cluster"])))
        .collect();
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

#[test]
fn a_plain_store_in_files_is_accused_of_nothing() {
    let accused = accusations(Plain::default(), Filter::all());
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

/// The one fault that only a store in files can have: the kill matrix leaves it to this test.
#[test]
fn a_store_in_files_that_buffers_is_found_by_the_check_of_killed_processes() {
    let options = Options { budget: Budget::Quick, ..Options::default() };
    let result = run_one(Plain { buffers: true }, &options, "crash/killed").unwrap();
    assert!(matches!(result.outcome, Outcome::Failed(_)), "{result:?}");
}
