//! [`Turn`]: a lone proposer's right to have an entry under way.
//!
//! Guarantees: an entry that was proposed is waited for until openraft has answered it, by the proposer
//! or, once that leaves it or is dropped, by the driver. Its place goes with it.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::answer::{Answer, Received};
use super::door::Pass;
use super::queue::{Holder, Queue};
use super::waiting::{Answered, Reply, Waiting};

/// Dropping it passes the turn on, or leaves it to the driver with the entry that is under way.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    queue: &'a Queue,
    number: u64,
    pass: Option<Pass<'a>>,
    /// While an entry is under way.
    answer: Option<Answer>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(queue: &'a Queue, number: u64, pass: Pass<'a>) -> Self {
        Self { queue, number, pass: Some(pass), answer: None }
    }

    /// An entry is under way from now on.
    pub(super) fn began(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// openraft's answer to the entry. Never without one, or once it was returned.
    pub(super) async fn answered(&mut self) -> Received {
        let received = match &mut self.answer {
            Some(answer) => answer.await,
            None => std::future::pending().await,
        };
        self.answer = None;
        received
    }

    /// Leaves the entry and the turn to the driver, who answers by `deadline`. The turn comes back if
    /// the driver has taken it already: it may be busy for longer then.
    pub(super) fn leave(mut self, deadline: Instant) -> Result<Answered, Self> {
        let (reply, answered) = oneshot::channel();
        if self.hand_over(Some((deadline, reply))) { Ok(answered) } else { Err(self) }
    }

    /// Without a reply, nobody waits, and the driver looks after the entry when it comes to it.
    fn hand_over(&mut self, reply: Option<(Instant, Reply)>) -> bool {
        let mut inbox = self.queue.lock();
        let is_mine = inbox.holder == Holder::Alone(self.number);
        if reply.is_some() && !is_mine {
            return false;
        }
        let Some(answer) = self.answer.take() else { return false };
        let replies: VecDeque<_> = reply.map(|(at, reply)| (at, Some(reply))).into_iter().collect();
        let bytes = self.pass.take().map_or(0, Pass::into_bytes);
        inbox.left.push_back((answer, Waiting::new(replies, self.queue.door().place(bytes))));
        if is_mine {
            inbox.holder = Holder::Driver;
        }
        drop(inbox);
        self.queue.wake();
        true
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.hand_over(None);
            return;
        }
        let mut inbox = self.queue.lock();
        if inbox.holder != Holder::Alone(self.number) {
            return;
        }
        inbox.holder = Holder::Nobody;
        let driver_has_work = !inbox.proposals.is_empty() || inbox.closed;
        drop(inbox);
        self.queue.rests();
        if driver_has_work {
            self.queue.wake();
        }
    }
}
