//! Runs the kit on each store beside this crate, and compares the causes that it names with the
//! store's `findings.txt`.
//!
//! A cause that isn't written there is a new fault, or a false alarm; one that is and isn't named is
//! a check gone blind. Either ends the run with 1, once all stores have run; 2 is a run that could
//! not be compared. Arguments are the stores to run: all without any.

mod difference;
mod findings;
mod report;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

use crate::difference::Difference;
use crate::findings::Findings;
use crate::report::Report;

/// Stores lie beside this crate.
const STORES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The root workspace's, in whose directory the dependencies lie that its tests were built with.
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target");

/// Memory, where there is such a place: a sync costs nothing there, nor is it looked at.
const MEMORY: &str = "/dev/shm";

#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{}/findings.txt: {error}", .store)]
    Findings { store: String, error: findings::ParseError },
    #[error("no store of others is called {0}: none has {0}/findings.txt")]
    NoStore(String),
    #[error("cargo could not be started: {0}")]
    Cargo(io::Error),
    #[error("{store} gave no report that can be read ({status}): {error}")]
    NoReport { store: String, status: ExitStatus, error: serde_json::Error },
}

fn main() -> ExitCode {
    match compare_all(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(stop) => {
            eprintln!("error: {stop}");
            ExitCode::from(2)
        }
    }
}

/// Whether every store fails of what its `findings.txt` says, and of nothing else.
fn compare_all(wanted: Vec<String>) -> Result<bool, Stop> {
    let mut agreed = true;
    for store in if wanted.is_empty() { stores()? } else { wanted } {
        let findings = findings(&store)?;
        let started = Instant::now();
        let report = run(&store)?;
        let difference = Difference::between(&findings, &report);
        agreed &= difference.is_none();
        let seconds = started.elapsed().as_secs();
        match difference {
            None => println!("{store}: {} ({seconds} s)", findings.summary()),
            Some(difference) => eprintln!("{}", difference.of(&store)),
        }
    }
    Ok(agreed)
}

/// Every directory that has findings, in alphabetical order.
fn stores() -> Result<Vec<String>, Stop> {
    let here = |error| Stop::File { path: STORES.into(), error };
    let mut stores = Vec::new();
    for entry in fs::read_dir(STORES).map_err(here)? {
        let path = entry.map_err(here)?.path();
        if let (true, Some(name)) = (path.join("findings.txt").is_file(), path.file_name()) {
            stores.push(name.to_string_lossy().into_owned());
        }
    }
    stores.sort();
    Ok(stores)
}

fn findings(store: &str) -> Result<Findings, Stop> {
    let path = Path::new(STORES).join(store).join("findings.txt");
    match fs::read_to_string(&path) {
        Ok(text) => text.parse().map_err(|error| Stop::Findings { store: store.to_owned(), error }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Stop::NoStore(store.into())),
        Err(error) => Err(Stop::File { path, error }),
    }
}

fn run(store: &str) -> Result<Report, Stop> {
    let path = Path::new(TARGET).join(format!("third-party-{store}.json"));
    let at_path = |error| Stop::File { path: path.clone(), error };
    // Where the run ends before it writes one, that of the run before must not be taken for it.
    fs::create_dir_all(TARGET).and_then(|()| fs::write(&path, "")).map_err(at_path)?;
    let mut cargo = Command::new("cargo");
    if Path::new(MEMORY).is_dir() {
        cargo.env("TMPDIR", MEMORY);
    }
    let status = cargo
        .args(["run", "--quiet", "--locked", "--target-dir", TARGET, "--manifest-path"])
        .arg(Path::new(STORES).join(store).join("Cargo.toml"))
        .arg("--")
        .args(["--quick", "--format", "json", "--output"])
        .arg(&path)
        // As in the root workspace, or nothing that was built for it would serve here.
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .stdout(Stdio::null())
        .status()
        .map_err(Stop::Cargo)?;
    let text = fs::read_to_string(&path).map_err(at_path)?;
    Report::parse(&text).map_err(|error| Stop::NoReport { store: store.to_owned(), status, error })
}
