//! `Exchange`: many calls of one client, on one stream.
//!
//! Guarantees:
//!
//! - What a message holds is begun in its order, and proposals so go into the log, unless the leader moves.
//!   Each is answered when it is done, and by itself: one that isn't understood, or that the client may not
//!   make, is in nobody's way.
//! - Answers that are ready go in one message, as soon as there is a place for it.
//! - So many calls are under way at most, and so many bytes of answers wait; beyond that no more is read, and
//!   HTTP/2 holds the client.
//! - A client that ends its half is answered all that it asked for. So is one whose node shuts down, for what
//!   was begun; it is told which that was, and the rest certainly isn't done.

use bytes::Bytes;
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::answer::Not;
use super::{Service, read_answer};
use crate::codec::client::read_request;
use crate::config::memory::{EXCHANGE_ANSWERS, EXCHANGE_CALLS};
use crate::network::grpc::{Caller, Held, NotAllowed, Role};
use crate::proto::client::{self as proto, answer, propose_response, request};

/// Calls under way.
const IN_FLIGHT: usize = EXCHANGE_CALLS as usize;
/// Bytes of answers that wait to be taken.
const READY: usize = EXCHANGE_ANSWERS as usize;
/// A message of as many answers as there are.
pub(super) type Packs = ReceiverStream<Result<proto::Answers, Status>>;

/// What the client may do.
struct May {
    write: Result<(), NotAllowed>,
    read: Result<(), NotAllowed>,
}

/// One stream.
struct Exchange {
    service: Service,
    may: May,
    caller: Option<Caller>,
    held: Option<Held>,
    requests: Streaming<proto::Requests>,
    out: mpsc::Sender<Result<proto::Answers, Status>>,
}

/// Begins one. It ends when the client, or the node, has no more to say, or when nobody takes the answers.
pub(super) fn begin(service: Service, request: Request<Streaming<proto::Requests>>) -> Packs {
    let may = May {
        write: Role::Write.require(&request, "propose"),
        read: Role::Read.require(&request, "read"),
    };
    let caller = request.extensions().get().cloned();
    let held = request.extensions().get().cloned();
    let (out, packs) = mpsc::channel(1);
    let max_message_bytes = service.node.config().max_message_bytes() as u64;
    let opening = proto::Opening { max_message_bytes };
    // There is room for it.
    let _ = out.try_send(Ok(proto::Answers { opening: Some(opening), ..Default::default() }));
    let requests = request.into_inner();
    tokio::spawn(Exchange { service, may, caller, held, requests, out }.run());
    ReceiverStream::new(packs)
}

impl Exchange {
    async fn run(mut self) {
        let mut closing = self.service.closing.subscribe();
        let (mut in_flight, mut ready) = (FuturesUnordered::new(), Ready::default());
        let (mut pack, mut taken) = (Pack::default(), 0);
        // Whether the client may ask for more, and why not.
        let mut end = None;
        loop {
            while in_flight.len() + ready.answers.len() < IN_FLIGHT
                && let Some(request) = pack.next()
            {
                match understood(request, taken) {
                    Ok(request) => {
                        taken = request.id;
                        in_flight.push(answer(&self.service, &self.may, request));
                    }
                    Err(Misread::Alone(answer)) => {
                        taken = answer.id;
                        ready.push(answer);
                    }
                    Err(Misread::All(status)) => {
                        (pack, end) = (Pack::default(), Some(End::Failed(status)));
                    }
                }
            }
            if pack.is_done()
                && let Some(held) = &self.held
            {
                held.release();
            }
            if end.is_some() && in_flight.is_empty() && ready.is_empty() && pack.is_done() {
                break;
            }
            tokio::select! {
                biased;
                Some(answer) = in_flight.next(), if ready.bytes < READY && !in_flight.is_empty() => {
                    ready.push(answer);
                    while ready.bytes < READY
                        && let Some(Some(answer)) = in_flight.next().now_or_never()
                    {
                        ready.push(answer);
                    }
                }
                place = self.out.reserve(), if !ready.is_empty() => match place {
                    Ok(place) => place.send(Ok(ready.take())),
                    // Nobody is there any more.
                    Err(_) => return,
                },
                _ = closing.wait_for(|closing| *closing), if end.is_none() => {
                    (pack, end) = (Pack::default(), Some(End::Closing));
                }
                message = self.requests.message(), if end.is_none() && pack.is_done() => match message {
                    Ok(Some(message)) => {
                        if let Some(caller) = &self.caller {
                            caller.was_let_in();
                        }
                        pack = Pack(message.requests.into_iter());
                    }
                    Ok(None) => end = Some(End::Asked),
                    Err(status) => end = Some(End::Failed(status)),
                },
            }
        }
        // Whoever has gone doesn't want to know.
        match end {
            Some(End::Closing) => {
                let closing = Some(proto::Closing { taken });
                let _ = self.out.send(Ok(proto::Answers { closing, ..Default::default() })).await;
            }
            Some(End::Failed(status)) => {
                let _ = self.out.send(Err(status)).await;
            }
            Some(End::Asked) | None => {}
        }
    }
}

