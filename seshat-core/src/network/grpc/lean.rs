//! Answers of peers without what tonic panics at.
//!
//! tonic takes it for granted that the details of a status are base64 (`Status::from_header_map`); no
//! node of ours sends any. So they are taken out before tonic sees them, wherever a status may stand:
//! among an answer's headers, or behind its messages.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

const DETAILS: &str = "grpc-status-details-bin";

fn strip(headers: &mut HeaderMap) {
    headers.remove(DETAILS);
}

/// A call whose answer will be lean.
pub(super) struct Leaning<F>(pub(super) F);

impl<F, E> Future for Leaning<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = Result<Response<Lean>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(answer.map(|mut answer| {
            strip(answer.headers_mut());
            answer.map(Lean)
        }))
    }
}

/// A body without details of a status.
pub(super) struct Lean(Body);

impl http_body::Body for Lean {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                strip(trailers);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
