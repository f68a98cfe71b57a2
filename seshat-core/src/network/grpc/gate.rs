//! [`Gate`]: stands before the service, and sees each call before its message is read.
//!
//! Guarantees: what passes is meant for this node, comes from a node whose certificate it is (where there
//! are any), and this node takes part; it has a place among the calls of its sender, and its message has
//! room ([`Totals`]); it ends within the time a call may take or, where it says that it is long, when none
//! of it came for that time (a snapshot sees to that itself, by the [`Progress`] that goes with it); it
//! leaves a span and, if it fails, an event, those that are refused a few at most.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;
use tracing::Instrument;
use tracing::field::{self, Empty};

use super::answers::Answers;
use super::caller::Caller;
use super::error::Refusal;
use super::identity::{Identity, caller};
use super::progress::{LONG, Progress};
use super::services::transport_server::{self, TransportServer};
use super::totals::{Held, LONGEST_PART, Meter, Place, Refusals, Totals};

/// The transport's service, of which only admitted calls hear.
#[derive(Clone)]
pub(super) struct Gate {
    /// For calls that are not [`LONG`].
    pub(super) short: TransportServer<Answers>,
    pub(super) long: TransportServer<Answers>,
    /// For snapshots.
    pub(super) parts: TransportServer<Answers>,
    /// The longest message of one that is.
    pub(super) longest: usize,
    pub(super) identity: Identity,
    /// Whether the node takes part.
    pub(super) admitted: watch::Receiver<bool>,
    /// How long a call may take beyond the arrival of its message, and that without a byte arriving.
    pub(super) limit: Duration,
    pub(super) totals: Totals,
    pub(super) refusals: Refusals,
}

impl NamedService for Gate {
    const NAME: &'static str = transport_server::SERVICE_NAME;
}

type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl Gate {
    fn admit(&self, rpc: &str, request: &Request<Body>) -> Result<(), Status> {
        let refuse = |(refusal, words): (Refusal, String)| refusal.status(words);
        let (headers, extensions) = (request.headers(), request.extensions());
        self.identity.check(headers).map_err(refuse)?;
        self.identity.check_caller(headers, extensions).map_err(refuse)?;
        if !matches!(rpc, "Standing" | "Formats") && !*self.admitted.borrow() {
            let words = format!(
                "node {} remembers nothing, and its cluster has not said yet whether it may take part",
                self.identity.node_id
            );
            return Err(Refusal::NotAdmitted.status(words));
        }
        Ok(())
    }

    /// What the node answers, within the time that it may take.
    fn answer(&mut self, rpc: &str, request: Request<Body>, place: Place) -> Answer {
        let (limit, from) = (self.limit, caller(request.headers()));
        if rpc == "FullSnapshot" {
            let budget = self.totals.peer_budget(from, LONGEST_PART);
            let meter = Meter {
                budget,
                progress: Progress::default(),
                single: false,
                pauses: false,
                stall: None,
            };
            let (request, held) = let_in(meter, request);
            let call = self.parts.call(request);
            return Box::pin(async move {
                let _under_way = (place, held);
                unwrap(call.await)
            });
        }
        if !request.headers().contains_key(LONG) {
            let call = self.short.call(request);
            return Box::pin(async move {
                let _under_way = place;
                let end = tokio::time::timeout(limit, call).await;
                end.map_or_else(|_| stalled(limit), unwrap)
            });
        }
        let (budget, progress) = (self.totals.peer_budget(from, self.longest), Progress::default());
        let meter = Meter {
            budget,
            progress: progress.clone(),
            single: true,
            pauses: false,
            stall: Some(limit),
        };
        let (request, held) = let_in(meter, request);
        let call = self.long.call(request);
        // What openraft was given it keeps until it has answered, whether the caller waits or not. So
        // this waits too; and for a message that doesn't come no longer than the meter does.
        let call = async move {
            let _under_way = (place, held);
            unwrap(call.await)
        };
        let call = tokio::spawn(call.in_current_span());
        Box::pin(async move {
            match progress.wait(limit, call).await {
                Some(Ok(response)) => response,
                Some(Err(panicked)) => Status::internal(panicked.to_string()).into_http(),
                None => stalled(limit),
            }
        })
    }
}

fn let_in(meter: Meter, request: Request<Body>) -> (Request<Body>, Held) {
    let (mut head, body) = request.into_parts();
    head.extensions.insert(meter.progress.clone());
    let (body, held) = meter.let_in(body);
    (Request::from_parts(head, body), held)
}

fn stalled(limit: Duration) -> Response<Body> {
    Refusal::Stalled.status(format!("nothing moved for longer than {limit:?}")).into_http()
}

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Generated services always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let rpc = path.rsplit_once('/').map_or(path, |(_, rpc)| rpc).to_owned();
        let from = caller(request.headers());
        let span = tracing::debug_span!(
            "serve",
            node_id = self.identity.node_id,
            kind = rpc,
            peer = from,
            address =
                request.extensions().get().map(|caller: &Caller| field::display(caller.address())),
            elapsed_us = Empty,
            outcome = Empty,
        );
        let long = rpc == "FullSnapshot" || request.headers().contains_key(LONG);
        let place = self.admit(&rpc, &request).and_then(|()| self.totals.peer(from, long));
        let answer = span.in_scope(|| match place {
            Ok(place) => self.answer(&rpc, request, place),
            Err(status) => Box::pin(async move { status.into_http() }),
        });
        let (started, refusals) = (Instant::now(), self.refusals.clone());
        let answer = answer.instrument(span.clone());
        Box::pin(async move {
            let response = answer.await;
            // An answer without a message has its status among the headers.
            let status = Status::from_header_map(response.headers());
            let code = status.as_ref().map_or(Code::Ok, Status::code);
            span.record("elapsed_us", started.elapsed().as_micros() as u64);
            span.record("outcome", field::debug(code));
            if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
                span.in_scope(|| {
                    refusals.tell(&status);
                    let words = status.message();
                    tracing::debug!(?code, reason = words, "call failed");
                });
            }
            Ok(response)
        })
    }
}

fn unwrap(answer: Result<Response<Body>, Infallible>) -> Response<Body> {
    match answer {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
