//! [`SnapshotData`]: the handle openraft moves snapshots with.

mod file;
mod source;

use std::any::Any;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use self::file::Handle;
pub(crate) use self::source::{Source, Stored};

/// A snapshot's bytes with a cursor, to be read or filled.
///
/// Opaque: they are in memory, or in a file of the storage's directory. Handles on a finished snapshot share
/// its bytes, each with a cursor of its own, and have them for as long as they live, whatever takes that
/// snapshot's place. A handle that is being filled owns its bytes; where that is a file, it is gone with the
/// handle, unless it was installed.
///
/// In memory, reads, writes and seeks finish at once and leave the runtime no reason to wait. A file is read
/// and written by other threads, so that needs a tokio runtime: what was written is there, and what went
/// wrong is told, when `flush` returns, and durable when `shutdown` does. To drop the future of a write leaves
/// all of a chunk, or nothing, if it has no more than 2 MiB. A file that is finished can't be written to.
///
/// One that was [read](super::read) already carries what it holds, so that it needn't be read again to be
/// installed. What that is can't be said here: openraft's type configuration names this handle, and what
/// is read from it applies entries of that configuration.
#[derive(Debug, Default)]
pub struct SnapshotData {
    content: Content,
    position: u64,
    /// Of these bytes.
    read: Option<Box<dyn Any + Send + Sync>>,
}

#[derive(Debug)]
enum Content {
    Finished(Bytes),
    Filling(Vec<u8>),
    File(Handle),
}

impl Default for Content {
    fn default() -> Self {
        Self::Filling(Vec::new())
    }
}

impl SnapshotData {
    /// Empty, to be filled. In memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empty, to be filled. In that file, which is empty.
    pub(crate) fn blank(file: Arc<dyn Stored>) -> Self {
        Self { content: Content::File(Handle::blank(file)), ..Self::default() }
    }

    /// All bytes, wherever the cursor stands. Those of a file are read into memory, which blocks.
    ///
    /// # Errors
    /// A file's, as the system has it. None in memory.
    pub fn into_bytes(mut self) -> io::Result<Bytes> {
        self.source().into_bytes()
    }

    /// Those bytes, and what was read from them.
    pub(super) fn carrying(source: Source, read: impl Any + Send + Sync) -> Self {
        Self { read: Some(Box::new(read)), ..source.into() }
    }

    /// All bytes, and what was read from them, if it was, and as a `T`.
    pub(super) fn into_parts<T: Any>(mut self) -> (Source, Option<Box<T>>) {
        let source = self.source();
        (source, self.read.and_then(|read| read.downcast().ok()))
    }

    /// All bytes, wherever the cursor stands. Of a file that was written to, those that were flushed are
    /// there.
    pub(crate) fn source(&mut self) -> Source {
        match &mut self.content {
            Content::Finished(bytes) => Source::Memory(bytes.clone()),
            Content::Filling(bytes) => {
                let bytes = Bytes::from(std::mem::take(bytes));
                self.content = Content::Finished(bytes.clone());
                Source::Memory(bytes)
            }
            Content::File(handle) => handle.source(),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Finished(bytes) => bytes.len(),
            Content::Filling(bytes) => bytes.len(),
            Content::File(handle) => usize::try_from(handle.len()).unwrap_or(usize::MAX),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for SnapshotData {
    fn from(bytes: Bytes) -> Self {
        Source::Memory(bytes).into()
    }
}

impl From<Source> for SnapshotData {
    fn from(source: Source) -> Self {
        let content = match source {
            Source::Memory(bytes) => Content::Finished(bytes),
            Source::File(file, len) => Content::File(Handle::on(file, len)),
        };
        Self { content, position: 0, read: None }
    }
}

impl Content {
    /// Bytes in memory that nobody else has: a handle that shares its bytes gets its own copy before it is
    /// changed.
    fn owned(&mut self) -> Option<&mut Vec<u8>> {
        if let Self::Finished(bytes) = self {
            *self = Self::Filling(bytes.to_vec());
        }
        match self {
            Self::Filling(bytes) => Some(bytes),
            Self::Finished(_) | Self::File(_) => None,
        }
    }
}

/// Writes `chunk` over what is at `position`, and behind the end.
fn overwrite(bytes: &mut Vec<u8>, position: u64, chunk: &[u8]) -> io::Result<usize> {
    let position = usize::try_from(position).unwrap_or(usize::MAX);
    if position > bytes.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let overwritten = chunk.len().min(bytes.len() - position);
    let (over, append) = chunk.split_at(overwritten);
    if let Some(old) = bytes.get_mut(position..position + overwritten) {
        old.copy_from_slice(over);
    }
    bytes.extend_from_slice(append);
    Ok(chunk.len())
}

/// What is at `position`, no more than `most` bytes.
fn at(bytes: &[u8], position: u64, most: usize) -> &[u8] {
    let position = usize::try_from(position).unwrap_or(usize::MAX);
    let rest = bytes.get(position..).unwrap_or_default();
    rest.get(..rest.len().min(most)).unwrap_or_default()
}

impl AsyncRead for SnapshotData {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (position, most) = (this.position, buf.remaining());
        let chunk = match &mut this.content {
            Content::Finished(bytes) => at(bytes, position, most),
            Content::Filling(bytes) => at(bytes, position, most),
            Content::File(handle) => ready!(handle.poll_read(cx, position, most))?,
        };
        buf.put_slice(chunk);
        this.position += chunk.len() as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SnapshotData {
    /// A cursor beyond the end is refused rather than filled up with zeros: no sender leaves a
    /// gap, and a claimed offset must not reserve memory.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        chunk: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.read = None;
        let written = match &mut this.content {
            Content::File(handle) => ready!(handle.poll_write(cx, this.position, chunk)),
            memory => memory.owned().map_or(Ok(0), |to| overwrite(to, this.position, chunk)),
        }?;
        this.position += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().content {
            Content::File(handle) => handle.poll_ended(cx),
            Content::Finished(_) | Content::Filling(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().content {
            Content::File(handle) => handle.poll_durable(cx),
            Content::Finished(_) | Content::Filling(_) => Poll::Ready(Ok(())),
        }
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
