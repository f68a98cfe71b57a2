//! What `serve` and `client` run in: a runtime, a log on standard error, and lines on standard output that are
//! there at once.

mod seldom;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use self::seldom::Seldom;
use crate::Failure;
use crate::arguments::Logs;
use crate::codes::node::FAILED;

/// Unless RUST_LOG says otherwise. openraft's replication complains of a dead node without end, and tells nothing
/// that the transport doesn't.
const LOGGED: &str = "seshat=info,seshat_core=info,openraft=error,openraft::replication=off";

/// Runs it to its end, and whatever it left running no longer.
pub(crate) fn run(
    logs: Logs,
    program: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    log_to_stderr(logs);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::of(FAILED, "no runtime can be started", error))?;
    let end = runtime.block_on(program);
    // What was to be waited for has been.
    runtime.shutdown_background();
    end
}

/// What RUST_LOG says is logged as it says. Without it openraft is [seldom](Seldom) heard.
fn log_to_stderr(logs: Logs) {
    let log = fmt::layer().with_writer(io::stderr);
    let log: Box<dyn Layer<Registry> + Send + Sync> = match logs {
        Logs::Json => log.json().boxed(),
        Logs::Text => log.with_ansi(false).boxed(),
    };
    let log = match EnvFilter::try_from_default_env() {
        Ok(filter) => log.with_filter(filter).boxed(),
        Err(_) => log.with_filter(EnvFilter::new(LOGGED).and(Seldom::default())).boxed(),
    };
    tracing_subscriber::registry().with(log).init();
}

/// A line on standard output, at once. Whoever closed it doesn't want to know.
pub(crate) fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
