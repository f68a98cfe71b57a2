//! Checks in child processes: an abort, a stack overflow or an `exit` of the store ends its child,
//! and is the failure of the check that ran there.
//!
//! The child is this program again, with [`CHILD`] as its first argument: see [`child`]. A parent
//! that dies leaves no orphan, however it dies: a child ends when its standard input does.

mod child;
mod halt;
mod process;
mod wire;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

pub(crate) use self::child::serve;
pub(crate) use self::halt::Halt;
use self::process::{Heard, Process};
use self::wire::{Ended, Orders, Request, Trace};
use crate::driver::Driver;
use crate::failure::{Failure, Kind};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::outcome::Report;
use crate::pace::Pace;
use crate::preflight::{PATIENCES, Unfit};
use crate::registry::specs;
use crate::replay;
use crate::runner::{self, Gifts, Hangs, Progress};
use crate::spec::Spec;

/// The first argument of a child; its orders are the second.
pub(crate) const CHILD: &str = "__seshat-conformance-child";

/// What a child may take longer than the limit that it keeps by itself.
const GRACE: Duration = Duration::from_secs(5);

/// What a store writes to its standard output and error goes here, line by line.
pub(crate) type Echo = Arc<dyn Fn(&str) + Send + Sync>;

/// Where and how children run.
#[derive(Clone)]
pub(crate) struct Warden {
    program: PathBuf,
    orders: String,
    options: Options,
    halt: Arc<Halt>,
    echo: Option<Echo>,
    hangs: Arc<Hangs>,
    pace: Arc<Pace>,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Warden {
    /// Children are this program again.
    ///
    /// # Errors
    /// This program can't be found.
    pub(crate) fn new(options: &Options, halt: Arc<Halt>, echo: Option<Echo>) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let orders = Orders::new(options).write()?;
        let (options, hangs, pace) = (options.clone(), Arc::default(), Pace::beside());
        let notes = Arc::default();
        Ok(Self { program, orders, options, halt, echo, hangs, pace, notes })
    }

    /// Runs the checks that the filter lets through, until they end or the halt is pulled.
    pub(crate) fn run(&self, driver: &dyn Driver, watch: &mut dyn FnMut(Progress<'_>)) -> Report {
        let specs = specs(self.options.edition);
        let report = runner::run_with(driver, &specs, &self.options, watch, || {
            let mut cell = self.cell();
            move |spec: &Spec| match runner::watches(driver, spec.needs) {
                true => cell.run_alone(spec),
                false => cell.run(spec),
            }
        });
        Report { notes: self.take_notes(), ..report }
    }

    /// What checks noted since this was asked last.
    pub(crate) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Room for one child.
    pub(crate) fn cell(&self) -> Cell<'_> {
        Cell { warden: self, process: None }
    }
}

/// One child after the other.
pub(crate) struct Cell<'a> {
    warden: &'a Warden,
    process: Option<Process>,
}

