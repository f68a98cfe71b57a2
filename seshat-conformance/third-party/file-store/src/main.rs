//! A key-value store in files, and what tells the kit about it.
//!
//! Small rather than fast: every write is followed by a sync, and every purge writes the log anew.

mod backend;
mod durable;
mod journal;
mod log;
mod machine;
mod types;

use std::process::ExitCode;

fn main() -> ExitCode {
    seshat_conformance::cli::main(backend::FileStore)
}
