//! Peers whose answers aren't what gRPC lets a status be.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use rstest::rstest;
use seshat_core::config::NodeConfig;
use seshat_core::network::grpc::GrpcTransport;
use seshat_core::types::{Node, Vote, VoteRequest};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tower::Service;

/// Answers every call by a status whose details are no base64.
#[derive(Clone)]
struct Garbler {
    /// Whether it stands behind the messages, of which there are none, or among the headers.
    behind: bool,
}

impl NamedService for Garbler {
    const NAME: &'static str = "seshat.v1.Transport";
}

impl Service<http::Request<Body>> for Garbler {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let status = HeaderMap::from_iter(
            [("grpc-status", "13"), ("grpc-message", "as told"), ("grpc-status-details-bin", "?!")]
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))),
        );
        let mut answer = http::Response::new(Body::empty());
        if self.behind {
            let trailers = tokio_stream::once(Ok::<_, Status>(Frame::<Bytes>::trailers(status)));
            *answer.body_mut() = Body::new(StreamBody::new(trailers));
        } else {
            answer.headers_mut().extend(status);
        }
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        ready(Ok(answer))
    }
}

#[rstest]
#[case::among_the_headers(false)]
#[case::behind_the_messages(true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_is_only_a_status(#[case] behind: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::builder().add_service(Garbler { behind });
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let config = NodeConfig::builder(9).member(9, "127.0.0.1:9").single_node().build().unwrap();
    let mut transport = GrpcTransport::new(&config).unwrap();
    let mut connection = transport.new_client(1, &Node::new(address)).await;
    let option = RPCOption::new(Duration::from_secs(5));
    let answer = connection.vote(VoteRequest::new(Vote::new(1, 9), None), option).await;
    let words = answer.unwrap_err().to_string();
    assert!(words.contains("as told"), "{words}");
}
