//! A snapshot goes on where it was cut, and never in the middle of another.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use openraft::error::StreamingError;
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use rstest::rstest;
use seshat_core::codec::{FullSnapshotHeader, FullSnapshotPart, Message};
use seshat_core::config::{GrpcConfig, NodeConfig};
use seshat_core::machine::MachineReader;
use seshat_core::network::grpc::{GrpcConnection, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::proto::v1;
use seshat_core::snapshot::SnapshotData;
use seshat_core::storage::{MemStorage, Storage};
use seshat_core::types::{
    Node, RaftMetrics, Snapshot, SnapshotMeta, SnapshotResponse, TypeConfig, Vote,
};
use tonic::Status;
use twox_hash::XxHash3_64;

use crate::host::{DEADLINE, Host, Ports};
use crate::link::Link;
use crate::raw::{self, channel, signed, unary};

/// Faster than any test needs.
pub(crate) const FAST: u64 = 1 << 30;
const CHUNK: usize = 16 << 10;
/// What there is beside chunks.
pub(crate) const OVERHEAD: u64 = 64 << 10;

/// Node 1, alone, with a state of its own.
async fn receiver(stall: Duration) -> (Host, String) {
    receiver_on(stall, MemStorage::new()).await
}

/// The same, on that storage.
pub(crate) async fn receiver_on(
    stall: Duration,
    storage: impl Storage<Reader = MachineReader>,
) -> (Host, String) {
    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().rpc_timeout(stall);
    let host = Host::on(config.build().unwrap(), ports.listener(1), storage).await;
    host.admit().await.unwrap();
    host.node.wait_for_leader(DEADLINE).await.unwrap();
    // A voter alone campaigns as soon as it hears of another leader.
    host.node.raft().runtime_config().elect(false);
    (host, ports.address(1).to_owned())
}

/// What node 9 would send.
pub(crate) struct Source {
    pub(crate) meta: SnapshotMeta,
    pub(crate) bytes: Bytes,
}

impl Source {
    /// The state of a node with so many values of 10 000 bytes.
    pub(crate) async fn of(values: u32, filled_with: &str) -> Self {
        let config = NodeConfig::builder(9).member(9, "127.0.0.1:9").single_node().build().unwrap();
        let transport = GrpcTransport::new(&config).unwrap();
        let node = RaftNode::start(config, MemStorage::new(), transport).await.unwrap();
        node.initialize().await.unwrap();
        node.wait_for_leader(DEADLINE).await.unwrap();
        for n in 0..values {
            node.set(format!("key-{n}"), filled_with.repeat(10_000)).await.unwrap();
        }
        node.trigger_snapshot().await.unwrap();
        let built = |now: &RaftMetrics| now.snapshot.is_some();
        node.wait_until(DEADLINE, "a snapshot", built).await.unwrap();
        let Snapshot { meta, snapshot } = node.raft().get_snapshot().await.unwrap().unwrap();
        node.shutdown().await;
        Self { meta, bytes: snapshot.into_bytes().unwrap() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let data = SnapshotData::from(self.bytes.clone());
        Snapshot { meta: self.meta.clone(), snapshot: Box::new(data) }
    }

    pub(crate) fn header(&self, vote: Vote) -> FullSnapshotHeader {
        let checksum = Some(XxHash3_64::oneshot(&self.bytes));
        FullSnapshotHeader {
            vote,
            meta: self.meta.clone(),
            length: self.len(),
            offset: 0,
            checksum,
        }
    }

    /// As far as the receiver says that it has it.
    pub(crate) async fn offset(&self, address: &str) -> u64 {
        let (length, checksum) = (self.len(), XxHash3_64::oneshot(&self.bytes));
        let asked = signed("seshat", 1, v1::SnapshotOffsetRequest { length, checksum });
        let told =
            unary::<_, v1::SnapshotOffsetResponse>(channel(address), "SnapshotOffset", asked);
        let told = told.await.unwrap();
        assert!(!told.installing || told.offset == length);
        told.offset
    }
}

pub(crate) fn leader(term: u64) -> Vote {
    Vote::new_committed(term, 9)
}

/// Node 9, which waits `stall`, towards node 1 at `address`.
pub(crate) async fn connection(address: impl ToString, stall: Duration) -> GrpcConnection {
    let grpc = GrpcConfig { snapshot_chunk_bytes: CHUNK, ..GrpcConfig::default() };
    let config = NodeConfig::builder(9).member(9, "127.0.0.1:9").single_node();
    let config = config.rpc_timeout(stall).grpc(grpc).build().unwrap();
    let mut transport = GrpcTransport::new(&config).unwrap();
    transport.new_client(1, &Node::new(address.to_string())).await
}

pub(crate) async fn send(
    connection: &mut GrpcConnection,
    source: &Source,
) -> Result<SnapshotResponse, StreamingError<TypeConfig, openraft::error::Fatal<u64>>> {
    send_snapshot(connection, source.snapshot()).await
}

pub(crate) async fn send_snapshot(
    connection: &mut GrpcConnection,
    snapshot: Snapshot,
) -> Result<SnapshotResponse, StreamingError<TypeConfig, openraft::error::Fatal<u64>>> {
    let (never, option) = (std::future::pending(), RPCOption::new(DEADLINE));
    let sent = connection.full_snapshot(leader(99), snapshot, never, option);
    let answer = tokio::time::timeout(DEADLINE, sent).await.expect("it ends")?;
    assert_eq!(answer.vote, leader(99), "nobody else leads");
    Ok(answer)
}

pub(crate) async fn assert_installed(host: &Host, filled_with: &str) {
    let value = host.node.read(b"key-0").await.unwrap().expect("a value");
    assert_eq!(value, filled_with.repeat(10_000));
}

fn message(part: &FullSnapshotPart) -> v1::FullSnapshotRequest {
    prost::Message::decode(part.encode()).unwrap()
}

/// Sends this much behind a header, and hangs up.
pub(crate) async fn cut(
    address: &str,
    header: FullSnapshotHeader,
    bytes: Bytes,
) -> Result<(), Status> {
    let parts = [FullSnapshotPart::Header(header), FullSnapshotPart::Chunk(bytes)];
    let parts = stream::iter(parts.map(|part| message(&part)));
    let request = signed("seshat", 1, parts);
    let status = raw::snapshot(channel(address), request).await.unwrap_err();
    match status.message().starts_with("cut after") {
        true => Ok(()),
        false => Err(status),
    }
}

/// Each connection carries a fifth: whoever began anew would never come to an end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_rest_follows_each_cut() {
    let (host, address) = receiver(Duration::from_secs(5)).await;
    let source = Source::of(200, "a").await;
    let link = Link::to(address, FAST, source.len() / 5).await;
    let mut connection = connection(link.address, Duration::from_secs(5)).await;
    send(&mut connection, &source).await.unwrap();
    assert_installed(&host, "a").await;
    assert!(link.connections() >= 6, "{} connections", link.connections());
    // What was on its way at a cut is sent again.
    let most = source.len() + source.len() / 5 + OVERHEAD;
    assert!(link.carried() <= most, "{} of {} bytes", link.carried(), source.len());
}

/// openraft asks again after an error, with a snapshot that it takes anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_call_goes_on_too() {
    let (host, address) = receiver(Duration::from_secs(5)).await;
    let source = Source::of(100, "a").await;
    let half = source.bytes.slice(..source.bytes.len() / 2);
    // Another leader, of an earlier term.
    cut(&address, source.header(leader(98)), half).await.unwrap();
    assert_eq!(source.offset(&address).await, source.len() / 2);
    let link = Link::to(address, FAST, u64::MAX).await;
    send(&mut connection(link.address, Duration::from_secs(5)).await, &source).await.unwrap();
    assert_installed(&host, "a").await;
    let most = source.len() / 2 + OVERHEAD;
    assert!(link.carried() <= most, "{} of {} bytes", link.carried(), source.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_always_breaks_is_given_up() {
    let (_host, address) = receiver(Duration::from_secs(5)).await;
    let source = Source::of(10, "a").await;
    let link = Link::to(address, FAST, 8 << 10).await;
    let end = send(&mut connection(link.address, Duration::from_secs(5)).await, &source).await;
    assert!(matches!(end, Err(StreamingError::Unreachable(_))), "{end:?}");
    assert!(link.connections() < 20, "{} connections", link.connections());
}

/// Both snapshots have the same name, the same length and the same last entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_of_another_is_not_used() {
    let (host, address) = receiver(Duration::from_secs(5)).await;
    let (source, other) = (Source::of(10, "a").await, Source::of(10, "b").await);
    let mut header = other.header(leader(99));
    header.meta = source.meta.clone();
    assert_eq!(header.length, source.len());
    cut(&address, header, other.bytes.slice(..50_000)).await.unwrap();
    assert_eq!(other.offset(&address).await, 50_000);
    assert_eq!(source.offset(&address).await, 0);
    send(&mut connection(address.clone(), Duration::from_secs(5)).await, &source).await.unwrap();
    assert_installed(&host, "a").await;
    assert_eq!(other.offset(&address).await, 0, "one is kept at most");
}

/// Wrong bytes under the right name turn out at the end, and are gone then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_found_and_sent_anew() {
    let (host, address) = receiver(Duration::from_secs(5)).await;
    let source = Source::of(10, "a").await;
    cut(&address, source.header(leader(99)), Bytes::from(vec![7; 50_000])).await.unwrap();
    let mut connection = connection(address.clone(), Duration::from_secs(5)).await;
    let end = send(&mut connection, &source).await.unwrap_err();
    assert!(end.to_string().contains("the trailer says"), "{end}");
    assert_eq!(source.offset(&address).await, 0);
    send(&mut connection, &source).await.unwrap();
    assert_installed(&host, "a").await;
}

