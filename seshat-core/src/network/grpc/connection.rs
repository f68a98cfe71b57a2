//! A connection that was accepted, encrypted or not.
//!
//! Guarantees: whoever connects has shaken hands and sent HTTP/2's preface by a deadline, however
//! slowly its bytes come, or is hung up on; from then on it must answer HTTP/2's pings. Who has to give
//! way is hung up on at once. What it has is given back when it is dropped.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::caller::Caller;
use super::door::{Place, Turned};

/// "PRI * HTTP/2.0" and so on (RFC 9113, section 3.4): what a client has to say first. A server pings
/// once it has it.
const PREFACE: usize = 24;

/// The socket of a connection that counts among those that may be.
pub(super) struct Wire {
    stream: TcpStream,
    place: Place,
    /// Until whoever connected is known to speak HTTP/2.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Never told: its sender is dropped when this connection has to give way.
    gives_way: oneshot::Receiver<Infallible>,
    ended: Option<io::ErrorKind>,
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        place: Place,
        deadline: Sleep,
        gives_way: oneshot::Receiver<Infallible>,
    ) -> Self {
        Self { stream, place, deadline: Some(Box::pin(deadline)), gives_way, ended: None }
    }

    /// In place of a step that would have to wait: whether this connection has to end. What doesn't
    /// wait pays nothing for it.
    fn or_ends<T>(
        &mut self,
        step: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if step.is_ready() {
            return step;
        }
        if self.ended.is_none() {
            if Pin::new(&mut self.gives_way).poll(cx).is_ready() {
                self.ended = Some(io::ErrorKind::ConnectionAborted);
            } else if self.deadline.as_mut().is_some_and(|it| it.as_mut().poll(cx).is_ready()) {
                self.place.door().turned(Turned::Silent, self.stream.peer_addr().ok(), "");
                self.ended = Some(io::ErrorKind::TimedOut);
            }
        }
        self.ended.map_or(Poll::Pending, |kind| Poll::Ready(Err(kind.into())))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.or_ends(step, cx)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.or_ends(step, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.or_ends(step, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_ends(step, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_ends(step, cx)
    }
}

/// Whether there is TLS on a [`Wire`].
pub(super) enum Io {
    Plain(Wire),
    Encrypted(Box<TlsStream<Wire>>),
}

impl Io {
    pub(super) fn wire(&mut self) -> &mut Wire {
        match self {
            Self::Plain(wire) => wire,
            Self::Encrypted(stream) => stream.get_mut().0,
        }
    }
}

/// What HTTP/2 runs on.
pub(super) struct Connection {
    io: Io,
    caller: Caller,
    /// How much of the preface hasn't come yet.
    to_come: usize,
}

impl Connection {
    pub(super) fn new(io: Io, caller: Caller) -> Self {
        Self { io, caller, to_come: PREFACE }
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.io {
            Io::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Io::Encrypted(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if self.to_come > 0 {
            let came = buf.filled().len().saturating_sub(before);
            self.to_come = self.to_come.saturating_sub(came);
            if self.to_come == 0 {
                self.io.wire().deadline = None;
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(wire) => Pin::new(wire).poll_write(cx, bytes),
            Io::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, bytes),
            Io::Encrypted(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(wire) => wire.is_write_vectored(),
            Io::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Io::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Io::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