/// Why a client asks for no more.
enum End {
    /// It said so.
    Asked,
    /// The node shuts down.
    Closing,
    /// It can't be understood, or has gone.
    Failed(Status),
}

/// What is left of a message.
#[derive(Default)]
struct Pack(std::vec::IntoIter<Bytes>);

impl Pack {
    fn next(&mut self) -> Option<Bytes> {
        self.0.next()
    }

    fn is_done(&self) -> bool {
        self.0.len() == 0
    }
}

/// Answers that wait to be taken.
#[derive(Default)]
struct Ready {
    answers: Vec<proto::Answer>,
    bytes: usize,
}

impl Ready {
    fn push(&mut self, answer: proto::Answer) {
        self.bytes += answer.encoded_len();
        self.answers.push(answer);
    }

    fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    fn take(&mut self) -> proto::Answers {
        self.bytes = 0;
        proto::Answers { answers: std::mem::take(&mut self.answers), ..Default::default() }
    }
}

/// What can't be read.
enum Misread {
    /// This one.
    Alone(proto::Answer),
    /// It isn't known which it is.
    All(Status),
}

/// A request that comes after `taken`.
fn understood(bytes: Bytes, taken: u64) -> Result<proto::Request, Misread> {
    let (id, read) = match read_request(bytes.clone()) {
        Ok(request) => (request.id, Ok(request)),
        // Its id may be there all the same.
        Err(error) => (proto::Request::decode(bytes).map_or(0, |read| read.id), Err(error)),
    };
    if id <= taken {
        let words = format!("a request has id {id}, which doesn't follow {taken}");
        return Err(Misread::All(Status::invalid_argument(words)));
    }
    read.map_err(|error| Misread::Alone(refused(id, &error)))
}

fn refused(id: u64, reason: impl ToString) -> proto::Answer {
    let refused = proto::Refused { reason: reason.to_string(), later: false };
    proto::Answer { id, kind: Some(answer::Kind::Refused(refused)) }
}

/// One call. What is rare is boxed: what is under way is moved about.
async fn answer(service: &Service, may: &May, request: proto::Request) -> proto::Answer {
    use request::Kind;
    let id = request.id;
    let kind = match request.kind {
        Some(Kind::Propose(request)) => {
            let end = match &may.write {
                Ok(()) => service.propose(request.operation).await,
                Err(not) => Err(Not::from(not.clone())),
            };
            let outcome = end.map_or_else(Into::into, propose_response::Outcome::Response);
            answer::Kind::Propose(proto::ProposeResponse { outcome: Some(outcome) })
        }
        Some(Kind::Read(request)) => {
            let read = Box::pin(async { service.read(may.read(request)?).await });
            answer::Kind::Read(read_answer(read.await))
        }
        Some(Kind::GetMany(request)) => {
            let read = Box::pin(async { service.get_many(may.read(request)?).await });
            answer::Kind::GetMany(read.await.into())
        }
        Some(Kind::Scan(request)) => {
            let read = Box::pin(async { service.scan(may.read(request)?).await });
            answer::Kind::Scan(read.await.into())
        }
        None => return refused(id, "a call that this node doesn't know"),
    };
    proto::Answer { id, kind: Some(kind) }
}

impl May {
    /// What is to be read, if the client may.
    fn read<T>(&self, request: T) -> Result<T, Not> {
        match &self.read {
            Ok(()) => Ok(request),
            Err(not) => Err(not.clone().into()),
        }
    }
}
