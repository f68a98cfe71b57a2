//! [`ReadOnly`]: a directory of this machine that nobody changes by way of it.
//!
//! Guarantees: every call that would change something is refused ([`ErrorKind::ReadOnlyFilesystem`]), and files
//! are open for reading alone, so that the directory may be on a medium, or of a user, that can't be written
//! to. Nothing is followed that isn't a file: whoever opens a pipe waits for ever.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use super::{Disk, FileSystem, LockError};

/// A file system that is only read: whatever would change it fails.
#[derive(Debug)]
pub struct ReadOnly {
    root: PathBuf,
    names: Disk,
}

impl ReadOnly {
    /// The directory at `root`, which must be there.
    ///
    /// # Errors
    /// It isn't, is no directory, or can't be listed.
    pub fn at(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::read_dir(&root)?;
        Ok(Self { names: Disk::at(&root)?, root })
    }

    fn file(&self, path: &str) -> io::Result<fs::File> {
        let path = self.root.join(path);
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a file"));
        }
        fs::File::open(path)
    }
}

fn refused<T>() -> io::Result<T> {
    Err(ErrorKind::ReadOnlyFilesystem.into())
}

impl FileSystem for ReadOnly {
    type File = fs::File;
    /// `None` where there is no file to lock: nobody has it then.
    type Lock = Option<fs::File>;

    /// Takes the lock without writing who has it, and without creating the file.
    fn lock(&self, path: &str) -> Result<Option<fs::File>, LockError> {
        match self.file(path) {
            Ok(file) => Disk::take(file).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn create_folder(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.names.list(folder)
    }

    fn open(&self, path: &str) -> io::Result<fs::File> {
        self.file(path)
    }

    fn create(&self, _: &str) -> io::Result<fs::File> {
        refused()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn sync_folder(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn random(&self) -> u64 {
        self.names.random()
    }
}