impl Cell<'_> {
    /// Runs a check in the child, or in a new one; `None` if the halt is pulled.
    pub(crate) fn run(&mut self, spec: &Spec) -> Option<Outcome> {
        let hanging = self.warden.hangs.known();
        let outcome = self.outcome(spec, |dir| Request::Check(spec.id.to_owned(), dir, hanging))?;
        self.warden.hangs.note(&outcome);
        Some(outcome)
    }

    /// Runs a check in a child of its own: a thread that an earlier check left behind would work for
    /// the store out of sight.
    fn run_alone(&mut self, spec: &Spec) -> Option<Outcome> {
        self.process = None;
        let outcome = self.run(spec);
        self.process = None;
        outcome
    }

    /// Replays a history, likewise.
    pub(crate) fn replay(&mut self, history: &str) -> Option<Outcome> {
        self.outcome(&replay::SPEC, |dir| Request::Replay(history.to_owned(), dir))
    }

    /// Why each check will be skipped, if it will.
    pub(crate) fn skips(&mut self, driver: &dyn Driver, specs: &[Spec]) -> Vec<Option<String>> {
        let mut asked = None;
        let mut gifts = || *asked.get_or_insert_with(|| self.gifts());
        specs.iter().map(|spec| runner::missing(driver, spec.needs, &mut gifts)).collect()
    }

    /// Whether checks can rest on what the back end answers, as its own store has it. A store that
    /// can't be asked isn't held against the answers.
    ///
    /// # Errors
    /// Which method to change, and how.
    pub(crate) fn trial(&mut self) -> Result<(), Unfit> {
        let limit = self.warden.options.patience * PATIENCES;
        self.answer(Request::Trial, limit).unwrap_or(Ok(()))
    }

    /// All are taken for given where the store can't be asked: its checks will say why.
    fn gifts(&mut self) -> Gifts {
        self.answer(Request::Gifts, self.warden.options.patience).unwrap_or_default()
    }

    /// What a child answers to what isn't a check; `None` if it doesn't.
    fn answer<T: DeserializeOwned>(
        &mut self,
        request: impl FnOnce(PathBuf) -> Request,
        limit: Duration,
    ) -> Option<T> {
        let halt = Arc::clone(&self.warden.halt);
        let _busy = halt.busy();
        let dir = tempfile::tempdir().ok()?;
        match self.ask(&request(dir.path().to_owned()), limit).ok()? {
            (_, Heard::Answer(line)) => serde_json::from_str(&line).ok(),
            _ => None,
        }
    }

    fn outcome(
        &mut self,
        spec: &Spec,
        request: impl FnOnce(PathBuf) -> Request,
    ) -> Option<Outcome> {
        if self.warden.halt.is_pulled() {
            return None;
        }
        let limit = self.warden.options.limit(spec.limit);
        let halt = Arc::clone(&self.warden.halt);
        let _busy = halt.busy();
        let outcome = runner::in_directory(|dir| match self.ask(&request(dir.to_owned()), limit) {
            Ok((process, heard)) => self.settle(process, heard, limit, dir),
            Err(error) => runner::hollow(&format!("no child process: {error}")),
        });
        (!self.warden.halt.is_pulled()).then_some(outcome)
    }

    /// Asks the child, or a new one if it is gone.
    fn ask(&mut self, request: &Request, limit: Duration) -> io::Result<(Process, Heard)> {
        let request = request.write()?;
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.start()?,
        };
        // A child can die between two checks, of a thread that one of them left behind.
        if process.tell(&request).is_err() {
            process = self.start()?;
            process.tell(&request)?;
        }
        let heard = process.hear(self.warden.pace.stretch(limit).saturating_add(GRACE));
        Ok((process, heard))
    }

    /// What the answer means for a check, and whether the child may go on.
    fn settle(&mut self, process: Process, heard: Heard, limit: Duration, dir: &Path) -> Outcome {
        let failure = match heard {
            Heard::Answer(line) => {
                let Ended { outcome, notes } = wire::read_ended(&line);
                let kept = &self.warden.notes;
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend(notes);
                let hung =
                    matches!(&outcome, Outcome::Failed(failure) if failure.kind == Kind::Hang);
                // One that hangs is left with threads that do.
                if !hung {
                    self.process = Some(process);
                }
                return outcome;
            }
            Heard::Ended(status) => abort(status, &process.last_words()),
            Heard::Nothing => {
                process.kill();
                runner::hang(&Trace::read(dir).steps, limit.saturating_add(GRACE))
            }
        };
        let trace = Trace::read(dir);
        Outcome::Failed(runner::with_context(failure, &trace.steps, &trace.panics))
    }

    fn start(&self) -> io::Result<Process> {
        let Warden { program, orders, halt, echo, .. } = self.warden;
        Process::start(program, &[CHILD, orders], halt, echo.clone())
    }
}

fn abort(status: Option<ExitStatus>, last_words: &[String]) -> Failure {
    let status = status.map_or_else(|| "how is not known".to_owned(), |status| status.to_string());
    let mut got = format!("the process ended: {status}");
    for line in last_words {
        got.push_str("\nits last words: ");
        got.push_str(line);
    }
    let expected = "a storage call returns, or fails with an error";
    Failure::new(Kind::Abort, "ended the process", expected, got)
}
