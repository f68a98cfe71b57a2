//! [`Disk`]: the file system that is there.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};

use super::{File, FileSystem, LockError};

/// A directory of this machine.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The directory at `root`, which is created if it isn't there, and then is durable in the one above.
    ///
    /// # Errors
    /// The system's.
    pub fn at(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let new = root.ancestors().take_while(|folder| !parent_of_all(folder) && !folder.is_dir());
        let new: Vec<&Path> = new.collect();
        fs::create_dir_all(&root)?;
        for folder in new {
            let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
            sync(above.unwrap_or(Path::new(".")))?;
        }
        Ok(Self { root })
    }

    /// Locks a file that is open.
    pub(super) fn take(mut file: fs::File) -> Result<fs::File, LockError> {
        // Belongs to this opening of the file, so it keeps out the same process too.
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                let holder = read.ok().and_then(|_| text.trim().parse().ok());
                Err(LockError::Held { holder })
            }
            Err(error) => Err(LockError::Failed(error.into())),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

/// Whether that is where a relative path begins.
fn parent_of_all(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

impl FileSystem for Disk {
    type File = fs::File;
    type Lock = fs::File;

    fn lock(&self, path: &str) -> Result<fs::File, LockError> {
        let path = self.path(path);
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let mut file = Self::take(file)?;
        // For people only.
        file.set_len(0)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(file)
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        match fs::create_dir(self.path(path)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        match fs::read_dir(self.path(folder)) {
            // A name that isn't text is none of ours.
            Ok(entries) => entries
                .filter_map(|entry| {
                    entry.map(|entry| entry.file_name().into_string().ok()).transpose()
                })
                .collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &str) -> io::Result<fs::File> {
        fs::OpenOptions::new().read(true).write(true).open(self.path(path))
    }

    fn create(&self, path: &str) -> io::Result<fs::File> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).open(self.path(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        sync(&self.path(path))
    }

    fn free(&self) -> io::Result<Option<u64>> {
        let there = statvfs(&self.root)?;
        Ok(Some(there.f_bavail.saturating_mul(there.f_frsize)))
    }

    fn random(&self) -> u64 {
        // The standard library's only source of randomness.
        RandomState::new().hash_one(0)
    }
}

impl File for fs::File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::DontNeed)?)
    }

    /// There is no such call. A page that a failed sync left marked as clean may be believed.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }
}
