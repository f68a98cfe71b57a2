//! Runs checks: each in a fresh directory, on a thread and a runtime of its own, in limited time.
//!
//! Guarantees: every panic, hang or error of a store is the outcome of the check it happened in,
//! and of no other; nothing is printed; directories are removed. What this file can't give is a
//! check that survives an abort, a stack overflow or `exit`: they end the process. The command
//! line and the test harness run checks in a process of their own for that.

mod bench;
mod hangs;
mod needs;
mod panics;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

pub(crate) use self::bench::{Asked, Bench, fit, hang, hollow, with_context};
pub(crate) use self::hangs::Hangs;
pub(crate) use self::needs::{Gifts, missing, watches};
use crate::backend::Backend;
use crate::driver::{self, Driver};
use crate::model::{ParseError, Step};
pub use crate::options::{Filter, Options};
use crate::outcome::{CheckResult, Outcome, Report};
use crate::preflight::Unfit;
use crate::registry::{registry, specs};
use crate::spec::Spec;
use crate::{baseline, preflight, replay};

/// What happens during a run, as it happens.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A check began.
    Started {
        /// The check.
        spec: &'a Spec,
        /// How many there are to run.
        of: usize,
    },
    /// A check ended.
    Finished {
        /// How.
        result: &'a CheckResult,
        /// How many have ended.
        done: usize,
        /// How many there are to run.
        of: usize,
    },
}

