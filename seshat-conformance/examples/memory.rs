//! Checks Seshat's own store in memory:
//!
//! ```text
//! cargo run --release -p seshat-conformance --example memory
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    seshat_conformance::cli::main(seshat_conformance::embedded::InMemory::default())
}
