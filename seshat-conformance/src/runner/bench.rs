//! [`Bench`]: where one check runs: a directory and a runtime of its own, a time limit, and a net
//! for panics.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::hangs::Hangs;
use super::needs::{self, Gifts};
use super::panics;
use crate::check::Check;
use crate::driver::Driver;
use crate::failure::{Failure, Kind, UNDER_WAY};
use crate::lab::{Lab, Means, Record};
use crate::options::Options;
use crate::outcome::{Outcome, Verdict};
use crate::pace::Pace;
use crate::preflight::{self, Asking, PATIENCES, Unfit};

/// As a main thread has: unoptimized futures are deep.
const STACK: usize = 8 << 20;
/// What a runtime may take to stop, beyond the check's own limit.
const SHUTDOWN: Duration = Duration::from_secs(1);
/// Between two looks at a check that is under way.
const PULSE: Duration = Duration::from_millis(100);
/// A check that goes on and on ends after so many of its limits, and says nothing.
const ENDLESS: u32 = 12;
/// What a call may take that is known to hang.
const KNOWN: Duration = Duration::from_millis(300);

/// A back end, the checks, and how to run them.
pub(crate) struct Bench {
    driver: Arc<dyn Driver>,
    checks: Arc<Vec<Check>>,
    options: Options,
    gifts: OnceLock<Gifts>,
    pace: Arc<Pace>,
    pub(crate) hangs: Hangs,
    notes: Mutex<Vec<String>>,
}

/// A check that is asked for.
pub(crate) struct Asked<'a> {
    id: &'a str,
    /// Calls that hung in other checks.
    hanging: Vec<String>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(id: &'a str, hanging: Vec<String>) -> Self {
        Self { id, hanging }
    }
}

/// When a thread under test is given up.
#[derive(Clone, Copy)]
struct Limits<'a> {
    limit: Duration,
    hanging: &'a [String],
    pace: &'a Pace,
    /// Whether its calls are.
    watches: bool,
    /// Called while it is waited for.
    beat: &'a dyn Fn(),
}

impl<'a> Limits<'a> {
    fn of(limit: Duration, pace: &'a Pace) -> Self {
        Self { limit, hanging: &[], pace, watches: false, beat: &|| () }
    }

    /// Whether it has done nothing for too long.
    fn are_over(&self, record: &Record) -> bool {
        let known = record.doing().is_some_and(|call| self.hanging.contains(&call));
        let limit = if known { self.limit.min(KNOWN) } else { self.limit };
        record.still() > self.pace.stretch(limit).saturating_add(SHUTDOWN)
    }
}

/// How a thread under test ended.
enum End<T> {
    Returned(T),
    Panicked,
    /// It did nothing for so long.
    Hung(Duration),
    /// It never ceased doing things.
    Endless,
    /// It could not begin.
    NotStarted(io::Error),
}

impl Bench {
    pub(crate) fn new(driver: Arc<dyn Driver>, checks: Arc<Vec<Check>>, options: Options) -> Self {
        panics::install();
        let (gifts, pace, hangs) = (OnceLock::new(), Pace::beside(), Hangs::default());
        Self { driver, checks, options, gifts, pace, hangs, notes: Mutex::default() }
    }

