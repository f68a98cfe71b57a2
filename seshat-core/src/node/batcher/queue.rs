//! The queue of proposals, and the turn to propose.
//!
//! One entry is under way at a time; who has the turn put it there. A proposer takes the turn
//! itself if nobody has it and nobody waits; otherwise its proposal goes into the inbox, which the
//! driver empties in one step whenever it runs out of proposals. Proposals are queued in the order
//! in which their futures were first polled, also while the queue is full.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::{Notify, Semaphore, TryAcquireError};
use tokio::time::Instant;

use super::waiting::{Answered, Place, Reply, Waiting};
use super::{Answer, LONE_PATIENCE};
use crate::config::BatchConfig;
use crate::error::{ProposeError, Stopped};
use crate::operation::{Limits, Operation};

/// What an operation takes in the queue beside its payload and the answer it asks for, in bytes.
/// Bounds the number of small ones.
const OVERHEAD: usize = 256;

#[derive(Debug)]
pub(super) struct Proposal {
    operation: Operation,
    weight: u32,
    deadline: Instant,
    reply: Reply,
}

#[derive(Debug)]
pub(super) struct Queue {
    inbox: Mutex<Inbox>,
    /// Told when there is something for the driver to do.
    wake: Notify,
    /// One permit a byte.
    space: Arc<Semaphore>,
    /// Held by the proposer that waits for space; others wait for it behind, in turn.
    door: tokio::sync::Mutex<()>,
    /// Proposers at the door. While there are any, nobody passes by.
    at_door: AtomicUsize,
    queue_bytes: usize,
    max_operations: usize,
    max_bytes: usize,
    limits: Limits,
}

#[derive(Debug, Default)]
struct Inbox {
    proposals: VecDeque<Proposal>,
    /// Whether somebody has the turn: a lone proposer ([`Turn`]) or the driver.
    turn_taken: bool,
    /// The number of the [`Turn`], if that is who has it.
    alone: Option<u64>,
    /// Turns taken by lone proposers.
    turns: u64,
    /// An entry that a lone proposer leaves to the driver, with the turn.
    left: Option<(Answer, Waiting)>,
    closed: bool,
}

/// What became of an operation that was to be proposed.
pub(super) enum Entered<'a> {
    /// Nobody else is about: propose it yourself.
    Alone(Turn<'a>, Operation),
    /// It waits for the driver.
    Queued(Answered),
}

/// What the driver does next. It has the turn then.
pub(super) enum Work {
    /// Propose these operations as one entry.
    Propose(Vec<Operation>, Waiting),
    /// Wait for an entry that is proposed already.
    Await(Answer, Waiting),
}

impl Queue {
    pub(super) fn new(config: &BatchConfig, limits: Limits) -> Self {
        Self {
            inbox: Mutex::default(),
            wake: Notify::new(),
            space: Arc::new(Semaphore::new(config.queue_bytes)),
            door: tokio::sync::Mutex::default(),
            at_door: AtomicUsize::new(0),
            queue_bytes: config.queue_bytes,
            max_operations: config.max_operations,
            max_bytes: config.max_bytes,
            limits,
        }
    }

