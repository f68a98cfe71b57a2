//! [`Handle`]: a file behind a [`SnapshotData`](super::SnapshotData).
//!
//! Guarantees: no thread of the runtime waits for a disk. What is in the page cache would come at once, but
//! nobody can tell beforehand that it is, and a write stops for seconds where the system has more to write
//! back than it likes; so each read and each write is a call of its own on a thread for such, large enough
//! to be worth that. One is under way at a time, in the order in which they were asked for.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::source::{Source, Stored};

/// Bytes that are read at once.
const READ: u64 = 512 << 10;
/// Bytes that are taken at once, to be written. No part of a snapshot that comes from another node is longer.
const TAKEN: usize = 2 << 20;

/// See the [module](self).
pub(super) struct Handle {
    file: Arc<dyn Stored>,
    /// With all that was taken to be written.
    len: u64,
    may_write: bool,
    /// Something was taken since the last sync began.
    unsynced: bool,
    under_way: UnderWay,
    /// What was read last, and where that begins.
    ahead: (u64, Vec<u8>),
}

enum UnderWay {
    Nothing,
    Reading(u64, JoinHandle<io::Result<Vec<u8>>>),
    /// A write, or a sync.
    Writing(JoinHandle<io::Result<()>>),
    /// What was taken isn't there.
    Failed(io::ErrorKind),
}

impl Handle {
    /// On a file that is there.
    pub(super) fn on(file: Arc<dyn Stored>, len: u64) -> Self {
        Self { len, may_write: false, ..Self::blank(file) }
    }

    /// On an empty file, to be filled.
    pub(super) fn blank(file: Arc<dyn Stored>) -> Self {
        let (under_way, ahead) = (UnderWay::Nothing, (0, Vec::new()));
        Self { file, len: 0, may_write: true, unsynced: false, under_way, ahead }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What was taken, and is there if that [ended](Self::poll_ended).
    pub(super) fn source(&self) -> Source {
        Source::File(Arc::clone(&self.file), self.len)
    }

    /// Something of what is at `at`, no more than `most` bytes; nothing at the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        at: u64,
        most: usize,
    ) -> Poll<io::Result<&[u8]>> {
        if most == 0 {
            return Poll::Ready(Ok(&[]));
        }
        while at < self.len && self.read_ahead(at, most).is_empty() {
            ready!(self.poll_ended(cx))?;
            if self.read_ahead(at, most).is_empty() {
                let (file, len) = (Arc::clone(&self.file), READ.min(self.len - at) as usize);
                let read = move || {
                    let mut bytes = vec![0; len];
                    file.read_at(&mut bytes, at)?;
                    Ok(bytes)
                };
                self.under_way = UnderWay::Reading(at, spawn_blocking(read));
            }
        }
        Poll::Ready(Ok(self.read_ahead(at, most)))
    }

    /// What of it was read.
    fn read_ahead(&self, at: u64, most: usize) -> &[u8] {
        let (begin, bytes) = &self.ahead;
        let from = at.checked_sub(*begin).and_then(|from| usize::try_from(from).ok());
        let rest = from.and_then(|from| bytes.get(from..)).unwrap_or_default();
        rest.get(..rest.len().min(most)).unwrap_or_default()
    }

    /// Takes the beginning of `bytes` to be written at `at`, and says how many: all, if they are few.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        at: u64,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.may_write {
            return Poll::Ready(Err(io::ErrorKind::PermissionDenied.into()));
        }
        if at > self.len {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        }
        ready!(self.poll_ended(cx))?;
        let taken = bytes.get(..bytes.len().min(TAKEN)).unwrap_or_default().to_vec();
        let len = taken.len();
        if len > 0 {
            let file = Arc::clone(&self.file);
            let write = spawn_blocking(move || file.write_at(&taken, at));
            self.under_way = UnderWay::Writing(write);
            self.len = self.len.max(at + len as u64);
            self.ahead = (0, Vec::new());
            self.unsynced = true;
        }
        Poll::Ready(Ok(len))
    }

    /// Ends with what is under way.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = match &mut self.under_way {
            UnderWay::Nothing => return Poll::Ready(Ok(())),
            UnderWay::Failed(kind) => return Poll::Ready(Err((*kind).into())),
            UnderWay::Reading(at, read) => {
                let (at, read) = (*at, ready!(Pin::new(read).poll(cx)));
                self.under_way = UnderWay::Nothing;
                read.unwrap_or_else(stopped).map(|bytes| self.ahead = (at, bytes))
            }
            UnderWay::Writing(written) => {
                let written = ready!(Pin::new(written).poll(cx)).unwrap_or_else(stopped);
                self.under_way = match &written {
                    Ok(()) => UnderWay::Nothing,
                    Err(error) => UnderWay::Failed(error.kind()),
                };
                written
            }
        };
        Poll::Ready(ended)
    }

    /// Ends when all that was taken is durable.
    pub(super) fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_ended(cx))?;
            if !std::mem::take(&mut self.unsynced) {
                return Poll::Ready(Ok(()));
            }
            let file = Arc::clone(&self.file);
            self.under_way = UnderWay::Writing(spawn_blocking(move || file.sync()));
        }
    }
}

/// The runtime stopped.
fn stopped<T>(error: JoinError) -> io::Result<T> {
    Err(io::Error::other(error))
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("len", &self.len).finish_non_exhaustive()
    }
}
