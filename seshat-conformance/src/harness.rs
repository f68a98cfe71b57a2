//! Each check as one named test, under `cargo test` and `cargo nextest run`.
//!
//! A test target with `harness = false`:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! # use seshat_conformance::embedded::InMemory as MyBackend;
//! seshat_conformance::conformance_main!(MyBackend::default());
//! ```
//!
//! - A test's name is the check's id. Filters are the test runner's.
//! - A check that can't run is ignored; `cargo test` prints the reason.
//! - A failed Should or May check, one newer than the edition, a known failure, and one that learnt
//!   nothing don't fail their test: `cargo test` shows it as ignored, with what happened; nextest
//!   knows no such outcome, so there it passes, and its output tells.
//! - Every check runs in a child process: an abort fails one test, with steps and last words.
//! - The test `backend` says whether checks can rest on what the back end answers. Where they
//!   can't it is the only test there is; it runs, whatever was asked for, and fails.
//! - `SESHAT_CONFORMANCE_SEED`, `_BUDGET` (`quick`, `default`, `long`), `_EDITION`, `_LIMIT_SCALE`
//!   and `_PATIENCE` (seconds) are what options are to the command line.
//! - `SESHAT_CONFORMANCE_REPLAY=FILE` runs the history in that file, as a failure prints it, as the
//!   one test `replay`. cargo runs tests in their package's directory.
//! - Ctrl-C ends the process with 130, or 143 if the system asked, and leaves no files behind.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::backend::Backend;
use crate::baseline;
use crate::budget::Budget;
use crate::driver::{self, Driver};
use crate::failure::{Failure, Kind};
use crate::isolation::{CHILD, Echo, Halt, Warden};
use crate::model::Step;
use crate::options::{self, Options};
use crate::outcome::Outcome;
use crate::outcome::{CheckResult, Report, Rerun};
use crate::preflight::Unfit;
use crate::registry::specs;
use crate::report::{self, excuse, failure_text};
use crate::runner::fit;
use crate::spec::{Edition, Spec};
use crate::{cli, preflight, replay};

/// The whole of a test target: each check of this back end is one test. See [`harness`](crate::harness).
#[macro_export]
macro_rules! conformance_main {
    ($backend:expr $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::harness::main($backend)
        }
    };
}

/// What [`conformance_main!`](crate::conformance_main) expands to.
pub fn main<B: Backend>(backend: B) -> ExitCode {
    face(&driver::of(backend))
}

