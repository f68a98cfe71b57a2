//! The queue of proposals, and the ones that wait for an entry.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::{Notify, Semaphore, TryAcquireError};
use tokio::time::Instant;

use super::Answer;
use crate::config::BatchConfig;
use crate::error::{ProposeError, Stopped};
use crate::operation::{Operation, Response};

/// What an operation takes in the queue beside its payload, in bytes. Bounds the number of small
/// ones.
const OVERHEAD: usize = 256;

pub(super) type Reply = oneshot::Sender<Result<Response, ProposeError>>;

#[derive(Debug)]
struct Proposal {
    operation: Operation,
    weight: u32,
    deadline: Instant,
    reply: Reply,
}

#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// Told when there is something for the driver to do.
    wake: Notify,
    /// One permit a byte. Waiting proposers get them in turn.
    space: Arc<Semaphore>,
    queue_bytes: usize,
    max_operations: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    proposals: VecDeque<Proposal>,
    /// Whether an entry is under way: somebody holds the [`Turn`], or the driver does.
    under_way: bool,
    /// An entry that a lone proposer leaves to the driver.
    left: Option<(Answer, Waiting)>,
    closed: bool,
}

/// What the driver does next. It has the turn then.
pub(super) enum Work {
    /// Propose these operations as one entry.
    Propose(Vec<Operation>, Waiting),
    /// Wait for an entry that is proposed already.
    Await(Answer, Waiting),
}

impl Queue {
    pub(super) fn new(config: &BatchConfig) -> Self {
        Self {
            inner: Mutex::default(),
            wake: Notify::new(),
            space: Arc::new(Semaphore::new(config.queue_bytes)),
            queue_bytes: config.queue_bytes,
            max_operations: config.max_operations,
            max_bytes: config.max_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an operation, waiting for a place until `deadline`.
    pub(super) async fn push(
        &self,
        operation: Operation,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<oneshot::Receiver<Result<Response, ProposeError>>, ProposeError> {
        // `queue_bytes` fits (`BatchConfig`), so the weight does.
        let weight = (operation.payload_bytes() + OVERHEAD).min(self.queue_bytes) as u32;
        match self.space.try_acquire_many(weight) {
            Ok(place) => place.forget(),
            Err(TryAcquireError::Closed) => return Err(Stopped::ShutDown.into()),
            Err(TryAcquireError::NoPermits) => {
                let place = self.space.acquire_many(weight);
                match tokio::time::timeout_at(deadline, place).await {
                    Ok(Ok(place)) => place.forget(),
                    Ok(Err(_)) => return Err(Stopped::ShutDown.into()),
                    Err(_) => {
                        let queue_bytes = self.queue_bytes;
                        return Err(ProposeError::QueueFull { waited: timeout, queue_bytes });
                    }
                }
            }
        }

        let (reply, answer) = oneshot::channel();
        let mut inner = self.lock();
        if inner.closed {
            return Err(Stopped::ShutDown.into());
        }
        inner.proposals.push_back(Proposal { operation, weight, deadline, reply });
        let idle = !inner.under_way;
        drop(inner);
        if idle {
            self.wake.notify_one();
        }
        Ok(answer)
    }

    /// The turn, if no entry is under way and nobody waits.
    pub(super) fn try_turn(&self) -> Option<Turn<'_>> {
        let mut inner = self.lock();
        if inner.under_way || inner.closed || !inner.proposals.is_empty() {
            return None;
        }
        inner.under_way = true;
        Some(Turn { queue: self })
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.space.close();
        self.wake.notify_one();
    }

    /// What the driver does next; `None` once the queue is closed and empty. Waits for the turn,
    /// unless the driver still has it.
    pub(super) async fn next(&self, mut has_turn: bool) -> Option<Work> {
        loop {
            {
                let mut inner = self.lock();
                if let Some((answer, waiting)) = inner.left.take() {
                    return Some(Work::Await(answer, waiting));
                }
                if has_turn || !inner.under_way {
                    let (operations, waiting) = self.take(&mut inner.proposals);
                    inner.under_way = !operations.is_empty();
                    has_turn = false;
                    if !operations.is_empty() {
                        return Some(Work::Propose(operations, waiting));
                    }
                    if inner.closed {
                        return None;
                    }
                }
            }
            self.wake.notified().await;
        }
    }

    /// As much as one entry may carry, at least one operation if there is any. Skips those that
    /// nobody waits for any more.
    fn take(&self, proposals: &mut VecDeque<Proposal>) -> (Vec<Operation>, Waiting) {
        let limit = proposals.len().min(self.max_operations);
        let mut operations = Vec::with_capacity(limit);
        let mut replies = VecDeque::with_capacity(limit);
        let (mut bytes, mut freed) = (0, 0);
        while let Some(next) = proposals.front() {
            let abandoned = next.reply.is_closed();
            let size = next.operation.payload_bytes();
            let full = operations.len() >= self.max_operations || bytes + size > self.max_bytes;
            if full && !abandoned && !operations.is_empty() {
                break;
            }
            let Some(Proposal { operation, weight, deadline, reply }) = proposals.pop_front()
            else {
                break;
            };
            freed += weight as usize;
            if !abandoned {
                bytes += size;
                operations.push(operation);
                replies.push_back((deadline, Some(reply)));
            }
        }
        let place = Place { space: Arc::clone(&self.space), bytes: freed };
        (operations, Waiting { replies, expired: 0, _place: place })
    }

    /// The earliest deadline in the queue. Deadlines ascend but for proposers that waited for a
    /// place, whose deadlines are earlier and are noticed as they reach the front.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lock().proposals.front().map(|proposal| proposal.deadline)
    }

    /// Answers those at the front whose deadline has passed with `error`.
    pub(super) fn expire(&self, error: &ProposeError) {
        let now = Instant::now();
        let mut inner = self.lock();
        while inner.proposals.front().is_some_and(|next| next.deadline <= now) {
            let Some(late) = inner.proposals.pop_front() else { break };
            self.space.add_permits(late.weight as usize);
            // Whoever dropped the future doesn't hear it.
            let _ = late.reply.send(Err(error.clone()));
        }
    }
}

/// The right to have an entry under way. Dropping it passes the turn on.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    queue: &'a Queue,
}

