//! The command line, as a function: a third party's binary is three lines that call [`main`].
//!
//! A compiled command can't load a foreign Rust type, so the program that checks a store is built
//! by the store's author:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//! #   struct MyBackend;
//! #   use seshat_conformance::embedded::InMemory;
//! #   let my_backend = InMemory::default();
//!     seshat_conformance::cli::main(my_backend)
//! }
//! ```
//!
//! It exits with 0 if the store conforms, 1 if it fails, 2 if the run could not begin or its report
//! not be written, and 130 after Ctrl-C.

mod args;
mod look;
mod new;
mod print;
mod progress;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser};

pub(crate) use self::args::seconds;
use self::args::{Cli, Command, Format, How, RunArgs};
use crate::backend::Backend;
use crate::driver::{self, Driver};
use crate::failure::{Failure, Kind};
use crate::isolation::{CHILD, Echo, Halt, Warden, serve};
use crate::model::Step;
use crate::options::{Filter, Options};
use crate::outcome::Outcome;
use crate::outcome::{CheckResult, Report, Rerun};
use crate::preflight::Unfit;
use crate::registry;
use crate::runner::fit;
use crate::spec::{Edition, Spec};
use crate::{replay, report};

/// The exit code of a run that could not begin, or whose report could not be written.
const COULD_NOT_RUN: u8 = 2;

/// Why there is no report, or no place for it.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("no check's id is {word:?} or begins so{near}")]
    NoSuchCheck { word: String, near: Near },
    #[error("there is no check {0:?}{1}")]
    NoCheck(String, Near),
    #[error("can't replay {}: {why}", path.display())]
    NotReplayable { path: PathBuf, why: String },
    #[error("can't read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    NoHistory { path: PathBuf, error: crate::model::ParseError },
    #[error("{}: the history has no steps", .0.display())]
    EmptyHistory(PathBuf),
    #[error("can't write {}: {error}", path.display())]
    Unwritable { path: PathBuf, error: io::Error },
    #[error("can't write the report: {0}")]
    Output(io::Error),
    #[error("can't start: {0}")]
    Start(io::Error),
    #[error("no check can rest on what the back end answers: {0}")]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    New(#[from] new::NewError),
    #[error(transparent)]
    Look(#[from] look::LookError),
}

/// What may have been meant by a word that names no check.
#[derive(Debug)]
struct Near(Vec<&'static str>);

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("; `list` shows all of them")
        } else {
            write!(f, "; near it: {}", self.0.join(", "))
        }
    }
}

/// Runs the command line of this process for `backend`.
///
/// Checks run in child processes: this program again, told apart by its first argument. Do nothing
/// before the call that must not happen twice.
pub fn main<B: Backend>(backend: B) -> ExitCode {
    face(driver::of(backend))
}

