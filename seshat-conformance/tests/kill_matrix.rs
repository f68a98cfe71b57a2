//! Every faulty store is found out by the checks that are declared for it in `kill_matrix.txt`,
//! and every Must check is declared for one at least. The snapshot shows what each report says.
//! `kill_matrix/causes.rs` is about which of them are named as causes.
#![cfg(feature = "storage-v2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, dead_code, unused_imports)]

#[path = "kill_matrix/causes.rs"]
mod causes;
#[path = "kill_matrix/recorded.rs"]
mod recorded;
mod stores;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rstest::rstest;
use seshat_conformance::budget::Budget;
use seshat_conformance::check::{Edition, Level, Outcome, Spec};
use seshat_conformance::failure::{Failure, Kind};
use seshat_conformance::registry::registry;
use seshat_conformance::report::Report;
use seshat_conformance::runner::{Filter, Options, run};
use stores::{FAULTS, Fault, Store, make_directories_in_memory};

/// Must checks that no fault fails, and why not.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("crash/killed", "needs a store in files: `unusual.rs` has one that is faulty"),
    ("wire/", "needs a store on Seshat's own types"),
];

/// Fault and checks, a line each.
const DECLARED: &str = include_str!("kill_matrix.txt");
/// Those of stores in files, which `files/main.rs` tries.
const FILES: &str = include_str!("files/declared.txt");

fn declared(table: &'static str) -> BTreeMap<&'static str, Vec<&'static str>> {
    let lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap(), words.collect())
        })
        .collect()
}

/// Runs some checks on a faulty store. Short patience, though long enough for megabytes on a busy machine.
fn check(fault: Fault, filter: Filter) -> Report {
    run(Store::faulty(fault), &options(filter), &mut |_| {})
}

fn options(filter: Filter) -> Options {
    Options {
        budget: Budget::Quick,
        patience: Duration::from_secs(1),
        jobs: 1,
        filter,
        ..Options::default()
    }
}

