//! What `serve` and `client` run in: a runtime, a log on standard error, and lines on standard output that are
//! there at once.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::Failure;
use crate::arguments::Logs;
use crate::codes::node::FAILED;

/// Unless RUST_LOG says otherwise. openraft's replication complains of a dead node without end.
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

fn log_to_stderr(logs: Logs) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match logs {
        Logs::Json => log.json().init(),
        Logs::Text => log.with_ansi(false).init(),
    }
}

/// A line on standard output, at once. Whoever closed it doesn't want to know.
pub(crate) fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