    /// Runs a check below `dir`, or says why not. Calls `beat` while it does.
    pub(crate) fn run(
        &self,
        asked: &Asked<'_>,
        dir: &Path,
        record: Arc<Record>,
        beat: &dyn Fn(),
    ) -> Outcome {
        let id = asked.id;
        let found = self.checks.iter().enumerate().find(|(_, check)| check.spec.id == id);
        let Some((place, check)) = found else {
            return hollow(&format!("the registry has no check {id}"));
        };
        if let Some(reason) = needs::missing(&*self.driver, check.spec.needs, || self.gifts(dir)) {
            return Outcome::Skipped { reason };
        }
        let limit = self.options.limit(check.spec.limit);
        let limits =
            Limits { limit, hanging: &asked.hanging, watches: false, pace: &self.pace, beat };
        let end = self.attempt(place, dir, &limits, &record);
        let noted = record.notes().into_iter().map(|note| format!("{id}: {note}"));
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).extend(noted);
        let outcome = settle(end, &record, &asked.hanging);
        self.hangs.note(&outcome);
        outcome
    }

    fn attempt(
        &self,
        place: usize,
        dir: &Path,
        limits: &Limits<'_>,
        record: &Arc<Record>,
    ) -> End<Verdict> {
        let checks = Arc::clone(&self.checks);
        let (driver, kept) = (Arc::clone(&self.driver), Arc::clone(record));
        let Options { budget, seed, patience, ref images, .. } = self.options;
        let (limit, hanging, images) = (limits.limit, limits.hanging.to_vec(), images.clone());
        let needs = checks.get(place).map_or(&[][..], |check| check.spec.needs);
        let watches = needs::watches(&*driver, needs);
        let means = Means { budget, seed, patience, limit, hanging, watches };
        let limits = Limits { watches, ..*limits };
        let mut lab = Lab::new(driver, dir, means, kept);
        within(&limits, record, move |runtime| match checks.get(place) {
            Some(check) => {
                let verdict = runtime.block_on((check.run)(&mut lab));
                lab.power.judge(verdict, images.as_deref())
            }
            None => Ok(()),
        })
    }

    /// What of the back end's answers can't be right, tried on its own store below `dir`.
    ///
    /// # Errors
    /// Which method to change, and how.
    pub(crate) fn trial(&self, dir: &Path) -> Result<(), Unfit> {
        let (record, asking) = (Arc::default(), Arc::<Asking>::default());
        let (driver, noted, dir) = (Arc::clone(&self.driver), Arc::clone(&asking), dir.to_owned());
        let patience = self.options.patience;
        let limits = Limits::of(patience * PATIENCES, &self.pace);
        let trial = within(&limits, &record, move |runtime| {
            runtime.block_on(preflight::trial(&*driver, &dir, &noted, patience))
        });
        match trial {
            End::Returned(fit) => fit,
            End::Panicked => asking.panicked(&record.panics()),
            // Checks know better how long to wait.
            End::Hung(_) | End::Endless | End::NotStarted(_) => Ok(()),
        }
    }

    /// What checks noted since this was asked last, after their ids.
    pub(crate) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the store gives, asked below `dir` unless it is known.
    pub(crate) fn gifts(&self, dir: &Path) -> Gifts {
        *self.gifts.get_or_init(|| {
            let (driver, dir) = (Arc::clone(&self.driver), dir.join("gifts"));
            let limits = Limits::of(self.options.patience, &self.pace);
            let asked = within(&limits, &Arc::default(), move |runtime| {
                std::fs::create_dir_all(&dir)?;
                runtime.block_on(needs::ask(&*driver, &dir))
            });
            match asked {
                End::Returned(Ok(gifts)) => gifts,
                _ => Gifts::default(),
            }
        })
    }
}

/// Whether checks can rest on what the back end answers by itself.
///
/// # Errors
/// Which method to change, and how.
pub(crate) fn fit(driver: &Arc<dyn Driver>, options: &Options) -> Result<(), Unfit> {
    panics::install();
    let (record, asking) = (Arc::default(), Arc::<Asking>::default());
    let (asked, noted) = (Arc::clone(driver), Arc::clone(&asking));
    let patience = options.patience;
    let pace = Pace::beside();
    match within(&Limits::of(patience, &pace), &record, move |_| preflight::look(&*asked, &noted)) {
        End::Returned(fit) => fit,
        End::Panicked => asking.panicked(&record.panics()),
        End::Hung(_) | End::Endless => asking.unfit(format!("did not return within {patience:?}")),
        // Then no check can run either, and each says why.
        End::NotStarted(_) => Ok(()),
    }
}

/// Runs `body` on a thread with a runtime of its own. A thread that hangs is left behind.
fn within<T: Send + 'static>(
    limits: &Limits<'_>,
    record: &Arc<Record>,
    body: impl FnOnce(&Runtime) -> T + Send + 'static,
) -> End<T> {
    let (done, ended) = mpsc::sync_channel(1);
    let (kept, watches) = (Arc::clone(record), limits.watches);
    let work = move || {
        panics::belong_to(&kept);
        let end = match watched(watches).and_then(|()| runtime(&kept)) {
            Ok(runtime) => {
                let end = catch_unwind(AssertUnwindSafe(|| body(&runtime)));
                runtime.shutdown_timeout(SHUTDOWN);
                end.map_or(End::Panicked, End::Returned)
            }
            Err(error) => End::NotStarted(error),
        };
        // Nobody waits any more for one that comes too late.
        drop(done.send(end));
    };
    let thread = thread::Builder::new().name("check".to_owned()).stack_size(STACK).spawn(work);
    if let Err(error) = thread {
        return End::NotStarted(error);
    }
    let began = Instant::now();
    loop {
        match ended.recv_timeout(PULSE) {
            Ok(end) => return end,
            Err(RecvTimeoutError::Disconnected) => return End::Panicked,
            Err(RecvTimeoutError::Timeout) if limits.are_over(record) => {
                return End::Hung(record.still());
            }
            Err(RecvTimeoutError::Timeout) if began.elapsed() > limits.limit * ENDLESS => {
                return End::Endless;
            }
            Err(RecvTimeoutError::Timeout) => (limits.beat)(),
        }
    }
}

