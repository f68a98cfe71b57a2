//! `Exchange`: many calls of one client, on one stream.
//!
//! Guarantees:
//!
//! - What a message holds is begun in its order, and proposals so go into the log, unless the leader moves.
//!   Each is answered when it is done, and by itself: one that isn't understood, or that the client may not
//!   make, is in nobody's way.
//! - Answers that are ready go in one message, as soon as there is a place for it.
//! - So many calls are under way at most, and so many bytes of answers wait; beyond that no more is read, and
//!   HTTP/2 holds the client. Others aren't held: what was begun goes on, whether its answer is taken or not,
//!   up to where it would be long ([`Turns`]).
//! - A client that ends its half is answered all that it asked for. So is one whose node shuts down, or has no
//!   room for the next message, for what was begun; it is told which that was, and the rest certainly isn't
//!   done.

use bytes::Bytes;
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use prost::Message;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::answer::Not;
use super::{Service, read_answer};
use crate::codec::client::read_request;
use crate::config::memory::{EXCHANGE_ANSWERS, EXCHANGE_CALLS, EXCHANGE_PAGES, EXCHANGE_PREVIOUS};
use crate::network::grpc::{Caller, Held, NotAllowed, Role};
use crate::proto::client::{self as proto, answer, propose_response, request};
use crate::proto::v1::operation;

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
        let turns = Turns::new(&self.service.previous);
        let (mut in_flight, mut ready) = (FuturesUnordered::new(), Ready::default());
        let (mut pack, mut taken) = (Pack::default(), 0);
        // Whether the client may ask for more, and why not.
        let mut end = None;
        loop {
            while in_flight.len() + ready.answers.len() < IN_FLIGHT
                && let Some(request) = pack.next(taken, &turns)
            {
                match request {
                    Ok((request, turn)) => {
                        taken = request.id;
                        in_flight.push(answer(&self.service, &self.may, &turns, request, turn));
                    }
                    Err(Misread::Alone(answer)) => {
                        taken = answer.id;
                        ready.push(answer, None);
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
                place = self.out.reserve(), if ready.is_full() => match place {
                    Ok(place) => place.send(Ok(ready.take())),
                    // Nobody is there any more.
                    Err(_) => return,
                },
                // Also where there is no place: others may wait for what these have begun.
                Some((answer, turn)) = in_flight.next(), if !in_flight.is_empty() => {
                    ready.push(answer, turn);
                    while !ready.is_full()
                        && let Some(Some((answer, turn))) = in_flight.next().now_or_never()
                    {
                        ready.push(answer, turn);
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
                        pack = Pack::of(message);
                    }
                    Ok(None) => end = Some(End::Asked),
                    Err(status) => end = Some(End::Failed(status)),
                },
            }
        }
        // Whoever has gone doesn't want to know.
        let status = match end {
            Some(End::Closing) => None,
            Some(End::Failed(status)) => Some(status),
            Some(End::Asked) | None => return,
        };
        let closing = Some(proto::Closing { taken });
        let _ = self.out.send(Ok(proto::Answers { closing, ..Default::default() })).await;
        if let Some(status) = status {
            let _ = self.out.send(Err(status)).await;
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

/// The right to make an answer that may be long. A call that has one has the answer, or makes it at once.
type Turn<'a> = Option<SemaphorePermit<'a>>;

/// How many long answers there may be at a time that find no room among those that wait. To wait for its turn
/// a call holds nothing that others wait for.
struct Turns<'a> {
    /// Of reads that look at some keys: an answer is there as soon as it is begun.
    values: Semaphore,
    /// Of reads that look at all.
    pages: Semaphore,
    /// Of operations that ask for a value. They have their turn before they are begun, since they must go
    /// into the log in their order.
    previous: Semaphore,
    /// Of all streams' such operations. Who takes no answers may keep all of them, and leaves others their own.
    shared: &'a Semaphore,
}

impl<'a> Turns<'a> {
    fn new(shared: &'a Semaphore) -> Self {
        Self {
            values: Semaphore::new(1),
            pages: Semaphore::new(EXCHANGE_PAGES as usize),
            previous: Semaphore::new(EXCHANGE_PREVIOUS as usize),
            shared,
        }
    }

    /// A turn of an operation that asks for a value, if there is one.
    fn previous(&self) -> Turn<'_> {
        self.shared.try_acquire().or_else(|_| self.previous.try_acquire()).ok()
    }
}

/// Nobody closes one.
async fn turn(turns: &Semaphore) -> Turn<'_> {
    turns.acquire().await.ok()
}