fn face(driver: Arc<dyn Driver>) -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_else(|| "seshat-conformance".to_owned());
    if arguments.next().as_deref() == Some(CHILD) {
        return child(driver, &arguments.next().unwrap_or_default());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. Where neither can be printed, the code still tells.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { COULD_NOT_RUN } else { 0 });
        }
    };
    let done = match cli.command {
        None => run(&driver, &program, &cli.run),
        Some(Command::Run(args)) => run(&driver, &program, &args),
        Some(Command::List { checks }) => list(&checks),
        Some(Command::Explain { check }) => explain(&check),
        Some(Command::New(args)) => new_crate(&args),
        Some(Command::Look { dir, patience }) => look_at(&driver, &dir, patience),
        Some(Command::Replay { file, how }) => replay_file(&driver, &program, &file, &how),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        // Whoever read the report has seen enough.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::from(COULD_NOT_RUN)
        }
        Err(stop) => {
            drop(writeln!(io::stderr(), "error: {stop}"));
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// The other side of [`Warden`].
pub(crate) fn child(driver: Arc<dyn Driver>, orders: &str) -> ExitCode {
    match serve(driver, orders, io::BufReader::new(io::stdin()), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

fn run(driver: &Arc<dyn Driver>, program: &str, args: &RunArgs) -> Result<u8, Stop> {
    let filter = Filter { include: args.checks.clone(), exclude: args.exclude.clone() };
    known_words(&filter, &specs())?;
    let options = Options { filter, ..args.how.options() };
    fit(driver, &options)?;
    let output = Output::open(&args.how)?;
    let (halt, warden) = warden(&options, &args.how)?;
    warden.cell().trial()?;
    let mut progress = progress::Progress::new(options.jobs);
    let mut report = warden.run(&**driver, &mut |event| progress.show(&event));
    progress.clear();
    report.rerun = Rerun::Program(quoted(program));
    output.write(&mut report)?;
    Ok(halt.code().unwrap_or_else(|| report.conclusion().exit_code()))
}

fn replay_file(
    driver: &Arc<dyn Driver>,
    program: &str,
    file: &Path,
    how: &How,
) -> Result<u8, Stop> {
    let path = file.to_owned();
    let read = match file.to_str() {
        Some("-") => io::read_to_string(io::stdin()),
        _ => std::fs::read_to_string(file),
    };
    let history = read.map_err(|error| Stop::Unreadable { path: path.clone(), error })?;
    match Step::parse_history(&history) {
        Err(error) => return Err(Stop::NoHistory { path, error }),
        Ok(steps) if steps.is_empty() => return Err(Stop::EmptyHistory(path)),
        Ok(_) => {}
    }
    let options = how.options();
    fit(driver, &options)?;
    let output = Output::open(how)?;
    let (halt, warden) = warden(&options, how)?;
    warden.cell().trial()?;
    let started = std::time::Instant::now();
    let outcome = warden.cell().replay(&history);
    if let Some(
        Outcome::Failed(Failure { kind: Kind::Kit, what: why, .. })
        | Outcome::Skipped { reason: why },
    ) = outcome
    {
        return Err(Stop::NotReplayable { path, why });
    }
    let mut report = Report::empty(&driver.name(), &options);
    report.elapsed = started.elapsed();
    let flags = report.flags();
    report.rerun = Rerun::Replay(format!("{} replay {}{flags}", quoted(program), file.display()));
    report.notes = warden.take_notes();
    report.not_run = usize::from(outcome.is_none());
    let result =
        outcome.map(|outcome| CheckResult { spec: replay::SPEC, outcome, elapsed: report.elapsed });
    report.results.extend(result);
    output.write(&mut report)?;
    Ok(halt.code().unwrap_or_else(|| report.conclusion().exit_code()))
}

fn list(checks: &[String]) -> Result<u8, Stop> {
    let (filter, specs) = (Filter::only(checks), specs());
    known_words(&filter, &specs)?;
    print(&print::list(&filter, &specs))?;
    Ok(0)
}

fn explain(id: &str) -> Result<u8, Stop> {
    let specs = specs();
    let Some(spec) = specs.iter().find(|spec| spec.id == id) else {
        return Err(Stop::NoCheck(id.to_owned(), Near(args::near(id, &ids(&specs)))));
    };
    print(&print::explain(spec))?;
    Ok(0)
}

fn new_crate(args: &new::NewArgs) -> Result<u8, Stop> {
    print(&new::new(args)?)?;
    Ok(0)
}

fn look_at(driver: &Arc<dyn Driver>, dir: &Path, patience: Duration) -> Result<u8, Stop> {
    print(&look::look(&**driver, dir, patience)?)?;
    Ok(0)
}

fn warden(options: &Options, how: &How) -> Result<(Arc<Halt>, Warden), Stop> {
    let halt = Arc::new(Halt::default());
    halt.listen(|_, _| {}, |code| std::process::exit(code.into())).map_err(Stop::Start)?;
    let echo = how
        .show_output
        .then(|| Arc::new(|line: &str| drop(writeln!(io::stderr(), "store: {line}"))) as Echo);
    let warden = Warden::new(options, Arc::clone(&halt), echo).map_err(Stop::Start)?;
    Ok((halt, warden))
}

fn specs() -> Vec<Spec> {
    registry::specs(Edition::LATEST)
}

fn ids(specs: &[Spec]) -> Vec<&'static str> {
    specs.iter().map(|spec| spec.id).collect()
}

fn known_words(filter: &Filter, specs: &[Spec]) -> Result<(), Stop> {
    let ids = ids(specs);
    match filter.strangers(&ids).first() {
        None => Ok(()),
        Some(word) => {
            let mut near = args::near_families(word, &ids);
            near.extend(args::near(word, &ids));
            near.truncate(5);
            let commands = Cli::command();
            let is_near = |name: &&str| strsim::damerau_levenshtein(name, word) <= 2;
            let names = ["run", "list", "explain", "replay", "look", "new"];
            debug_assert!(names.iter().all(|name| commands.find_subcommand(name).is_some()));
            near.extend(names.into_iter().filter(|name| is_near(name)));
            Err(Stop::NoSuchCheck { word: (*word).to_owned(), near: Near(near) })
        }
    }
}

fn print(text: &str) -> Result<(), Stop> {
    io::stdout().write_all(text.as_bytes()).map_err(Stop::Output)
}

/// As a shell wants it.
fn quoted(program: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+\\:".contains(c);
    if program.chars().all(plain) { program.to_owned() } else { format!("{program:?}") }
}

/// Where the report goes.
struct Output {
    format: Format,
    colour: bool,
    file: Option<(PathBuf, File)>,
}

impl Output {
    /// Opens the file before the run: minutes of checks for a report with no place are wasted.
    fn open(how: &How) -> Result<Self, Stop> {
        let file = match &how.output {
            None => None,
            Some(path) => Some((
                path.clone(),
                File::create(path)
                    .map_err(|error| Stop::Unwritable { path: path.clone(), error })?,
            )),
        };
        let colour = how.colour(io::stdout().is_terminal());
        Ok(Self { format: how.format, colour, file })
    }

    /// A report in a file comes beside the one for people, which is printed in any case.
    /// What both leave out comes in files of its own.
    fn write(self, report: &mut Report) -> Result<(), Stop> {
        report::keep(report, self.file.as_ref().map(|(path, _)| path.as_path()));
        if let Some((path, mut file)) = self.file {
            let text = render(self.format, report, false);
            file.write_all(text.as_bytes()).map_err(|error| Stop::Unwritable { path, error })?;
            return print(&render(Format::Text, report, self.colour));
        }
        print(&render(self.format, report, self.colour))
    }
}

fn render(format: Format, report: &Report, colour: bool) -> String {
    match format {
        Format::Text => report::text(report, colour),
        Format::Json => report::json(report),
        Format::Junit => report::junit(report),
        Format::Markdown => report::markdown(report),
    }
}
