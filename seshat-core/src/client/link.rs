//! [`Link`]: a connection to one node, and one stream on it that carries many calls.
//!
//! Guarantees: what waits goes into one message, as soon as HTTP/2 takes one, in the order in which it came; a
//! lone call goes at once. A call that was given up before it was packed is never sent. When the stream breaks
//! each call is told whether it was sent; what wasn't is certainly not done. Whoever is gone leaves nothing
//! behind.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::codegen::tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::PATIENCE;
use super::connect::Stub;
use super::error::words;
use crate::proto::client::{self as proto, answer, request};

/// Calls that wait to be packed; who finds no place waits for one.
const WAITING: usize = 1024;
/// Bytes of a message, unless one call alone has more.
const PACK: usize = 64 << 10;
/// What a message needs beside a request.
const AROUND: usize = 16;

/// See the [module](self). Dropped, it ends the stream.
#[derive(Debug)]
pub(super) struct Link {
    queue: mpsc::Sender<Waiting>,
    calls: Arc<Calls>,
    max_message_bytes: usize,
    hears: JoinHandle<()>,
}

/// Why a call has no answer.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    pub(super) reason: Arc<str>,
    /// Whether it may have been done; `None`: it wasn't, and wouldn't be anywhere.
    pub(super) done: Option<bool>,
}

impl Lost {
    fn unsent(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), done: Some(false) }
    }

    fn broken(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), done: Some(true) }
    }
}

type Heard = Result<Option<answer::Kind>, Lost>;

/// A call that isn't packed.
struct Waiting {
    kind: request::Kind,
    ticket: Ticket,
    reply: Reply,
}

/// Dropped without an answer, it says that nothing was sent.
struct Reply(Option<oneshot::Sender<Heard>>);

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            let _ = reply.send(Err(Lost::unsent("the connection broke")));
        }
    }
}

/// Where a call is: not packed, packed under an id, or given up before.
#[derive(Debug, Clone, Default)]
struct Ticket(Arc<AtomicU64>);

/// Ids begin at 1.
const NOT_PACKED: u64 = 0;
const GIVEN_UP: u64 = u64::MAX;

impl Ticket {
    /// `false` if it was given up.
    fn pack(&self, id: u64) -> bool {
        self.move_to(id).is_ok()
    }

    /// The id under which it was packed before.
    fn give_up(&self) -> Option<u64> {
        self.move_to(GIVEN_UP).err().filter(|id| *id != GIVEN_UP)
    }

    fn move_to(&self, state: u64) -> Result<u64, u64> {
        self.0.compare_exchange(NOT_PACKED, state, Ordering::AcqRel, Ordering::Acquire)
    }
}

/// Calls that were packed, and have no answer.
#[derive(Debug)]
struct Calls(Mutex<State>);

#[derive(Debug)]
enum State {
    Open(HashMap<u64, oneshot::Sender<Heard>>),
    /// The stream broke.
    Broken(Lost),
}

impl Calls {
    // Every change under the lock is a single step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self) -> Option<Lost> {
        match &*self.lock() {
            State::Open(_) => None,
            State::Broken(lost) => Some(lost.clone()),
        }
    }

    fn forget(&self, id: u64) {
        if let State::Open(calls) = &mut *self.lock() {
            calls.remove(&id);
        }
    }

    /// What is unknown is left alone: whoever waited for it may have gone.
    fn answer(&self, answers: Vec<proto::Answer>) {
        if let State::Open(calls) = &mut *self.lock() {
            for proto::Answer { id, kind } in answers {
                if let Some(reply) = calls.remove(&id) {
                    let _ = reply.send(Ok(kind));
                }
            }
        }
    }

    /// Ends it: calls up to `taken` may have been done, and those behind it weren't.
    fn end(&self, lost: &Lost, taken: u64) {
        let before = std::mem::replace(&mut *self.lock(), State::Broken(lost.clone()));
        let State::Open(calls) = before else { return };
        for (id, reply) in calls {
            let done = if id > taken { Some(false) } else { lost.done };
            let _ = reply.send(Err(Lost { done, ..lost.clone() }));
        }
    }
}

impl Link {
    /// Opens a stream on a connection. Whatever fails here, nothing was asked for.
    pub(super) async fn open(mut stub: Stub) -> Result<Self, Status> {
        let (queue, waiting) = mpsc::channel(WAITING);
        let calls = Arc::new(Calls(Mutex::new(State::Open(HashMap::new()))));
        let packs = Packs {
            waiting,
            calls: Arc::clone(&calls),
            came: Vec::new(),
            next: VecDeque::new(),
            last_id: 0,
        };
        let mut answers = stub.exchange(packs).await?.into_inner();
        let Some(proto::Answers { opening: Some(opening), .. }) = answers.message().await? else {
            return Err(Status::unavailable("it doesn't begin as a node of a cluster does"));
        };
        let max_message_bytes = usize::try_from(opening.max_message_bytes).unwrap_or(usize::MAX);
        let hears = tokio::spawn(hear(answers, Arc::clone(&calls)));
        Ok(Self { queue, calls, max_message_bytes, hears })
    }

    /// Whether calls can be made.
    pub(super) fn is_open(&self) -> bool {
        self.calls.broken().is_none()
    }

