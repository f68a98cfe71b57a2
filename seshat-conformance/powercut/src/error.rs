//! Why a directory can't be watched.

use std::io;
use std::path::PathBuf;

/// Why a directory can't be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Nothing can be watched here: what depends on it is inconclusive, not failed.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The directory can't be read, or written to.
    #[error("{}: {source}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// It is watched already, or lies within or around a directory that is.
    #[error("{}: watched already, or within or around a directory that is", dir.display())]
    Nested {
        /// The directory.
        dir: PathBuf,
    },
}

impl WatchError {
    pub(crate) fn io(dir: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let dir = dir.into();
        move |source| Self::Io { dir, source }
    }
}

/// Why nothing can be watched here.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// Built without the feature `trap`.
    #[error("the feature `trap` of seshat-powercut was left out of this build")]
    Feature,
    /// Not Linux, or another processor.
    #[error("power cuts need Linux on x86_64 or aarch64")]
    Platform,
    /// A Linux before 5.5.
    #[error("this kernel is Linux {release}, and a trap that lets calls go on needs 5.5")]
    Old {
        /// What it calls itself.
        release: String,
    },
    /// No seccomp with user notification, or it isn't allowed.
    #[error("this kernel or sandbox has no seccomp user notification: {0}")]
    Kernel(#[source] io::Error),
    /// Something around this process has a notification filter already, and there can be one.
    #[error("this process runs under another program's seccomp notification filter")]
    Taken,
    /// The kernel took the filter and doesn't act on it, as some sandboxes do.
    #[error("this kernel or sandbox takes a seccomp filter and doesn't act on it")]
    NoEffect,
    /// No thread for the keeper.
    #[error("no thread to answer trapped calls: {0}")]
    Thread(#[source] io::Error),
}
