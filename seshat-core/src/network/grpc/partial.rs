//! [`Partial`]: what has arrived of a snapshot.
//!
//! Guarantees: holds the first bytes of one snapshot, never those of two, where the storage has room for
//! them: in a file, if it keeps its own in files. What is handed out is whole, durable there, and what its
//! sender had. Whatever isn't handed out is gone when this is.

use std::hash::Hasher;
use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use twox_hash::XxHash3_64;

use crate::codec::{FullSnapshotHeader, SnapshotOffsetRequest};
use crate::snapshot::SnapshotData;

/// Tells the bytes of a snapshot from those of every other, whoever sends them: snapshots of equal
/// states are equal, and one of the same name need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    length: u64,
    checksum: u64,
}

impl Content {
    /// `None` if the sender doesn't say.
    pub(super) fn of(header: &FullSnapshotHeader) -> Option<Self> {
        header.checksum.map(|checksum| Self { length: header.length, checksum })
    }
}

impl From<SnapshotOffsetRequest> for Content {
    fn from(request: SnapshotOffsetRequest) -> Self {
        Self { length: request.length, checksum: request.checksum }
    }
}

/// Why what has arrived is good for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Spoilt {
    #[error("a second header")]
    SecondHeader,
    #[error("more than the {expected} bytes that were announced")]
    More { expected: u64 },
    #[error("{got} bytes arrived, {expected} were announced")]
    Less { got: u64, expected: u64 },
    #[error("checksum {got:#018x}, the trailer says {expected:#018x}")]
    Trailer { got: u64, expected: u64 },
    #[error("checksum {got:#018x}, the header says {expected:#018x}")]
    Header { got: u64, expected: u64 },
}

pub(super) struct Partial {
    content: Option<Content>,
    expected: u64,
    data: SnapshotData,
    got: u64,
    checksum: XxHash3_64,
}

impl Partial {
    /// Nothing yet. `data` is empty.
    pub(super) fn new(header: &FullSnapshotHeader, data: SnapshotData) -> Self {
        let content = Content::of(header);
        Self { content, expected: header.length, data, got: 0, checksum: XxHash3_64::new() }
    }

    /// Whether it has bytes of what `header` announces. Never if a sender didn't say what it sends.
    pub(super) fn is_of(&self, header: &FullSnapshotHeader) -> bool {
        self.content.is_some() && self.content == Content::of(header)
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> u64 {
        self.got
    }

    /// What of `chunk`, whose first byte is number `at`, isn't there yet. Between `at` and what is
    /// there is no gap.
    pub(super) fn fresh(&self, at: u64, mut chunk: Bytes) -> Result<Bytes, Spoilt> {
        if at.saturating_add(chunk.len() as u64) > self.expected {
            return Err(Spoilt::More { expected: self.expected });
        }
        let there = usize::try_from(self.got.saturating_sub(at)).unwrap_or(usize::MAX);
        Ok(chunk.split_off(there.min(chunk.len())))
    }

    /// Appends what [`fresh`](Self::fresh) gave. To drop the future leaves all as it was: no part of a
    /// snapshot is longer than what is taken at once.
    ///
    /// # Errors
    /// What came before isn't there: nothing of it is of use.
    pub(super) async fn append(&mut self, fresh: &[u8]) -> io::Result<()> {
        self.data.write_all(fresh).await?;
        self.checksum.write(fresh);
        self.got += fresh.len() as u64;
        Ok(())
    }

    /// Waits until what was appended is durable, as far as the storage's files are.
    ///
    /// # Errors
    /// It isn't: nothing of it is of use.
    pub(super) async fn settle(&mut self) -> io::Result<()> {
        self.data.shutdown().await
    }

    /// All of it, if the sender stopped before byte number `at`, and everything is as it says. Leaves
    /// nothing of use.
    pub(super) fn finish(&mut self, at: u64, trailer: u64) -> Result<SnapshotData, Spoilt> {
        if at != self.expected {
            return Err(Spoilt::Less { got: at, expected: self.expected });
        }
        let got = self.checksum.finish();
        if got != trailer {
            return Err(Spoilt::Trailer { got, expected: trailer });
        }
        match self.content {
            Some(Content { checksum: expected, .. }) if got != expected => {
                Err(Spoilt::Header { got, expected })
            }
            _ => Ok(std::mem::take(&mut self.data)),
        }
    }
}