impl Turn<'_> {
    /// Leaves the turn and the entry under way to the driver.
    pub(super) fn leave(self, answer: Answer, deadline: Instant, reply: Reply) {
        let place = Place { space: Arc::clone(&self.queue.space), bytes: 0 };
        let replies = VecDeque::from([(deadline, Some(reply))]);
        let waiting = Waiting { replies, expired: 0, _place: place };
        self.queue.lock().left = Some((answer, waiting));
        self.queue.wake.notify_one();
        std::mem::forget(self);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut inner = self.queue.lock();
        inner.under_way = false;
        if !inner.proposals.is_empty() || inner.closed {
            self.queue.wake.notify_one();
        }
    }
}

/// Gives a place in the queue back when it is dropped.
#[derive(Debug)]
struct Place {
    space: Arc<Semaphore>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.space.add_permits(self.bytes);
    }
}

/// The proposers that wait for one entry, in the order of its operations.
#[derive(Debug)]
pub(super) struct Waiting {
    /// `None` once answered.
    replies: VecDeque<(Instant, Option<Reply>)>,
    /// How many of the first ones have been answered.
    expired: usize,
    _place: Place,
}

impl Waiting {
    /// The earliest deadline; `None` if nobody waits any more.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.replies.get(self.expired).map(|(deadline, _)| *deadline)
    }

    /// Answers those whose deadline has passed.
    pub(super) fn expire(&mut self, error: &ProposeError) {
        let now = Instant::now();
        for (deadline, reply) in self.replies.range_mut(self.expired..) {
            if *deadline > now {
                break;
            }
            self.expired += 1;
            if let Some(reply) = reply.take() {
                // Whoever dropped the future doesn't hear it.
                let _ = reply.send(Err(error.clone()));
            }
        }
    }

    /// Answers each with its own response.
    pub(super) fn answer(self, responses: Vec<Response>) {
        let (got, expected) = (responses.len(), self.replies.len());
        let mut responses = responses.into_iter();
        for (_, reply) in self.replies {
            let response = responses.next().ok_or(ProposeError::Unanswered { got, expected });
            if let Some(reply) = reply {
                // Whoever dropped the future doesn't hear it.
                let _ = reply.send(response);
            }
        }
    }

    /// Answers each with the same error.
    pub(super) fn fail(self, error: &ProposeError) {
        for reply in self.replies.into_iter().filter_map(|(_, reply)| reply) {
            // Whoever dropped the future doesn't hear it.
            let _ = reply.send(Err(error.clone()));
        }
    }
}
