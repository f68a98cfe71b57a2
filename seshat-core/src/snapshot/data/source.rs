//! [`Source`]: the bytes of a snapshot, in memory or in a file.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// A file with the bytes of a snapshot. Whoever makes one knows its file system, and what becomes of it when
/// nobody has it any more. All of it may be called by several threads at once, and may block.
pub(crate) trait Stored: Any + Send + Sync {
    /// Fills `buf` with what is at `offset`.
    ///
    /// # Errors
    /// The system's; the file ends before.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` there.
    ///
    /// # Errors
    /// The system's; the snapshot is finished.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes durable what was written.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> io::Result<()>;
}

/// Bytes that don't change any more. Clones are the same ones; those in a file stay there for as long as
/// there is one.
#[derive(Clone)]
pub(crate) enum Source {
    /// In memory.
    Memory(Bytes),
    /// The first so many of a file.
    File(Arc<dyn Stored>, u64),
}

impl Source {
    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }

    /// What is there from byte number `at` on, but no more than `most` bytes. Blocks for those of a file.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        let there = self.len().saturating_sub(at).min(most as u64) as usize;
        match self {
            Self::Memory(bytes) => {
                let begin = usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
                Ok(bytes.slice(begin..begin + there))
            }
            Self::File(file, _) => {
                let mut bytes = vec![0; there];
                file.read_at(&mut bytes, at)?;
                Ok(bytes.into())
            }
        }
    }

    /// All of them, in memory. Blocks for those of a file.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn into_bytes(self) -> io::Result<Bytes> {
        self.read(0, usize::MAX)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => f.debug_tuple("Memory").field(&bytes.len()).finish(),
            Self::File(_, len) => f.debug_tuple("File").field(len).finish(),
        }
    }
}
