//! Who tries to exceed the totals: of bytes, of calls, of work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use http_body::Frame;
use http_body_util::StreamBody;
use seshat_core::config::{BatchConfig, GrpcConfig, NodeConfigBuilder};
use seshat_core::operation::Limits;
use seshat_core::proto::v1;
use seshat_core::types::RaftMetrics;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service, ServiceExt};

use crate::host::{DEADLINE, Host, Ports, leader, set};
use crate::link::Link;
use crate::raw::{channel, signed, unary};

const MIB: usize = 1 << 20;

/// A call by node `from` of which no more comes than the announcement of `len` bytes and the first of them.
struct Stalled {
    path: &'static str,
    from: u64,
    len: usize,
    long: bool,
}

impl Stalled {
    const APPEND: Self =
        Self { path: "/seshat.v1.Transport/AppendEntries", from: 9, len: 8 * MIB, long: true };
    const VOTE: Self = Self { path: "/seshat.v1.Transport/Vote", from: 9, len: 100, long: false };
    const CHECK: Self =
        Self { path: "/grpc.health.v1.Health/Check", from: 9, len: 100, long: false };

    /// How it ends.
    async fn call(&self, address: &str, channel: Channel) -> Status {
        let bytes = [&[0][..], &(self.len as u32).to_be_bytes(), b"and no more"].concat();
        let frames = stream::once(async { Ok::<_, Status>(Frame::data(Bytes::from(bytes))) });
        let body = Body::new(StreamBody::new(frames.chain(stream::pending())));
        self.send(address, channel, body).await
    }

    async fn send(&self, address: &str, mut channel: Channel, body: Body) -> Status {
        let (mut metadata, ..) = signed("seshat", 1, ()).into_parts();
        metadata.insert("seshat-from", AsciiMetadataValue::from(self.from));
        if self.long {
            metadata.insert("seshat-long", AsciiMetadataValue::from_static("1"));
        }
        let mut request = http::Request::post(format!("http://{address}{}", self.path));
        *request.headers_mut().unwrap() = metadata.into_headers();
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let ready = match channel.ready().await {
            Ok(ready) => ready,
            Err(error) => return Status::unknown(error.to_string()),
        };
        match ready.call(request.body(body).unwrap()).await {
            Ok(answer) => Status::from_header_map(answer.headers()).unwrap_or(Status::ok("")),
            Err(error) => Status::unknown(error.to_string()),
        }
    }
}

fn is_busy(status: &Status) -> bool {
    let refusal = status.metadata().get("seshat-refusal");
    status.code() == Code::ResourceExhausted && refusal.is_some_and(|word| word == "busy")
}

/// A vote of node `from`, in a term that is over.
async fn vote(channel: Channel, from: u64) -> Result<v1::VoteResponse, Status> {
    let vote = v1::Vote { term: 0, node_id: from, committed: false };
    let mut asked = signed("seshat", 1, v1::VoteRequest { vote: Some(vote), last_log_id: None });
    asked.metadata_mut().insert("seshat-from", AsciiMetadataValue::from(from));
    unary(channel, "Vote", asked).await
}

async fn check(address: &str) -> Result<(), Status> {
    let request = HealthCheckRequest::default();
    HealthClient::new(channel(address)).check(request).await.map(drop)
}

/// What keeps a node waiting is given up after two seconds. Messages are 17 MiB at most.
fn impatient(config: NodeConfigBuilder) -> NodeConfigBuilder {
    let limits = Limits { max_key_bytes: 64, max_value_bytes: 16 * MIB, max_del_keys: 1 };
    let grpc = GrpcConfig {
        max_peer_calls: 128,
        max_peer_bytes: 64 << 20,
        max_client_calls: 4,
        max_client_bytes: 1,
        ..GrpcConfig::default()
    };
    let batch = BatchConfig { max_operations: 16, ..BatchConfig::default() };
    config.rpc_timeout(Duration::from_secs(2)).limits(limits).batch(batch).grpc(grpc)
}

async fn single() -> (Host, String) {
    let mut ports = Ports::of(1).await;
    let config = impatient(ports.config(1).single_node()).build().unwrap();
    let host = Host::start(config, ports.listener(1)).await;
    host.admit().await.unwrap();
    (host, ports.address(1).to_owned())
}

/// The same, and where its clients are served.
async fn single_for_clients() -> (Host, String, String) {
    let mut ports = Ports::of(1).await;
    let config = impatient(ports.config(1).single_node()).build().unwrap();
    let (listener, routes) = (ports.listener(1), Default::default());
    let (host, clients) = Host::with_clients(config, listener, routes).await;
    host.admit().await.unwrap();
    (host, ports.address(1).to_owned(), clients)
}

