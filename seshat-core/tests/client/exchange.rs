//! The stream itself, as a client of any make sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use rstest::rstest;
use seshat_core::client::{Client, ReadLevel};
use seshat_core::config::{BatchConfig, NodeConfigBuilder};
use seshat_core::proto::client::{self as proto, answer, propose_response, read_response, request};
use seshat_core::proto::v1::{self, operation::Kind};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use crate::DEADLINE;
use crate::cluster::Cluster;
use crate::half::half_a_message;

fn set(id: u64, key: &str, value: impl Into<Bytes>) -> proto::Request {
    let set = v1::SetOperation {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.into(),
        ..Default::default()
    };
    let operation = Some(v1::Operation { kind: Some(Kind::Set(set)) });
    let kind = Some(request::Kind::Propose(proto::ProposeRequest { operation }));
    proto::Request { id, kind }
}

fn get(id: u64, key: &str) -> proto::Request {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let read = proto::ReadRequest { key, level: ReadLevel::Leader.into(), local: false };
    proto::Request { id, kind: Some(request::Kind::Read(read)) }
}

fn pack(requests: impl IntoIterator<Item = proto::Request>) -> proto::Requests {
    let encoded = requests.into_iter().map(|request| request.encode_to_vec().into());
    proto::Requests { requests: encoded.collect() }
}

/// A stream that has begun.
struct Stream {
    asks: mpsc::Sender<proto::Requests>,
    answers: Streaming<proto::Answers>,
}

impl Stream {
    async fn begin(cluster: &Cluster) -> Self {
        let (asks, asked) = mpsc::channel(1);
        let mut stub = cluster.stub().await;
        let mut answers = stub.exchange(ReceiverStream::new(asked)).await.unwrap().into_inner();
        let opening = answers.message().await.unwrap().unwrap().opening.unwrap();
        assert!(opening.max_message_bytes > 1 << 20);
        Self { asks, answers }
    }

    async fn next(&mut self) -> Result<Option<proto::Answers>, tonic::Status> {
        timeout(DEADLINE, self.answers.message()).await.expect("an answer, or an end")
    }

    /// Answers, until there are so many.
    async fn take(&mut self, count: usize) -> BTreeMap<u64, answer::Kind> {
        let mut taken = BTreeMap::new();
        while taken.len() < count {
            let message = self.next().await.unwrap().expect("the stream goes on");
            for answer in message.answers {
                let before = taken.insert(answer.id, answer.kind.unwrap());
                assert!(before.is_none(), "{} is answered twice", answer.id);
            }
        }
        taken
    }
}

fn is_set(answer: &answer::Kind) -> bool {
    let answer::Kind::Propose(answer) = answer else { return false };
    matches!(answer.outcome, Some(propose_response::Outcome::Response(_)))
}

