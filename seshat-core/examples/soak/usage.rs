//! What memory and disk are used, and how much may be.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::nodes::{HOT_BYTES, IDS, LOG_BYTES, SEGMENT_BYTES, Trouble};

const MIB: u64 = 1 << 20;
/// What Linux counts a process's memory in, on the machines that it runs on.
const PAGE: u64 = 4096;

/// The bounds, which don't grow with time.
pub(crate) struct Usage {
    dir: PathBuf,
    memory: u64,
    disk: u64,
}

/// At one moment.
pub(crate) struct Used {
    /// `None` where the system doesn't tell.
    memory: Option<u64>,
    disk: u64,
}

impl Usage {
    /// For a state of so many bytes.
    pub(crate) fn new(dir: &Path, state: u64) -> Self {
        let log = 2 * LOG_BYTES.max(state) + LOG_BYTES + 6 * SEGMENT_BYTES;
        // Two snapshots that are kept, and one under way.
        let disk = 3 * state + log;
        // For each node: the state twice, as while a snapshot is taken; a snapshot that is built, and one that is
        // sent; what is kept of the log; and as much again that the allocator holds.
        let node = 2 * (4 * state + HOT_BYTES as u64 + 16 * MIB);
        Self { dir: dir.to_owned(), memory: IDS.len() as u64 * node + 128 * MIB, disk }
    }

    /// What is used now, if it is within the bounds.
    pub(crate) fn look(&self) -> Result<Used, Trouble> {
        let disks = IDS.map(|id| size(&self.dir.join(format!("node-{id}"))));
        let used = Used { memory: memory(), disk: disks.into_iter().max().unwrap_or(0) };
        let beyond =
            |what, got, bound| Trouble::Beyond { what, got: got / MIB, bound: bound / MIB };
        if let Some(got) = used.memory.filter(|got| *got > self.memory) {
            return Err(beyond("memory", got, self.memory));
        }
        if used.disk > self.disk {
            return Err(beyond("a directory", used.disk, self.disk));
        }
        Ok(used)
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, disk) = (self.memory / MIB, self.disk / MIB);
        write!(f, "with at most {memory} MiB of memory and {disk} MiB in a directory")
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.memory {
            Some(memory) => write!(f, "{} MiB of memory", memory / MIB)?,
            None => f.write_str("unknown memory")?,
        }
        write!(f, "  {} MiB on disk", self.disk / MIB)
    }
}

/// What is resident.
fn memory() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}

/// Bytes of all files in a directory. One that goes meanwhile has none.
fn size(dir: &Path) -> u64 {
    let entries = |dir: &Path| -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            bytes += match fs::metadata(&path) {
                Ok(found) if found.is_dir() => size(&path),
                Ok(found) => found.len(),
                Err(_) => 0,
            };
        }
        Ok(bytes)
    };
    entries(dir).unwrap_or(0)
}
