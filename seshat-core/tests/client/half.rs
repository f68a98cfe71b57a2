//! Messages of which no more comes than the beginning, and who needs their room.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body::Frame;
use http_body_util::StreamBody;
use seshat_core::client::{Client, Condition, SetOptions};
use seshat_core::config::{GrpcConfig, NodeConfigBuilder};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::{Service, ServiceExt};

use crate::DEADLINE;
use crate::cluster::Cluster;

/// Begins a stream, and a message of `len` bytes on it; whoever has the sender may go on.
pub(crate) async fn half_a_message(
    address: &str,
    len: u32,
) -> (mpsc::Sender<Result<Frame<Bytes>, Infallible>>, http::Response<Body>) {
    let (body, parts) = mpsc::channel(4);
    let begun = [&[0][..], &len.to_be_bytes(), &[1, 2, 3]].concat();
    body.send(Ok(Frame::data(begun.into()))).await.unwrap();
    let request = http::Request::post("/seshat.client.v1.Client/Exchange")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(StreamBody::new(ReceiverStream::new(parts))))
        .unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut channel = endpoint.connect().await.unwrap();
    let channel = ServiceExt::<http::Request<Body>>::ready(&mut channel).await.unwrap();
    (body, channel.call(request).await.unwrap())
}

/// Sent again, as it was certainly not taken; nor is anything of the same stream in doubt.
#[tokio::test]
async fn a_message_that_finds_no_room_is_not_done_and_nothing_else_is_in_doubt() {
    let adjust = |config: NodeConfigBuilder| {
        let grpc = GrpcConfig { max_client_bytes: 1, ..GrpcConfig::default() };
        config.rpc_timeout(Duration::from_secs(1)).grpc(grpc)
    };
    let cluster = Cluster::start_with(1, adjust).await;
    let (address, most) = (&cluster.nodes[0].address, cluster.nodes[0].node.config());
    let most = most.max_client_bytes();
    let client = Client::new(vec![address.clone()], None, DEADLINE).unwrap();
    client.set("key", "value").await.unwrap();
    let (half, _answers) = half_a_message(address, most as u32).await;
    let until = async |what: &str, condition: &dyn Fn() -> bool| {
        let wait = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, wait).await.expect(what);
    };
    let server = cluster.nodes[0].server.as_ref().unwrap();
    until("it takes all the room", &|| server.under_way().client_bytes as u64 == most).await;

    let once = SetOptions { condition: Some(Condition::Absent), get: false };
    let calls = (0..100_usize).map(|n| {
        let value = vec![b'x'; if n % 10 == 5 { 100 << 10 } else { 10 }];
        client.set_with(format!("key-{n}"), value, once)
    });
    let freed = async {
        until("it is refused", &|| client.retries() > 0).await;
        drop(half);
    };
    let (ends, ()) = tokio::join!(join_all(calls), freed);
    for (n, end) in ends.into_iter().enumerate() {
        assert!(end.unwrap().set, "key-{n} was bound before");
    }
}
