//! Seshat's program: a node, a client, and what looks into a node's directory, and takes a cluster's state out
//! of it and into another.
//!
//! ```text
//! seshat serve --config FILE             one node of a cluster
//! seshat client --to ADDRESS... COMMAND  asks a cluster for something
//!
//! seshat inspect DIR                     what is in a node's directory
//! seshat verify DIR                      whether it is as it was written
//! seshat dump DIR                        the log's entries
//! seshat salvage DIR OUT                 what is whole, into a new directory
//! seshat backup --to ADDRESS... FILE     a running cluster's state, into a file
//! seshat restore FILE DIR ...            a new cluster from such a file
//!
//! seshat completions SHELL               has a shell complete all of these
//! ```
//!
//! Guarantees: nothing is edited in place: a directory that is looked into is only read, and what is written is
//! new, and appears when it is whole. What was asked for goes to standard output, all else to standard error.
//! Whoever closes the output has had enough, which is no failure.

mod arguments;
mod backup;
mod client;
mod codes;
mod directory;
mod dump;
mod inspect;
mod json;
mod reach;
mod report;
mod restore;
mod running;
mod salvage;
mod serve;
mod verify;
mod words;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;

use self::arguments::{Arguments, Command, Tool};

/// Why nothing, or not all, was done, and with which exit code the program ends.
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

/// The output can't be written to; code 0 where nobody reads it.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let code = if error.kind() == ErrorKind::BrokenPipe { 0 } else { codes::FAILED };
        Self::of(code, "the output can't be written", error)
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // If that fails, nobody is left to be told.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { wrong_usage() } else { 0 });
        }
    };
    let end = match arguments.command {
        Command::Serve(options) => serve::run(options),
        Command::Client(options) => client::run(options),
        Command::Tool(tool) => buffered(|out| run(tool, out)),
        Command::Completions { shell } => buffered(|out| complete(shell, out)),
    };
    end.unwrap_or_else(|failure| {
        if failure.code != 0 {
            let _ = writeln!(io::stderr(), "seshat: {}", chain(&failure));
        }
        ExitCode::from(failure.code)
    })
}

/// Standard output, flushed at the end.
fn buffered(
    run: impl FnOnce(&mut dyn Write) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let code = run(&mut out)?;
    out.flush()?;
    Ok(code)
}

fn complete(shell: Shell, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    // To memory, as it would panic where nobody reads.
    clap_complete::generate(shell, &mut Arguments::command(), "seshat", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The code is the command's, though it wasn't understood.
fn wrong_usage() -> u8 {
    match std::env::args_os().nth(1) {
        Some(command) if command == "serve" || command == "client" => codes::node::WRONG_USAGE,
        _ => codes::WRONG_USAGE,
    }
}

fn run(tool: Tool, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    match tool {
        Tool::Inspect(options) => inspect::run(&options, out),
        Tool::Verify(options) => verify::run(&options, out),
        Tool::Dump(options) => dump::run(&options, out),
        Tool::Salvage(options) => salvage::run(&options, out),
        Tool::Backup(options) => backup::run(options, out),
        Tool::Restore(options) => restore::run(&options, out),
    }
}

/// An error and what is behind it, each once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = error.source();
    }
    text
}