/// What is left of a message.
#[derive(Default)]
struct Pack {
    requests: std::vec::IntoIter<Bytes>,
    /// The first of them, if it waits for its turn.
    first: Option<proto::Request>,
}

impl Pack {
    fn of(message: proto::Requests) -> Self {
        Self { requests: message.requests.into_iter(), first: None }
    }

    /// The next, which comes after `taken`, if it is its turn.
    fn next<'a>(
        &mut self,
        taken: u64,
        turns: &'a Turns<'_>,
    ) -> Option<Result<(proto::Request, Turn<'a>), Misread>> {
        let next = match self.first.take() {
            Some(request) => Ok(request),
            None => understood(self.requests.next()?, taken),
        };
        match next {
            Ok(request) if asks_for_a_value(&request) => match turns.previous() {
                None => {
                    self.first = Some(request);
                    None
                }
                turn => Some(Ok((request, turn))),
            },
            next => Some(next.map(|request| (request, None))),
        }
    }

    fn is_done(&self) -> bool {
        self.first.is_none() && self.requests.len() == 0
    }
}

fn asks_for_a_value(request: &proto::Request) -> bool {
    let Some(request::Kind::Propose(proposed)) = &request.kind else { return false };
    let kind = proposed.operation.as_ref().and_then(|operation| operation.kind.as_ref());
    matches!(kind, Some(operation::Kind::Set(set)) if set.get)
}

/// Answers that wait to be taken.
#[derive(Default)]
struct Ready<'a> {
    answers: Vec<proto::Answer>,
    bytes: usize,
    /// Of those for which there was no room.
    turns: Vec<SemaphorePermit<'a>>,
}

impl<'a> Ready<'a> {
    fn push(&mut self, answer: proto::Answer, turn: Turn<'a>) {
        self.bytes += answer.encoded_len();
        self.answers.push(answer);
        self.turns.extend(turn.filter(|_| self.is_full()));
    }

    fn is_full(&self) -> bool {
        self.bytes >= READY
    }

    fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    fn take(&mut self) -> proto::Answers {
        self.bytes = 0;
        self.turns.clear();
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
async fn answer<'a>(
    service: &Service,
    may: &May,
    turns: &'a Turns<'_>,
    request: proto::Request,
    previous: Turn<'a>,
) -> (proto::Answer, Turn<'a>) {
    use request::Kind;
    let id = request.id;
    let (kind, turn) = match request.kind {
        Some(Kind::Propose(request)) => {
            let end = match &may.write {
                Ok(()) => service.propose(request.operation).await,
                Err(not) => Err(Not::from(not.clone())),
            };
            let outcome = end.map_or_else(Into::into, propose_response::Outcome::Response);
            let outcome = Some(outcome);
            (answer::Kind::Propose(proto::ProposeResponse { outcome }), previous)
        }
        Some(Kind::Read(request)) => {
            let turn = turn(&turns.values);
            let read = Box::pin(async { service.read(may.read(request)?, turn).await });
            let (read, turn) = split(read.await);
            (answer::Kind::Read(read_answer(read)), turn)
        }
        Some(Kind::GetMany(request)) => {
            let turn = turn(&turns.values);
            let read = Box::pin(async { service.get_many(may.read(request)?, turn).await });
            let (read, turn) = split(read.await);
            (answer::Kind::GetMany(read.into()), turn)
        }
        Some(Kind::Scan(request)) => {
            let turn = turn(&turns.pages);
            let read = Box::pin(async { service.scan(may.read(request)?, turn).await });
            let (read, turn) = split(read.await);
            (answer::Kind::Scan(read.into()), turn)
        }
        None => return (refused(id, "a call that this node doesn't know"), None),
    };
    (proto::Answer { id, kind: Some(kind) }, turn)
}

/// A refusal isn't long.
fn split<T>(read: Result<(T, Turn<'_>), Not>) -> (Result<T, Not>, Turn<'_>) {
    match read {
        Ok((read, turn)) => (Ok(read), turn),
        Err(not) => (Err(not), None),
    }
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
