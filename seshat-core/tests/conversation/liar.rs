//! The liar, when it is asked: nodes 2 and 3 behind one address.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use seshat_core::proto::v1;
use seshat_core::proto::v1::append_entries_response::Result as Appended;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

/// Answers as a follower would that takes everything, one time in so many with a lie.
#[derive(Clone)]
pub(crate) struct Liar {
    state: Arc<Mutex<(SmallRng, u32)>>,
}

impl Liar {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new((SmallRng::seed_from_u64(seed), 1000))) }
    }

    /// Serves until the test ends.
    pub(crate) async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server::builder().add_service(self.clone());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    /// From now on; never with 0.
    pub(crate) fn lies_one_time_in(&self, lies: u32) {
        self.state.lock().unwrap().1 = lies;
    }

    fn answer<T>(&self, truth: T, lie: impl FnOnce(&mut SmallRng, T) -> T) -> Result<T, Status> {
        let (random, lies) = &mut *self.state.lock().unwrap();
        if *lies == 0 || !random.random_ratio(1, *lies) {
            return Ok(truth);
        }
        match random.random_range(0..12) {
            0 => Err(Status::unavailable("not now")),
            _ => Ok(lie(random, truth)),
        }
    }

    fn append(&self, asked: v1::AppendEntriesRequest) -> Result<v1::AppendEntriesResponse, Status> {
        let truth =
            v1::AppendEntriesResponse { result: Some(Appended::Success(v1::AppendSuccess {})) };
        self.answer(truth, |random, _| {
            let sent = asked.entries.iter().filter_map(|entry| entry.log_id);
            let sent: Vec<_> = sent.chain(asked.prev_log_id).chain(asked.leader_commit).collect();
            let result = match random.random_range(0..4) {
                0 => Appended::Conflict(v1::AppendConflict {}),
                1 => Appended::HigherVote(vote(random, asked.vote.unwrap_or_default())),
                2 => {
                    let place = random.random_range(0..=sent.len());
                    let mut matching = sent.get(place).copied();
                    if let Some(id) = matching.as_mut().filter(|_| random.random_bool(0.5)) {
                        id.index = near(random, id.index);
                    }
                    Appended::PartialSuccess(v1::AppendPartialSuccess { matching })
                }
                _ => return v1::AppendEntriesResponse { result: None },
            };
            v1::AppendEntriesResponse { result: Some(result) }
        })
    }

    fn vote(&self, asked: v1::VoteRequest) -> Result<v1::VoteResponse, Status> {
        let truth = v1::VoteResponse { vote: asked.vote, vote_granted: true, last_log_id: None };
        self.answer(truth, |random, truth| {
            let vote =
                random.random_bool(0.8).then(|| vote(random, truth.vote.unwrap_or_default()));
            let last_log_id = asked.last_log_id.map(|mut id| {
                id.index = near(random, id.index);
                id
            });
            v1::VoteResponse { vote, vote_granted: random.random_bool(0.5), last_log_id }
        })
    }

    fn snapshot(&self, asked: Option<v1::Vote>) -> Result<v1::FullSnapshotResponse, Status> {
        self.answer(v1::FullSnapshotResponse { vote: asked }, |random, truth| {
            let vote = Some(vote(random, truth.vote.unwrap_or_default()));
            v1::FullSnapshotResponse { vote }
        })
    }
}

fn near(random: &mut SmallRng, number: u64) -> u64 {
    match random.random_range(0..4) {
        0 => u64::MAX - random.random_range(1..4),
        1 => number.saturating_sub(1),
        2 => number.saturating_add(random.random_range(1..1000)),
        _ => number,
    }
}

fn vote(random: &mut SmallRng, of: v1::Vote) -> v1::Vote {
    let (term, node_id) = (near(random, of.term), random.random_range(1..4));
    v1::Vote { term, node_id, committed: random.random_bool(0.5) }
}

impl NamedService for Liar {
    const NAME: &'static str = "seshat.v1.Transport";
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

impl Service<http::Request<Body>> for Liar {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let liar = self.clone();
        Box::pin(async move {
            let rpc = request.uri().path().rsplit('/').next().unwrap().to_owned();
            Ok(match rpc.as_str() {
                "AppendEntries" => {
                    let answer = move |asked: Request<v1::AppendEntriesRequest>| {
                        let end = liar.append(asked.into_inner()).map(Response::new);
                        Box::pin(std::future::ready(end)) as Answer<_>
                    };
                    let codec = ProstCodec::default();
                    tonic::server::Grpc::new(codec).unary(tower::service_fn(answer), request).await
                }
                "Vote" => {
                    let answer = move |asked: Request<v1::VoteRequest>| {
                        let end = liar.vote(asked.into_inner()).map(Response::new);
                        Box::pin(std::future::ready(end)) as Answer<_>
                    };
                    let codec = ProstCodec::default();
                    tonic::server::Grpc::new(codec).unary(tower::service_fn(answer), request).await
                }
                "FullSnapshot" => {
                    let answer = move |asked: Request<Streaming<v1::FullSnapshotRequest>>| {
                        let liar = liar.clone();
                        Box::pin(async move {
                            let mut parts = asked.into_inner();
                            let mut vote = None;
                            while let Some(part) = parts.message().await? {
                                if let Some(v1::full_snapshot_request::Part::Header(header)) =
                                    part.part
                                {
                                    vote = header.vote;
                                }
                            }
                            liar.snapshot(vote).map(Response::new)
                        }) as Answer<_>
                    };
                    let codec = ProstCodec::default();
                    let service = tower::service_fn(answer);
                    tonic::server::Grpc::new(codec).client_streaming(service, request).await
                }
                other => Status::unimplemented(other).into_http(),
            })
        })
    }
}
