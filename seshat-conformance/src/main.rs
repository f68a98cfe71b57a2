//! Checks Seshat's own store in memory: what `cargo run` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    seshat_conformance::cli::main(seshat_conformance::embedded::Embedded::default())
}
