//! Where commands come from: a file, or standard input, read on a thread that may block.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use seshat_core::client::commands::{Command, Located, ReadError, Reader};
use tokio::sync::mpsc;

use crate::Failure;
use crate::codes::node::WRONG_USAGE;

/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

/// What is read, as it comes.
pub(super) struct Source {
    /// As people know it.
    pub(super) name: String,
    pub(super) commands: mpsc::Receiver<Read>,
    /// Bytes, where they are known: of a file, as it was opened.
    length: Option<u64>,
}

pub(super) struct Read {
    pub(super) command: Result<Located<Command>, ReadError>,
    /// Bytes up to its end.
    pub(super) end: u64,
}

impl Source {
    /// Reads no further ahead than by `ahead` commands.
    pub(super) fn open(path: &Path, ahead: usize) -> Result<Self, Failure> {
        let (name, input, length): (_, Box<dyn io::Read + Send>, _) = match path.as_os_str() {
            dash if dash == "-" => ("standard input".to_owned(), Box::new(io::stdin()), None),
            _ => {
                let failed = |error| {
                    Failure::of(WRONG_USAGE, format!("{} can't be opened", path.display()), error)
                };
                let file = File::open(path).map_err(failed)?;
                let known = file.metadata().ok().filter(|known| known.is_file());
                let length = known.map(|known| known.len()).filter(|length| *length > 0);
                (path.display().to_string(), Box::new(file), length)
            }
        };
        let (read, commands) = mpsc::channel(ahead);
        tokio::task::spawn_blocking(move || {
            let mut reader = Reader::new(BufReader::with_capacity(BUFFER, input));
            while let Some(command) = reader.next() {
                let end = reader.offset();
                if read.blocking_send(Read { command, end }).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name, commands, length })
    }

    /// How much of it ends there, from 0 to 1.
    pub(super) fn part(&self, end: u64) -> Option<f64> {
        // One that grows is at its end for long.
        self.length.map(|length| (end as f64 / length as f64).min(1.0))
    }
}
