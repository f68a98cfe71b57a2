//! [`Lab`]: what a check works with: a back end, a directory of its own, a seed, and a record of
//! what it did and how much it asserted.

mod opening;
mod waits;

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::driver::Driver;
use crate::failure::{Failure, Kind};
use crate::pace::Pace;
use crate::power::Power;

use self::waits::Rates;

/// A check's surroundings.
pub struct Lab {
    /// The store under test.
    pub(crate) driver: Arc<dyn Driver>,
    /// How much to try.
    pub budget: Budget,
    /// What random choices come from.
    pub seed: u64,
    patience: Duration,
    pace: Arc<Pace>,
    rates: Rates,
    /// Calls that are known to hang.
    hanging: Vec<String>,
    /// Its stores' disks.
    pub(crate) power: Power,
    /// What the check did, for whoever watches it.
    pub record: Arc<Record>,
    dir: PathBuf,
    stores: AtomicU64,
    began: Instant,
    limit: Duration,
}

/// What a run grants each check.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    pub(crate) budget: Budget,
    pub(crate) seed: u64,
    pub(crate) patience: Duration,
    /// What the check may take.
    pub(crate) limit: Duration,
    /// Calls that hung in other checks.
    pub(crate) hanging: Vec<String>,
    /// Whether the calls of its stores are watched.
    pub(crate) watches: bool,
}

/// What a check did so far. Readable while the check hangs.
#[derive(Debug)]
pub struct Record {
    born: Instant,
    /// When it moved last: microseconds since it was born.
    moved: AtomicU64,
    steps: Mutex<Vec<String>>,
    cases: AtomicU64,
    inconclusive: Mutex<Option<String>>,
    notes: Mutex<Vec<String>>,
    panics: Mutex<Vec<String>>,
    doing: Mutex<Option<String>>,
    asked: Mutex<Option<String>>,
    trace: Mutex<Option<File>>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            moved: AtomicU64::default(),
            steps: Mutex::default(),
            cases: AtomicU64::default(),
            inconclusive: Mutex::default(),
            panics: Mutex::default(),
            doing: Mutex::default(),
            asked: Mutex::default(),
            notes: Mutex::default(),
            trace: Mutex::default(),
        }
    }
}

impl Record {
    /// Steps since the last fresh store, oldest first.
    pub fn steps(&self) -> Vec<String> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Assertions made.
    pub fn cases(&self) -> u64 {
        self.cases.load(Ordering::Relaxed)
    }

    /// Why nothing was learnt, if the check said so.
    pub fn inconclusive(&self) -> Option<String> {
        self.inconclusive.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What whoever reads the report should know, whatever became of the check.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Panics of every thread that works for the check, its runtime's included, caught or not.
    pub fn panics(&self) -> Vec<String> {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A record that also writes to a file, which is there if the process isn't any more.
    pub(crate) fn traced(trace: Option<File>) -> Self {
        Self { trace: Mutex::new(trace), ..Self::default() }
    }

    fn trace(&self, write: impl FnOnce(&mut File) -> io::Result<()>) {
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        // A trace that can't be written is given up; the check goes on.
        if trace.as_mut().is_some_and(|file| write(file).is_err()) {
            *trace = None;
        }
    }

    /// Something was done: the check does not hang.
    pub(crate) fn tick(&self) {
        let now = u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }

    /// How long nothing has been done.
    pub(crate) fn still(&self) -> Duration {
        let moved = Duration::from_micros(self.moved.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(moved)
    }

    /// A call of the store begins.
    pub(crate) fn begin(&self, call: &str) {
        self.tick();
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = Some(call.to_owned());
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(call.to_owned());
    }

    /// It ended, unless another has begun since.
    pub(crate) fn end(&self, call: &str) {
        self.tick();
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        doing.take_if(|doing| doing == call);
    }

    /// The call that is under way; the one that panicked, after a panic.
    pub(crate) fn doing(&self) -> Option<String> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The call that was made last, whether it has ended or not.
    pub(crate) fn asked(&self) -> Option<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn panicked(&self, mut panic: String) {
        if let Some(call) = self.doing() {
            panic.push_str(&format!(", during {call}"));
        }
        self.trace(|file| file.write_all(format!("# panic: {panic}\n").as_bytes()));
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).push(panic);
    }

    /// For a check that may be answered with a panic: those so far are no failure. Any that is
    /// left when the check ends fails it, even where a task swallowed it.
    pub(crate) fn forgive_panics(&self) {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Those beyond the first `count` are no failure, as what they ended was tried again and worked.
    pub(crate) fn forgive_panics_since(&self, count: usize) {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).truncate(count);
    }

    pub(crate) fn step(&self, step: impl Into<String>) {
        self.tick();
        let step = step.into();
        self.trace(|file| file.write_all(format!("{step}\n").as_bytes()));
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// Says something beside the steps, and among them.
    pub(crate) fn note(&self, note: String) {
        self.step(format!("# {note}"));
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    pub(crate) fn forget_steps(&self) {
        self.trace(|file| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0)).map(drop)
        });
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets the steps after the first `count`: another case goes on from there.
    pub(crate) fn back_to(&self, count: usize) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.truncate(count);
        let kept: String = steps.iter().map(|step| format!("{step}\n")).collect();
        self.trace(|file| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(kept.as_bytes())
        });
    }

