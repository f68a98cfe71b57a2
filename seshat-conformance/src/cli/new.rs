//! `new`: writes a crate that plugs a store in, with the lines to fill in.
//!
//! Guarantees: nothing that exists is touched, and a directory with anything in it is left as it
//! is. The sources written are files of this kit, in `docs/new`, which `tests/new.rs` compiles and
//! runs; only the manifest is put together here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

/// Where this kit was built from.
const BUILT_FROM: &str = env!("CARGO_MANIFEST_DIR");

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The directory, which is empty or isn't there yet
    #[arg(default_value = "conformance")]
    path: PathBuf,
    #[command(flatten)]
    store: Store,
    /// The directory of seshat-conformance that the crate depends on [default: the one that this
    /// program was built from, or else its repository]
    #[arg(long, value_name = "PATH")]
    kit: Option<PathBuf>,
}

/// What there is to plug in.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Store {
    /// A log store and a state machine
    #[arg(long)]
    both: bool,
    /// A log store (`RaftLogStorage`); the state machine is the kit's
    #[arg(long)]
    log: bool,
    /// A state machine (`RaftStateMachine`); the log store is the kit's
    #[arg(long)]
    machine: bool,
    /// A store for openraft's older `RaftStorage`, through its `Adaptor`
    #[arg(long)]
    raft_storage: bool,
}

/// Why nothing was written, or not all.
#[derive(Debug, thiserror::Error)]
pub(super) enum NewError {
    #[error("{} isn't empty, and nothing was written: name a directory that is, or isn't there yet", .0.display())]
    NotEmpty(PathBuf),
    #[error("{} is not the directory of seshat-conformance: it has no Cargo.toml of that name", .0.display())]
    NoKit(PathBuf),
    #[error("can't write {}: {error}", path.display())]
    Unwritable { path: PathBuf, error: io::Error },
}

/// Writes the crate, and says what to do next.
pub(super) fn new(args: &NewArgs) -> Result<String, NewError> {
    let kit = match &args.kit {
        Some(path) => kit_in(path).ok_or_else(|| NewError::NoKit(path.clone()))?,
        None => kit_in(Path::new(BUILT_FROM)).unwrap_or_else(repository),
    };
    let files = files(&args.store, &kit);
    let unwritable = |path: &Path, error| NewError::Unwritable { path: path.to_owned(), error };
    let path = &args.path;
    fs::create_dir_all(path).map_err(|error| unwritable(path, error))?;
    if fs::read_dir(path).map_err(|error| unwritable(path, error))?.next().is_some() {
        return Err(NewError::NotEmpty(path.clone()));
    }
    for (name, text) in &files {
        let file = path.join(name);
        write(&file, text).map_err(|error| unwritable(&file, error))?;
    }
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    Ok(format!(
        "wrote {} in {}\nnext: fill in what is marked FILL IN there; `cargo run` in it names it\n",
        names.join(", "),
        path.display(),
    ))
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    File::create_new(file)?.write_all(text.as_bytes())
}

/// Names and texts of what is written.
fn files(store: &Store, kit: &str) -> Vec<(&'static str, String)> {
    let backend = match store {
        Store { log: true, .. } => include_str!("../../docs/new/log.rs"),
        Store { machine: true, .. } => include_str!("../../docs/new/machine.rs"),
        Store { raft_storage: true, .. } => include_str!("../../docs/new/raft_storage.rs"),
        _ => include_str!("../../docs/new/both.rs"),
    };
    // openraft hides the older trait, and its `Adaptor`, where the newer one can be implemented.
    let (openraft, features) = match store.raft_storage {
        true => ("\"0.9\"", ", default-features = false, features = [\"powercut\"]"),
        false => ("{ version = \"0.9\", features = [\"storage-v2\"] }", ""),
    };
    let manifest = include_str!("../../docs/new/Cargo.toml.in")
        .replace("{OPENRAFT}", openraft)
        .replace("{KIT}", &format!("{{ {kit}{features} }}"));
    vec![
        ("Cargo.toml", manifest),
        ("README.md", include_str!("../../docs/new/README.md").to_owned()),
        ("src/lib.rs", backend.to_owned()),
        ("src/main.rs", include_str!("../../docs/new/main.rs").to_owned()),
        ("tests/conformance.rs", include_str!("../../docs/new/conformance.rs").to_owned()),
    ]
}

/// A dependency on the kit in that directory, or in its repository's, if it is there.
fn kit_in(path: &Path) -> Option<String> {
    let is_kit = |dir: &PathBuf| {
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
        manifest.contains("name = \"seshat-conformance\"")
    };
    let dir = [path.to_owned(), path.join("seshat-conformance")].into_iter().find(is_kit)?;
    let dir = fs::canonicalize(dir).ok()?;
    let dir = dir.to_str()?.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("path = \"{dir}\""))
}

fn repository() -> String {
    format!("git = \"{}\"", env!("CARGO_PKG_REPOSITORY"))
}
