//! The little that the log needs of a file system, so that tests can put a disk behind it that fails and
//! loses power.
//!
//! What is assumed of one, and no more:
//!
//! - What was written before a file's [`sync`](File::sync) is there after a power cut; of what was written
//!   since, any sector may be, and the bytes between two writes stay as they are (*powersafe overwrite*, as
//!   SQLite, etcd and RocksDB assume it).
//! - A rename is there as a whole or not at all, and for sure after [`FileSystem::sync_folder`].
//! - A sync that failed may never succeed for the same bytes, even if a later one says so.

mod disk;
mod read_only;

use std::io;

pub use self::disk::Disk;
pub use self::read_only::ReadOnly;

/// A directory. Paths are relative to it, with `/` between their parts.
pub trait FileSystem: Send + Sync + 'static {
    /// A file that is open for reading and writing.
    type File: File;
    /// Held while it lives, wherever the process ends.
    type Lock: Send + Sync;

    /// Takes the lock in that file, which is created if need be.
    ///
    /// # Errors
    /// Another process has it, or this one; or the system says so.
    fn lock(&self, path: &str) -> Result<Self::Lock, LockError>;

    /// Creates a folder that may be there already.
    ///
    /// # Errors
    /// The system's.
    fn create_folder(&self, path: &str) -> io::Result<()>;

    /// The names of what is in a folder.
    ///
    /// # Errors
    /// The system's; a folder that isn't there has nothing in it.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Opens a file that is there.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// Creates a file, or empties the one that is there.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &str) -> io::Result<Self::File>;

    /// Gives a file another name, whose file goes.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a folder durable. The empty path is the directory itself.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, path: &str) -> io::Result<()>;

    /// Bytes that are free where the directory is, for this process; `None` where that isn't known.
    ///
    /// # Errors
    /// The system's.
    fn free(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// A number that nobody can foresee.
    fn random(&self) -> u64;
}

/// An open file. All of it may be called by several threads at once.
pub trait File: Send + Sync + 'static {
    /// Fills `buf` with what is at `offset`.
    ///
    /// # Errors
    /// The system's; the file ends before.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` there. They may stay in a cache.
    ///
    /// # Errors
    /// The system's. Any of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes durable what was written, and the file's length.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> io::Result<()>;

    /// Lets later reads find what the disk has, rather than what a cache does. Whatever isn't synced may
    /// stay cached.
    ///
    /// # Errors
    /// The system's.
    fn drop_cache(&self) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no byte.
    ///
    /// # Errors
    /// The system's.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
}

/// Why a lock isn't taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("locked by process {holder:?}")]
    Held {
        /// Who, if the file says so.
        holder: Option<u32>,
    },
    /// The system says no.
    #[error(transparent)]
    Failed(#[from] io::Error),
}
