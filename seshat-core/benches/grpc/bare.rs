//! Bare tonic: what the same bytes cost with nothing around them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use seshat_core::proto::v1::SnapshotRecord;
use tokio::io::{AsyncBufRead, Lines};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

use super::load::{Load, Outcome, drive};
use super::process::{Process, addresses};

/// As the transport's.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
const MAX_MESSAGE: usize = 64 << 20;
/// Bytes of an operation in an entry: key, value, and what is around them.
const OPERATION: usize = 16 + 128 + 8;

/// A message that holds nothing but these bytes.
type Message = SnapshotRecord;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

#[derive(Clone)]
struct Bare;

impl NamedService for Bare {
    const NAME: &'static str = "bare.Bare";
}

impl Service<http::Request<Body>> for Bare {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec = ProstCodec::<Message, Message>::default();
            let grpc = tonic::server::Grpc::new(codec);
            let mut grpc = grpc.max_decoding_message_size(MAX_MESSAGE);
            Ok(if request.uri().path().ends_with("Echo") {
                // As a follower does, it takes much and says little.
                let echo = |_: Request<Message>| {
                    Box::pin(async { Ok(Response::new(Message::default())) }) as Answer<_>
                };
                grpc.unary(tower::service_fn(echo), request).await
            } else {
                let count = |request: Request<Streaming<Message>>| {
                    Box::pin(async move {
                        let mut messages = request.into_inner();
                        while messages.message().await?.is_some() {}
                        Ok(Response::new(Message::default()))
                    }) as Answer<_>
                };
                grpc.client_streaming(tower::service_fn(count), request).await
            })
        })
    }
}

/// Serves until the input ends.
pub(crate) async fn serve(address: &str, mut lines: Lines<impl AsyncBufRead + Unpin>) {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    println!("ready");
    let server = Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(Bare);
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::select! {
        served = server.serve_with_incoming(incoming) => served.unwrap(),
        _ = lines.next_line() => {}
    }
}

async fn start(count: usize) -> (Vec<Process>, Vec<Channel>) {
    let (mut processes, mut channels) = (Vec::new(), Vec::new());
    for address in addresses(count).await {
        let mut process = Process::start(&["bare", &address]).await;
        assert_eq!(process.hear().await, "ready");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let endpoint = endpoint
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        channels.push(endpoint.connect().await.unwrap());
        processes.push(process);
    }
    (processes, channels)
}

async fn echo_once(channel: Channel, message: Message) {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/bare.Bare/Echo");
    let codec = ProstCodec::<Message, Message>::default();
    let _: Response<Message> = client.unary(Request::new(message), path, codec).await.unwrap();
}

/// Closed loops of clients, a message of one operation each, to one process.
pub(crate) async fn echo_each(clients: usize, seconds: f64) -> Outcome {
    let (processes, channels) = start(1).await;
    let bytes = Bytes::from(vec![7; OPERATION]);
    let channel = channels[0].clone();
    let before = processes[0].cpu() + super::load::cpu_seconds();
    let load = Load { seconds, ..Load::new("", 1, clients) };
    let mut outcome = drive(&load, move |_, _| {
        echo_once(channel.clone(), Message { key: Bytes::new(), value: bytes.clone() })
    })
    .await;
    let cpu = processes[0].cpu() + super::load::cpu_seconds() - before;
    outcome.cpu_us = cpu * 1e6 / (outcome.per_second * seconds * 1.1);
    outcome
}

/// Rounds of one message to each of two processes, an operation of each client in it.
pub(crate) async fn echo(clients: usize, seconds: f64) -> Outcome {
    let (processes, channels) = start(2).await;
    let bytes = Bytes::from(vec![7; clients * OPERATION]);
    let cpu = || processes.iter().map(Process::cpu).sum::<f64>() + super::load::cpu_seconds();
    let (before, from) = (cpu(), Instant::now());
    let mut latencies = Vec::new();
    while from.elapsed() < Duration::from_secs_f64(seconds) {
        let started = Instant::now();
        let message = || Message { key: Bytes::new(), value: bytes.clone() };
        let [one, other] = [0, 1].map(|n| echo_once(channels[n].clone(), message()));
        // The faster of two makes a majority of three, the slower one goes on as well.
        tokio::join!(one, other);
        latencies.push(started.elapsed().as_nanos() as f64 / 1e3);
    }
    let operations = (latencies.len() * clients) as f64;
    let cpu_us = (cpu() - before) * 1e6 / operations;
    latencies.sort_unstable_by(f64::total_cmp);
    Outcome {
        per_second: operations / from.elapsed().as_secs_f64(),
        p50_us: latencies[latencies.len() / 2],
        p99_us: latencies[latencies.len() * 99 / 100],
        cpu_us,
        snapshots: 0,
    }
}

/// Streams messages of `chunk` bytes to `count` processes at once; bytes a second to all of them.
pub(crate) async fn stream(count: usize, chunk: usize, seconds: f64) -> f64 {
    let (_processes, channels) = start(count).await;
    let bytes = Bytes::from(vec![7; chunk]);
    let from = Instant::now();
    let until = from + Duration::from_secs_f64(seconds);
    let streams = channels.into_iter().map(|channel| {
        let bytes = bytes.clone();
        async move {
            let sent = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
            let counted = sent.clone();
            let messages = std::iter::from_fn(move || {
                counted.fetch_add(chunk as u64, std::sync::atomic::Ordering::Relaxed);
                let message = Message { key: Bytes::new(), value: bytes.clone() };
                (Instant::now() < until).then_some(message)
            });
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.unwrap();
            let path = PathAndQuery::from_static("/bare.Bare/Count");
            let codec = ProstCodec::<Message, Message>::default();
            let request = Request::new(tokio_stream::iter(messages));
            let _: Response<Message> = client.client_streaming(request, path, codec).await.unwrap();
            sent.load(std::sync::atomic::Ordering::Relaxed)
        }
    });
    let sent = futures_util::future::join_all(streams).await;
    sent.into_iter().sum::<u64>() as f64 / from.elapsed().as_secs_f64()
}
