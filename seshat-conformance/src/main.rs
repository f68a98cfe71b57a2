//! Checks Seshat's own store on disk: what `cargo run` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    seshat_conformance::cli::main(seshat_conformance::embedded::OnDisk::default())
}
