//! What operators and their machines look at, over HTTP: `/metrics` for Prometheus, `/livez`, `/readyz`.
//!
//! Guarantees: a connection serves one request, of a head of a few KiB, and is over within seconds, whatever
//! its other end does. There are few at once; when there are more, the oldest goes: those who hold theirs keep
//! nobody from asking whether the node lives. What is served has neither keys nor values in it. A node that
//! reads yet what it stored, which takes long where that is much, is alive, and not ready.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
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
    watched: Watched,
    tasks: [JoinHandle<()>; 2],
}

impl Monitor {
    /// Of a node that starts.
    pub(super) fn start(listener: TcpListener, recorder: PrometheusHandle) -> Self {
        let (node, draining) = Default::default();
        let watched = Watched { node, recorder: recorder.clone(), draining };
        let upkeep = async move {
            loop {
                sleep(UPKEEP).await;
                recorder.run_upkeep();
            }
        };
        let serves = accept(listener, watched.clone());
        Self { watched, tasks: [tokio::spawn(serves), tokio::spawn(upkeep)] }
    }

    /// The node has started. The first that is given counts.
    pub(super) fn watches(&self, node: RaftNode) {
        let _ = self.watched.node.set(node);
    }

    /// The node is ready no more: it is about to end.
    pub(super) fn drains(&self) {
        self.watched.draining.store(true, Ordering::Relaxed);
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
    /// Not there until it has started.
    node: Arc<OnceLock<RaftNode>>,
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
                if let Some(node) = self.node.get() {
                    node.collect().await;
                }
                text(StatusCode::OK, self.recorder.render())
            }
            "/livez" => self.alive().await,
            "/readyz" => self.ready().await,
            _ => text(StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n"),
        }
    }

    async fn alive(&self) -> Response<Full<Bytes>> {
        let dead = match self.node.get() {
            Some(node) => node.health().await.dead,
            None => None,
        };
        match dead {
            None => text(StatusCode::OK, "alive\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    }

    /// Or every reason why not, one a line.
    async fn ready(&self) -> Response<Full<Bytes>> {
        let Some(node) = self.node.get() else {
            let words = "the node starts: it reads what it stored\n";
            return text(StatusCode::SERVICE_UNAVAILABLE, words);
        };
        let health = node.health().await;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use rstest::rstest;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[rstest]
    #[case("/livez", "200 OK", "alive\n")]
    #[case("/readyz", "503 Service Unavailable", "the node starts: it reads what it stored\n")]
    #[case("/metrics", "200 OK", "")]
    #[tokio::test]
    async fn a_node_that_starts_is_alive_and_not_ready(
        #[case] path: &str,
        #[case] status: &str,
        #[case] body: &str,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let recorder = PrometheusBuilder::new().build_recorder();
        let _monitor = Monitor::start(listener, recorder.handle());
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, said) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!((head.lines().next(), said), (Some(&*format!("HTTP/1.1 {status}")), body));
    }
}
