//! Calls as anybody could make them, and a server that only takes notes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::PathAndQuery;
use seshat_core::proto::v1;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue, MetadataMap};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

pub(crate) fn channel(address: impl std::fmt::Display) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

/// A message for node `target` of `cluster`, as node 9 would send it.
pub(crate) fn signed<T>(cluster: &str, target: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert_bin("seshat-cluster-bin", BinaryMetadataValue::from_bytes(cluster.as_bytes()));
    metadata.insert("seshat-target", AsciiMetadataValue::from(target));
    metadata.insert("seshat-from", AsciiMetadataValue::from(9_u64));
    request
}

fn path(rpc: &str) -> PathAndQuery {
    format!("/seshat.v1.Transport/{rpc}").parse().unwrap()
}

pub(crate) async fn unary<Q, A>(
    channel: Channel,
    rpc: &str,
    request: Request<Q>,
) -> Result<A, Status>
where
    Q: prost::Message + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let answer = client.unary(request, path(rpc), ProstCodec::<Q, A>::default()).await;
    answer.map(Response::into_inner)
}

pub(crate) async fn snapshot<S>(
    channel: Channel,
    parts: Request<S>,
) -> Result<v1::FullSnapshotResponse, Status>
where
    S: Stream<Item = v1::FullSnapshotRequest> + Send + 'static,
{
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let codec = ProstCodec::<v1::FullSnapshotRequest, v1::FullSnapshotResponse>::default();
    let answer = client.client_streaming(parts, path("FullSnapshot"), codec).await;
    answer.map(Response::into_inner)
}

/// What a [`Recorder`] was asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    AppendEntries(v1::AppendEntriesRequest),
    Vote(v1::VoteRequest),
    FullSnapshot(Vec<v1::FullSnapshotRequest>),
}

/// Answers each kind of call with what it was given, and keeps what it was asked.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) append: v1::AppendEntriesResponse,
    pub(crate) vote: v1::VoteResponse,
    pub(crate) snapshot: v1::FullSnapshotResponse,
    /// For how long it installs a snapshot, and says so; `None` for a node of the first version,
    /// which can't say anything of it.
    pub(crate) installs: Option<Duration>,
    pub(crate) asked: Arc<Mutex<Vec<(MetadataMap, Asked)>>>,
}

impl Recorder {
    /// Serves until the test ends.
    pub(crate) async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server::builder().add_service(self.clone());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    fn note(&self, metadata: MetadataMap, asked: Asked) {
        self.asked.lock().unwrap().push((metadata, asked));
    }
}

impl NamedService for Recorder {
    const NAME: &'static str = "seshat.v1.Transport";
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

impl Service<http::Request<Body>> for Recorder {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let recorder = self.clone();
        Box::pin(async move {
            let rpc = request.uri().path().rsplit('/').next().unwrap().to_owned();
            Ok(match rpc.as_str() {
                "AppendEntries" => {
                    let answer = move |request: Request<v1::AppendEntriesRequest>| {
                        let (metadata, _, message) = request.into_parts();
                        recorder.note(metadata, Asked::AppendEntries(message));
                        let answer = recorder.append;
                        Box::pin(async move { Ok(Response::new(answer)) }) as Answer<_>
                    };
                    let codec = ProstCodec::default();
                    tonic::server::Grpc::new(codec).unary(tower::service_fn(answer), request).await
                }
                "Vote" => {
                    let answer = move |request: Request<v1::VoteRequest>| {
                        let (metadata, _, message) = request.into_parts();
                        recorder.note(metadata, Asked::Vote(message));
                        let answer = recorder.vote;
                        Box::pin(async move { Ok(Response::new(answer)) }) as Answer<_>
                    };
                    let codec = ProstCodec::default();
                    tonic::server::Grpc::new(codec).unary(tower::service_fn(answer), request).await
                }
                "FullSnapshot" => {
                    let answer = move |request: Request<Streaming<v1::FullSnapshotRequest>>| {
                        let recorder = recorder.clone();
                        Box::pin(async move {
                            let (metadata, _, mut parts) = request.into_parts();
                            let mut all = Vec::new();
                            while let Some(part) = parts.message().await? {
                                all.push(part);
                            }
                            recorder.note(metadata, Asked::FullSnapshot(all));
                            tokio::time::sleep(recorder.installs.unwrap_or_default()).await;
                            Ok(Response::new(recorder.snapshot))
                        }) as Answer<_>
                    };
                    let codec = ProstCodec::default();
                    let service = tower::service_fn(answer);
                    tonic::server::Grpc::new(codec).client_streaming(service, request).await
                }
                "SnapshotOffset" if recorder.installs.is_some() => {
                    let answer = move |_: Request<v1::SnapshotOffsetRequest>| {
                        let asked = recorder.asked.lock().unwrap();
                        let is_snapshot = |asked: &Asked| matches!(asked, Asked::FullSnapshot(_));
                        let installing = asked.iter().any(|(_, asked)| is_snapshot(asked));
                        let answer = v1::SnapshotOffsetResponse { offset: 0, installing, reads: 2 };
                        Box::pin(async move { Ok(Response::new(answer)) }) as Answer<_>
                    };
                    let codec = ProstCodec::default();
                    tonic::server::Grpc::new(codec).unary(tower::service_fn(answer), request).await
                }
                other => Status::unimplemented(other).into_http(),
            })
        })
    }
}
