//! `cargo run --release` runs all checks; `cargo run --release -- --help` says what else there is.

fn main() -> std::process::ExitCode {
    seshat_conformance::cli::main(store_conformance::MyBackend::default())
}
