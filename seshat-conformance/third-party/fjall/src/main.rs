//! A store on fjall, an embedded database of log-structured trees, and what tells the kit about it.
//!
//! Log, vote, markers and state are keys of one database. Each call that changes them is one
//! transaction, synced before the call returns.

mod backend;
mod database;
mod log;
mod machine;
mod types;

use std::process::ExitCode;

fn main() -> ExitCode {
    seshat_conformance::cli::main(backend::Fjall)
}
