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
//! # use seshat_conformance::embedded::Embedded as MyBackend;
//! seshat_conformance::conformance_main!(MyBackend::default());
//! ```
//!
//! - A test's name is the check's id. Filters are the test runner's.
//! - A check that can't run is ignored; `cargo test` prints the reason.
//! - A failed Should or May check, one newer than the edition, a known failure, and one that learnt
//!   nothing don't fail their test: `cargo test` shows it as ignored, with what happened; nextest
//!   knows no such outcome, so there it passes, and its output tells.
//! - Every check runs in a child process: an abort fails one test, with steps and last words.
//! - `SESHAT_CONFORMANCE_SEED`, `_BUDGET` (`quick`, `default`, `long`), `_EDITION`, `_LIMIT_SCALE`
//!   are what options are to the command line.

use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::backend::Backend;
use crate::baseline;
use crate::budget::Budget;
use crate::check::{Edition, Need, Outcome, Spec};
use crate::cli;
use crate::isolation::{CHILD, Echo, Halt, Warden};
use crate::registry::registry;
use crate::report::{CheckResult, Report, Rerun, excuse, failure_text};
use crate::runner::Options;

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
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(CHILD) {
        return cli::child(backend, &arguments.next().unwrap_or_default());
    }
    let arguments = Arguments::from_args();
    match trials(&backend, &arguments) {
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

fn trials<B: Backend>(backend: &B, arguments: &Arguments) -> io::Result<Vec<Trial>> {
    let options = options()?;
    // Under nextest output is captured by test; `cargo test` has nobody to capture it.
    let nextest = std::env::var_os("NEXTEST").is_some();
    let echo: Echo = Arc::new(|line| drop(writeln!(io::stderr(), "{line}")));
    let warden = Warden::new(&options, Arc::new(Halt::default()), nextest.then_some(echo))?;
    let specs: Vec<Spec> = registry::<B>().iter().map(|check| check.spec).collect();
    let marked = arguments.list || arguments.ignored || arguments.include_ignored;
    let skips = if marked { warden.cell().skips(backend, &specs) } else { vec![None; specs.len()] };
    let ids: Vec<&str> = specs.iter().map(|spec| spec.id).collect();
    let known = backend.known_failures();
    let strangers = baseline::strangers(&known, &ids);
    let mut context = Report::empty(&backend.name(), &options);
    context.rerun = Rerun::Test(test_name());
    let target = Arc::new(Target { warden, known, context });
    let mut trials: Vec<Trial> =
        specs.into_iter().zip(skips).map(|(spec, skip)| trial(&target, spec, skip)).collect();
    if !strangers.is_empty() {
        let what = format!("the list of known failures names no check: {}", strangers.join(", "));
        trials.push(Trial::test("known_failures", || Err(Failed::from(what))));
    }
    Ok(trials)
}

fn trial(target: &Arc<Target>, spec: Spec, skip: Option<Need>) -> Trial {
    let target = Arc::clone(target);
    Trial::ignorable_test(spec.id, move || target.run(spec)).with_ignored_flag(skip.is_some())
}

impl Target {
    fn run(&self, spec: Spec) -> Result<Completion, Failed> {
        let started = std::time::Instant::now();
        let outcome = self.warden.cell().run(&spec).ok_or("interrupted")?;
        let outcome = baseline::judge(&self.known, spec.id, outcome);
        let result = CheckResult { spec, outcome, elapsed: started.elapsed() };
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

/// Nextest looks at the exit code alone; what happened is in the test's output.
fn shown(text: &str, reason: &str) -> Completion {
    let reason = reason.lines().next().unwrap_or_default();
    drop(write!(io::stderr(), "{text}"));
    Completion::ignored_with(reason)
}

fn options() -> io::Result<Options> {
    let default = Options::default();
    Ok(Options {
        seed: variable("SEED")?.unwrap_or(default.seed),
        edition: variable("EDITION")?.map_or(default.edition, Edition),
        limit_scale: variable("LIMIT_SCALE")?.unwrap_or(default.limit_scale),
        budget: variable::<Budget>("BUDGET")?.unwrap_or(default.budget),
        ..default
    })
}

fn variable<T: FromStr>(name: &str) -> io::Result<Option<T>> {
    let name = format!("SESHAT_CONFORMANCE_{name}");
    let Some(text) = std::env::var_os(&name) else { return Ok(None) };
    let value = text.to_str().and_then(|text| text.parse().ok());
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
