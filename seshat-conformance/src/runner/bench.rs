//! [`Bench`]: where one check runs: a directory and a runtime of its own, a time limit, and a net
//! for panics.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::needs::{self, Gifts};
use super::panics;
use crate::check::Check;
use crate::driver::Driver;
use crate::failure::{Failure, Kind};
use crate::lab::{Lab, Means, Record};
use crate::options::Options;
use crate::outcome::{Outcome, Verdict};
use crate::preflight::{self, Asking, PATIENCES, Unfit};

/// As a main thread has: unoptimized futures are deep.
const STACK: usize = 8 << 20;
/// What a runtime may take to stop, beyond the check's own limit.
const SHUTDOWN: Duration = Duration::from_secs(1);
/// A failure shows this many steps, the last ones.
const STEPS: usize = 40;

/// A back end, the checks, and how to run them.
pub(crate) struct Bench {
    driver: Arc<dyn Driver>,
    checks: Arc<Vec<Check>>,
    options: Options,
    gifts: OnceLock<Gifts>,
    notes: Mutex<Vec<String>>,
}

/// How a thread under test ended.
enum End<T> {
    Returned(T),
    Panicked,
    Hung,
    /// It could not begin.
    NotStarted(io::Error),
}

impl Bench {
    pub(crate) fn new(driver: Arc<dyn Driver>, checks: Arc<Vec<Check>>, options: Options) -> Self {
        panics::install();
        Self { driver, checks, options, gifts: OnceLock::new(), notes: Mutex::default() }
    }

    /// Runs the check of that id below `dir`, or says why not.
    pub(crate) fn run(&self, id: &str, dir: &Path, record: Arc<Record>) -> Outcome {
        let found = self.checks.iter().enumerate().find(|(_, check)| check.spec.id == id);
        let Some((place, check)) = found else {
            return hollow(&format!("the registry has no check {id}"));
        };
        if let Some(need) = needs::missing(&*self.driver, check.spec.needs, || self.gifts(dir)) {
            return Outcome::Skipped { reason: need.reason().to_owned() };
        }
        let limit = self.options.limit(check.spec.limit);
        let end = self.attempt(place, dir, limit, &record);
        let noted = record.notes().into_iter().map(|note| format!("{id}: {note}"));
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).extend(noted);
        settle(end, &record, limit)
    }

    fn attempt(
        &self,
        place: usize,
        dir: &Path,
        limit: Duration,
        record: &Arc<Record>,
    ) -> End<Verdict> {
        let checks = Arc::clone(&self.checks);
        let (driver, kept) = (Arc::clone(&self.driver), Arc::clone(record));
        let Options { budget, seed, patience, .. } = self.options;
        let mut lab = Lab::new(driver, dir, Means { budget, seed, patience, limit }, kept);
        within(limit, record, move |runtime| match checks.get(place) {
            Some(check) => runtime.block_on((check.run)(&mut lab)),
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
        let trial = within(patience * PATIENCES, &record, move |runtime| {
            runtime.block_on(preflight::trial(&*driver, &dir, &noted, patience))
        });
        match trial {
            End::Returned(fit) => fit,
            End::Panicked => asking.panicked(&record.panics()),
            // Checks know better how long to wait.
            End::Hung | End::NotStarted(_) => Ok(()),
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
            let asked = within(self.options.patience, &Arc::default(), move |runtime| {
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
    match within(patience, &record, move |_| preflight::look(&*asked, &noted)) {
        End::Returned(fit) => fit,
        End::Panicked => asking.panicked(&record.panics()),
        End::Hung => asking.unfit(format!("did not return within {patience:?}")),
        // Then no check can run either, and each says why.
        End::NotStarted(_) => Ok(()),
    }
}

/// Runs `body` on a thread with a runtime of its own. A thread that hangs is left behind.
fn within<T: Send + 'static>(
    limit: Duration,
    record: &Arc<Record>,
    body: impl FnOnce(&Runtime) -> T + Send + 'static,
) -> End<T> {
    let (done, ended) = mpsc::sync_channel(1);
    let kept = Arc::clone(record);
    let work = move || {
        panics::belong_to(&kept);
        let end = match runtime(&kept) {
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
    match thread.map(|_| ended.recv_timeout(limit.saturating_add(SHUTDOWN))) {
        Ok(Ok(end)) => end,
        Ok(Err(RecvTimeoutError::Timeout)) => End::Hung,
        Ok(Err(RecvTimeoutError::Disconnected)) => End::Panicked,
        Err(error) => End::NotStarted(error),
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

fn settle(end: End<Verdict>, record: &Record, limit: Duration) -> Outcome {
    let panics = record.panics();
    let failure = match end {
        End::NotStarted(error) => return hollow(&format!("no thread or runtime: {error}")),
        End::Hung => {
            let mut hang = hang(&record.steps(), limit);
            if let Some(call) = record.doing() {
                hang.got.push_str(&format!(", in {call}"));
            }
            hang
        }
        End::Panicked => {
            let what = record.doing().map(|call| format!("{call} panicked"));
            panicked(what.as_deref().unwrap_or("the check ended in a panic"), &panics)
        }
        End::Returned(Ok(())) if !panics.is_empty() => {
            panicked("a thread or task of the store panicked beside the check", &panics)
        }
        End::Returned(Ok(())) => return held(record),
        End::Returned(Err(failure)) => failure,
    };
    Outcome::Failed(with_context(failure, &record.steps(), &panics))
}

fn held(record: &Record) -> Outcome {
    match (record.inconclusive(), record.cases()) {
        (Some(reason), _) => Outcome::Inconclusive { reason },
        (None, 0) => hollow("the check ended without a single assertion"),
        (None, cases) => Outcome::Passed { cases },
    }
}

/// What is said where nothing could be learnt, through no fault of the store.
pub(crate) fn hollow(why: &str) -> Outcome {
    Outcome::Failed(Failure::new(Kind::Hollow, format!("hollow: {why}"), "", ""))
}

/// What is said of a check that did not end in time.
pub(crate) fn hang(steps: &[String], limit: Duration) -> Failure {
    let last = steps.last().map_or("opening the store", String::as_str);
    Failure::new(
        Kind::Hang,
        format!("did not end within {limit:?}"),
        "every call returns, every callback is called",
        format!("still under way: {last}"),
    )
}

fn panicked(what: &str, panics: &[String]) -> Failure {
    let got =
        panics.first().map_or_else(|| "a panic".to_owned(), |panic| format!("panic: {panic}"));
    Failure::new(Kind::Panic, what, "no panic", got)
}

/// Adds the last steps, and panics that the failure itself doesn't tell of.
pub(crate) fn with_context(mut failure: Failure, steps: &[String], panics: &[String]) -> Failure {
    if failure.steps.is_empty() {
        let left_out = steps.len().saturating_sub(STEPS);
        if left_out > 0 {
            failure.steps.push(format!("# {left_out} earlier steps are left out"));
        }
        failure.steps.extend(steps.iter().skip(left_out).cloned());
    }
    for panic in panics.iter().take(3) {
        if !failure.got.contains(panic) {
            failure.got.push_str("\nbeside it, a panic: ");
            failure.got.push_str(panic);
        }
    }
    failure
}
