//! Peers that take nothing in, messages that are too long, calls that are given up.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{RPCError, ReplicationClosed, StreamingError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use seshat_core::config::{BatchConfig, NodeConfig};
use seshat_core::network::grpc::{GrpcConnection, GrpcTransport};
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::proto::v1;
use seshat_core::snapshot::SnapshotData;
use seshat_core::types::{
    AppendEntriesRequest, Entry, EntryPayload, LeaderId, LogId, Node, Snapshot, SnapshotMeta, Vote,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tower::Service;

use crate::host::DEADLINE;
use crate::raw::Recorder;

/// Accepts every call that a node of the first version knows, and never looks at what it carries.
#[derive(Clone, Default)]
struct Deaf {
    calls: Arc<AtomicU64>,
}

impl NamedService for Deaf {
    const NAME: &'static str = "seshat.v1.Transport";
}

impl Service<http::Request<Body>> for Deaf {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let unknown = request.uri().path().ends_with("/SnapshotOffset");
        if !unknown {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(async move {
            if unknown {
                return Ok(Status::unimplemented("of the first version").into_http());
            }
            let _kept = request;
            std::future::pending().await
        })
    }
}

impl Deaf {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server::builder().add_service(self.clone());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }
}

/// Node 1, which waits 300 ms, towards node 2 at `address`.
async fn connection(address: &str) -> GrpcConnection {
    let limits = Limits { max_key_bytes: 16, max_value_bytes: 1 << 10, max_del_keys: 1 };
    let config = NodeConfig::builder(1).member(1, "127.0.0.1:9").single_node();
    let config = config.rpc_timeout(Duration::from_millis(300)).limits(limits);
    let config = config.batch(BatchConfig { max_bytes: 1 << 10, ..BatchConfig::default() });
    let mut transport = GrpcTransport::new(&config.build().unwrap()).unwrap();
    transport.new_client(2, &Node::new(address)).await
}

/// More than all windows and buffers on the way hold.
fn snapshot() -> Snapshot {
    let data = SnapshotData::from(Bytes::from(vec![7; 64 << 20]));
    let meta = SnapshotMeta { snapshot_id: "long".to_owned(), ..SnapshotMeta::default() };
    Snapshot { meta, snapshot: Box::new(data) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_ends_when_the_peer_takes_no_more() {
    let mut connection = connection(&Deaf::default().serve().await).await;
    let never = std::future::pending();
    let sent =
        connection.full_snapshot(Vote::new(1, 1), snapshot(), never, RPCOption::new(DEADLINE));
    let end = tokio::time::timeout(DEADLINE, sent).await.expect("it doesn't wait for ever");
    let Err(StreamingError::Timeout(timeout)) = end else { panic!("another end: {end:?}") };
    assert_eq!(timeout.to_string(), "timeout after 300ms when InstallSnapshot 1->2");
}

/// It has everything, and nothing moves any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_installs_is_waited_for() {
    let vote = Vote::new_committed(1, 1);
    let recorder = Recorder {
        append: Default::default(),
        vote: Default::default(),
        snapshot: v1::FullSnapshotResponse { vote: Some(v1::Vote::from(&vote)) },
        installs: Some(Duration::from_millis(1500)),
        asked: Arc::default(),
    };
    let mut connection = connection(&recorder.serve().await).await;
    let data = SnapshotData::from(Bytes::from_static(b"short"));
    let short = Snapshot { snapshot: Box::new(data), ..snapshot() };
    let never = std::future::pending();
    let sent = connection.full_snapshot(vote, short, never, RPCOption::new(DEADLINE));
    let end = tokio::time::timeout(DEADLINE, sent).await.expect("it doesn't wait for ever");
    assert_eq!(end.unwrap().vote, vote);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_ends_when_leadership_is_lost() {
    let deaf = Deaf::default();
    let mut connection = connection(&deaf.serve().await).await;
    let calls = Arc::clone(&deaf.calls);
    let lost = async move {
        while calls.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ReplicationClosed::new("deposed")
    };
    let sent =
        connection.full_snapshot(Vote::new(1, 1), snapshot(), lost, RPCOption::new(DEADLINE));
    let end = tokio::time::timeout(DEADLINE, sent).await.expect("it ends at once");
    assert!(matches!(end, Err(StreamingError::Closed(_))), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_answers_costs_no_longer_than_openraft_waits() {
    let mut connection = connection(&Deaf::default().serve().await).await;
    let heartbeat = AppendEntriesRequest {
        vote: Vote::new(1, 1),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    for (waits, said) in [(100, "93.75ms"), (10_000, "300ms")] {
        let option = RPCOption::new(Duration::from_millis(waits));
        let end = connection.append_entries(heartbeat.clone(), option).await.unwrap_err();
        assert_eq!(end.to_string(), format!("timeout after {said} when AppendEntries 1->2"));
    }
}

/// Who sends entries knows the link; on a connection that works nothing is lost, so less makes no sense.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_waited_for_as_long_as_their_sender_says_and_no_less_than_a_call_may_take() {
    let mut connection = connection(&Deaf::default().serve().await).await;
    let entry = Entry { log_id: LogId::new(LeaderId::new(1, 1), 0), payload: EntryPayload::Blank };
    let request = AppendEntriesRequest {
        vote: Vote::new(1, 1),
        prev_log_id: None,
        entries: vec![entry],
        leader_commit: None,
    };
    for (waits, said) in [(100, "300ms"), (700, "700ms")] {
        let option = RPCOption::new(Duration::from_millis(waits));
        let end = connection.append_entries(request.clone(), option).await.unwrap_err();
        assert_eq!(end.to_string(), format!("timeout after {said} when AppendEntries 1->2"));
    }
}

/// openraft sends half as many then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_message_holds_is_not_sent() {
    let deaf = Deaf::default();
    let mut connection = connection(&deaf.serve().await).await;
    let set = Operation::set("key", vec![7; 1 << 20], &Limits::default()).unwrap();
    let entry = |index| Entry {
        log_id: LogId::new(LeaderId::new(1, 1), index),
        payload: EntryPayload::Normal(Batch::new([set.clone()])),
    };
    let request = AppendEntriesRequest {
        vote: Vote::new(1, 1),
        prev_log_id: None,
        entries: (0..7).map(entry).collect(),
        leader_commit: None,
    };
    let end = connection.append_entries(request, RPCOption::new(DEADLINE)).await;
    let Err(RPCError::PayloadTooLarge(too_large)) = end else { panic!("another end: {end:?}") };
    assert_eq!(too_large.entries_hint(), 3);
    assert_eq!(deaf.calls.load(Ordering::Relaxed), 0);
}
