//! Whether the body of a call moves.
//!
//! A call that carries much has no deadline that fits every link: it may take as long as it moves. What
//! is counted is what passes between the body and HTTP/2. A sender is ahead of its peer by what the
//! buffers between them hold.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

use super::lean::{Lean, Leaning};

/// A body is handed to HTTP/2 in pieces of that size: to see it move takes no more than that. What many
/// clients propose at once is less, and goes out in one write.
pub(super) const PIECE: usize = 64 << 10;

/// Metadata of a call whose message is longer than a [`PIECE`]. It may take a while to arrive and is worth
/// being watched, and it takes room ([`totals`](super::totals)). A call without it carries no more.
pub(super) const LONG: &str = "seshat-long";

/// Bytes that have passed, counted by a [`Moving`] body.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Some have passed.
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many have passed.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits for `call` for as long as something moves within any `stall`. `None` if nothing did.
    pub(super) async fn wait<T>(
        &self,
        stall: Duration,
        call: impl Future<Output = T>,
    ) -> Option<T> {
        let mut call = std::pin::pin!(call);
        let mut before = self.bytes();
        loop {
            if let Ok(end) = tokio::time::timeout(stall, &mut call).await {
                return Some(end);
            }
            let now = self.bytes();
            if now == before {
                return None;
            }
            before = now;
        }
    }

    /// `body`, with its bytes counted here.
    pub(super) fn watch(&self, body: Body) -> Body {
        Body::new(Moving { body, rest: Bytes::new(), progress: self.clone() })
    }
}

/// A body in pieces that are counted.
struct Moving {
    body: Body,
    rest: Bytes,
    progress: Progress,
}

impl Moving {
    fn piece(&mut self) -> Frame<Bytes> {
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.progress.add(piece.len());
        Frame::data(piece)
    }
}

impl http_body::Body for Moving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map_ok(|frame| match frame.into_data() {
            Ok(data) => {
                self.rest = data;
                self.piece()
            }
            Err(trailers) => trailers,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // As its owner says; ours are streams, of which nothing is known.
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

/// A channel to a peer whose calls are watched, if they carry much.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) channel: Channel,
    pub(super) progress: Option<Progress>,
}

impl Service<Request<Body>> for Watched {
    type Response = Response<Lean>;
    type Error = tonic::transport::Error;
    type Future = Leaning<<Channel as Service<Request<Body>>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Leaning(match &self.progress {
            Some(progress) => self.channel.call(request.map(|body| progress.watch(body))),
            None => self.channel.call(request),
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    async fn drain(mut body: Body, pause: Duration) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let Some(frame) = body.frame().await {
            sizes.push(frame.unwrap().into_data().unwrap().len());
            tokio::time::sleep(pause).await;
        }
        sizes
    }

    fn body(bytes: usize) -> Body {
        Body::new(Full::new(Bytes::from(vec![7; bytes])))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_may_take_as_long_as_it_likes() {
        let progress = Progress::default();
        let body = progress.watch(body(10 * PIECE + 1));
        let sizes = progress.wait(STALL, drain(body, STALL - Duration::from_millis(1))).await;
        let sizes = sizes.expect("it moved all the time");
        assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (11, 10 * PIECE + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_is_given_up() {
        let progress = Progress::default();
        let started = tokio::time::Instant::now();
        let body = progress.watch(body(10 * PIECE));
        assert_eq!(progress.wait(STALL, drain(body, STALL * 3)).await, None);
        // The first piece moved in the first stall; nothing did in the second.
        assert_eq!(started.elapsed(), STALL * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_body_it_is_a_timeout() {
        let progress = Progress::default();
        assert_eq!(progress.wait(STALL, std::future::pending::<()>()).await, None);
        assert_eq!(progress.wait(STALL, async { 7 }).await, Some(7));
    }
}
