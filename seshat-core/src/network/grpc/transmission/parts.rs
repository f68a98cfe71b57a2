//! [`Parts`]: the messages of a transmission, each made when it is asked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_stream::Stream;

use crate::codec::{FullSnapshotHeader, FullSnapshotPart};
use crate::metrics::Counter;
use crate::snapshot::Source;

/// A header, what is behind its offset in chunks, and a trailer. If the file can't be read, it goes no
/// further, and says why.
pub(super) struct Parts {
    header: Option<FullSnapshotHeader>,
    source: Source,
    at: u64,
    chunk: usize,
    /// Goes with the last part.
    checksum: Option<u64>,
    /// What comes next, of a file.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    unreadable: Option<oneshot::Sender<io::Error>>,
    sent: Counter,
}

impl Parts {
    pub(super) fn new(
        header: FullSnapshotHeader,
        source: Source,
        chunk: usize,
        unreadable: oneshot::Sender<io::Error>,
        sent: Counter,
    ) -> Self {
        let (at, checksum) = (header.offset, header.checksum);
        let (header, unreadable) = (Some(header), Some(unreadable));
        Self { header, source, at, chunk, checksum, reading: None, unreadable, sent }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let (at, chunk) = (self.at, self.chunk);
        if let Source::Memory(_) = &self.source {
            return Poll::Ready(self.source.read(at, chunk));
        }
        let source = &self.source;
        let read = || {
            let source = source.clone();
            spawn_blocking(move || source.read(at, chunk))
        };
        let read = ready!(Pin::new(self.reading.get_or_insert_with(read)).poll(cx));
        self.reading = None;
        Poll::Ready(read.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}

impl Stream for Parts {
    type Item = FullSnapshotPart;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FullSnapshotPart>> {
        let this = self.get_mut();
        if let Some(header) = this.header.take() {
            return Poll::Ready(Some(FullSnapshotPart::Header(header)));
        }
        if this.at >= this.source.len() {
            let trailer = this.checksum.take();
            return Poll::Ready(trailer.map(|checksum| FullSnapshotPart::Trailer { checksum }));
        }
        if this.unreadable.is_none() {
            return Poll::Pending;
        }
        match ready!(this.poll_chunk(cx)) {
            Ok(chunk) => {
                this.at += chunk.len() as u64;
                this.sent.add(chunk.len() as u64);
                Poll::Ready(Some(FullSnapshotPart::Chunk(chunk)))
            }
            Err(error) => {
                // Whoever hears it ends the call.
                let _ = this.unreadable.take().map(|unreadable| unreadable.send(error));
                Poll::Pending
            }
        }
    }
}
