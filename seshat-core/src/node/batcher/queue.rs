//! The queue of proposals, and the turn to propose.
//!
//! One entry is under way at a time; who has the turn put it there. A proposer takes the turn
//! itself if nobody has it and nobody waits; otherwise its proposal goes into the inbox, which the
//! driver empties in one step whenever it runs out of proposals. Proposals are queued in the order
//! in which their futures were first polled, also while the queue is full.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::answer::Answer;
use super::door::{Door, Pass};
use super::turn::Turn;
use super::waiting::{Answered, Reply, Waiting};
use crate::config::NodeConfig;
use crate::error::{NotLeader, ProposeError, Stopped};
use crate::operation::Operation;

/// How long a lone proposer's entry may hold up others before the driver asks it for the turn, and
/// again before it takes it: a proposer that isn't polled keeps nobody waiting.
const LONE_PATIENCE: Duration = Duration::from_millis(20);

/// How long an entry may be under way before who comes hears whether this node may propose at all.
const MOMENT: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Proposal {
    operation: Operation,
    /// Of its place, which goes where it goes.
    bytes: usize,
    deadline: Instant,
    reply: Reply,
}

#[derive(Debug)]
pub(super) struct Queue {
    inbox: Mutex<Inbox>,
    /// Told when there is something for the driver to do.
    wake: Notify,
    /// Told when others wait for a lone proposer's turn.
    hurry: Notify,
    /// Told when nobody has the turn any more.
    rest: Notify,
    door: Door,
    max_operations: usize,
    max_bytes: usize,
}

/// Who has the turn.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    #[default]
    Nobody,
    /// The lone proposer with the [`Turn`] of that number.
    Alone(u64),
    Driver,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) proposals: VecDeque<Proposal>,
    pub(super) holder: Holder,
    /// Turns taken by lone proposers.
    turns: u64,
    /// Entries under way that lone proposers left to the driver.
    pub(super) left: VecDeque<(Answer, Waiting)>,
    /// The driver waits for an entry that nobody else waits for: it has no deadline to mind until
    /// something is queued.
    minds_nobody: bool,
    /// When the driver proposed the entry that is under way.
    began: Option<Instant>,
    /// Nothing is let in for now.
    paused: bool,
    pub(super) closed: bool,
}

impl Inbox {
    /// Whether nothing is queued or under way, as far as who has the turn tells.
    fn rests(&self) -> bool {
        self.holder == Holder::Nobody && self.proposals.is_empty() && self.left.is_empty()
    }
}

/// What became of an operation that was to be proposed.
pub(super) enum Entered<'a> {
    /// Nobody else is about: propose it yourself.
    Alone(Turn<'a>, Operation),
    /// It waits for the driver.
    Queued(Answered),
}

/// What the driver does next.
pub(super) enum Work {
    /// Propose these operations as one entry. The driver has the turn.
    Propose(Vec<Operation>, Waiting),
    /// Wait for an entry that is proposed already.
    Await(Answer, Waiting),
}

/// While it is there, a queue lets nothing in.
#[derive(Debug)]
pub(in crate::node) struct Paused(Arc<Queue>);

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.lock().paused = false;
    }
}

impl Queue {
    pub(super) fn new(config: &NodeConfig) -> Self {
        let (batch, limits) = (config.batch(), *config.limits());
        Self {
            inbox: Mutex::default(),
            wake: Notify::new(),
            hurry: Notify::new(),
            rest: Notify::new(),
            door: Door::new(batch.queue_bytes, limits),
            max_operations: batch.max_operations,
            max_bytes: batch.max_bytes,
        }
    }