/// The receiver had more than it said when it was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_twice_is_taken_once() {
    let (host, address) = receiver(Duration::from_secs(5)).await;
    let source = Source::of(10, "a").await;
    cut(&address, source.header(leader(99)), source.bytes.slice(..50_000)).await.unwrap();
    let header = FullSnapshotHeader { offset: 20_000, ..source.header(leader(99)) };
    let chunks = [20_000..45_000, 45_000..60_000, 60_000..source.bytes.len()];
    let chunks = chunks.map(|at| FullSnapshotPart::Chunk(source.bytes.slice(at)));
    let checksum = XxHash3_64::oneshot(&source.bytes);
    let parts = [FullSnapshotPart::Header(header)].into_iter().chain(chunks);
    let parts: Vec<_> = parts.chain([FullSnapshotPart::Trailer { checksum }]).collect();
    let parts = stream::iter(parts).map(|part| message(&part));
    raw::snapshot(channel(&address), signed("seshat", 1, parts)).await.unwrap();
    assert_installed(&host, "a").await;
}

#[rstest]
#[case::more_than_there_is(60_000)]
#[case::more_than_all(u64::MAX)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_refused(#[case] offset: u64) {
    let (_host, address) = receiver(Duration::from_secs(5)).await;
    let source = Source::of(10, "a").await;
    cut(&address, source.header(leader(99)), source.bytes.slice(..50_000)).await.unwrap();
    let header = FullSnapshotHeader { offset, ..source.header(leader(99)) };
    let refused = cut(&address, header, source.bytes.slice(60_000..)).await.unwrap_err();
    let words = format!("the first {offset} bytes are left out, and 50000 are here");
    assert_eq!(refused.message(), words);
    assert_eq!(source.offset(&address).await, 50_000, "what was there is unharmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_adds_to_is_dropped() {
    let (_host, address) = receiver(Duration::from_millis(100)).await;
    let source = Source::of(10, "a").await;
    cut(&address, source.header(leader(99)), source.bytes.slice(..50_000)).await.unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while source.offset(&address).await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "it is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// It costs no byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_applied_is_not_sent() {
    let (host, address) = receiver(Duration::from_secs(5)).await;
    let source = Source::of(100, "a").await;
    send(&mut connection(&address, Duration::from_secs(5)).await, &source).await.unwrap();
    assert_installed(&host, "a").await;
    // One who can send no more than the header.
    let parts = stream::iter([message(&FullSnapshotPart::Header(source.header(leader(99))))]);
    let request = signed("seshat", 1, parts.chain(stream::pending()));
    let answer = tokio::time::timeout(DEADLINE, raw::snapshot(channel(&address), request));
    assert_eq!(answer.await.expect("an answer").unwrap().vote.unwrap().term, 99);
}

/// All of it fits into buffers on the way, so that the sender has nothing to do but to wait, for
/// longer than nothing may move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_is_no_stalled_one() {
    let stall = Duration::from_secs(1);
    let (host, address) = receiver(stall).await;
    let source = Source::of(100, "a").await;
    let link = Link::to(address, source.len() / 3, u64::MAX).await;
    let started = tokio::time::Instant::now();
    send(&mut connection(link.address, stall).await, &source).await.unwrap();
    let (took, carried) = (started.elapsed(), link.carried());
    assert!(
        took > 2 * stall,
        "slower than a stall: {carried} of {} bytes in {took:?}",
        source.len()
    );
    assert_installed(&host, "a").await;
}
