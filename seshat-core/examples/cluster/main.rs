//! Replicates a file of Redis commands to three nodes in this process, kills the leader half-way,
//! and checks that all three end with the state that the commands give.
//!
//! ```text
//! cargo run --release -p seshat-core --example cluster -- FILE
//! ```
//!
//! `FILE` holds `SET` and `DEL`, one command a line as redis-cli takes them, or the stream that
//! `redis-cli --pipe` takes; `-` is standard input. All of it is read into memory and checked
//! before anything starts: if one command is malformed, or beyond the limits of the cluster, its
//! place is reported and none is applied.
//!
//! The report goes to standard output, everything else to standard error.

#![allow(missing_docs, reason = "a program, not a library")]

mod arguments;
mod flight;
mod input;
mod nodes;
mod progress;
mod replicate;
mod report;

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seshat_core::operation::Operation;

use self::arguments::{Options, Request, USAGE};
use self::input::{InputError, Source};
use self::nodes::Nodes;
use self::progress::Progress;
use self::replicate::{Plan, replicate};
use self::report::{Leadership, Report};

type Failure = Box<dyn Error + Send + Sync>;

/// How long stopping may take before the process ends all the same.
const STOP: Duration = Duration::from_secs(5);

/// Unless RUST_LOG says otherwise. openraft's replication complains of a dead node without end.
const LOGGED: &str = "seshat_core=info,openraft=error,openraft::replication=off";

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
/// What a shell reports of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match Request::parse(std::env::args_os().skip(1)) {
        Ok(Request::Help) => print(USAGE, ExitCode::SUCCESS),
        Ok(Request::Run(options)) => run(options),
        Err(fault) => {
            complain(&format!("cluster: {fault}\n{USAGE}"));
            ExitCode::from(WRONG_USAGE)
        }
    }
}

fn run(options: Options) -> ExitCode {
    if options.logs {
        log_to_stderr();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cluster: cannot start a runtime: {error}\n"));
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(supervise(options));
    // A read from standard input may be stuck in a thread that nothing can end.
    runtime.shutdown_background();
    code
}

/// Does the work until it is done or Ctrl-C, and says how it ended.
async fn supervise(options: Options) -> ExitCode {
    let (progress, mut nodes) = (Progress::new(), Nodes::new());
    // With logs on the same terminal, neither would be readable.
    let shown = io::stderr().is_terminal() && !options.logs;
    let ended = tokio::select! {
        biased;
        () = interrupted() => None,
        never = show(&progress, shown) => match never {},
        ended = work(&options, &mut nodes, &progress) => Some(ended),
    };
    if shown {
        progress::clear();
    }
    // What was to be kept is in the report.
    let _ = tokio::time::timeout(STOP, nodes.stop()).await;
    match ended {
        Some(Ok(report)) => {
            let text = if options.json { report.to_json() } else { report.to_text() };
            let good = report.digests_agree() && report.state_matches();
            print(&text, if good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
        }
        Some(Err(failure)) => {
            complain(&format!("cluster: {}\n", chain(&*failure)));
            if let Some(so_far) = progress.so_far() {
                complain(&format!("cluster: {so_far}\n"));
            }
            ExitCode::from(FAILED)
        }
        None => {
            let so_far = progress.so_far();
            let so_far = so_far.unwrap_or_else(|| "nothing was proposed".to_owned());
            complain(&format!("cluster: interrupted: {so_far}\n"));
            ExitCode::from(INTERRUPTED)
        }
    }
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler Ctrl-C ends the process, as it would any other.
        std::future::pending::<()>().await;
    }
}

async fn show(progress: &Progress, shown: bool) -> Infallible {
    if shown { progress.show().await } else { std::future::pending().await }
}

async fn work(
    options: &Options,
    nodes: &mut Nodes,
    progress: &Progress,
) -> Result<Report, Failure> {
    let operations = read(options.source.clone()).await?;
    let commands = operations.len();
    progress.phase("starting three nodes");
    nodes.start_all().await?;

    progress.replicating(commands);
    let plan = Plan::new(commands, options.window, options.kill);
    let mut done = replicate(nodes, &operations, &plan, progress).await?;

    progress.phase("waiting until all three have applied everything");
    let catching_up = Instant::now();
    nodes.restart_killed().await?;
    nodes.wait_until_equal().await?;
    let caught_up = catching_up.elapsed();

    progress.phase("comparing states");
    let expected = tokio::task::spawn_blocking(move || input::digest_of(&operations));
    let latency = report::Latency::of(&mut done.latencies);
    Ok(Report {
        commands,
        window: plan.window(),
        elapsed: done.elapsed,
        caught_up,
        latency,
        leadership: Leadership {
            before: done.leader_before,
            after: done.leader_after,
            kill: done.kill,
        },
        proposed_again: done.proposed_again,
        nodes: nodes.states().await?,
        expected: expected.await??,
    })
}

/// All the commands of `source`, on a thread that may block.
async fn read(source: Source) -> Result<Arc<[Operation]>, Failure> {
    let read = tokio::task::spawn_blocking(move || source.read());
    let read: Result<Vec<Operation>, InputError> = read.await?;
    Ok(read?.into())
}

fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(io::stderr).init();
}

/// An error and its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// To standard output. Whoever closes it early has read enough.
fn print(text: &str, code: ExitCode) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("cluster: cannot write to standard output: {error}\n"));
            ExitCode::from(FAILED)
        }
        _ => code,
    }
}

/// To standard error. If that fails too, nobody is left to be told.
fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