    // Every change under the lock is a single step.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// Takes the turn for an operation that has a place, or queues it; unless `refusal` says why not.
    /// Behind an entry that has been under way for a moment only, as those of a busy leader are, it isn't
    /// asked: the driver asks when it comes to the operation.
    pub(super) fn enter<'a>(
        &'a self,
        mut pass: Pass<'a>,
        operation: Operation,
        (now, deadline): (Instant, Instant),
        refusal: impl FnOnce() -> Option<ProposeError>,
    ) -> Result<Entered<'a>, ProposeError> {
        let mut inbox = self.lock();
        if inbox.closed {
            return Err(Stopped::ShutDown.into());
        }
        if inbox.paused {
            return Err(NotLeader { leader: None }.into());
        }
        let moves =
            inbox.holder == Holder::Driver && inbox.began.is_some_and(|began| now < began + MOMENT);
        if !moves && let Some(refused) = refusal() {
            return Err(refused);
        }
        // What is left is under way still, if the driver hasn't come to it yet.
        if inbox.rests() {
            inbox.turns += 1;
            inbox.holder = Holder::Alone(inbox.turns);
            pass.is_in();
            return Ok(Entered::Alone(Turn::new(self, inbox.turns, pass), operation));
        }
        let (reply, answered) = oneshot::channel();
        let first = inbox.proposals.is_empty();
        let unasked = inbox.holder == Holder::Driver && !inbox.minds_nobody;
        inbox.minds_nobody = false;
        let bytes = pass.into_bytes();
        inbox.proposals.push_back(Proposal { operation, bytes, deadline, reply });
        drop(inbox);
        if first && !unasked {
            self.wake();
        }
        Ok(Entered::Queued(answered))
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.door.close();
        self.wake();
    }

    /// Lets nothing in, until the guard is dropped. What is in is answered meanwhile.
    pub(super) fn pause(self: &Arc<Self>) -> Paused {
        self.lock().paused = true;
        Paused(Arc::clone(self))
    }

    /// Until nothing is queued, and nothing is under way that anybody waits for. What is let in meanwhile is
    /// waited for, too.
    pub(super) async fn emptied(&self) {
        loop {
            let rests = self.rest.notified();
            if self.lock().rests() {
                return;
            }
            rests.await;
        }
    }

    /// Nobody has the turn any more.
    pub(super) fn rests(&self) {
        self.rest.notify_waiters();
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The driver proposes an entry now.
    pub(super) fn begins(&self) {
        self.lock().began = Some(Instant::now());
    }

    /// Until there is something for the driver to do.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Until others wait for a lone proposer's turn.
    pub(super) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// What the driver does next; `None` once the queue is closed and empty. `backlog` is what
    /// the driver has taken out of the inbox. Waits for the turn, unless the driver has it still.
    /// `budget` tells what an entry may carry just then, if that is less than what is configured.
    pub(super) async fn next(
        &self,
        backlog: &mut VecDeque<Proposal>,
        budget: &(impl Fn() -> usize + Sync),
    ) -> Option<Work> {
        let mut held_up = None;
        loop {
            let holder = {
                let mut inbox = self.lock();
                if let Some((answer, waiting)) = inbox.left.pop_front() {
                    return Some(Work::Await(answer, waiting));
                }
                if backlog.is_empty() && !matches!(inbox.holder, Holder::Alone(_)) {
                    std::mem::swap(backlog, &mut inbox.proposals);
                    if backlog.is_empty() {
                        inbox.holder = Holder::Nobody;
                        self.rests();
                        if inbox.closed {
                            return None;
                        }
                    } else {
                        inbox.holder = Holder::Driver;
                    }
                }
                let waits = !inbox.proposals.is_empty() || inbox.closed;
                // To a lone proposer that holds nobody up the driver is as good as not there.
                if waits || inbox.holder == Holder::Driver { inbox.holder } else { Holder::Nobody }
            };
            match holder {
                Holder::Nobody => self.woken().await,
                Holder::Alone(number) => self.hold_up(number, &mut held_up).await,
                Holder::Driver => {
                    let (operations, waiting) = self.take(backlog, budget().min(self.max_bytes));
                    if !operations.is_empty() {
                        return Some(Work::Propose(operations, waiting));
                    }
                    // Nobody waited for any of it. Look again.
                }
            }
        }
    }

    /// Waits for a lone proposer that holds others up, asks it to leave, and takes its turn away.
    /// `held_up` is whose turn that is, whether it was asked, and when to do more about it.
    async fn hold_up(&self, number: u64, held_up: &mut Option<(u64, bool, Instant)>) {
        let soon = Instant::now() + LONE_PATIENCE;
        let (_, asked, due) = match held_up.take() {
            Some(same) if same.0 == number => same,
            _ => (number, false, soon),
        };
        if tokio::time::timeout_at(due, self.woken()).await.is_ok() {
            *held_up = Some((number, asked, due));
        } else if asked {
            let mut inbox = self.lock();
            if inbox.holder == Holder::Alone(number) {
                inbox.holder = Holder::Driver;
            }
        } else {
            self.hurry.notify_waiters();
            *held_up = Some((number, true, due + LONE_PATIENCE));
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
        let (mut bytes, mut placed) = (0, 0);
        while let Some(next) = backlog.pop_front() {
            let size = next.operation.payload_bytes();
            let full = operations.len() >= self.max_operations || bytes + size > max_bytes;
            if next.reply.is_closed() {
                drop(self.door.place(next.bytes));
                continue;
            }
            if full && !operations.is_empty() {
                backlog.push_front(next);
                break;
            }
            bytes += size;
            operations.push(next.operation);
            placed += next.bytes;
            replies.push_back((next.deadline, Some(next.reply)));
        }
        (operations, Waiting::new(replies, self.door.place(placed)))
    }

    /// The earliest deadline in the queue and of those who wait for an entry. With `None` the driver
    /// is woken when there is one. Deadlines ascend but for proposers that waited for a place, whose
    /// deadlines are earlier and are noticed as they reach the front.
    pub(super) fn deadline(
        &self,
        backlog: &VecDeque<Proposal>,
        under_way: Option<Instant>,
    ) -> Option<Instant> {
        let mut inbox = self.lock();
        let queued = backlog.front().or(inbox.proposals.front()).map(|next| next.deadline);
        let earliest = under_way.into_iter().chain(queued).min();
        inbox.minds_nobody = earliest.is_none();
        earliest
    }

    /// Answers those at the front whose deadline has passed with `error`.
    pub(super) fn expire(&self, backlog: &mut VecDeque<Proposal>, error: &ProposeError) {
        let now = Instant::now();
        let mut inbox = self.lock();
        for proposals in [backlog, &mut inbox.proposals] {
            while proposals.front().is_some_and(|next| next.deadline <= now) {
                let Some(late) = proposals.pop_front() else { break };
                drop(self.door.place(late.bytes));
                // Whoever dropped the future doesn't hear it.
                let _ = late.reply.send(Err(error.clone()));
            }
        }
    }
}
