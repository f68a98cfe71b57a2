//! A node of a cluster, as far as its clients know, that answers as it was told.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use prost::Message;
use seshat_core::proto::client::client_server::{Client as Service, ClientServer};
use seshat_core::proto::client::propose_response::Outcome;
use seshat_core::proto::client::{self as proto, answer, request};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// What it does with a request of a stream, beside to count it.
#[derive(Debug, Clone, Default)]
pub(crate) enum Manner {
    /// What the call of that name would answer.
    #[default]
    Answers,
    /// Says nothing more.
    Silent,
    /// Breaks the stream.
    Breaks,
    /// Says nothing when the stream begins.
    NeverBegins,
    /// Answers these, whatever it was asked.
    Says(Vec<proto::Answer>),
    /// Knows of no streams, as an older node.
    Older,
    /// Ends the stream, and says that it took requests up to this one.
    Closes(u64),
}

/// See the [module](self). What it answers to proposals it answers over and over the last.
#[derive(Clone, Default)]
pub(crate) struct Puppet {
    asked: Arc<AtomicUsize>,
    messages: Arc<AtomicUsize>,
    answers: Arc<Mutex<VecDeque<Option<Outcome>>>>,
    manner: Arc<Mutex<Manner>>,
    snapshot: Arc<Mutex<Option<proto::SnapshotResponse>>>,
}

impl Puppet {
    pub(crate) async fn listening() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let puppet = Self::default();
        let server =
            tonic::transport::Server::builder().add_service(ClientServer::new(puppet.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (puppet, address)
    }

    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = Option<Outcome>>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    pub(crate) fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// What it says of a snapshot that it is asked for.
    pub(crate) fn snapshots(&self, answer: proto::SnapshotResponse) {
        *self.snapshot.lock().unwrap() = Some(answer);
    }

    /// How often it was asked for something, in either way.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// In how many messages of streams.
    pub(crate) fn messages(&self) -> usize {
        self.messages.load(Ordering::SeqCst)
    }

    fn manner(&self) -> Manner {
        self.manner.lock().unwrap().clone()
    }

    fn next(&self) -> proto::ProposeResponse {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        proto::ProposeResponse { outcome: next.flatten() }
    }

    /// What comes of a message, and whether the stream goes on.
    fn exchange(&self, message: proto::Requests) -> Result<(proto::Answers, bool), Status> {
        self.messages.fetch_add(1, Ordering::SeqCst);
        let mut said = proto::Answers::default();
        for request in message.requests {
            let request = proto::Request::decode(request).unwrap();
            match self.manner() {
                Manner::Answers => {
                    let kind = match request.kind {
                        Some(request::Kind::Propose(_)) => answer::Kind::Propose(self.next()),
                        _ => answer::Kind::Refused(proto::Refused::default()),
                    };
                    said.answers.push(proto::Answer { id: request.id, kind: Some(kind) });
                    continue;
                }
                Manner::Silent | Manner::NeverBegins | Manner::Older => {}
                Manner::Says(answers) => said.answers.extend(answers),
                Manner::Breaks => {
                    self.asked.fetch_add(1, Ordering::SeqCst);
                    return Err(Status::internal("it breaks"));
                }
                Manner::Closes(taken) => {
                    self.asked.fetch_add(1, Ordering::SeqCst);
                    said.closing = Some(proto::Closing { taken });
                    return Ok((said, false));
                }
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        Ok((said, true))
    }
}

type Said = Result<proto::Answers, Status>;

#[tonic::async_trait]
impl Service for Puppet {
    async fn propose(
        &self,
        _: Request<proto::ProposeRequest>,
    ) -> Result<Response<proto::ProposeResponse>, Status> {
        Ok(Response::new(self.next()))
    }

    async fn read(
        &self,
        _: Request<proto::ReadRequest>,
    ) -> Result<Response<proto::ReadResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_many(
        &self,
        _: Request<proto::GetManyRequest>,
    ) -> Result<Response<proto::GetManyResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn scan(
        &self,
        _: Request<proto::ScanRequest>,
    ) -> Result<Response<proto::ScanResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type ExchangeStream = ReceiverStream<Said>;

    async fn exchange(
        &self,
        request: Request<Streaming<proto::Requests>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        if matches!(self.manner(), Manner::Older) {
            return Err(Status::unimplemented(""));
        }
        let (out, said) = mpsc::channel(1);
        let (puppet, mut requests) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            let opening = proto::Opening { max_message_bytes: 1 << 20 };
            if !matches!(puppet.manner(), Manner::NeverBegins) {
                let opens = proto::Answers { opening: Some(opening), ..Default::default() };
                let _ = out.send(Ok(opens)).await;
            }
            while let Ok(Some(message)) = requests.message().await {
                let said = puppet.exchange(message);
                let goes_on = matches!(said, Ok((_, true)));
                let _ = out.send(said.map(|(said, _)| said)).await;
                if !goes_on {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(said)))
    }

    async fn status(
        &self,
        _: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn add_member(
        &self,
        _: Request<proto::AddMemberRequest>,
    ) -> Result<Response<proto::ChangeResponse>, Status> {
        Err(Status::internal("something happened"))
    }

    async fn remove_member(
        &self,
        _: Request<proto::RemoveMemberRequest>,
    ) -> Result<Response<proto::ChangeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn transfer_leadership(
        &self,
        _: Request<proto::TransferLeadershipRequest>,
    ) -> Result<Response<proto::TransferLeadershipResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn snapshot(
        &self,
        _: Request<proto::SnapshotRequest>,
    ) -> Result<Response<proto::SnapshotResponse>, Status> {
        let answer = self.snapshot.lock().unwrap().clone();
        answer.map(Response::new).ok_or_else(|| Status::unimplemented(""))
    }

    async fn partitions(
        &self,
        _: Request<proto::PartitionsRequest>,
    ) -> Result<Response<proto::PartitionsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn health(
        &self,
        _: Request<proto::HealthRequest>,
    ) -> Result<Response<proto::HealthResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type BackupStream = tokio_stream::Empty<Result<proto::BackupPart, Status>>;

    async fn backup(
        &self,
        _: Request<proto::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        Err(Status::unimplemented(""))
    }
}
