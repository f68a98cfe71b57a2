//! Right stores, however unusual, are accused of nothing.

use seshat_conformance::backend::Keeps;
use seshat_conformance::check::{Level, Outcome};
use seshat_conformance::registry::registry;
use seshat_conformance::runner::{Filter, run};

use super::disk::old_thread;
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

/// The other checks are dealt out: each form is tried with every ninth of them, and each check on
/// one of the forms, and on the right store that the faults are in.
const PARTS: usize = 9;

/// As heavy as all the others together, and hundreds of syncs that are made.
const TOO_HEAVY: &[&str] = &["crash/pairs", "crash/killed"];

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// What a store is tried with: all of it on all of them takes a minute, and is tried where
/// `UNUSUAL_EVERYTHING` is set.
fn moderate(ways: Ways) -> Filter {
    let all = only().unwrap_or_else(|| Filter::only(FAMILIES));
    let everything = std::env::var_os("UNUSUAL_EVERYTHING").is_some();
    let place = FORMS.iter().position(|(form, _)| *form == ways.form).unwrap_or_default();
    match (ways.form, ways.keeps) {
        _ if everything || only().is_some() => all,
        (Form::Segments, Keeps::Applied) => Filter::only(MACHINE.iter().copied()),
        (Form::Segments, _) => Filter { exclude: owned(TOO_HEAVY), ..all },
        _ => {
            let checks = registry();
            let ids = checks.iter().map(|check| check.spec.id).enumerate();
            let others = ids.filter(|(number, _)| number % PARTS != place % PARTS);
            let others: Vec<&str> = others.map(|(_, id)| id).collect();
            Filter { exclude: [owned(TOO_HEAVY), owned(MACHINE), owned(&others)].concat(), ..all }
        }
    }
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
        Form::OldThread => reason.contains("changed by something that isn't watched"),
        Form::Dsync => reason.contains("no call that meets a sync that fails"),
        _ => false,
    }
}

#[test]
fn right_stores_are_accused_of_nothing() {
    if !is_supported() {
        return;
    }
    drop(old_thread());
    let forms = FORMS.iter().map(|(form, _)| (*form, Keeps::Snapshot));
    let all: Vec<_> = forms.chain([(Form::Segments, Keeps::Applied)]).collect();
    let accused = each(&all, |(form, keeps)| accusations(Ways::right(form, keeps)));
    let accused: Vec<String> = accused.into_iter().flatten().collect();
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

/// What can't be seen is neither held against a store nor passed over.
#[test]
fn a_store_that_writes_out_of_sight_is_inconclusive_by_name() {
    if !is_supported() {
        return;
    }
    drop(old_thread());
    let store = Store(Ways::right(Form::OldThread, Keeps::Snapshot));
    let ids = ["crash/append", "crash/images/log", "disk/lost-sync/log"];
    let report = run(store, &options(Filter::only(ids)), &mut |_| {});
    assert_eq!(report.results.len(), ids.len());
    for result in report.results {
        let Outcome::Inconclusive { reason } = &result.outcome else { panic!("{result:?}") };
        assert!(reason.contains("changed by something that isn't watched"), "{reason}");
    }
}

/// A check that was renamed is not quietly tried on all of them.
#[test]
fn what_is_left_out_exists() {
    let known = |id: &&str| registry().iter().any(|check| check.spec.id == *id);
    let unknown: Vec<_> =
        [MACHINE, TOO_HEAVY].concat().into_iter().filter(|id| !known(id)).collect();
    assert!(unknown.is_empty(), "no checks: {unknown:?}");
}