    /// Makes a call, until `deadline`. Dropping the future gives it up.
    pub(super) async fn call(
        &self,
        kind: request::Kind,
        deadline: Instant,
    ) -> Result<Option<answer::Kind>, Lost> {
        let (got, most) = (kind.encoded_len() + AROUND, self.max_message_bytes);
        if got > most {
            let reason = format!("it takes a message of {got} bytes, and {most} are allowed");
            return Err(Lost { reason: reason.into(), done: None });
        }
        let (reply, heard) = oneshot::channel();
        let ticket = Ticket::default();
        let waiting = Waiting { kind, ticket: ticket.clone(), reply: Reply(Some(reply)) };
        match self.queue.try_send(waiting) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(waiting)) => {
                let sent = timeout_at(deadline, self.queue.send(waiting)).await;
                sent.map_err(|_| Lost::unsent("no place to send it came free"))?
                    .map_err(|_| self.lost())?;
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(self.lost()),
        }
        let waits = Waits { calls: &self.calls, ticket: &ticket, heard, answered: false };
        waits.wait(deadline).await
    }

    fn lost(&self) -> Lost {
        let lost = self.calls.broken().unwrap_or_else(|| Lost::unsent("the connection broke"));
        // What broke it says nothing of what wasn't sent.
        Lost { done: Some(false), ..lost }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hears.abort();
    }
}

/// Whoever waits for an answer. Dropped before, it gives the call up.
struct Waits<'a> {
    calls: &'a Calls,
    ticket: &'a Ticket,
    heard: oneshot::Receiver<Heard>,
    answered: bool,
}

impl Waits<'_> {
    /// Whether it was sent.
    fn give_up(&mut self) -> bool {
        self.answered = true;
        let sent = self.ticket.give_up();
        if let Some(id) = sent {
            self.calls.forget(id);
        }
        sent.is_some()
    }

    async fn wait(mut self, deadline: Instant) -> Heard {
        match timeout_at(deadline, &mut self.heard).await {
            Ok(Ok(heard)) => {
                self.answered = true;
                heard
            }
            Ok(Err(_)) => Err(Lost::broken("the connection broke")),
            Err(_) => {
                let sent = self.give_up();
                Err(Lost { reason: "no answer in time".into(), done: Some(sent) })
            }
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.give_up();
        }
    }
}

/// Hands out answers until the stream ends.
async fn hear(mut stream: Streaming<proto::Answers>, calls: Arc<Calls>) {
    loop {
        match stream.message().await {
            Ok(Some(proto::Answers { answers, closing, .. })) => {
                calls.answer(answers);
                if let Some(proto::Closing { taken }) = closing {
                    // If it has a reason, that is what it says last.
                    let reason = match timeout(PATIENCE, stream.message()).await {
                        Ok(Err(status)) => words(&status),
                        Ok(Ok(_)) | Err(_) => "the node is shutting down".to_owned(),
                    };
                    return calls.end(&Lost::broken(reason), taken);
                }
            }
            Ok(None) => {
                return calls.end(&Lost::broken("the node ended the stream"), u64::MAX);
            }
            // Whatever it says, it says of one message, and not of those before it.
            Err(status) => return calls.end(&Lost::broken(words(&status)), u64::MAX),
        }
    }
}

/// What is sent: messages, as HTTP/2 takes them.
struct Packs {
    waiting: mpsc::Receiver<Waiting>,
    calls: Arc<Calls>,
    /// What just came; always empty but for its memory.
    came: Vec<Waiting>,
    /// What came, and found no place in the message before.
    next: VecDeque<Waiting>,
    last_id: u64,
}

impl Packs {
    /// As many calls as fit; `None` if nobody waits for any. Packed are those that are among the
    /// [`Calls`], and no others: what breaks the stream later finds them there.
    fn pack(&mut self) -> Option<proto::Requests> {
        let mut state = self.calls.lock();
        let State::Open(calls) = &mut *state else {
            drop(state);
            // Each is told that it wasn't sent.
            self.next.clear();
            return None;
        };
        let (mut requests, mut bytes) = (Vec::with_capacity(self.next.len()), 0);
        while let Some(Waiting { kind, ticket, mut reply }) = self.next.pop_front() {
            let id = self.last_id + 1;
            let len = kind.encoded_len() + AROUND;
            if bytes > 0 && bytes + len > PACK {
                self.next.push_front(Waiting { kind, ticket, reply });
                break;
            }
            if !ticket.pack(id) {
                continue;
            }
            self.last_id = id;
            bytes += len;
            calls.extend(reply.0.take().map(|reply| (id, reply)));
            let request = proto::Request { id, kind: Some(kind) };
            requests.push(Bytes::from(request.encode_to_vec()));
        }
        (!requests.is_empty()).then_some(proto::Requests { requests })
    }
}

impl Stream for Packs {
    type Item = proto::Requests;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<proto::Requests>> {
        let this = &mut *self;
        loop {
            let polled = this.waiting.poll_recv_many(cx, &mut this.came, WAITING);
            this.next.extend(this.came.drain(..));
            if this.next.is_empty() {
                match ready!(polled) {
                    // Nobody can ask for more.
                    0 => return Poll::Ready(None),
                    _ => continue,
                }
            }
            if let Some(pack) = this.pack() {
                return Poll::Ready(Some(pack));
            }
        }
    }
}

#[cfg(test)]
mod tests;
