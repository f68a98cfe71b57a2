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
use seshat_conformance::check::{Level, Outcome, Spec};
use seshat_conformance::failure::Kind;
use seshat_conformance::registry::registry;
use seshat_conformance::report::Conclusion;
use seshat_conformance::runner::{Filter, Options, run, run_one};
use stores::plain::{Disk, Plain};
use stores::{QUIRKS, Quirk, Store, make_directories_in_memory};

/// Megabytes, ten thousands of entries, and clusters: once for each correct store is enough.
const HEAVY: &[&str] = &[
    "suite",
    "cluster",
    "log/append/entry-sizes",
    "log/append/huge-entry",
    "log/append/batch-sizes",
    "log/range/long",
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
        // A check that finds nothing to try says why.
        Outcome::Inconclusive { reason } if reason.starts_with("hollow") => {
            Some(format!("{}: {}: {reason}", report.backend, result.spec.id))
        }
        Outcome::Failed(failure) if result.spec.level != Level::May => {
            Some(format!("{}: {} is accused: {failure:#?}", report.backend, result.spec.id))
        }
        _ => None,
    });
    accused.collect()
}

#[test]
fn right_stores_are_accused_of_nothing() {
    make_directories_in_memory();
    let mut accused = accusations(Store::right(Keeps::Snapshot), Filter::all());
    accused.extend(accusations(Store::right(Keeps::Applied), Filter::all()));
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

/// What a store with a quirk is tried with: not all, for there are many.
fn moderate(light: &[&str]) -> Filter {
    let mut filter = Filter::all();
    if std::env::var_os("UNUSUAL_EVERYTHING").is_none() {
        let heavy = HEAVY.iter().filter(|family| !light.contains(family));
        filter.exclude.extend(heavy.map(|family| (*family).to_owned()));
    }
    filter
}

/// What a restart leaves is what clusters of them are about.
const FORGETFUL: [Quirk; 2] = [Quirk::ForgetsMachine, Quirk::ForgetsAll];

/// In three parts, side by side: together they take longer than a test may.
#[rstest]
fn unusual_stores_are_accused_of_nothing(#[values(0, 1, 2)] part: usize) {
    make_directories_in_memory();
    let quirks = QUIRKS.iter().map(|(quirk, _)| *quirk).filter(|q| !FORGETFUL.contains(q));
    let accused: Vec<String> = quirks
        .skip(part)
        .step_by(3)
        .flat_map(|quirk| accusations(Store::unusual(quirk), moderate(&[])))
        .collect();
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

#[test]
fn forgetful_stores_are_accused_of_nothing() {
    make_directories_in_memory();
    let accused: Vec<String> = FORGETFUL
        .into_iter()
        .flat_map(|quirk| accusations(Store::unusual(quirk), moderate(&["cluster"])))
        .collect();
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

/// A Must makes no call that openraft can't make, not even one of openraft's own suite.
#[test]
fn a_strict_store_passes_what_of_the_suite_is_more_than_advice() {
    let accused = accusations(Store::unusual(Quirk::Strict), Filter::only(["suite"]));
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

/// What a store that doesn't sync is rightly accused by: every check that cuts the power or breaks
/// the disk.
fn power() -> impl Iterator<Item = String> {
    let is_about_it = |spec: &Spec| spec.needs.iter().any(|need| need.is_met_by_watching());
    let specs = registry().into_iter().map(|check| check.spec);
    specs.filter(is_about_it).map(|spec| spec.id.to_owned())
}

#[test]
fn a_plain_store_in_files_is_accused_of_nothing() {
    let mut filter = Filter::all();
    filter.exclude.extend(power());
    let mut accused = accusations(Plain::default(), filter);
    accused.extend(accusations(Plain::default(), Filter::only(["crash/killed"])));
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

#[test]
fn a_slow_disk_is_no_fault() {
    let disk = Disk { sync: Duration::from_millis(20), ..Disk::default() };
    let mut filter = Filter::all();
    // Hundreds of syncs each, in histories like those of other checks.
    filter.exclude.extend(["model", "reopen/pairs", "cluster/at-random"].map(str::to_owned));
    filter.exclude.extend(power());
    let accused = accusations(Plain { disk, ..Plain::default() }, filter);
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

/// A check that would take a minute says what it would take, and accuses nobody.
#[test]
fn a_commit_for_each_entry_is_no_hang() {
    let disk = Disk { commit: Duration::from_millis(5), ..Disk::default() };
    let options = Options::default();
    let plain = Plain { disk, ..Plain::default() };
    let result = run_one(plain, &options, "machine/applied/many").unwrap();
    let Outcome::Inconclusive { reason } = &result.outcome else { panic!("{:?}", result.outcome) };
    assert!(reason.contains("apply of 32767 entries would take this store"), "{reason}");
    assert!(reason.contains("--limit-scale"), "{reason}");
}

/// Some checks wait for a call that hangs; what needs it afterwards isn't tried, and soon.
#[test]
fn a_call_that_hangs_is_told_a_few_times() {
    let options = Options {
        budget: Budget::Quick,
        patience: Duration::from_secs(1),
        filter: Filter::only(["log", "vote", "machine"]),
        ..Options::default()
    };
    let disk = Disk { hangs: true, ..Disk::default() };
    let report = run(Plain { disk, ..Plain::default() }, &options, &mut |_| {});
    let by = |pick: fn(&Outcome) -> bool| {
        report.results.iter().filter(|result| pick(&result.outcome)).count()
    };
    let failed = by(|outcome| matches!(outcome, Outcome::Failed(it) if it.kind == Kind::Hang));
    // Those that were under way when the last one was told.
    assert!((3..=3 + options.jobs).contains(&failed), "{failed}");
    let untried =
        by(|outcome| matches!(outcome, Outcome::Failed(failure) if failure.kind == Kind::NotTried));
    assert!(untried > 20, "{untried}");
    assert!(by(|outcome| matches!(outcome, Outcome::Passed { .. })) > 3);
}

#[test]
fn the_first_failure_ends_a_run_that_is_to_end_fast() {
    let options = Options {
        budget: Budget::Quick,
        jobs: 1,
        fail_fast: true,
        filter: Filter::only(["vote", "crash/killed", "concurrency"]),
        ..Options::default()
    };
    let report = run(Plain { buffers: true, ..Plain::default() }, &options, &mut |_| {});
    assert!(report.not_run > 0 && report.failed_fast, "{report:#?}");
    let failed = report.results.iter().filter(|result| result.fails_run(report.edition));
    assert_eq!(failed.count(), 1, "{report:#?}");
    assert_eq!(report.conclusion(), Conclusion::Fails);
}

/// The one fault that only a store in files can have: the kill matrix leaves it to this test.
#[test]
fn a_store_in_files_that_buffers_is_found_by_the_check_of_killed_processes() {
    let options = Options { budget: Budget::Quick, ..Options::default() };
    let result =
        run_one(Plain { buffers: true, ..Plain::default() }, &options, "crash/killed").unwrap();
    assert!(matches!(result.outcome, Outcome::Failed(_)), "{result:?}");
}
