//! A node's directory, opened to be looked into.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seshat_core::disk::inspect::{InspectError, Inspected, Progress, lock};
use seshat_core::wal::{FileSystem, OpenError, ReadOnly};

use crate::Failure;
use crate::codes::FAILED;
use crate::words::Bytes;

/// How long a command is silent before it says how far it is, and between two times.
const SILENT: Duration = Duration::from_millis(500);

/// A directory, and whether a node has it.
pub(crate) struct Directory {
    dir: PathBuf,
    fs: ReadOnly,
    /// `None` if a node has it.
    lock: Option<<ReadOnly as FileSystem>::Lock>,
    holder: Option<u32>,
}

impl Directory {
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let at = dir.display();
        let fs = ReadOnly::at(dir).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Failure::new(FAILED, format!("{at} isn't there: name a node's directory"))
            }
            ErrorKind::NotADirectory => {
                Failure::new(FAILED, format!("{at} is a file: name a node's directory"))
            }
            _ => Failure::of(FAILED, format!("{at} can't be read"), error),
        })?;
        let dir = dir.to_owned();
        match lock(&fs) {
            Ok(lock) => Ok(Self { dir, fs, lock: Some(lock), holder: None }),
            Err(OpenError::Locked { holder, .. }) => Ok(Self { dir, fs, lock: None, holder }),
            Err(error) => Err(Failure::of(FAILED, format!("{at} can't be read"), error)),
        }
    }

    /// Whether a node has it.
    pub(crate) fn in_use(&self) -> bool {
        self.lock.is_none()
    }

    /// What keeps others from it while it is looked into.
    ///
    /// # Errors
    /// A node has it.
    pub(crate) fn at_rest(mut self, why: &str) -> Result<(Self, impl Sized), Failure> {
        match self.lock.take() {
            Some(lock) => Ok((self, lock)),
            None => {
                let (at, who) = (self.dir.display(), Process(self.holder));
                let words = format!("{at} is in use by {who}: {why}, so end that first");
                Err(Failure::new(FAILED, words))
            }
        }
    }

    /// Reads it, while others may change it.
    pub(crate) fn read_in_use(self) -> Result<Inspected<ReadOnly>, Failure> {
        if self.in_use() {
            let (at, who) = (self.dir.display(), Process(self.holder));
            let _ = writeln!(
                io::stderr(),
                "seshat: warning: {at} is in use by {who}, so what is shown is from different moments"
            );
        }
        self.read()
    }

    pub(crate) fn read(self) -> Result<Inspected<ReadOnly>, Failure> {
        let at = self.dir.display().to_string();
        let mut meter = Meter { last: Instant::now(), shown: false };
        let read = Inspected::read(self.fs, &mut |progress| meter.show(progress));
        meter.end();
        read.map_err(|error| match error {
            InspectError::NotOurs => Failure::new(FAILED, format!("{at}: {error}")),
            InspectError::Failed(_) => Failure::of(FAILED, format!("{at} can't be read"), error),
        })
    }
}

struct Process(Option<u32>);

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(id) => write!(f, "process {id}"),
            None => f.write_str("a process that doesn't say which"),
        }
    }
}

/// Says how far a long reading is, where somebody looks on.
struct Meter {
    last: Instant,
    shown: bool,
}

impl Meter {
    fn show(&mut self, Progress { read, of }: Progress) {
        if self.last.elapsed() < SILENT || !io::stderr().is_terminal() {
            return;
        }
        (self.last, self.shown) = (Instant::now(), true);
        let percent = read.saturating_mul(100).checked_div(of).unwrap_or(0).min(100);
        let _ = write!(io::stderr(), "\r\x1b[Kread {percent} % of {}", Bytes(of));
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
