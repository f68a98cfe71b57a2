//! Right stores, however unusual, are accused of nothing.

use seshat_conformance::backend::Keeps;
use seshat_conformance::check::{Level, Outcome};
use seshat_conformance::registry::registry;
use seshat_conformance::runner::{Filter, run};

use super::faults::{FORMS, Form, Ways};
use super::store::Store;
use super::{FAMILIES, each, is_supported, only, options};

/// About state machines and snapshots, which are the same whatever the log's form.
const MACHINE: &[&str] = &[
    "crash/images/machine",
    "crash/posix/machine",
    "crash/killed-then-cut/snapshot",
    "crash/killed-then-cut/applied",
    "crash/apply",
    "crash/build-then-purge",
    "crash/install",
    "crash/midway/install",
    "crash/midway/build",
    "crash/midway/apply",
    "disk/short-write/machine",
    "disk/full/machine",
    "disk/broken/machine",
    "disk/lost-sync/machine",
    "disk/damage/snapshot",
    "disk/damage/snapshot-meta",
    "disk/damage/applied",
    "disk/refuse/apply",
    "disk/refuse/build",
    "disk/refuse/install",
];

/// What takes long: each form is tried with some of it.
const HEAVY: &[&str] = &[
    "crash/images/log",
    "crash/images/recovery",
    "crash/posix/log",
    "crash/killed-then-cut/log",
    "crash/append",
    "crash/again",
    "crash/purge",
    "crash/truncate-then-append",
    "disk/short-write/log",
    "disk/full/log",
    "disk/broken/log",
    "disk/lost-sync/log",
    "disk/lost-sync/restart",
    "disk/full/open",
    "disk/broken/open",
    "disk/damage/record",
];

/// Of which each form has a part.
const PARTS: usize = 4;

/// As heavy as all the others together, and hundreds of syncs that are made.
const TOO_HEAVY: &[&str] = &["crash/pairs", "crash/killed"];

fn owned(ids: impl IntoIterator<Item = &'static &'static str>) -> Vec<String> {
    ids.into_iter().map(|id| (*id).to_owned()).collect()
}

/// What a store is tried with: all of it on all of them takes a minute, and is tried where
/// `UNUSUAL_EVERYTHING` is set.
fn moderate(ways: Ways) -> Filter {
    let mut filter = only().unwrap_or_else(|| Filter::only(FAMILIES));
    if only().is_some() || std::env::var_os("UNUSUAL_EVERYTHING").is_some() {
        return filter;
    }
    filter.exclude = owned(TOO_HEAVY);
    let place = FORMS.iter().position(|(form, _)| *form == ways.form).unwrap_or_default();
    match (ways.form, ways.keeps) {
        (Form::Segments, Keeps::Applied) => return Filter::only(owned(MACHINE)),
        (Form::Segments, _) => {}
        _ => {
            let light = |(number, _): &(usize, _)| number % PARTS != place % PARTS;
            let others = HEAVY.iter().enumerate().filter(light).map(|(_, id)| id);
            filter.exclude.extend(owned(MACHINE.iter().chain(others)));
        }
    }
    filter
}

/// What is held against a store.
fn accusations(ways: Ways) -> Vec<String> {
    let report = run(Store(ways), &options(moderate(ways)), &mut |_| {});
    let accused = report.results.iter().filter_map(|result| match &result.outcome {
        Outcome::Failed(failure) if result.spec.level != Level::May => {
            Some(format!("{}: {} is accused: {failure:#?}", report.backend, result.spec.id))
        }
        Outcome::Inconclusive { reason } if !untold(ways.form, reason) => {
            Some(format!("{}: {}: {reason}", report.backend, result.spec.id))
        }
        _ => None,
    });
    accused.collect()
}

/// Why nothing can be known of some: a full disk can't refuse what goes through a mapping, and
/// without syncs none fails.
fn untold(form: Form, reason: &str) -> bool {
    match form {
        Form::Mapped => reason.contains("written to through a shared mapping"),
        Form::Dsync => reason.contains("no call that meets a sync that fails"),
        _ => false,
    }
}

#[test]
fn right_stores_are_accused_of_nothing() {
    if !is_supported() {
        return;
    }
    let forms = FORMS.iter().map(|(form, _)| (*form, Keeps::Snapshot));
    let all: Vec<_> = forms.chain([(Form::Segments, Keeps::Applied)]).collect();
    let accused = each(&all, |(form, keeps)| accusations(Ways::right(form, keeps)));
    let accused: Vec<String> = accused.into_iter().flatten().collect();
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

/// A check that was renamed is not quietly tried on all of them.
#[test]
fn what_is_left_out_exists() {
    let known = |id: &&str| registry().iter().any(|check| check.spec.id.starts_with(id));
    let unknown: Vec<_> = [MACHINE, HEAVY, TOO_HEAVY].concat();
    let unknown: Vec<_> = unknown.into_iter().filter(|id| !known(id)).collect();
    assert!(unknown.is_empty(), "no checks: {unknown:?}");
}