fn refusal(answer: &answer::Kind) -> &str {
    match answer {
        answer::Kind::Refused(refused) => &refused.reason,
        answer::Kind::Propose(proto::ProposeResponse {
            outcome: Some(propose_response::Outcome::Refused(refused)),
        }) => &refused.reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_ends_its_half_is_answered_all_that_it_asked_for() {
    let cluster = Cluster::start(1).await;
    let mut stream = Stream::begin(&cluster).await;
    for message in 0..10 {
        let requests = (1..=100).map(|n| set(message * 100 + n, &format!("key-{n}"), "value"));
        stream.asks.send(pack(requests)).await.unwrap();
    }
    stream.asks = mpsc::channel(1).0;
    let answers = stream.take(1000).await;
    assert!(answers.values().all(is_set));
    assert_eq!(answers.keys().copied().collect::<Vec<_>>(), (1..=1000).collect::<Vec<_>>());
    assert_eq!(stream.next().await.unwrap(), None, "it ends, and well");
}

/// What is proposed in one message is applied in its order.
#[tokio::test]
async fn operations_of_one_stream_are_applied_in_their_order() {
    let cluster = Cluster::start(1).await;
    let mut stream = Stream::begin(&cluster).await;
    for message in 0..20 {
        let requests = (1..=50).map(|n| {
            let id = message * 50 + n;
            set(id, "key", id.to_string())
        });
        stream.asks.send(pack(requests)).await.unwrap();
    }
    stream.take(1000).await;
    stream.asks.send(pack([get(1001, "key")])).await.unwrap();
    let answers = stream.take(1).await;
    let answer::Kind::Read(read) = &answers[&1001] else { panic!("{answers:?}") };
    let Some(read_response::Outcome::Value(value)) = &read.outcome else { panic!("{read:?}") };
    assert_eq!(value.value.as_deref(), Some(&b"1000"[..]));
}

/// One that isn't understood is in nobody's way.
#[tokio::test]
async fn what_is_not_understood_is_refused_alone() {
    let cluster = Cluster::start(1).await;
    let mut stream = Stream::begin(&cluster).await;
    let mut message = pack([set(1, "one", "1"), set(5, "five", "5")]);
    // Request { id: 2, 9: {} }, of a kind that is not known.
    message.requests.insert(1, Bytes::from_static(&[0x08, 2, 0x4a, 0]));
    // Request { id: 3, propose: { operation: { set: { key: "k", 3: 60 } } } }
    let half: &[u8] = &[0x08, 3, 0x12, 9, 0x0a, 7, 0x0a, 5, 0x0a, 1, b'k', 0x18, 60];
    message.requests.insert(2, Bytes::copy_from_slice(half));
    // Request { id: 4 }
    message.requests.insert(3, Bytes::from_static(&[0x08, 4]));
    stream.asks.send(message).await.unwrap();
    let answers = stream.take(5).await;
    assert!(is_set(&answers[&1]) && is_set(&answers[&5]), "{answers:?}");
    assert_eq!(refusal(&answers[&2]), "a call that this node doesn't know");
    assert!(refusal(&answers[&3]).contains("SetOperation.*: field 3"), "{answers:?}");
    assert_eq!(refusal(&answers[&4]), "a call that this node doesn't know");

    stream.asks.send(pack([get(6, "k")])).await.unwrap();
    let answers = stream.take(1).await;
    let answer::Kind::Read(read) = &answers[&6] else { panic!("{answers:?}") };
    let nothing = proto::Value::default();
    assert_eq!(read.outcome, Some(read_response::Outcome::Value(nothing)), "it was not done");
}

#[rstest]
#[case::again(&[1, 1], "a request has id 1, which doesn't follow 1")]
#[case::before(&[7, 3], "a request has id 3, which doesn't follow 7")]
#[case::none(&[0], "a request has id 0, which doesn't follow 0")]
#[tokio::test]
async fn ids_that_do_not_ascend_end_the_stream(#[case] ids: &[u64], #[case] words: &str) {
    let cluster = Cluster::start(1).await;
    let mut stream = Stream::begin(&cluster).await;
    stream.asks.send(pack(ids.iter().map(|id| set(*id, "key", "value")))).await.unwrap();
    let taken = stream.take(ids.len() - 1).await;
    assert!(taken.values().all(is_set), "what came before is answered");
    let said = stream.next().await.unwrap().expect("it says what it took");
    let last = if ids.len() > 1 { ids[0] } else { 0 };
    assert_eq!(said.closing, Some(proto::Closing { taken: last }));
    let end = stream.next().await.unwrap_err();
    assert_eq!((end.code(), end.message()), (Code::InvalidArgument, words));
}

/// It may ask for as much as it likes: what it doesn't take isn't made.
#[tokio::test]
async fn a_client_that_takes_no_answers_is_held() {
    let cluster = Cluster::start(1).await;
    let mut stream = Stream::begin(&cluster).await;
    stream.asks.send(pack([set(1, "key", vec![b'x'; 64 << 10])])).await.unwrap();
    assert!(is_set(&stream.take(1).await[&1]));

    let (mut id, mut sent) = (1, 0);
    // Of half a megabyte each, so that there is more than HTTP/2 takes in advance.
    let padding = "k".repeat(1 << 10);
    loop {
        let ask = (1..=512).map(|n| match n % 8 {
            1 => get(id + n, "key"),
            _ => get(id + n, &padding),
        });
        match timeout(Duration::from_millis(700), stream.asks.send(pack(ask))).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => break,
        }
        (id, sent) = (id + 512, sent + 512);
        // What the windows of the connection hold.
        assert!(sent < 16_000, "{sent} calls were taken");
    }
    assert!(stream.take(sent).await.len() == sent);
}

fn set_get(id: u64, key: &str) -> proto::Request {
    let mut request = set(id, key, "value");
    if let Some(request::Kind::Propose(proto::ProposeRequest { operation })) = &mut request.kind
        && let Some(v1::Operation { kind: Some(Kind::Set(set)) }) = operation
    {
        set.get = true;
    }
    request
}

/// Until the key is there.
async fn bound(client: &Client, key: &'static str) {
    let bound = async {
        while client.get_at(key, ReadLevel::Leader).await.unwrap().0.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, bound).await.expect("it is begun");
}

/// Each of its calls may be what others wait for: the first at the door of the queue, or who has a quorum asked.
#[tokio::test]
async fn a_client_that_takes_no_answers_is_in_nobodys_way() {
    let small = |config: NodeConfigBuilder| {
        let (max_bytes, queue_bytes) = (64 << 10, 64 << 10);
        config.batch(BatchConfig { max_bytes, queue_bytes, ..BatchConfig::default() })
    };
    let cluster = Cluster::start_with(1, small).await;
    let client = cluster.client();
    client.set("long", vec![b'x'; 1 << 20]).await.unwrap();
    let mut stream = Stream::begin(&cluster).await;
    // Whatever is first finds the queue full, or has a quorum asked, while there is no room for the rest.
    let requests = (1..=100).map(|id| match id {
        1 => set(id, "begun", "value"),
        2..5 => set_get(id, "key"),
        _ if id % 10 == 5 => {
            let level = ReadLevel::Linearizable.into();
            let read = proto::ReadRequest { key: "key".into(), level, local: false };
            proto::Request { id, kind: Some(request::Kind::Read(read)) }
        }
        _ => get(id, "long"),
    });
    stream.asks.send(pack(requests)).await.unwrap();
    bound(&client, "begun").await;
    for _ in 0..100 {
        client.set("other", "value").await.unwrap();
        assert_eq!(client.get("other").await.unwrap(), Some("value".into()));
    }
    let answers = stream.take(100).await;
    assert_eq!(answers.keys().copied().collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
}

/// Each may be answered with a long value: those that find no room aren't begun.
#[tokio::test]
async fn a_client_that_takes_no_values_has_few_operations_begun() {
    let small = |config: NodeConfigBuilder| {
        let (max_bytes, queue_bytes) = (64 << 10, 64 << 10);
        config.batch(BatchConfig { max_bytes, queue_bytes, ..BatchConfig::default() })
    };
    let cluster = Cluster::start_with(1, small).await;
    let client = cluster.client();
    let key = |id: u64| format!("key-{id}");
    for id in 2..100 {
        client.set(key(id), vec![b'x'; 256 << 10]).await.unwrap();
    }
    let mut stream = Stream::begin(&cluster).await;
    let requests = (1..=100).map(|id| match id {
        1 => set(id, "begun", "value"),
        100 => set(id, "last", "value"),
        _ => set_get(id, &key(id)),
    });
    stream.asks.send(pack(requests)).await.unwrap();
    bound(&client, "begun").await;
    for _ in 0..100 {
        client.set("other", "value").await.unwrap();
    }
    assert_eq!(client.get("last").await.unwrap(), None, "all of them are begun");
    assert_eq!(stream.take(100).await.len(), 100);
    bound(&client, "last").await;
}

/// It says which were taken, and all of those are answered.
#[tokio::test]
async fn a_node_that_shuts_down_answers_what_it_took_and_says_what_it_did_not() {
    let cluster = Cluster::start(1).await;
    let mut stream = Stream::begin(&cluster).await;
    let asks = stream.asks.clone();
    let asking = tokio::spawn(async move {
        for message in 0_u64.. {
            let requests = (1..=10).map(|n| set(message * 10 + n, "key", "value"));
            if asks.send(pack(requests)).await.is_err() {
                return;
            }
        }
    });
    let mut answered = stream.take(100).await;
    let service = cluster.nodes[0].service.clone();
    let closed = tokio::spawn(async move { service.close().await });
    let taken = loop {
        let message = stream.next().await.unwrap().expect("it says what it took");
        for answer in message.answers {
            answered.insert(answer.id, answer.kind.unwrap());
        }
        if let Some(closing) = message.closing {
            break closing.taken;
        }
    };
    assert_eq!(stream.next().await.unwrap(), None, "it ends, and well");
    assert_eq!(answered.keys().copied().collect::<Vec<_>>(), (1..=taken).collect::<Vec<_>>());
    timeout(DEADLINE, closed).await.expect("nothing holds the door").unwrap();
    asking.await.unwrap();

    // Who comes later is told the same at once.
    let mut late = Stream::begin(&cluster).await;
    assert_eq!(late.next().await.unwrap().unwrap().closing, Some(proto::Closing { taken: 0 }));
}

/// Time that goes on only as a test says, however long the machine takes: while a thread is blocked, tokio
/// moves no clock that is stopped.
struct Clock(
    #[allow(dead_code, reason = "dropped, it ends the thread")] std::sync::mpsc::Sender<()>,
);

impl Clock {
    fn stop() -> Self {
        let (holds, held) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || held.recv());
        tokio::time::pause();
        Self(holds)
    }

    /// By so much, in steps with time for sockets between them.
    async fn goes_on(&self, by: Duration) {
        let step = Duration::from_millis(50);
        for _ in 0..by.as_millis() / step.as_millis() {
            let pause = || std::thread::sleep(Duration::from_millis(1));
            tokio::task::spawn_blocking(pause).await.unwrap();
            tokio::time::advance(step).await;
        }
    }
}

/// Between messages a client may pause as long as it likes, and in one it may not.
#[tokio::test]
async fn a_stream_outlives_pauses_but_not_half_a_message() {
    let adjust = |config: NodeConfigBuilder| config.rpc_timeout(Duration::from_millis(150));
    let cluster = Cluster::start_with(1, adjust).await;
    let mut stream = Stream::begin(&cluster).await;
    let clock = Clock::stop();
    for id in 1..=2 {
        clock.goes_on(Duration::from_millis(600)).await;
        stream.asks.send(pack([set(id, "key", "value")])).await.unwrap();
        assert!(is_set(&stream.take(1).await[&id]));
    }
    assert_eq!(cluster.nodes[0].server.as_ref().unwrap().under_way().client_calls, 1);

    let (_half, answer) = half_a_message(&cluster.nodes[0].address, 100).await;
    let said = tokio::spawn(http_body_util::BodyExt::collect(answer.into_body()));
    let started = std::time::Instant::now();
    while !said.is_finished() {
        assert!(started.elapsed() < DEADLINE, "it isn't given up");
        clock.goes_on(Duration::from_millis(50)).await;
    }
    let said = said.await.unwrap().unwrap();
    let trailers = said.trailers().expect("a status");
    let words = trailers["grpc-message"].to_str().unwrap();
    assert!(words.contains("nothing%20moved%20for%20longer%20than"), "{words}");
}

/// Served by something that doesn't know who calls, so that nobody may do anything.
#[tokio::test]
async fn who_may_not_do_something_is_told_by_name_and_alone() {
    let cluster = Cluster::start(1).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = cluster.nodes[0].service.server();
    let serving = tonic::transport::Server::builder().add_service(service);
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(serving.serve_with_incoming(incoming));
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut stub = proto::client_client::ClientClient::new(channel);
    let (asks, asked) = mpsc::channel(1);
    let mut answers = stub.exchange(ReceiverStream::new(asked)).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap().opening.unwrap();
    let mut stream = Stream { asks, answers };
    for id in [1, 3] {
        stream.asks.send(pack([set(id, "key", "value"), get(id + 1, "key")])).await.unwrap();
        let answers = stream.take(2).await;
        assert!(refusal(&answers[&id]).contains("may not propose"), "{answers:?}");
        let answer::Kind::Read(read) = &answers[&(id + 1)] else { panic!("{answers:?}") };
        let Some(read_response::Outcome::Refused(refused)) = &read.outcome else {
            panic!("{read:?}")
        };
        assert!(refused.reason.contains("may not read"), "{read:?}");
    }
}
