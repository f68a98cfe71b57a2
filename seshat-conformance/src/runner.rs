//! Runs checks: each in a fresh directory, on a thread and a runtime of its own, in limited time.
//!
//! Guarantees: every panic, hang or error of a store is the outcome of the check it happened in,
//! and of no other; nothing is printed; directories are removed. What this file can't give is a
//! check that survives an abort, a stack overflow or `exit`: they end the process. The command
//! line and the test harness run checks in a process of their own for that.

mod bench;
mod filter;
mod needs;
mod panics;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::bench::{Bench, fit, hang, hollow, with_context};
pub use self::filter::Filter;
pub(crate) use self::needs::{Gifts, missing};
use crate::backend::Backend;
use crate::baseline;
use crate::budget::Budget;
use crate::check::{Edition, Outcome, Spec};
use crate::model::{ParseError, Step};
use crate::registry::registry;
use crate::report::{CheckResult, Report};
use crate::{preflight, replay};

/// How to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How much to try.
    pub budget: Budget,
    /// What random choices come from. The same seed tries the same.
    pub seed: u64,
    /// Checks of later editions only warn.
    pub edition: Edition,
    /// Which checks to run.
    pub filter: Filter,
    /// A single call of the store that takes longer hangs.
    pub patience: Duration,
    /// How many checks run side by side.
    pub jobs: usize,
    /// Time limits are this many times as long: for slow machines and instrumented builds.
    pub limit_scale: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            budget: Budget::Default,
            seed: 1,
            edition: Edition::LATEST,
            filter: Filter::all(),
            patience: Duration::from_secs(2),
            // Checks wait as often as they work: for elections, callbacks, and openraft's suite.
            jobs: 2 * thread::available_parallelism().map_or(1, usize::from),
            limit_scale: 1,
        }
    }
}

impl Options {
    /// The limit of a check that declares `limit`.
    pub(crate) fn limit(&self, limit: Duration) -> Duration {
        limit.saturating_mul(self.limit_scale.max(1)).saturating_mul(self.budget.pick(1, 1, 10))
    }
}

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
/// # use seshat_conformance::{embedded::Embedded, runner};
/// let report = runner::run(Embedded::default(), &runner::Options::default(), &mut |_| {});
/// assert_eq!(report.conclusion().exit_code(), 0);
/// ```
pub fn run<B: Backend>(
    backend: B,
    options: &Options,
    watch: &mut dyn FnMut(Progress<'_>),
) -> Report {
    let checks = Arc::new(registry::<B>());
    let specs: Vec<Spec> = checks.iter().map(|check| check.spec).collect();
    let backend = Arc::new(backend);
    if let Err(unfit) = fit(&backend, options) {
        let results = vec![unfit.result()];
        // Not by its own name: asking for it may be what panics.
        return Report { results, ..Report::empty(std::any::type_name::<B>(), options) };
    }
    let shared = Bench::new(Arc::clone(&backend), checks, options.clone());
    run_with(&*backend, &specs, options, watch, || |spec: &Spec| Some(in_process(&shared, spec.id)))
}

/// Runs one check, whatever the filter says. `None` if there is none of that id. For a back end that
/// no check can run on, that is the result, as of [`run`].
pub fn run_one<B: Backend>(backend: B, options: &Options, id: &str) -> Option<CheckResult> {
    let options = Options { filter: Filter::only([id]), jobs: 1, ..options.clone() };
    let mut results = run(backend, &options, &mut |_| {}).results.into_iter();
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
    let check = replay::check(Step::parse_numbered(history)?);
    let backend = Arc::new(backend);
    if let Err(unfit) = fit(&backend, options) {
        return Ok(unfit.result().outcome);
    }
    let bench = Bench::new(backend, Arc::new(vec![check]), options.clone());
    Ok(in_process(&bench, replay::ID))
}

pub(crate) fn in_process<B: Backend>(bench: &Bench<B>, id: &str) -> Outcome {
    in_directory(|dir| bench.run(id, dir, Arc::default()))
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
pub(crate) fn run_with<B: Backend, W: FnMut(&Spec) -> Option<Outcome>>(
    backend: &B,
    specs: &[Spec],
    options: &Options,
    watch: &mut dyn FnMut(Progress<'_>),
    worker: impl Fn() -> W + Sync,
) -> Report {
    let started = Instant::now();
    let ids: Vec<&str> = specs.iter().map(|spec| spec.id).collect();
    let known = backend.known_failures();
    let chosen: Vec<(usize, Spec)> = specs
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, spec)| options.filter.lets_through(spec.id, &ids))
        .collect();
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, CheckResult)> = Vec::with_capacity(chosen.len());
    thread::scope(|scope| {
        let (tell, events) = mpsc::channel();
        for _ in 0..options.jobs.clamp(1, chosen.len().max(1)) {
            let tell = tell.clone();
            scope.spawn(|| work(&next, &chosen, &known, worker(), tell));
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
        unknown_known_failures: baseline::strangers(&known, &ids),
        ..Report::empty(&backend.name(), options)
    }
}

fn work(
    next: &AtomicUsize,
    chosen: &[(usize, Spec)],
    known: &[String],
    mut run: impl FnMut(&Spec) -> Option<Outcome>,
    tell: mpsc::Sender<Event>,
) {
    while let Some((place, spec)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
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
