//! The trap, call by call. Each test has a thread of its own and so a watch of its own.
//!
//! Every test ends by comparing the directory with what its calls made of it: what the trap got
//! wrong of contents, sizes or names fails the test, whatever it was about.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

mod costs;
mod faults;
mod names;
mod others;
mod power;
mod raw;
mod syncs;
mod writes;

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use seshat_powercut::{Cut, Disk, Model, Picture, Survives, Unseen, WatchError};
use tempfile::TempDir;

/// A watched directory in one that isn't.
pub(crate) struct Bench {
    disk: Disk,
    around: TempDir,
}

impl Bench {
    /// `None` where nothing can be watched, and says so.
    pub(crate) fn new() -> Option<Self> {
        Self::with(|_| ())
    }

    /// With files that are there already.
    pub(crate) fn with(fill: impl FnOnce(&Path)) -> Option<Self> {
        let around = tempfile::tempdir().unwrap();
        let dir = around.path().join("store");
        fs::create_dir(&dir).unwrap();
        fill(&dir);
        match Disk::watch(&dir) {
            Ok(disk) => Some(Self { disk, around }),
            Err(WatchError::Unsupported(why)) => {
                eprintln!("inconclusive: {why}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.disk.dir().join(name)
    }

    /// A place outside of the watched directory, on the same file system.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.around.path().join(name)
    }

    pub(crate) fn create(&self, name: &str) -> File {
        let mut options = File::options();
        options.read(true).write(true).create_new(true).open(self.path(name)).unwrap()
    }

    /// A file that is on the disk, with its name.
    pub(crate) fn durable(&self, name: &str, bytes: &[u8]) -> File {
        use std::os::unix::fs::FileExt;
        let file = self.create(name);
        file.write_all_at(bytes, 0).unwrap();
        file.sync_all().unwrap();
        self.sync_dir("");
        file
    }

    pub(crate) fn sync_dir(&self, name: &str) {
        File::open(self.path(name)).unwrap().sync_all().unwrap();
    }

    /// What a power cut leaves at least.
    pub(crate) fn least(&self, model: Model) -> Picture {
        self.disk.image().cut(Cut { model, survives: Survives::Nothing })
    }

    /// The bytes of a file that a power cut leaves at least.
    pub(crate) fn left(&self, name: &str) -> Option<Vec<u8>> {
        self.least(Model::Posix).file(name).map(|blocks| blocks.to_vec())
    }

    /// Nothing went past the trap.
    pub(crate) fn all_seen(&self) {
        self.seen_but(&[]);
    }

    /// Nothing else did.
    pub(crate) fn seen_but(&self, expected: &[Unseen]) {
        let trace = self.disk.history().trace(self.disk.now(), Model::Posix);
        assert_eq!(self.disk.unseen().unwrap(), expected, "\n{trace}");
    }
}

impl Deref for Bench {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        &self.disk
    }
}

pub(crate) fn strict(model: Model) -> Cut {
    Cut { model, survives: Survives::Nothing }
}
