//! [`Gate`]: stands before the service, and sees each call before its message is read.
//!
//! Guarantees: what passes is meant for this node, and this node takes part; it ends within the time a
//! call may take or, where it says that it is long, when none of it came for that time (a snapshot sees
//! to that itself, by the [`Progress`] that goes with it); it leaves a span and, if it fails, an event.

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
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Code, Status};
use tower::Service;
use tracing::Instrument;
use tracing::field::Empty;

use super::error::Refusal;
use super::identity::{Identity, caller};
use super::progress::{LONG, Progress};

/// A service of which only admitted calls hear.
#[derive(Clone)]
pub(super) struct Gate<S> {
    pub(super) inner: S,
    pub(super) identity: Identity,
    /// Whether the node takes part.
    pub(super) admitted: watch::Receiver<bool>,
    /// How long a call may take beyond the arrival of its message, and that without a byte arriving.
    pub(super) limit: Duration,
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Gate<S> {
    fn admit(&self, rpc: &str, request: &Request<Body>) -> Result<(), Status> {
        let refuse = |(refusal, words): (Refusal, String)| refusal.status(words);
        self.identity.check(request.headers()).map_err(refuse)?;
        if !matches!(rpc, "Standing" | "Formats") && !*self.admitted.borrow() {
            let words = format!(
                "node {} remembers nothing, and its cluster has not said yet whether it may take part",
                self.identity.node_id
            );
            return Err(Refusal::NotAdmitted.status(words));
        }
        Ok(())
    }
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let rpc = path.rsplit_once('/').map_or(path, |(_, rpc)| rpc).to_owned();
        let span = tracing::debug_span!(
            "serve",
            node_id = self.identity.node_id,
            kind = rpc,
            peer = caller(request.headers()),
            address = address(&request),
            elapsed_us = Empty,
            outcome = Empty,
        );
        let admitted = span.in_scope(|| self.admit(&rpc, &request));
        let limit = (rpc != "FullSnapshot").then_some(self.limit);
        let progress = Progress::default();
        let mut request = request;
        if limit.is_none() || request.headers().contains_key(LONG) {
            request = request.map(|body| progress.watch(body));
            request.extensions_mut().insert(progress.clone());
        }
        let fresh = self.inner.clone();
        // The one that was polled until it was ready.
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let started = Instant::now();
        let within = span.clone();
        let answer = async move {
            if let Err(status) = admitted {
                return status.into_http();
            }
            match limit {
                None => unwrap(inner.call(request).await),
                Some(limit) => progress.wait(limit, inner.call(request)).await.map_or_else(
                    || {
                        let words = format!("nothing moved for longer than {limit:?}");
                        Refusal::Stalled.status(words).into_http()
                    },
                    unwrap,
                ),
            }
        };
        let answer = answer.instrument(within);
        Box::pin(async move {
            let response = answer.await;
            // An answer without a message has its status among the headers.
            let status = Status::from_header_map(response.headers());
            let code = status.as_ref().map_or(Code::Ok, Status::code);
            span.record("elapsed_us", started.elapsed().as_micros() as u64);
            span.record("outcome", tracing::field::debug(code));
            if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
                let words = status.message();
                span.in_scope(|| tracing::debug!(?code, reason = words, "call failed"));
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

/// Where a call comes from.
fn address(request: &Request<Body>) -> Option<String> {
    let plain = request.extensions().get::<TcpConnectInfo>();
    let encrypted = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    let info = plain.or_else(|| encrypted.map(TlsConnectInfo::get_ref))?;
    info.remote_addr().map(|address| address.to_string())
}
