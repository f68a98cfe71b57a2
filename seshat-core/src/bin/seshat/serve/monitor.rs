//! What operators and their machines look at, over HTTP: `/metrics` for Prometheus, `/livez`, `/readyz`.
//!
//! Guarantees: a connection serves one request, of a head of a few KiB, and is over within seconds, whatever
//! its other end does. There are few at once; when there are more, the oldest goes: those who hold theirs keep
//! nobody from asking whether the node lives. What is served has neither keys nor values in it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use seshat_core::metrics::{ALL, Kind, describe};
use seshat_core::node::{RaftNode, Unready};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

/// Connections at once.
const MOST: usize = 32;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of a request.
const MAX_HEAD: usize = 16 << 10;
/// How often samples are put into their buckets, if nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Keeps what this process records, from now on.
pub(super) fn install() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets)?;
        }
    }
    let recorder = builder.install_recorder()?;
    describe();
    Ok(recorder)
}

/// Serves until it is dropped.
pub(super) struct Monitor {
    draining: Arc<AtomicBool>,
    tasks: [JoinHandle<()>; 2],
}

impl Monitor {
    pub(super) fn start(listener: TcpListener, node: RaftNode, recorder: PrometheusHandle) -> Self {
        let draining = Arc::new(AtomicBool::new(false));
        let watched = Watched { node, recorder: recorder.clone(), draining: Arc::clone(&draining) };
        let upkeep = async move {
            loop {
                sleep(UPKEEP).await;
                recorder.run_upkeep();
            }
        };
        Self { draining, tasks: [tokio::spawn(accept(listener, watched)), tokio::spawn(upkeep)] }
    }

    /// The node is ready no more: it is about to end.
    pub(super) fn drains(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn accept(listener: TcpListener, watched: Watched) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of files, most likely; those who ask meanwhile wait.
                tracing::debug!(%error, "no connection can be accepted where metrics are served");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= MOST
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let connection = tokio::spawn(serve(stream, watched.clone()));
        connections.push_back(connection.abort_handle());
    }
}

async fn serve(stream: TcpStream, watched: Watched) {
    let answer = service_fn(move |request| {
        let watched = watched.clone();
        async move { Ok::<_, Infallible>(watched.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    // How it went is of interest at its other end only.
    let _ = timeout(PATIENCE, connection).await;
}

/// What is looked at.
#[derive(Clone)]
struct Watched {
    node: RaftNode,
    recorder: PrometheusHandle,
    draining: Arc<AtomicBool>,
}

impl Watched {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD are answered\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/metrics" => {
                self.node.collect().await;
                text(StatusCode::OK, self.recorder.render())
            }
            "/livez" => match self.node.health().await.dead {
                None => text(StatusCode::OK, "alive\n"),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            "/readyz" => self.ready().await,
            _ => text(StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n"),
        }
    }

    /// Or every reason why not, one a line.
    async fn ready(&self) -> Response<Full<Bytes>> {
        let health = self.node.health().await;
        let mut reasons = String::new();
        // Writing to a text doesn't fail.
        if let Some(dead) = &health.dead {
            let _ = writeln!(reasons, "{dead}");
        }
        let mut unready = health.unready;
        if self.draining.load(Ordering::Relaxed) && !unready.contains(&Unready::Draining) {
            unready.push(Unready::Draining);
        }
        for reason in unready {
            let _ = writeln!(reasons, "{reason}");
        }
        match reasons.is_empty() {
            true => text(StatusCode::OK, "ready\n"),
            false => text(StatusCode::SERVICE_UNAVAILABLE, reasons),
        }
    }
}

fn text(status: StatusCode, words: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(words.into()));
    *response.status_mut() = status;
    // The version that Prometheus has for it.
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
