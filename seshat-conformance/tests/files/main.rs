//! Stores in real files, with nothing declared but that: each faulty one is found out by the checks
//! that are declared for it in `declared.txt`, by watching alone. The snapshot shows which sync each
//! report says is missing. `unusual.rs` is about the right ones.
//!
//! To learn which checks find a new fault, or accuse a new form: `FILES_ONLY=crash,disk cargo test
//! -p seshat-conformance --test files -- --nocapture`.
#![cfg(all(feature = "storage-v2", feature = "powercut", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub)]

mod disk;
mod faults;
mod store;
mod unusual;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seshat_conformance::budget::Budget;
use seshat_conformance::check::{Need, Outcome, Spec};
use seshat_conformance::failure::{Failure, Kind};
use seshat_conformance::registry::registry;
use seshat_conformance::report::Report;
use seshat_conformance::runner::{Filter, Options, run};

use self::faults::{FAULTS, Fault, Ways};
use self::store::Store;

/// Fault and checks, a line each.
const DECLARED: &str = include_str!("declared.txt");

/// What is about power and disks.
const FAMILIES: [&str; 2] = ["crash", "disk"];

/// The checks that `FILES_ONLY` names.
fn only() -> Option<Filter> {
    let only = std::env::var("FILES_ONLY").ok()?;
    Some(Filter::only(only.split(',').map(str::to_owned)))
}

fn declared() -> BTreeMap<&'static str, Vec<&'static str>> {
    let lines = DECLARED.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap(), words.collect())
        })
        .collect()
}

/// Short patience: a directory that can't be opened is tried again for as long.
fn options(filter: Filter) -> Options {
    let (budget, patience) = (Budget::Quick, Duration::from_millis(500));
    Options { budget, patience, jobs: 1, filter, ..Options::default() }
}

/// Nothing can be watched in some sandboxes: then nothing is learnt. Where it can, no sync is made,
/// so the stores' files may as well be in memory, which takes half as long.
fn is_supported() -> bool {
    let memory = Path::new("/dev/shm");
    if tempfile::tempdir_in(memory).is_ok() {
        // Another test may have been first.
        drop(tempfile::env::override_temp_dir(memory));
    }
    let supported = seshat_powercut::supported();
    if let Err(why) = &supported {
        eprintln!("inconclusive: {why}");
    }
    supported.is_ok()
}

/// Does something for each of `all`, on as many threads as there are cores, and in their order.
fn each<K: Copy + Sync, T: Send>(all: &[K], act: impl Fn(K) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(key) = all.get(place) else { break };
            let found = act(*key);
            done.lock().unwrap().insert(place, found);
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    done.into_inner().unwrap().into_values().collect()
}

fn check(fault: Fault) -> Report {
    let declared = declared().remove(&format!("{fault:?}")[..]).unwrap_or_default();
    let declared = if declared.is_empty() { vec!["nothing"] } else { declared };
    let filter = only().unwrap_or_else(|| Filter::only(declared));
    run(Store(Ways::faulty(fault)), &options(filter), &mut |_| {})
}

/// What a report says was not synced, whatever the numbers in it.
fn missing(failure: &Failure) -> BTreeSet<String> {
    let lines = failure.wreck.iter().flat_map(|wreck| &wreck.missing);
    let without_numbers = |line: &String| {
        let mut words: Vec<&str> = line.split(|char: char| char.is_ascii_digit()).collect();
        words.dedup_by(|next, word| next.is_empty() && word.is_empty());
        words.join("#").replace("##", "#")
    };
    lines.map(without_numbers).collect()
}

#[test]
fn every_fault_is_found_by_the_checks_declared_for_it() {
    if !is_supported() {
        return;
    }
    let declared = declared();
    let names: BTreeSet<String> = FAULTS.iter().map(|(fault, ..)| format!("{fault:?}")).collect();
    let strangers: Vec<_> = declared.keys().filter(|name| !names.contains(**name)).collect();
    assert!(strangers.is_empty(), "checks declared for what is no fault: {strangers:?}");

    let (mut survivors, mut matrix, mut group) = (Vec::new(), String::new(), "");
    let reports = each(FAULTS, |(fault, ..)| check(fault));
    for ((fault, its_group, doc), report) in FAULTS.iter().zip(reports) {
        if group != *its_group {
            group = its_group;
            writeln!(matrix, "\n# {group}").unwrap();
        }
        writeln!(matrix, "{fault:?}: {doc}").unwrap();
        let asked = declared.get(&format!("{fault:?}")[..]).map_or(0, Vec::len);
        if report.results.len() != asked || asked == 0 {
            let exist = report.results.len();
            survivors.push(format!("{fault:?}: {asked} checks declared, {exist} exist"));
        }
        for result in report.results {
            let (id, level) = (result.spec.id, result.spec.level);
            match result.outcome {
                Outcome::Failed(failure) if failure.kind != Kind::NotTried => {
                    writeln!(matrix, "    {id} ({level})").unwrap();
                    let missing = missing(&failure).into_iter();
                    missing.for_each(|line| writeln!(matrix, "        {line}").unwrap());
                }
                other => survivors.push(format!("{fault:?} {id}: {other:?}")),
            }
        }
    }
    if only().is_some() {
        println!("{matrix}");
        return;
    }
    assert!(survivors.is_empty(), "survived:\n{}", survivors.join("\n"));
    insta::assert_snapshot!(matrix);
}

/// The faults of stores in memory, in `kill_matrix.txt`, are none of theirs.
#[test]
fn every_check_that_watches_files_finds_a_fault() {
    let declared = declared();
    let finds: BTreeSet<&str> = declared.values().flatten().copied().collect();
    let watches = |spec: &Spec| spec.needs.contains(&Need::WatchedFiles);
    let specs = registry().into_iter().map(|check| check.spec).filter(watches);
    let idle: Vec<&str> = specs.map(|spec| spec.id).filter(|id| !finds.contains(id)).collect();
    assert!(idle.is_empty(), "checks that find no fault of a store in files: {idle:#?}");
}
