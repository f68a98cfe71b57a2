//! [`Handle`]: the snapshot data type, bytes with a cursor.
//!
//! Guarantees: a new handle has bytes and a cursor of its own. `sharing` and `view` make what a
//! faulty store hands out.

use std::io::{Error, ErrorKind, Result, SeekFrom};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

/// Where a handle stands in its bytes.
#[derive(Debug, Default)]
struct Place {
    bytes: Vec<u8>,
    at: usize,
}

/// How a handle takes what is written to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pen {
    /// As asked.
    #[default]
    Right,
    /// Always at the end, wherever the cursor was put.
    AtEnd,
    /// Keeps what doesn't fill a block of 4 KiB to itself.
    WholeBlocks,
    /// At most this many bytes at a time, which `AsyncWrite` allows.
    Short(usize),
}

/// Bytes with a cursor.
#[derive(Debug, Default)]
pub struct Handle {
    place: Arc<Mutex<Place>>,
    pen: Pen,
}

impl Handle {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self::with(bytes, Pen::Right)
    }

    pub fn with(bytes: Vec<u8>, pen: Pen) -> Self {
        Self { place: Arc::new(Mutex::new(Place { bytes, at: 0 })), pen }
    }

    /// Another handle with the same bytes and the same cursor.
    pub fn sharing(&self) -> Self {
        Self { place: self.place.clone(), pen: self.pen }
    }

    /// All bytes, wherever the cursor stands.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = self.place().bytes.clone();
        let keep =
            if self.pen == Pen::WholeBlocks { bytes.len() / 4096 * 4096 } else { bytes.len() };
        bytes[..keep].to_vec()
    }

    /// The bytes from the cursor on.
    pub fn rest(&self) -> Vec<u8> {
        let place = self.place();
        place.bytes[place.at.min(place.bytes.len())..].to_vec()
    }

    /// Changes the bytes under whoever holds the handle.
    pub fn overwrite(&self, bytes: &[u8]) {
        self.place().bytes = bytes.to_vec();
    }

    /// Puts the cursor before these bytes.
    pub fn begin(&self, bytes: Vec<u8>) {
        *self.place() = Place { bytes, at: 0 };
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Handle {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let mut place = self.place();
        let from = place.at.min(place.bytes.len());
        let to = place.bytes.len().min(from + into.remaining());
        into.put_slice(&place.bytes[from..to]);
        place.at = to;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Handle {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<Result<usize>> {
        let mut place = self.place();
        let at = if self.pen == Pen::AtEnd { place.bytes.len() } else { place.at };
        let from = match self.pen {
            Pen::Short(most) => &from[..from.len().min(most)],
            _ => from,
        };
        let to = at + from.len();
        if place.bytes.len() < to {
            place.bytes.resize(to, 0);
        }
        place.bytes[at..to].copy_from_slice(from);
        place.at = to;
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for Handle {
    fn start_seek(self: Pin<&mut Self>, to: SeekFrom) -> Result<()> {
        let mut place = self.place();
        let at = match to {
            SeekFrom::Start(at) => i64::try_from(at).ok(),
            SeekFrom::End(by) => (place.bytes.len() as i64).checked_add(by),
            SeekFrom::Current(by) => (place.at as i64).checked_add(by),
        };
        let at = at.and_then(|at| usize::try_from(at).ok());
        place.at = at.ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<u64>> {
        Poll::Ready(Ok(self.place().at as u64))
    }
}
