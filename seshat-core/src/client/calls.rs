//! [`Calls`]: the calls of one stream, from when they wait to be packed until they are answered.
//!
//! Guarantees: calls are packed in the order in which they came. One that is given up before is never packed.
//! When the stream breaks, or nobody packs any more, each call is told at once whether it was sent. All of it is
//! behind one lock, and not in a channel: what enters one while its receiver goes may stay there, and whoever
//! waits for it waits in vain.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use crate::proto::client::{self as proto, answer, request};

/// Bytes of a message, unless one call alone has more.
pub(super) const PACK: usize = 64 << 10;
/// What a message needs beside a request.
pub(super) const AROUND: usize = 16;

/// Why a call has no answer.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    pub(super) reason: Arc<str>,
    /// Whether it may have been done; `None`: it wasn't, and wouldn't be anywhere.
    pub(super) done: Option<bool>,
}

impl Lost {
    pub(super) fn unsent(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), done: Some(false) }
    }

    pub(super) fn broken(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), done: Some(true) }
    }
}

/// How a call ends; `Ok(None)`: by an answer that isn't known here.
pub(super) type Heard = Result<Option<answer::Kind>, Lost>;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<State>);

#[derive(Debug)]
enum State {
    Open(Open),
    /// The stream broke.
    Broken(Lost),
}

impl Default for State {
    fn default() -> Self {
        Self::Open(Open::default())
    }
}

#[derive(Debug, Default)]
struct Open {
    /// What isn't packed, by ids, which ascend.
    waiting: VecDeque<(u64, request::Kind)>,
    /// Who waits for an answer, to what is packed and to what isn't.
    replies: HashMap<u64, oneshot::Sender<Heard>>,
    /// Ids begin at 1.
    last_id: u64,
    last_packed: u64,
    /// Who packs, when nothing waits.
    packer: Option<Waker>,
    /// Nobody packs any more; what was packed may be answered yet.
    abandoned: bool,
}

impl Calls {
    // Every change under the lock is a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether calls can be made.
    pub(super) fn are_open(&self) -> bool {
        matches!(&*self.lock(), State::Open(open) if !open.abandoned)
    }

    /// Calls that wait to be packed or answered.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        match &*self.lock() {
            State::Open(open) => open.replies.len(),
            State::Broken(_) => 0,
        }
    }

    /// A call that waits from now on; returns its id, and who hears of its end.
    pub(super) fn begin(
        &self,
        kind: request::Kind,
    ) -> Result<(u64, oneshot::Receiver<Heard>), Lost> {
        let (reply, heard) = oneshot::channel();
        let (id, packer) = match &mut *self.lock() {
            State::Open(open) if !open.abandoned => {
                open.last_id += 1;
                open.waiting.push_back((open.last_id, kind));
                open.replies.insert(open.last_id, reply);
                (open.last_id, open.packer.take())
            }
            State::Open(_) => return Err(Lost::unsent("the connection broke")),
            // What broke it says nothing of what wasn't sent.
            State::Broken(lost) => return Err(Lost { done: Some(false), ..lost.clone() }),
        };
        if let Some(packer) = packer {
            packer.wake();
        }
        Ok((id, heard))
    }

    /// Nobody waits for that call any more. Returns whether it was packed.
    pub(super) fn give_up(&self, id: u64) -> bool {
        // It was told of its end, if nobody looked.
        let State::Open(open) = &mut *self.lock() else { return true };
        open.replies.remove(&id);
        match open.waiting.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => {
                open.waiting.remove(at);
                false
            }
            Err(_) => true,
        }
    }

    /// The requests of the next message, as many as fit; `None` if there will be none.
    pub(super) fn poll_pack(&self, cx: &mut Context<'_>) -> Poll<Option<Vec<proto::Request>>> {
        let State::Open(open) = &mut *self.lock() else { return Poll::Ready(None) };
        let (mut requests, mut bytes) = (Vec::new(), 0);
        while let Some((id, kind)) = open.waiting.pop_front() {
            let len = kind.encoded_len() + AROUND;
            if bytes > 0 && bytes + len > PACK {
                open.waiting.push_front((id, kind));
                break;
            }
            bytes += len;
            open.last_packed = id;
            requests.push(proto::Request { id, kind: Some(kind) });
        }
        if requests.is_empty() {
            open.packer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Some(requests))
    }

    /// What nobody waits for is left alone: whoever did may have gone.
    pub(super) fn answer(&self, answers: Vec<proto::Answer>) {
        if let State::Open(open) = &mut *self.lock() {
            for proto::Answer { id, kind } in answers {
                // A node that answers what it wasn't asked is no better for being believed.
                if id <= open.last_packed
                    && let Some(reply) = open.replies.remove(&id)
                {
                    let _ = reply.send(Ok(kind));
                }
            }
        }
    }

    /// Nobody packs any more: what waits wasn't sent.
    pub(super) fn abandon(&self) {
        if let State::Open(open) = &mut *self.lock() {
            (open.abandoned, open.packer) = (true, None);
            for (id, _) in open.waiting.drain(..) {
                if let Some(reply) = open.replies.remove(&id) {
                    let _ = reply.send(Err(Lost::unsent("the connection broke")));
                }
            }
        }
    }

    /// Ends it: of the packed, calls up to `taken` may have been done. All others weren't.
    pub(super) fn end(&self, lost: &Lost, taken: u64) {
        let open = {
            let mut state = self.lock();
            // What broke is as it broke first.
            let State::Open(open) = &mut *state else { return };
            let open = std::mem::take(open);
            *state = State::Broken(lost.clone());
            open
        };
        let last = taken.min(open.last_packed);
        for (id, reply) in open.replies {
            let done = if id > last { Some(false) } else { lost.done };
            let _ = reply.send(Err(Lost { done, ..lost.clone() }));
        }
        if let Some(packer) = open.packer {
            packer.wake();
        }
    }
}

#[cfg(test)]
mod tests;