/// Has the calls of this thread and of all that it starts watched, if they are to be.
fn watched(watches: bool) -> io::Result<()> {
    match watches {
        true => seshat_powercut::watch_thread().map_err(io::Error::other),
        false => Ok(()),
    }
}

fn runtime(record: &Arc<Record>) -> io::Result<Runtime> {
    let kept = Arc::clone(record);
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("check-worker")
        .thread_stack_size(STACK)
        .on_thread_start(move || panics::belong_to(&kept))
        .enable_all()
        .build()
}

fn settle(end: End<Verdict>, record: &Record, hanging: &[String]) -> Outcome {
    let panics = record.panics();
    let mut failure = match end {
        End::NotStarted(error) => return hollow(&format!("no thread or runtime: {error}")),
        End::Hung(still) => match record.doing() {
            Some(call) if hanging.contains(&call) => Failure::known_to_hang(&call),
            doing => {
                let mut hang = hang(&record.steps(), still);
                let call = doing.map(|call| format!("{UNDER_WAY}{call}"));
                hang.got.push_str(&call.unwrap_or_default());
                hang
            }
        },
        End::Endless => {
            let reason = "it went on and on, with an answer to each call: `--limit-scale 10` waits";
            return Outcome::Inconclusive { reason: reason.to_owned() };
        }
        End::Panicked => {
            let what = record.doing().map(|call| format!("{call} panicked"));
            panicked(what.as_deref().unwrap_or("the check ended in a panic"), &panics)
        }
        End::Returned(Ok(())) if !panics.is_empty() => {
            panicked("a thread or task of the store panicked beside the check", &panics)
        }
        End::Returned(Ok(())) => return held(record),
        End::Returned(Err(failure)) if failure.kind == Kind::Untold => {
            return Outcome::Inconclusive { reason: failure.what };
        }
        End::Returned(Err(failure)) => failure,
    };
    failure.asked = failure.asked.or_else(|| record.asked());
    Outcome::Failed(with_context(failure, &record.steps(), &panics))
}

/// A check that found nothing to try on a store says nothing against it.
const HOLLOW: &str = "hollow: the check ended without a single assertion";

fn held(record: &Record) -> Outcome {
    match (record.inconclusive(), record.cases()) {
        (Some(reason), _) => Outcome::Inconclusive { reason },
        (None, 0) => Outcome::Inconclusive { reason: HOLLOW.to_owned() },
        (None, cases) => Outcome::Passed { cases },
    }
}

/// What is said where nothing could be learnt, through no fault of the store.
pub(crate) fn hollow(why: &str) -> Outcome {
    Outcome::Failed(Failure::new(Kind::Hollow, format!("hollow: {why}"), "", ""))
}

/// What is said of a check that did not end in time.
pub(crate) fn hang(steps: &[String], still: Duration) -> Failure {
    let last = steps.last().map_or("opening the store", String::as_str);
    Failure::new(
        Kind::Hang,
        format!("did not end in time: nothing was done for {still:.1?}"),
        "every call returns, every callback is called; `--limit-scale 10` tells a slow one from none",
        format!("still under way: {last}"),
    )
}

fn panicked(what: &str, panics: &[String]) -> Failure {
    let got =
        panics.first().map_or_else(|| "a panic".to_owned(), |panic| format!("panic: {panic}"));
    Failure::new(Kind::Panic, what, "no panic", got)
}

/// Adds the steps, and panics that the failure itself doesn't tell of.
pub(crate) fn with_context(mut failure: Failure, steps: &[String], panics: &[String]) -> Failure {
    if failure.steps.is_empty() {
        failure.steps = steps.to_vec();
    }
    for panic in panics.iter().take(3) {
        if !failure.got.contains(panic) {
            failure.got.push_str("\nbeside it, a panic: ");
            failure.got.push_str(panic);
        }
    }
    failure
}