/// Runs the checks of the registry that the filter lets through.
///
/// None of them runs where the back end's own answers, such as
/// [`Backend::fingerprint`], can't tell entries or nodes apart: the one result of such a run is
/// the failure `backend`, which names the method to change.
///
/// ```no_run
/// # use seshat_conformance::{embedded::InMemory, runner};
/// let report = runner::run(InMemory::default(), &runner::Options::default(), &mut |_| {});
/// assert_eq!(report.conclusion().exit_code(), 0);
/// ```
pub fn run<B: Backend>(
    backend: B,
    options: &Options,
    watch: &mut dyn FnMut(Progress<'_>),
) -> Report {
    run_all(&driver::of(backend), options, watch)
}

/// Runs one check, whatever the filter says. `None` if there is none of that id. For a back end that
/// no check can run on, that is the result, as of [`run`].
pub fn run_one<B: Backend>(backend: B, options: &Options, id: &str) -> Option<CheckResult> {
    let options = Options { filter: Filter::only([id]), jobs: 1, ..options.clone() };
    let mut results = run_all(&driver::of(backend), &options, &mut |_| {}).results.into_iter();
    results.find(|result| result.spec.id == id || result.spec.id == preflight::ID)
}

/// Performs a history on a fresh store, looking after every step.
///
/// # Errors
/// The text is no history.
pub fn replay<B: Backend>(
    backend: B,
    options: &Options,
    history: &str,
) -> Result<Outcome, ParseError> {
    replay_all(driver::of(backend), options, history)
}

fn run_all(
    driver: &Arc<dyn Driver>,
    options: &Options,
    watch: &mut dyn FnMut(Progress<'_>),
) -> Report {
    let checks = Arc::new(registry());
    let specs = specs(options.edition);
    let shared = Bench::new(Arc::clone(driver), checks, options.clone());
    if let Err(unfit) = fit(driver, options).and_then(|()| tried(&shared)) {
        let results = vec![unfit.result()];
        // Not by its own name: asking for it may be what panics.
        return Report { results, ..Report::empty(driver.type_name(), options) };
    }
    let run = |spec: &Spec| Some(in_process(&shared, spec.id));
    let report = run_with(&**driver, &specs, options, watch, || run);
    Report { notes: shared.take_notes(), ..report }
}

fn replay_all(
    driver: Arc<dyn Driver>,
    options: &Options,
    history: &str,
) -> Result<Outcome, ParseError> {
    let check = replay::check(Step::parse_numbered(history)?);
    let bench = Bench::new(Arc::clone(&driver), Arc::new(vec![check]), options.clone());
    if let Err(unfit) = fit(&driver, options).and_then(|()| tried(&bench)) {
        return Ok(unfit.result().outcome);
    }
    Ok(in_process(&bench, replay::ID))
}

/// The trial, in a directory that is gone afterwards.
fn tried(bench: &Bench) -> Result<(), Unfit> {
    // Without one no check can run either, and each says why.
    tempfile::tempdir().map_or(Ok(()), |dir| bench.trial(dir.path()))
}

pub(crate) fn in_process(bench: &Bench, id: &str) -> Outcome {
    in_directory(|dir| bench.run(&Asked::new(id, bench.hangs.known()), dir, Arc::default(), &|| ()))
}

/// Gives `body` a directory that is gone afterwards.
pub(crate) fn in_directory(body: impl FnOnce(&Path) -> Outcome) -> Outcome {
    match tempfile::Builder::new().prefix("seshat-conformance-").tempdir() {
        Ok(dir) => body(dir.path()),
        Err(error) => hollow(&format!("no directory for temporary files: {error}")),
    }
}

enum Event {
    Started(usize),
    Finished(usize, Box<CheckResult>),
}

/// Runs what the filter lets through with `options.jobs` workers, each made by `worker`; a worker
/// runs a check, or says by `None` that the run is to end.
pub(crate) fn run_with<W: FnMut(&Spec) -> Option<Outcome>>(
    driver: &dyn Driver,
    specs: &[Spec],
    options: &Options,
    watch: &mut dyn FnMut(Progress<'_>),
    worker: impl Fn() -> W + Sync,
) -> Report {
    let started = Instant::now();
    let ids: Vec<&str> = specs.iter().map(|spec| spec.id).collect();
    let known = driver.known_failures();
    let chosen: Vec<(usize, Spec)> = specs
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, spec)| options.filter.lets_through(spec.id, &ids))
        .collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut results: Vec<(usize, CheckResult)> = Vec::with_capacity(chosen.len());
    thread::scope(|scope| {
        let (tell, events) = mpsc::channel();
        for _ in 0..options.jobs.clamp(1, chosen.len().max(1)) {
            let tell = tell.clone();
            scope.spawn(|| {
                let next = || match failed.load(Ordering::Relaxed) {
                    true => None,
                    false => chosen.get(next.fetch_add(1, Ordering::Relaxed)).copied(),
                };
                work(next, &known, worker(), tell);
            });
        }
        drop(tell);
        for event in events {
            match event {
                Event::Started(place) => {
                    if let Some(spec) = specs.get(place) {
                        watch(Progress::Started { spec, of: chosen.len() });
                    }
                }
                Event::Finished(place, result) => {
                    let done = results.len() + 1;
                    let ends = options.fail_fast && result.fails_run(options.edition);
                    failed.fetch_or(ends, Ordering::Relaxed);
                    watch(Progress::Finished { result: &result, done, of: chosen.len() });
                    results.push((place, *result));
                }
            }
        }
    });
    let not_run = chosen.len() - results.len();
    results.sort_by_key(|(place, _)| *place);
    Report {
        results: results.into_iter().map(|(_, result)| result).collect(),
        elapsed: started.elapsed(),
        not_run,
        failed_fast: failed.into_inner(),
        unknown_known_failures: baseline::strangers(&known, &ids),
        ..Report::empty(&driver.name(), options)
    }
}

fn work(
    mut next: impl FnMut() -> Option<(usize, Spec)>,
    known: &[String],
    mut run: impl FnMut(&Spec) -> Option<Outcome>,
    tell: mpsc::Sender<Event>,
) {
    while let Some((place, spec)) = next() {
        // The receiver outlives the workers; were it gone, nobody would want to know.
        drop(tell.send(Event::Started(place)));
        let started = Instant::now();
        let Some(outcome) = run(&spec) else { return };
        let outcome = baseline::judge(known, spec.id, outcome);
        let result = CheckResult { spec, outcome, elapsed: started.elapsed() };
        drop(tell.send(Event::Finished(place, Box::new(result))));
    }
}

#[cfg(test)]
#[cfg(feature = "storage-v2")]
mod tests;
