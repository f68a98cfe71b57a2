//! [`SnapshotData`]: the handle openraft moves snapshots with.

use std::any::Any;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

/// A snapshot's bytes with a cursor, to be read or filled.
///
/// Opaque, so that a file can stand behind it later. In memory today: handles on a finished
/// snapshot share its bytes, each with a cursor of its own; a handle that is being filled owns
/// them. Reads, writes and seeks finish at once and leave the runtime no reason to wait.
///
/// One that was [read](super::read) already carries what it holds, so that it needn't be read again to be
/// installed. What that is can't be said here: openraft's type configuration names this handle, and what
/// is read from it applies entries of that configuration.
#[derive(Debug, Default)]
pub struct SnapshotData {
    bytes: Content,
    position: u64,
    /// Of these bytes.
    read: Option<Box<dyn Any + Send + Sync>>,
}

#[derive(Debug)]
enum Content {
    Finished(Bytes),
    Filling(Vec<u8>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Filling(Vec::new())
    }
}

impl Content {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Finished(bytes) => bytes,
            Self::Filling(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Finished(bytes) => bytes,
            Self::Filling(bytes) => bytes.into(),
        }
    }
}

impl SnapshotData {
    /// Empty, to be filled.
    pub fn new() -> Self {
        Self::default()
    }

    /// All bytes, wherever the cursor stands.
    pub fn into_bytes(self) -> Bytes {
        self.bytes.into_bytes()
    }

    /// Those bytes, and what was read from them.
    pub(super) fn carrying(bytes: Bytes, read: impl Any + Send + Sync) -> Self {
        Self { read: Some(Box::new(read)), ..bytes.into() }
    }

    /// All bytes, and what was read from them, if it was, and as a `T`.
    pub(super) fn into_parts<T: Any>(self) -> (Bytes, Option<Box<T>>) {
        let read = self.read.and_then(|read| read.downcast().ok());
        (self.bytes.into_bytes(), read)
    }

    /// All bytes, wherever the cursor stands.
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.as_slice().len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Owned bytes: a handle that shares its bytes gets its own copy before it is changed.
    fn filling(&mut self) -> &mut Vec<u8> {
        self.read = None;
        if let Content::Finished(bytes) = &self.bytes {
            self.bytes = Content::Filling(bytes.to_vec());
        }
        match &mut self.bytes {
            Content::Filling(bytes) => bytes,
            Content::Finished(_) => unreachable!("replaced just above"),
        }
    }
}

impl From<Bytes> for SnapshotData {
    fn from(bytes: Bytes) -> Self {
        Self { bytes: Content::Finished(bytes), position: 0, read: None }
    }
}

impl AsyncRead for SnapshotData {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let position = usize::try_from(self.position).unwrap_or(usize::MAX);
        let rest = self.bytes.as_slice().get(position..).unwrap_or_default();
        let chunk = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
        buf.put_slice(chunk);
        self.position += chunk.len() as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SnapshotData {
    /// A cursor beyond the end is refused rather than filled up with zeros: no sender leaves a
    /// gap, and a claimed offset must not reserve memory.
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        chunk: &[u8],
    ) -> Poll<io::Result<usize>> {
        let position = usize::try_from(self.position).unwrap_or(usize::MAX);
        let bytes = self.filling();
        if position > bytes.len() {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        }
        let overwritten = chunk.len().min(bytes.len() - position);
        let (over, append) = chunk.split_at(overwritten);
        if let Some(old) = bytes.get_mut(position..position + overwritten) {
            old.copy_from_slice(over);
        }
        bytes.extend_from_slice(append);
        self.position += chunk.len() as u64;
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for SnapshotData {
    fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => (self.len() as u64).checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position))
    }
}