    pub(crate) fn case(&self) {
        self.tick();
        self.cases.fetch_add(1, Ordering::Relaxed);
    }
}

impl Lab {
    /// A lab that puts its stores below `dir`.
    pub(crate) fn new(
        driver: Arc<dyn Driver>,
        dir: &Path,
        means: Means,
        record: Arc<Record>,
    ) -> Self {
        let Means { budget, seed, patience, limit, hanging, watches } = means;
        Self {
            driver,
            budget,
            seed,
            patience,
            pace: Pace::beside(),
            rates: Rates::default(),
            hanging,
            power: Power::new(watches, seed),
            record,
            limit,
            dir: dir.to_owned(),
            stores: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// A path for a directory that is not there yet.
    pub(crate) fn place(&self) -> PathBuf {
        let store = self.stores.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("store-{store}"))
    }

    /// A fresh directory.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn directory(&self) -> Result<PathBuf, Failure> {
        let dir = self.place();
        std::fs::create_dir_all(&dir)
            .map_err(|error| Failure::error(format!("making {}", dir.display()), error))?;
        Ok(dir)
    }

    /// Says that the check ran without learning anything, and why.
    pub(crate) fn inconclusive(&self, reason: impl Into<String>) {
        let mut slot = self.record.inconclusive.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(reason.into());
    }

    /// Whether a loop over many cases has taken its share of the time limit. On a slow store it
    /// tries fewer, rather than being told to hang.
    pub(crate) fn enough(&self) -> bool {
        let share = Duration::from_secs(self.budget.pick(7, 14, 400));
        self.began.elapsed() > share.min(self.share())
    }

    /// What a part of a check may take of its time limit.
    pub(crate) fn share(&self) -> Duration {
        self.limit * 2 / 3
    }

    /// Waits for a future from within a check, where a callback can't.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
    }

    /// Likewise; a panic is the failure that it would be in a check by itself.
    ///
    /// # Errors
    /// The future's, or a panic.
    pub(crate) fn caught<T>(
        &self,
        future: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let run = AssertUnwindSafe(|| self.block_on(future));
        catch_unwind(run).unwrap_or_else(|_| {
            let panics = self.record.panics();
            self.record.forgive_panics();
            let said = panics.last().cloned().unwrap_or_default();
            let call = self.record.doing().unwrap_or_else(|| "the store".to_owned());
            Err(Failure::new(Kind::Panic, format!("{call} panicked"), "", said))
        })
    }

    /// Counts an assertion, and fails if it doesn't hold.
    ///
    /// # Errors
    /// `holds` is false.
    pub(crate) fn assert(
        &self,
        holds: bool,
        failure: impl FnOnce() -> Failure,
    ) -> Result<(), Failure> {
        self.record.case();
        if holds { Ok(()) } else { Err(failure()) }
    }

    /// Counts an assertion that two values are equal.
    ///
    /// # Errors
    /// They aren't.
    pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        got: &T,
        expected: &T,
    ) -> Result<(), Failure> {
        self.assert(got == expected, || {
            Failure::broken(what, format!("{expected:?}"), format!("{got:?}"))
        })
    }
}
