//! [`ClientsLayer`]: the clients' share, before everything that they are served.
//!
//! Guarantees: a call has a place until its last answer is taken, or it is refused at once. What it says
//! is [metered](super::metered); whatever a call waits for from its client must come within `rpc_timeout`,
//! so a stream of messages from a client must not pause for longer. Streams that last as long as a client
//! likes, those of health and reflection, have places of their own; and so have exchanges, which carry many
//! calls, and pause between messages, but not in one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{Held, Meter, Place, Refusals, Totals, busy};
use crate::network::grpc::progress::Progress;

/// Puts the clients' share before a service.
#[derive(Clone)]
pub(in crate::network::grpc) struct ClientsLayer {
    totals: Totals,
    refusals: Refusals,
}

impl ClientsLayer {
    pub(in crate::network::grpc) fn new(totals: Totals) -> Self {
        Self { totals, refusals: Refusals::default() }
    }
}

impl<S> Layer<S> for ClientsLayer {
    type Service = Clients<S>;

    fn layer(&self, inner: S) -> Clients<S> {
        Clients { inner, layer: self.clone() }
    }
}

/// See [`ClientsLayer`].
#[derive(Clone)]
pub(in crate::network::grpc) struct Clients<S> {
    inner: S,
    layer: ClientsLayer,
}

/// Whether a call lasts as long as its client likes.
fn is_stream(path: &str) -> bool {
    path == "/grpc.health.v1.Health/Watch" || path.starts_with("/grpc.reflection.")
}

/// Whether it carries many.
fn is_exchange(path: &str) -> bool {
    path == "/seshat.client.v1.Client/Exchange"
}

impl Totals {
    /// A place for a client's call.
    fn client(&self, path: &str) -> Result<Place, Status> {
        let shared = &*self.shared;
        let calls = match path {
            _ if is_exchange(path) => &shared.exchanges,
            _ if is_stream(path) => &shared.streams,
            _ => &shared.clients.calls,
        };
        match calls.take(1) {
            Some(place) => Ok(Place { _permits: [Some(place), None, None] }),
            None => Err(busy(format!("there are {} calls, as many as may be", calls.most))),
        }
    }
}

impl<S> Service<Request<Body>> for Clients<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let ClientsLayer { totals, refusals } = &self.layer;
        let place = match totals.client(path) {
            Ok(place) => place,
            Err(busy) => {
                refusals.tell(&busy);
                return Box::pin(async move { Ok(busy.into_http()) });
            }
        };
        let refusals = refusals.clone();
        let pauses = is_exchange(path);
        let (mut head, body) = request.into_parts();
        let meter = Meter {
            budget: totals.client_budget(),
            progress: Progress::default(),
            single: false,
            pauses,
            stall: Some(totals.shared.limit),
        };
        let (body, held) = meter.let_in(body);
        if pauses {
            head.extensions.insert(held.clone());
        }
        let answer = self.inner.call(Request::from_parts(head, body));
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(status) = Status::from_header_map(answer.headers()) {
                refusals.tell(&status);
            }
            Ok(answer.map(|body| Body::new(Answer { body, _place: place, _held: held })))
        })
    }
}

/// The body of an answer, whose call has a place until it is gone.
struct Answer {
    body: Body,
    _place: Place,
    _held: Held,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