fn face(driver: &Arc<dyn Driver>) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(CHILD) {
        return cli::child(Arc::clone(driver), &arguments.next().unwrap_or_default());
    }
    let mut arguments = Arguments::from_args();
    match trials(driver, &mut arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            // The exit code says it too, where nothing can be printed.
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// What every test of this target needs.
struct Target {
    warden: Warden,
    known: Vec<String>,
    /// A report without results: what a failure's text takes its context from.
    context: Report,
}

fn trials(driver: &Arc<dyn Driver>, arguments: &mut Arguments) -> io::Result<Vec<Trial>> {
    let options = options()?;
    let halt = Arc::new(Halt::default());
    // Under nextest output is captured by test; `cargo test` has nobody to capture it.
    let nextest = std::env::var_os("NEXTEST").is_some();
    let echo: Echo = Arc::new(|line| drop(writeln!(io::stderr(), "{line}")));
    let warden = Warden::new(&options, Arc::clone(&halt), nextest.then_some(echo))?;
    let specs = specs(options.edition);
    let ids: Vec<&str> = specs.iter().map(|spec| spec.id).collect();
    if let Err(unfit) = fit(driver, &options) {
        return Ok(alone(arguments, unfit_trial(&unfit)));
    }
    if !arguments.list {
        no_near_miss(arguments, &ids)?;
        halt.listen(Halt::leave, |code| std::process::exit(code.into()))?;
    }
    let tried = if nextest && is_listed(arguments) { Ok(()) } else { warden.cell().trial() };
    if let Err(unfit) = tried {
        return Ok(alone(arguments, unfit_trial(&unfit)));
    }
    let marked = arguments.list || arguments.ignored || arguments.include_ignored;
    let skips =
        if marked { warden.cell().skips(&**driver, &specs) } else { vec![None; specs.len()] };
    let known = driver.known_failures();
    let strangers = baseline::strangers(&known, &ids);
    let mut context = Report::empty(&driver.name(), &options);
    context.rerun = Rerun::Test(test_name());
    if let Some(file) = variable::<PathBuf>("replay")? {
        let history = history(&file)?;
        let variables = format!("{}={} ", report::variable("replay"), file.display());
        let others = context.variables();
        let cargo = report::cargo_test(&test_name(), replay::ID);
        context.rerun = Rerun::Replay(format!("{variables}{others}{cargo}"));
        let target = Target { warden, known, context };
        return Ok(alone(
            arguments,
            Trial::test(replay::ID, move || target.replay(&file, &history)),
        ));
    }
    let target = Arc::new(Target { warden, known, context });
    let checks = specs.into_iter().zip(skips).map(|(spec, skip)| trial(&target, spec, skip));
    let mut trials = vec![Trial::test(preflight::ID, || Ok(()))];
    trials.extend(checks);
    if !strangers.is_empty() {
        let what = format!("the list of known failures names no check: {}", strangers.join(", "));
        trials.push(Trial::test("known_failures", || Err(Failed::from(what))));
    }
    Ok(trials)
}

/// nextest starts a process for each test, after one that lists them, which has tried the answers.
fn is_listed(arguments: &Arguments) -> bool {
    let only = arguments.filter.as_deref().filter(|_| arguments.exact);
    only.is_some_and(|only| only != preflight::ID)
}

fn unfit_trial(unfit: &Unfit) -> Trial {
    let what = unfit.to_string();
    Trial::test(preflight::ID, || Err(Failed::from(what)))
}

/// A test that runs, whatever was asked for: a run that is green because it was filtered out would
/// say that all is well.
fn alone(arguments: &mut Arguments, trial: Trial) -> Vec<Trial> {
    if !arguments.list {
        arguments.filter = None;
        arguments.skip.clear();
        arguments.ignored = false;
    }
    vec![trial]
}

/// The harness passes if a filter names no test. An id with a family of this target's is meant for
/// it; any other may be that of another target's test.
fn no_near_miss(arguments: &Arguments, ids: &[&str]) -> io::Result<()> {
    let Some(word) = arguments.filter.as_deref().filter(|_| arguments.exact) else { return Ok(()) };
    let family = word.split_once('/').map(|(family, _)| format!("{family}/"));
    let ours = family.is_some_and(|family| ids.iter().any(|id| id.starts_with(&family)));
    if ours && !ids.contains(&word) {
        return Err(io::Error::other(format!("there is no check {word:?}")));
    }
    Ok(())
}

fn history(file: &Path) -> io::Result<String> {
    let told = |why: &dyn std::fmt::Display| io::Error::other(format!("{}: {why}", file.display()));
    let history = std::fs::read_to_string(file).map_err(|error| told(&error))?;
    match Step::parse_history(&history) {
        Ok(steps) if steps.is_empty() => Err(told(&"the history has no steps")),
        Ok(_) => Ok(history),
        Err(error) => Err(told(&error)),
    }
}

fn trial(target: &Arc<Target>, spec: Spec, skip: Option<String>) -> Trial {
    let target = Arc::clone(target);
    Trial::ignorable_test(spec.id, move || target.run(spec)).with_ignored_flag(skip.is_some())
}

impl Target {
    fn replay(&self, file: &Path, history: &str) -> Result<(), Failed> {
        let started = std::time::Instant::now();
        let outcome = self.warden.cell().replay(history).unwrap_or_else(|| interrupted());
        if let Outcome::Failed(Failure { kind: Kind::Kit, what, .. })
        | Outcome::Skipped { reason: what } = &outcome
        {
            return Err(format!("can't replay {}: {what}", file.display()).into());
        }
        let mut result = CheckResult { spec: replay::SPEC, outcome, elapsed: started.elapsed() };
        report::keep_one(&self.context, &mut result);
        match failure_text(&self.context, &result, false) {
            text if text.is_empty() => Ok(()),
            text => Err(text.into()),
        }
    }

    fn run(&self, spec: Spec) -> Result<Completion, Failed> {
        let started = std::time::Instant::now();
        let outcome = self.warden.cell().run(&spec).unwrap_or_else(|| interrupted());
        let outcome = baseline::judge(&self.known, spec.id, outcome);
        let mut result = CheckResult { spec, outcome, elapsed: started.elapsed() };
        report::keep_one(&self.context, &mut result);
        let text = failure_text(&self.context, &result, false);
        let failed = result.fails_run(self.context.edition);
        match &result.outcome {
            Outcome::Passed { .. } => Ok(Completion::Completed),
            Outcome::Failed(_) if failed => Err(Failed::from(text)),
            Outcome::Failed(_) | Outcome::KnownFailure(_) => {
                let excuse = excuse(&result, self.context.edition);
                Ok(shown(&text, &excuse.unwrap_or_default()))
            }
            Outcome::Skipped { reason } => Ok(shown("", &format!("skipped: {reason}"))),
            Outcome::Inconclusive { reason } => Ok(shown("", &format!("inconclusive: {reason}"))),
        }
    }
}

/// The process is about to end: nothing more is said of tests, which would be as many failures.
fn interrupted() -> ! {
    loop {
        std::thread::park();
    }
}

/// Nextest looks at the exit code alone; what happened is in the test's output.
fn shown(text: &str, reason: &str) -> Completion {
    let reason = reason.lines().next().unwrap_or_default();
    drop(write!(io::stderr(), "{text}"));
    Completion::ignored_with(reason)
}

fn options() -> io::Result<Options> {
    let default = Options::default();
    Ok(Options {
        seed: variable("seed")?.unwrap_or(default.seed),
        edition: checked("edition", edition)?.unwrap_or(default.edition),
        limit_scale: variable::<NonZeroU32>("limit-scale")?
            .map_or(default.limit_scale, NonZeroU32::get),
        budget: variable::<Budget>("budget")?.unwrap_or(default.budget),
        images: Some(variable("images")?.unwrap_or_else(options::images)),
        patience: checked("patience", |text| cli::seconds(text).ok())?.unwrap_or(default.patience),
        ..default
    })
}

/// One that exists.
fn edition(text: &str) -> Option<Edition> {
    let edition = Edition(text.parse().ok()?);
    (Edition(1)..=Edition::LATEST).contains(&edition).then_some(edition)
}

fn variable<T: FromStr>(option: &str) -> io::Result<Option<T>> {
    checked(option, |text| text.parse().ok())
}

fn checked<T>(option: &str, read: impl FnOnce(&str) -> Option<T>) -> io::Result<Option<T>> {
    let name = report::variable(option);
    let Some(text) = std::env::var_os(&name) else { return Ok(None) };
    let value = text.to_str().and_then(read);
    value.map(Some).ok_or_else(|| io::Error::other(format!("{name} can't be {text:?}")))
}

/// The target's name: that of the program, without the hash that cargo appends.
fn test_name() -> String {
    let program = std::env::current_exe().ok();
    let stem = program.as_deref().and_then(|path| path.file_stem()?.to_str());
    let stem = stem.unwrap_or("conformance");
    let name = stem.rsplit_once('-').filter(|(_, hash)| hash.len() == 16);
    name.map_or(stem, |(name, _)| name).to_owned()
}
