//! What parent and child say to each other: lines of JSON. Both are the same program, so nothing
//! here has versions.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::runner;

/// Begins a line of the child that is an answer, and not the store's own output.
pub(super) const MARK: &str = "\u{1e}seshat-conformance ";

/// The file below a check's directory that outlives the child: what the check did.
const TRACE: &str = "trace.txt";
/// Begins a line of the trace that is a panic rather than a step.
const PANIC: &str = "# panic: ";

/// What a child must know before its first check.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    budget: Budget,
    seed: u64,
    patience: Duration,
    limit_scale: u32,
    images: Option<PathBuf>,
}

impl Orders {
    pub(super) fn new(options: &Options) -> Self {
        let Options { budget, seed, patience, limit_scale, ref images, .. } = *options;
        Self { budget, seed, patience, limit_scale, images: images.clone() }
    }

    pub(super) fn write(&self) -> io::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    pub(super) fn read(text: &str) -> io::Result<Options> {
        let Self { budget, seed, patience, limit_scale, images } = serde_json::from_str(text)?;
        Ok(Options { budget, seed, patience, limit_scale, images, ..Options::default() })
    }
}

/// How a check ended in a child, and what was noted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) notes: Vec<String>,
}

/// What a child is to do below a directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Run the check of this id, of calls that may be known to hang; the answer is an [`Ended`].
    Check(String, PathBuf, Vec<String>),
    /// Replay this history; the answer is an [`Ended`].
    Replay(String, PathBuf),
    /// Try the back end's answers on its own store; the answer is a `Result<(), Unfit>`.
    Trial(PathBuf),
    /// Say which needs are met; the answer is a [`Gifts`](crate::runner::Gifts).
    Gifts(PathBuf),
}

impl Request {
    pub(super) fn write(&self) -> io::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    pub(super) fn read(text: &str) -> io::Result<Self> {
        Ok(serde_json::from_str(text)?)
    }
}

pub(super) fn write_answer(answer: &impl Serialize) -> io::Result<String> {
    // The line end before it parts it from output of the store that ends without one.
    Ok(format!("\n{MARK}{}\n", serde_json::to_string(answer)?))
}

/// What a child says while it is busy, instead of an answer.
pub(super) const BEAT: &str = "lives";

pub(super) fn write_beat() -> String {
    format!("\n{MARK}{BEAT}\n")
}

pub(super) fn read_ended(line: &str) -> Ended {
    serde_json::from_str(line).unwrap_or_else(|error| Ended {
        outcome: runner::hollow(&format!("the child's answer is garbled: {error}")),
        notes: Vec::new(),
    })
}

/// What a check did, as its child wrote it down.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) steps: Vec<String>,
    pub(super) panics: Vec<String>,
}

impl Trace {
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(TRACE)
    }

    /// Empty if there is none: the child died before it began.
    pub(super) fn read(dir: &Path) -> Self {
        let text = std::fs::read(Self::path(dir)).unwrap_or_default();
        let mut trace = Self::default();
        for line in String::from_utf8_lossy(&text).lines() {
            match line.strip_prefix(PANIC) {
                Some(panic) => trace.panics.push(panic.to_owned()),
                None => trace.steps.push(line.to_owned()),
            }
        }
        trace
    }
}