/// Does something for each fault, on as many threads as help.
fn each_fault<T: Send>(faults: &[Fault], act: impl Fn(Fault) -> T + Sync) -> BTreeMap<Fault, T> {
    make_directories_in_memory();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    // Recording waits for hangs most of the time.
    let regenerating = std::env::var_os("SESHAT_REGENERATE").is_some();
    let threads = if regenerating { cores * 4 } else { cores + 1 };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = act(*fault);
                    done.lock().unwrap().insert(*fault, found);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

fn specs() -> Vec<Spec> {
    registry().iter().map(|check| check.spec).collect()
}

fn failed(outcome: &Outcome) -> Option<&Failure> {
    match outcome {
        Outcome::Failed(failure) => Some(failure),
        _ => None,
    }
}

/// Two threads that meet don't in every run: a check of such is given other seeds.
fn found_by_chance(fault: Fault, id: &'static str) -> Option<Failure> {
    let seeds = if recorded::is_certain(id) { 0..0 } else { 2..8 };
    seeds.into_iter().find_map(|seed| {
        let options = Options { seed, ..options(Filter::only([id])) };
        let report = run(Store::faulty(fault), &options, &mut |_| {});
        failed(&report.results.first()?.outcome).cloned()
    })
}

#[test]
fn every_fault_is_found_by_the_checks_declared_for_it() {
    let declared = declared(DECLARED);
    let faults: Vec<Fault> = FAULTS.iter().map(|fault| fault.0).collect();
    let names: BTreeSet<String> = faults.iter().map(|fault| format!("{fault:?}")).collect();
    let missing: Vec<_> = names.iter().filter(|n| !declared.contains_key(&n[..])).collect();
    assert!(missing.is_empty(), "faults without a check declared for them: {missing:?}");
    let strangers: Vec<_> = declared.keys().filter(|name| !names.contains(**name)).collect();
    assert!(strangers.is_empty(), "checks declared for what is no fault: {strangers:?}");

    let reports = each_fault(&faults, |fault| {
        let checks = &declared[&format!("{fault:?}")[..]];
        let nothing = ["nothing"];
        let words = if checks.is_empty() { &nothing[..] } else { checks };
        check(fault, Filter::only(words.iter().copied()))
    });
    let recording = recorded::recorded();
    let mut survivors = Vec::new();
    let mut stale = Vec::new();
    let mut matrix = String::new();
    let mut group = "";
    for (fault, its_group, doc) in FAULTS {
        if group != *its_group {
            group = its_group;
            writeln!(matrix, "\n# {group}").unwrap();
        }
        writeln!(matrix, "{fault:?}: {doc}").unwrap();
        let report = &reports[fault];
        if declared[&format!("{fault:?}")[..]].is_empty() {
            survivors.push(format!("{fault:?}: no check is declared for it"));
        }
        let lines = recorded::lines(report);
        for (_, line) in lines.iter().filter(|(id, _)| recorded::is_certain(id)) {
            let known = recording.get(&format!("{fault:?}"));
            if !known.is_some_and(|lines| recorded::holds(lines, line)) {
                stale.push(format!("{fault:?}: {line}"));
            }
        }
        let asked = declared[&format!("{fault:?}")[..]].len();
        if report.results.len() != asked {
            survivors.push(format!(
                "{fault:?}: {asked} checks declared, {} exist",
                report.results.len()
            ));
        }
        for result in &report.results {
            let again = || found_by_chance(*fault, result.spec.id);
            let Some(failure) = failed(&result.outcome).cloned().or_else(again) else {
                survivors.push(format!("{fault:?} {}: {:?}", result.spec.id, result.outcome));
                continue;
            };
            if failure.kind == Kind::NotTried {
                survivors.push(format!("{fault:?} {}: {}", result.spec.id, failure.what));
            }
            let level = result.spec.level;
            writeln!(matrix, "    {} ({level}): {:?}", result.spec.id, failure.kind).unwrap();
        }
    }
    assert!(survivors.is_empty(), "survived:\n{}", survivors.join("\n"));
    insta::assert_snapshot!(matrix);
    assert!(
        stale.is_empty(),
        "recorded otherwise, see kill_matrix/recorded.rs:\n{}",
        stale.join("\n")
    );
}

/// A store that fails in what openraft never asks of it: a Must in edition 1, and no more.
#[rstest]
#[case(Edition(1), Level::Must, 1)]
#[case(Edition::LATEST, Level::Should, 0)]
fn an_edition_keeps_its_levels(#[case] edition: Edition, #[case] level: Level, #[case] exit: u8) {
    let filter = Filter::only(["log/range/unbounded"]);
    let options = Options { edition, budget: Budget::Quick, filter, ..Options::default() };
    let report = run(Store::faulty(Fault::RangeOpenEndShort), &options, &mut |_| {});
    let [result] = &report.results[..] else { panic!("{report:?}") };
    assert!(matches!(result.outcome, Outcome::Failed(_)), "{result:?}");
    assert_eq!(result.spec.level, level);
    assert_eq!(report.conclusion().exit_code(), exit);
}

/// Faults that only a call shows which openraft never makes.
const NEVER_ASKED: [Fault; 10] = [
    Fault::RangeStartTaken,
    Fault::RangeOpenEndShort,
    Fault::RangeEmptyPanics,
    Fault::TermAsI64,
    Fault::TruncateAllForgetsLast,
    Fault::PurgeAllForgetsLast,
    Fault::ReaderKeepsPurged,
    Fault::CommittedOneBehind,
    Fault::CommittedOldAfterOpen,
    Fault::InstallFailureCurrent,
];

/// No Must makes such a call on its way to something else: by the recording, and histories, which
/// it leaves out, live.
#[test]
fn what_openraft_never_asks_for_fails_no_must() {
    let recording = recorded::recorded();
    let filter = Filter::only(["model/log", "model/store", "model/restarts"]);
    let live = each_fault(&NEVER_ASKED, |fault| check(fault, filter.clone()));
    let mut accused = Vec::new();
    for (fault, report) in &live {
        let mut results = recorded::results(&recording[&format!("{fault:?}")]);
        results.extend(report.results.iter().cloned());
        let failures = results.iter().filter_map(|result| match &result.outcome {
            // On a busy machine.
            Outcome::Failed(failure) if failure.kind == Kind::Hang => None,
            Outcome::Failed(failure) => Some((result.spec, failure)),
            _ => None,
        });
        let (musts, advice): (Vec<_>, Vec<_>) =
            failures.partition(|(spec, _)| spec.level == Level::Must);
        accused.extend(musts.iter().map(|(spec, it)| format!("{fault:?} {}: {it:#?}", spec.id)));
        if advice.is_empty() {
            accused.push(format!("{fault:?}: nothing is said of it at all"));
        }
    }
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

#[test]
fn every_must_check_finds_a_fault() {
    let (here, files) = (declared(DECLARED), declared(FILES));
    let finds: BTreeSet<&str> = here.values().chain(files.values()).flatten().copied().collect();
    let idle = specs()
        .into_iter()
        .filter(|spec| spec.level == Level::Must && !finds.contains(spec.id))
        .filter(|spec| !EXCEPTIONS.iter().any(|exception| spec.id.starts_with(exception.0)));
    let idle: Vec<&str> = idle.map(|spec| spec.id).collect();
    assert!(idle.is_empty(), "Must checks that find no fault: {idle:#?}");
}

/// A wrong field hides none behind it.
#[test]
fn every_wrong_field_is_named() {
    let report = check(Fault::BuildAnswerEmpty, Filter::only(["snapshot/build/meta"]));
    let Outcome::Failed(failure) = &report.results[0].outcome else { panic!("{report:?}") };
    for field in ["last_log_id", "last_membership"] {
        assert!(failure.what.contains(field), "{field} is not named: {failure:#?}");
        assert!(failure.expected.contains(field) && failure.got.contains(field), "{failure:#?}");
    }
}

/// A fresh store that shows something wrong: histories go on past it, and find nothing else.
#[test]
fn what_is_wrong_at_birth_ends_no_history() {
    for fault in [Fault::FreshVoteInvented, Fault::FailsOnFreshVote, Fault::FreshIsZero] {
        let report = check(fault, Filter::only(["model/log"]));
        let Outcome::Failed(failure) = &report.results[0].outcome else {
            panic!("{fault:?}: {:?}", report.results[0].outcome)
        };
        assert_eq!(failure.steps, ["# a fresh store"], "{fault:?}: {failure:#?}");
    }
}
