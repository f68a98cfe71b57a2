//! Peers that send garbage, half a message, a huge length, or nothing at all.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use rstest::rstest;
use seshat_core::config::GrpcConfig;
use seshat_core::proto::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use crate::host::{DEADLINE, Host, Ports};
use crate::raw::{channel, signed, unary};

/// A node alone, to whom calls and connections may take 300 ms.
async fn impatient(grpc: GrpcConfig) -> (Host, String) {
    let grpc = GrpcConfig { connect_timeout: Duration::from_millis(300), ..grpc };
    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().rpc_timeout(Duration::from_millis(300)).grpc(grpc);
    let host = Host::start(config.build().unwrap(), ports.listener(1)).await;
    host.admit().await.unwrap();
    (host, ports.address(1).to_owned())
}

/// An honest call is answered.
async fn assert_serves(address: &str) {
    let vote = v1::Vote { term: 0, node_id: 9, committed: false };
    let asked = signed("seshat", 1, v1::VoteRequest { vote: Some(vote), last_log_id: None });
    let answer = unary::<_, v1::VoteResponse>(channel(address), "Vote", asked);
    let answer = tokio::time::timeout(DEADLINE, answer).await.expect("an answer").unwrap();
    assert!(!answer.vote_granted);
}

/// Sends these bytes as the body of AppendEntries, then ends it or leaves it open.
async fn send(address: &str, body: Vec<u8>, open: bool) -> Status {
    send_by(channel(address), address, body_of(body, open)).await
}

fn body_of(bytes: Vec<u8>, open: bool) -> Body {
    let frames = stream::once(async { Ok::<_, Status>(Frame::data(Bytes::from(bytes))) });
    match open {
        true => Body::new(StreamBody::new(stream::StreamExt::chain(frames, stream::pending()))),
        false => Body::new(StreamBody::new(frames)),
    }
}

/// The same, over a connection that is there.
fn send_by(
    mut channel: Channel,
    address: &str,
    body: Body,
) -> impl Future<Output = Status> + Send + use<> {
    let (metadata, ..) = signed("seshat", 1, ()).into_parts();
    let mut request =
        http::Request::post(format!("http://{address}/seshat.v1.Transport/AppendEntries"));
    *request.headers_mut().unwrap() = metadata.into_headers();
    let request = request
        .header("seshat-long", "1")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    async move {
        let answer = channel.ready().await.unwrap().call(request);
        let answer = tokio::time::timeout(DEADLINE, answer).await.expect("an answer").unwrap();
        Status::from_header_map(answer.headers()).expect("a status")
    }
}

/// A message, as far as it is sent, behind the length that it claims.
fn claimed(len: u32, message: &[u8]) -> Vec<u8> {
    [&[0], &len.to_be_bytes()[..], message].concat()
}

#[rstest]
#[case::garbage(
    claimed(3, b"\xff\xff\xff"),
    false,
    Code::InvalidArgument,
    "AppendEntriesRequest.*"
)]
#[case::no_vote(claimed(0, b""), false, Code::InvalidArgument, "AppendEntriesRequest.vote")]
#[case::half(claimed(100, b"half"), false, Code::Internal, "Unexpected EOF")]
#[case::half_and_silence(claimed(100, b"half"), true, Code::DeadlineExceeded, "longer than 300ms")]
#[case::silence(vec![], true, Code::DeadlineExceeded, "longer than 300ms")]
#[case::nothing(vec![], false, Code::Internal, "Missing request message")]
#[case::huge(
    claimed(u32::MAX, b"huge"),
    true,
    Code::OutOfRange,
    "found 4294967295 bytes, the limit is"
)]
#[case::compressed(vec![1, 0, 0, 0, 1, 7], false, Code::Internal, "compressed")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies(
    #[case] body: Vec<u8>,
    #[case] open: bool,
    #[case] code: Code,
    #[case] words: &str,
) {
    let (_host, address) = impatient(GrpcConfig::default()).await;
    let status = send(&address, body, open).await;
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(words), "{:?} lacks {words:?}", status.message());
    assert_serves(&address).await;
}

/// On a slow link a message takes longer than a call may take that doesn't move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_moves_is_waited_for() {
    let (_host, address) = impatient(GrpcConfig::default()).await;
    let bytes = claimed(20, &[0xff; 20]);
    let frames = stream::unfold(bytes.into_iter(), async |mut rest| {
        let byte = rest.next()?;
        tokio::time::sleep(Duration::from_millis(30)).await;
        Some((Ok::<_, Status>(Frame::data(Bytes::from(vec![byte]))), rest))
    });
    let body = Body::new(StreamBody::new(Box::pin(frames)));
    let started = tokio::time::Instant::now();
    let status = send_by(channel(&address), &address, body).await;
    assert_eq!(status.code(), Code::InvalidArgument, "it was read to its end: {status}");
    assert!(started.elapsed() > Duration::from_millis(600));
}

/// Reads until the other end hangs up.
pub(crate) async fn until_closed(mut stream: TcpStream) -> usize {
    let mut heard = 0;
    let mut buf = [0; 1024];
    let reading = async {
        while let Ok(len @ 1..) = stream.read(&mut buf).await {
            heard += len;
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("the connection is closed");
    heard
}

#[rstest]
#[case::nothing(b"")]
#[case::http1(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")]
#[case::noise(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 noise, and more noise than a preface")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections(#[case] bytes: &[u8]) {
    let (_host, address) = impatient(GrpcConfig::default()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    until_closed(stream).await;
    assert_serves(&address).await;
}

/// A call too many waits for its turn; what keeps it waiting ends by its own deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_too_many() {
    let grpc = GrpcConfig { max_calls: 1, ..GrpcConfig::default() };
    let (_host, address) = impatient(grpc).await;
    let shared = channel(&address);
    let vote = v1::Vote { term: 0, node_id: 9, committed: false };
    let ask = || {
        let asked = signed("seshat", 1, v1::VoteRequest { vote: Some(vote), last_log_id: None });
        unary::<_, v1::VoteResponse>(shared.clone(), "Vote", asked)
    };
    // By the first answer the caller knows how many it may make; before, it would be refused.
    ask().await.unwrap();
    let stuck =
        tokio::spawn(send_by(shared.clone(), &address, body_of(claimed(100, b"half"), true)));
    tokio::time::timeout(DEADLINE, ask()).await.expect("its turn comes").unwrap();
    assert!(stuck.await.unwrap().message().contains("longer than 300ms"));
}