/// Waits until the server says so.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Forty connections with calls that stall, again and again, on node 1, which follows or leads: the sum of
/// what they announce stays within what strangers may take, and what is written gets through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_messages_take_no_more_than_their_total() {
    let ports = Ports::of(3).await;
    let address = ports.address(1).to_owned();
    let hosts = ports.cluster_with(3, impatient).await;
    set(&hosts, "key", "value").await;
    let term = leader(&hosts).await.node.metrics().borrow().current_term;
    let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut attack = JoinSet::new();
    for n in 0..40 {
        let (address, stop, refused) = (address.clone(), Arc::clone(&stop), Arc::clone(&refused));
        attack.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let channel = channel(&address);
                let calls = (0..8).map(|m| {
                    let len = (8 + n % 2 * 8) as usize * MIB;
                    let stalled = Stalled { from: 9 + n * m, len, ..Stalled::APPEND };
                    let (channel, address) = (channel.clone(), &address);
                    async move { stalled.call(address, channel).await }
                });
                for status in join_all(calls).await {
                    assert!(
                        is_busy(&status) || status.code() == Code::DeadlineExceeded,
                        "{status}"
                    );
                    refused.fetch_add(usize::from(is_busy(&status)), Ordering::Relaxed);
                }
            }
        });
    }
    let server = &hosts[0].server;
    until("the attack has room", || server.under_way().peer_bytes >= 8 * MIB).await;
    let mut most = 0;
    for n in 0..40 {
        set(&hosts, format!("key-{n}"), "x".repeat(MIB)).await;
        most = most.max(server.under_way().peer_bytes);
    }
    assert!(most <= 64 * MIB, "{most} bytes");
    until("many are refused", || refused.load(Ordering::Relaxed) > 300).await;
    let index = leader(&hosts).await.node.last_applied().unwrap().index;
    hosts[0].node.wait_for_applied(DEADLINE, index).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert_eq!(
        leader(&hosts).await.node.metrics().borrow().current_term,
        term,
        "nobody campaigned"
    );
    while let Some(end) = attack.join_next().await {
        end.unwrap();
    }
    until("all is given back", || server.under_way().peer_bytes == 0).await;
}

/// Strangers have a 16th of 128, and of those four may be long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_a_part_are_refused_at_once_and_members_are_heard() {
    let ports = Ports::of(3).await;
    let address = ports.address(1).to_owned();
    let hosts = ports.cluster_with(3, impatient).await;
    set(&hosts, "key", "value").await;
    let (started, shared) = (Instant::now(), channel(&address));
    let calls = (0..32).map(|n| {
        let stalled = Stalled { from: 9 + n, ..Stalled::VOTE };
        let (address, channel) = (address.clone(), shared.clone());
        async move { (stalled.call(&address, channel).await, started.elapsed()) }
    });
    let calls = tokio::spawn(join_all(calls));
    let server = &hosts[0].server;
    until("strangers have all that they may", || server.under_way().peer_calls >= 8).await;
    assert!(is_busy(&vote(channel(&address), 99).await.unwrap_err()));
    for member in [2, 3] {
        vote(channel(&address), member).await.unwrap();
    }
    let ends = calls.await.unwrap();
    let (busy, stalled): (Vec<_>, Vec<_>) = ends.iter().partition(|(status, _)| is_busy(status));
    assert_eq!((busy.len(), stalled.len()), (24, 8), "{ends:?}");
    for (status, took) in stalled {
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(*took >= Duration::from_secs(2));
    }
    vote(channel(&address), 99).await.unwrap();
}

/// What is no longer than a piece has its room with its place, and what is longer must say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_does_not_say_that_it_is_long_is_short() {
    let (_host, address) = single().await;
    for (len, code) in [(64 << 10, Code::DeadlineExceeded), ((64 << 10) + 1, Code::OutOfRange)] {
        let stalled = Stalled { len, long: false, ..Stalled::APPEND };
        assert_eq!(stalled.call(&address, channel(&address)).await.code(), code, "{len}");
    }
}

/// Whoever they are, they take nothing of what nodes have, and lose it when nothing comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_have_a_share_of_their_own() {
    let (host, peers, address) = single_for_clients().await;
    let stalled = (0..4).map(|_| {
        let address = address.clone();
        let call = Stalled { len: 3 * MIB, ..Stalled::CHECK };
        async move { call.call(&address, channel(&address)).await }
    });
    let stalled = tokio::spawn(join_all(stalled));
    until("all have room", || host.server.under_way().client_bytes == 12 * MIB).await;
    let under_way = host.server.under_way();
    assert_eq!((under_way.client_calls, under_way.peer_calls, under_way.peer_bytes), (4, 0, 0));
    assert!(is_busy(&check(&address).await.unwrap_err()));
    vote(channel(&peers), 99).await.unwrap();
    for status in stalled.await.unwrap() {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    until("all is given back", || host.server.under_way().client_bytes == 0).await;
    check(&address).await.unwrap();
}