    // Every change under the lock is a single step.
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn for an operation, or queues it. Waits for a place until `deadline`.
    pub(super) async fn enter(
        &self,
        operation: Operation,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Entered<'_>, ProposeError> {
        // `queue_bytes` fits (`BatchConfig`), so the weight does.
        let answer = operation.answer_bytes(&self.limits);
        let bytes = operation.payload_bytes().saturating_add(answer);
        let weight = bytes.saturating_add(OVERHEAD).min(self.queue_bytes) as u32;
        let operation = match self.try_enter(operation, weight, deadline)? {
            Ok(entered) => return Ok(entered),
            Err(operation) => operation,
        };
        let _at_door = AtDoor::new(&self.at_door);
        let place = async {
            let door = self.door.lock().await;
            self.space.acquire_many(weight).await.map(|place| (door, place))
        };
        let (door, place) = match tokio::time::timeout_at(deadline, place).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(Stopped::ShutDown.into()),
            Err(_) => {
                let queue_bytes = self.queue_bytes;
                return Err(ProposeError::QueueFull { waited: timeout, queue_bytes });
            }
        };
        place.forget();
        let inbox = self.lock();
        if inbox.closed {
            return Err(Stopped::ShutDown.into());
        }
        let entered = self.push(inbox, operation, weight, deadline);
        drop(door);
        Ok(entered)
    }

    /// The operation comes back if there is no place for it.
    fn try_enter(
        &self,
        operation: Operation,
        weight: u32,
        deadline: Instant,
    ) -> Result<Result<Entered<'_>, Operation>, ProposeError> {
        let inbox = self.lock();
        if inbox.closed {
            return Err(Stopped::ShutDown.into());
        }
        if self.at_door.load(Ordering::Relaxed) > 0 {
            return Ok(Err(operation));
        }
        if !inbox.turn_taken && inbox.proposals.is_empty() {
            return Ok(Ok(Entered::Alone(self.take_turn(inbox), operation)));
        }
        match self.space.try_acquire_many(weight) {
            Ok(place) => {
                place.forget();
                Ok(Ok(self.push(inbox, operation, weight, deadline)))
            }
            Err(TryAcquireError::Closed) => Err(Stopped::ShutDown.into()),
            Err(TryAcquireError::NoPermits) => Ok(Err(operation)),
        }
    }

    fn take_turn(&self, mut inbox: MutexGuard<'_, Inbox>) -> Turn<'_> {
        inbox.turn_taken = true;
        inbox.turns += 1;
        inbox.alone = Some(inbox.turns);
        Turn { queue: self, number: inbox.turns }
    }

    fn push(
        &self,
        mut inbox: MutexGuard<'_, Inbox>,
        operation: Operation,
        weight: u32,
        deadline: Instant,
    ) -> Entered<'_> {
        let (reply, response) = oneshot::channel();
        inbox.proposals.push_back(Proposal { operation, weight, deadline, reply });
        let nobody_drives = !inbox.turn_taken || inbox.alone.is_some();
        drop(inbox);
        if nobody_drives {
            self.wake.notify_one();
        }
        Entered::Queued(response)
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.space.close();
        self.wake.notify_one();
    }

    /// What the driver does next; `None` once the queue is closed and empty. `backlog` is what
    /// the driver has taken out of the inbox. Waits for the turn, unless the driver has it still.
    /// `budget` tells what an entry may carry just then, if that is less than what is configured.
    pub(super) async fn next(
        &self,
        backlog: &mut VecDeque<Proposal>,
        mut has_turn: bool,
        budget: &(impl Fn() -> usize + Sync),
    ) -> Option<Work> {
        loop {
            {
                let mut inbox = self.lock();
                if let Some((answer, waiting)) = inbox.left.take() {
                    return Some(Work::Await(answer, waiting));
                }
                if backlog.is_empty() && (has_turn || !inbox.turn_taken) {
                    std::mem::swap(backlog, &mut inbox.proposals);
                    inbox.turn_taken = !backlog.is_empty();
                    inbox.alone = None;
                    has_turn = inbox.turn_taken;
                    if inbox.closed && !has_turn {
                        return None;
                    }
                }
            }
            if has_turn {
                let (operations, waiting) = self.take(backlog, budget().min(self.max_bytes));
                if !operations.is_empty() {
                    return Some(Work::Propose(operations, waiting));
                }
                // Nobody waited for any of it. Look again.
                continue;
            }
            let (alone, held_up) = {
                let inbox = self.lock();
                (inbox.alone, !inbox.proposals.is_empty() || inbox.closed)
            };
            if alone.is_none() || !held_up {
                self.wake.notified().await;
                continue;
            }
            // A lone proposer that isn't polled keeps nobody waiting: its turn is taken away.
            let waited = tokio::time::timeout(LONE_PATIENCE * 2, self.wake.notified()).await;
            if waited.is_err() && self.lock().alone == alone {
                has_turn = true;
            }
        }
    }

    /// As much as one entry may carry, at least one operation if anybody waits for one. Skips
    /// those that nobody waits for any more.
    fn take(
        &self,
        backlog: &mut VecDeque<Proposal>,
        max_bytes: usize,
    ) -> (Vec<Operation>, Waiting) {
        let limit = backlog.len().min(self.max_operations);
        let mut operations = Vec::with_capacity(limit);
        let mut replies = VecDeque::with_capacity(limit);
        let (mut bytes, mut freed) = (0, 0);
        while let Some(Proposal { operation, weight, deadline, reply }) = backlog.pop_front() {
            let size = operation.payload_bytes();
            let full = operations.len() >= self.max_operations || bytes + size > max_bytes;
            if reply.is_closed() {
                freed += weight as usize;
            } else if full && !operations.is_empty() {
                backlog.push_front(Proposal { operation, weight, deadline, reply });
                break;
            } else {
                freed += weight as usize;
                bytes += size;
                operations.push(operation);
                replies.push_back((deadline, Some(reply)));
            }
        }
        (operations, Waiting::new(replies, Place::new(&self.space, freed)))
    }

    /// The earliest deadline in the queue. Deadlines ascend but for proposers that waited for a
    /// place, whose deadlines are earlier and are noticed as they reach the front.
    pub(super) fn deadline(&self, backlog: &VecDeque<Proposal>) -> Option<Instant> {
        match backlog.front() {
            Some(proposal) => Some(proposal.deadline),
            None => self.lock().proposals.front().map(|proposal| proposal.deadline),
        }
    }

    /// Answers those at the front whose deadline has passed with `error`.
    pub(super) fn expire(&self, backlog: &mut VecDeque<Proposal>, error: &ProposeError) {
        let now = Instant::now();
        let mut inbox = self.lock();
        for proposals in [backlog, &mut inbox.proposals] {
            while proposals.front().is_some_and(|next| next.deadline <= now) {
                let Some(late) = proposals.pop_front() else { break };
                self.space.add_permits(late.weight as usize);
                // Whoever dropped the future doesn't hear it.
                let _ = late.reply.send(Err(error.clone()));
            }
        }
    }
}

/// A proposer that waits for space, counted until it is queued or gives up.
struct AtDoor<'a>(&'a AtomicUsize);

impl<'a> AtDoor<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for AtDoor<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A lone proposer's right to have an entry under way. Dropping it passes the turn on.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Turn<'_> {
    /// Leaves the turn, and the entry under way, to the driver. They come back if the driver
    /// has taken the turn already.
    pub(super) fn leave(
        self,
        answer: Answer,
        deadline: Instant,
        reply: Reply,
    ) -> Result<(), (Answer, Waiting)> {
        let place = Place::new(&self.queue.space, 0);
        let waiting = Waiting::new(VecDeque::from([(deadline, Some(reply))]), place);
        let mut inbox = self.queue.lock();
        if inbox.alone != Some(self.number) {
            return Err((answer, waiting));
        }
        inbox.alone = None;
        inbox.left = Some((answer, waiting));
        drop(inbox);
        self.queue.wake.notify_one();
        Ok(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut inbox = self.queue.lock();
        if inbox.alone != Some(self.number) {
            return;
        }
        inbox.alone = None;
        inbox.turn_taken = false;
        if !inbox.proposals.is_empty() || inbox.closed {
            self.queue.wake.notify_one();
        }
    }
}
