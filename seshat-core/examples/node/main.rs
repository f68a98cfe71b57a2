//! One node of a cluster, as a process of its own; and a client of such a cluster.
//!
//! ```text
//! cargo run --release -p seshat-core --example node -- --config seshat-core/examples/node/node1.toml
//! cargo run --release -p seshat-core --example node -- client --to 127.0.0.1:7379 set key value
//! ```
//!
//! Results and what a node does go to standard output, everything else to standard error. A node keeps what
//! it must not forget in `data_dir`, and is itself again however it ended; where that is missing or refused it
//! says so, with an exit code for each case ([`storage`]). The client applies no operation twice ([`client`]).

#![allow(missing_docs, reason = "a program, not a library")]

mod arguments;
mod client;
mod commands;
mod serve;
mod service;
mod signals;
mod storage;
mod via;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use self::arguments::{Arguments, Logs, Mode};
use self::client::chain;

/// An operation failed, or was refused.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong. clap's own code for the former.
const WRONG_USAGE: u8 = 2;
/// The node must not take part as if it remembered.
const LOST_MEMORY: u8 = 3;
/// Whether the operation was applied is not known.
const UNKNOWN: u8 = 4;
/// Another process has the directory open.
const IN_USE: u8 = 5;
/// The directory is another node's, another cluster's or a newer version's.
const NOT_ITS_OWN: u8 = 6;
/// The directory is damaged.
const DAMAGED: u8 = 7;

/// Unless RUST_LOG says otherwise. openraft's replication complains of a dead node without end.
const LOGGED: &str = "node=info,seshat_core=info,openraft=error,openraft::replication=off";

/// Why the program ends before it should, and with which exit code.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Failure {
    code: u8,
    words: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    fn new(code: u8, words: impl Into<String>) -> Self {
        Self { code, words: words.into(), source: None }
    }

    fn of(code: u8, words: impl Into<String>, error: impl Error + Send + Sync + 'static) -> Self {
        Self { code, words: words.into(), source: Some(Box::new(error)) }
    }
}

fn main() -> ExitCode {
    let Arguments { node, mode } = Arguments::parse();
    log_to_stderr(node.as_ref().map_or(Logs::Text, |node| node.log));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::of(FAILED, "no runtime can be started", error)),
    };
    let end = runtime.block_on(async {
        match (mode, node) {
            (Some(Mode::Client(options)), _) => commands::run(options).await,
            (None, Some(options)) => serve::run(options).await,
            // clap asks for one of the two.
            (None, None) => Err(Failure::new(WRONG_USAGE, "--config FILE is missing, see --help")),
        }
    });
    // What was to be waited for has been.
    runtime.shutdown_background();
    end.unwrap_or_else(|failure| fail(&failure))
}

fn log_to_stderr(logs: Logs) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match logs {
        Logs::Json => log.json().init(),
        Logs::Text => log.with_ansi(io::stderr().is_terminal()).init(),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    // If that fails too, nobody is left to be told.
    let _ = writeln!(io::stderr(), "node: {}", chain(failure));
    ExitCode::from(failure.code)
}

/// A line on standard output, at once. Whoever closed it doesn't want to know.
fn say(line: impl std::fmt::Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