/// A byte now and then is no reason to keep a place that others need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_trickles_gives_way_to_others() {
    let (host, _, address) = single_for_clients().await;
    let mut trickles = JoinSet::new();
    for _ in 0..4 {
        let address = address.clone();
        trickles.spawn(async move {
            let byte = async |()| {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, Status>(Frame::data(Bytes::from_static(b"\0"))), ()))
            };
            // Empty messages, one after the other.
            let body = Body::new(StreamBody::new(Box::pin(stream::unfold((), byte))));
            Stalled::CHECK.send(&address, channel(&address), body).await
        });
    }
    until("all places are taken", || host.server.under_way().client_calls == 4).await;
    let deadline = Instant::now() + DEADLINE;
    while let Err(status) = check(&address).await {
        assert!(is_busy(&status) && Instant::now() < deadline, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Who is left keeps what nobody needs.
    let end = tokio::time::timeout(DEADLINE, trickles.join_next()).await.unwrap();
    let end = end.unwrap().unwrap();
    assert!(end.message().contains("others wait"), "{end}");
}

/// A watch lasts as long as its client likes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_have_places_of_their_own() {
    let (host, _, address) = single_for_clients().await;
    let mut client = HealthClient::new(channel(&address));
    let mut watches = Vec::new();
    for _ in 0..64 {
        watches.push(client.watch(HealthCheckRequest::default()).await.unwrap());
    }
    assert!(is_busy(&client.watch(HealthCheckRequest::default()).await.unwrap_err()));
    assert_eq!(host.server.under_way().client_calls, 64);
    check(&address).await.unwrap();
    drop(watches);
    until("they are given back", || host.server.under_way().client_calls == 0).await;
    client.watch(HealthCheckRequest::default()).await.unwrap();
}

/// A leader that nobody answers: a round of confirmation takes it a heartbeat interval, of three seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_strangers_and_readers_cost_a_handful_of_rounds() {
    let mut ports = Ports::of(3).await;
    let mut links = Vec::new();
    for id in 1..=3 {
        let link = Link::to(ports.address(id), 1 << 30, u64::MAX).await;
        ports.found_at(id, link.address);
        links.push(link);
    }
    let rare = |config: NodeConfigBuilder| {
        let config = config.heartbeat_interval(Duration::from_secs(3)).rpc_timeout(DEADLINE);
        let config = config.election_timeout_min(Duration::from_secs(10));
        config.election_timeout_max(Duration::from_secs(20)).propose_timeout(DEADLINE)
    };
    let hosts = ports.cluster_with(3, rare).await;
    let leads = leader(&hosts).await;
    let led = |now: &RaftMetrics| now.last_applied.is_some_and(|last| last.index > 0);
    leads.node.wait_until(DEADLINE, "something is committed", led).await.unwrap();
    for (host, link) in hosts.iter().zip(&links) {
        if host.node.id() != leads.node.id() {
            link.set(1, u64::MAX);
        }
    }
    let before = leads.sends.heartbeats();
    let address = leads.server.local_addr();
    let channels: Vec<_> = (0..10).map(|_| channel(address)).collect();
    let asks = (0..1000_u64).zip(channels.iter().cycle()).map(|(n, shared)| async move {
        let asked = v1::StandingRequest { node_id: 100 + n, incarnation: n, ..Default::default() };
        let asked = signed("seshat", leads.node.id(), asked);
        unary::<_, v1::StandingResponse>(shared.clone(), "Standing", asked).await
    });
    let reads = (0..1000).map(|_| leads.node.read_linearizable(b"key"));
    let (asks, reads) = tokio::join!(join_all(asks), join_all(reads));
    assert!(reads.iter().all(Result::is_err), "nobody confirms it");
    let answered = asks.iter().flatten().count();
    assert!(answered >= 64, "strangers have 64 places: {answered}");
    assert!(asks.iter().flatten().all(|answer| !answer.confirmed));
    assert!(asks.iter().filter_map(|end| end.as_ref().err()).all(is_busy));
    let heartbeats = leads.sends.heartbeats() - before;
    // Two for each round; some of the leader's own.
    assert!(heartbeats <= 24, "{heartbeats} heartbeats for {answered} questions and 1000 reads");
}
