//! From a file of commands to operations, all or none; and the state they give on their own.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use seshat_core::client::commands::{Command, Place, ReadError, Reader};
use seshat_core::machine::{ApplyError, Machine};
use seshat_core::operation::{Batch, LimitError, Limits, Operation};
use seshat_core::snapshot;
use seshat_core::types::{Entry, EntryPayload, LeaderId, LogId};

const BUFFER: usize = 1 << 20;

/// Where the commands are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    StandardInput,
    File(PathBuf),
}

/// Why no command was taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("cannot open {path}: {error}")]
    Open { path: String, error: io::Error },
    #[error("{name}: {error}; nothing was applied")]
    Malformed { name: String, error: ReadError },
    #[error("{name}: {at}: {error}; nothing was applied")]
    BeyondLimits { name: String, at: Place, error: LimitError },
}

impl Source {
    /// All the operations, in order. Blocks.
    pub(crate) fn read(&self) -> Result<Vec<Operation>, InputError> {
        match self {
            Self::StandardInput => read_all("standard input", io::stdin().lock()),
            Self::File(path) => {
                let name = path.display().to_string();
                match File::open(path) {
                    Ok(file) => read_all(&name, file),
                    Err(error) => Err(InputError::Open { path: name, error }),
                }
            }
        }
    }
}

fn read_all(name: &str, input: impl Read) -> Result<Vec<Operation>, InputError> {
    // The nodes are configured with the default limits.
    let limits = Limits::default();
    let mut operations = Vec::new();
    for read in Reader::new(BufReader::with_capacity(BUFFER, input)) {
        let command =
            read.map_err(|error| InputError::Malformed { name: name.to_owned(), error })?;
        let operation = match command.value {
            Command::Set { key, value, options } => {
                Operation::set_with(key, value, options, &limits)
            }
            Command::Del { keys } => Operation::del(keys, &limits),
        };
        operations.push(operation.map_err(|error| InputError::BeyondLimits {
            name: name.to_owned(),
            at: command.at,
            error,
        })?);
    }
    Ok(operations)
}

/// The digest of a machine that applied the operations, each once, without a cluster.
pub(crate) fn digest_of(operations: &[Operation]) -> Result<u128, ApplyError> {
    const ENTRY: usize = 1024;
    let mut machine = Machine::default();
    for (index, chunk) in operations.chunks(ENTRY).enumerate() {
        let log_id = LogId::new(LeaderId::new(1, 1), index as u64);
        let payload = EntryPayload::Normal(Batch::new(chunk));
        machine.apply(vec![Entry { log_id, payload }])?;
    }
    Ok(snapshot::digest(&machine.freeze()))
}
