//! Packs the operations that queue up while one entry is under way into the next entry.
//!
//! openraft 0.9 appends one entry for each write and waits for its flush before it replicates
//! it, so the node does what the store can't: one entry carries whatever was queued. No timer: a
//! lone client's operation goes out at once, alone. First come, first served, so proposers are
//! served in turn and each one in its own order. On slow links an entry carries no more than reaches a
//! quorum in a part of a heartbeat interval, so that what is queued behind it doesn't wait for long.
//!
//! Bounds: what waits, and what is in the log until openraft has answered it, by bytes, whoever waits
//! for it ([`door`]; a proposer waits for a place, then for its deadline); an entry by operations and
//! bytes; every proposal by a deadline of its own. A leader without a quorum takes nothing
//! ([`leadership`]), nor does one with a full disk ([`Intake`]); what was taken before goes on waiting, in its order, since the quorum may come
//! back in time.
//!
//! openraft answers an entry when it is applied, when it is overwritten, or by dropping the answer's
//! sender when the node stops or panics (`core/raft_core.rs`: `handle_apply_result`,
//! `DeleteConflictLog`); an operation that comes to a node that doesn't lead at once (`write_entry`).
//! Losing leadership alone answers nothing. An entry that is covered by a snapshot is never answered
//! (`following_handler/mod.rs`, `install_full_snapshot`): see [`settled`].

mod answer;
mod door;
mod leadership;
mod queue;
mod turn;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::ClientWriteError;
use openraft::{LogIdOptionExt, ServerState};
use tokio::time::Instant;

use self::answer::{Answer, Received};
use self::leadership::Leadership;
pub(super) use self::queue::Paused;
use self::queue::{Entered, Proposal, Queue, Work};
use self::turn::Turn;
use self::waiting::Waiting;
use super::intake::Intake;
use crate::config::NodeConfig;
use crate::error::{NotLeader, ProposeError, Stopped};
use crate::metrics::Proposals;
use crate::network::Ways;
use crate::operation::{Batch, EntryResponse, Operation, Response};
use crate::types::Raft;

/// The proposing side.
pub(super) struct Batcher {
    queue: Arc<Queue>,
    leadership: Arc<Leadership>,
    intake: Intake,
    meters: Arc<Proposals>,
    timeout: Duration,
    raft: Raft,
}

impl Batcher {
    /// The batcher, and the task that drives it until it is [closed](Batcher::close).
    pub(super) fn new(
        config: &NodeConfig,
        raft: Raft,
        ways: Ways,
        intake: Intake,
        meters: Arc<Proposals>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let queue = Arc::new(Queue::new(config));
        let leadership = Arc::new(Leadership::new(&raft, ways, config));
        let timeout = config.propose_timeout();
        let driver = Driver {
            queue: Arc::clone(&queue),
            leadership: Arc::clone(&leadership),
            intake: intake.clone(),
            meters: Arc::clone(&meters),
            timeout,
            raft: raft.clone(),
        };
        (Self { queue, leadership, intake, meters, timeout, raft }, driver.run())
    }

    /// Proposes one operation and waits for its response. Dropping the future gives up the
    /// response, and the operation too if it isn't in an entry yet; what is in the log keeps its
    /// place.
    ///
    /// What few need is boxed: callers move this future about, and each byte of it costs all of them.
    pub(super) async fn propose(&self, operation: Operation) -> Result<Response, ProposeError> {
        let mut now = Instant::now();
        let deadline = now + self.timeout;
        let door = self.queue.door();
        let pass = match door.pass_by(&operation)? {
            Some(pass) => pass,
            None => {
                // What takes the places may be entries of a former leader.
                self.leadership.leads()?;
                let pass = Box::pin(door.wait(&operation, deadline, self.timeout)).await?;
                now = Instant::now();
                pass
            }
        };
        let refusal = || refusal(&self.leadership, &self.intake);
        match self.queue.enter(pass, operation, (now, deadline), refusal)? {
            Entered::Queued(answered) => answered.await.unwrap_or(Err(Stopped::ShutDown.into())),
            Entered::Alone(turn, operation) => {
                Box::pin(self.propose_alone(turn, operation, deadline)).await
            }
        }
    }

    /// With nobody else about, an entry of one operation needs no driver, until others wait.
    async fn propose_alone(
        &self,
        mut turn: Turn<'_>,
        operation: Operation,
        deadline: Instant,
    ) -> Result<Response, ProposeError> {
        let batch = Batch::from(operation);
        self.intake.takes(&batch).await?;
        // Sends at once or, if openraft has stopped, not at all: dropping this future where it waits
        // leaves nothing in the log (`raft/raft_inner.rs`, `send_msg`).
        let timer = self.meters.entry();
        let answer = self.raft.client_write_ff(batch).await;
        self.meters.waited(|| waited(self.timeout, deadline));
        turn.began(Answer::new(answer.map_err(Stopped::from)?, timer));
        loop {
            tokio::select! {
                biased;
                received = turn.answered() => {
                    let none = ProposeError::Unanswered { got: 0, expected: 1 };
                    return responses(&self.raft, received)?.into_iter().next().ok_or(none);
                }
                () = self.queue.hurried() => turn = match turn.leave(deadline) {
                    Ok(answered) => {
                        return answered.await.unwrap_or(Err(Stopped::ShutDown.into()));
                    }
                    Err(kept) => kept,
                },
                () = tokio::time::sleep_until(deadline) => {
                    return Err(ProposeError::NoQuorum { waited: self.timeout });
                }
            }
        }
    }

    /// Refuses proposals, as a node that doesn't lead would, until what this returns is dropped. That comes with a
    /// future that ends when those that were let in are answered.
    pub(super) fn pause(&self) -> (Paused, impl Future<Output = ()> + Send + use<>) {
        let queue = Arc::clone(&self.queue);
        (self.queue.pause(), async move { queue.emptied().await })
    }

    /// Why nothing may be proposed here now, whether there is room or not.
    pub(super) fn refusal(&self) -> Option<ProposeError> {
        self.leadership.refusal()
    }

    /// Refuses proposals from now on. The driver answers those that are queued, then ends.
    pub(super) fn close(&self) {
        self.queue.close();
    }
}

struct Driver {
    queue: Arc<Queue>,
    leadership: Arc<Leadership>,
    intake: Intake,
    meters: Arc<Proposals>,
    timeout: Duration,
    raft: Raft,
}

impl Driver {
    async fn run(self) {
        tokio::select! {
            biased;
            () = self.drive() => {}
            () = self.leadership.observe(&self.raft) => {}
        }
    }

    async fn drive(&self) {
        let mut backlog = VecDeque::new();
        let budget = || self.leadership.budget();
        while let Some(work) = self.queue.next(&mut backlog, &budget).await {
            match work {
                Work::Await(answer, waiting) => self.under_way(answer, waiting, &mut backlog).await,
                Work::Propose(operations, waiting) => {
                    if let Some(refused) = refusal(&self.leadership, &self.intake) {
                        waiting.fail(&refused);
                        continue;
                    }
                    let batch = Batch::new(operations);
                    if let Err(full) = self.intake.takes(&batch).await {
                        waiting.fail(&full.into());
                        continue;
                    }
                    tracing::trace!(operations = batch.operations().len(), "propose an entry");
                    self.queue.begins();
                    if let Some(deadline) = waiting.deadline() {
                        self.meters.waited(|| waited(self.timeout, deadline));
                    }
                    let timer = self.meters.entry();
                    match self.raft.client_write_ff(batch).await {
                        Ok(answer) => {
                            let answer = Answer::new(answer, timer);
                            self.under_way(answer, waiting, &mut backlog).await;
                        }
                        Err(fatal) => waiting.fail(&Stopped::from(fatal).into()),
                    }
                }
            }
            // Those who were just answered may have more to say: let them, so that it goes into
            // the next entry.
            tokio::task::yield_now().await;
        }
    }

    /// Waits for an entry's answer, whether anybody waits for it or not, and meanwhile for deadlines.
    async fn under_way(
        &self,
        mut answer: Answer,
        mut waiting: Waiting,
        backlog: &mut VecDeque<Proposal>,
    ) {
        let mut server = self.raft.server_metrics();
        loop {
            // The entry of a former leader may wait for a long time to be overwritten. What is queued
            // behind it shall hear at once that this node doesn't lead.
            if server.borrow_and_update().state != ServerState::Leader {
                tokio::spawn(set_aside(self.raft.clone(), self.timeout, answer, waiting));
                return;
            }
            let deadline = self.queue.deadline(backlog, waiting.deadline());
            tokio::select! {
                biased;
                received = &mut answer => return distribute(&self.raft, received, waiting),
                Ok(()) = server.changed() => {}
                () = self.queue.woken(), if deadline.is_none() => {}
                () = until(deadline) => {
                    let late = ProposeError::NoQuorum { waited: self.timeout };
                    waiting.expire(&late);
                    self.queue.expire(backlog, &late);
                }
            }
        }
    }
}

/// Why nothing may be proposed here now. Who doesn't lead has no need of room.
fn refusal(leadership: &Leadership, intake: &Intake) -> Option<ProposeError> {
    leadership.refusal().or_else(|| intake.refusal().map(Into::into))
}

/// Since when who has that deadline waits, in seconds.
fn waited(timeout: Duration, deadline: Instant) -> f64 {
    let left = deadline.saturating_duration_since(Instant::now());
    timeout.saturating_sub(left).as_secs_f64()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Goes on waiting for the answer to an entry of a former leader, beside whatever comes next.
async fn set_aside(raft: Raft, waited: Duration, mut answer: Answer, mut waiting: Waiting) {
    let mut settled = std::pin::pin!(settled(&raft));
    loop {
        tokio::select! {
            biased;
            received = &mut answer => return distribute(&raft, received, waiting),
            () = &mut settled => match answer.now() {
                Some(received) => return distribute(&raft, received, waiting),
                None => {
                    let leader = NotLeader::of(&raft.metrics().borrow()).leader;
                    return waiting.fail(&ProposeError::Deposed { leader });
                }
            },
            () = until(waiting.deadline()) => {
                waiting.expire(&ProposeError::NoQuorum { waited });
            }
        }
    }
}

/// Until whatever this node has in its log now is applied here, or was overwritten or covered by what is.
/// By then openraft has answered all entries that it ever will.
async fn settled(raft: &Raft) {
    let applied = async {
        // What was proposed before this is in the log now, or was refused.
        raft.with_raft_state(|_| ()).await.ok()?;
        let mut metrics = raft.metrics();
        metrics.mark_unchanged();
        metrics.changed().await.ok()?;
        let last = metrics.borrow_and_update().last_log_index;
        let applied = metrics.wait_for(|now| now.last_applied.index() >= last).await;
        applied.ok().map(drop)
    };
    if applied.await.is_none() {
        // openraft has stopped, which is an answer to all.
        std::future::pending().await
    }
}

fn distribute(raft: &Raft, received: Received, waiting: Waiting) {
    match responses(raft, received) {
        Ok(responses) => waiting.answer(responses),
        Err(error) => waiting.fail(&error),
    }
}

/// The responses to an entry's operations.
fn responses(raft: &Raft, received: Received) -> Result<Vec<Response>, ProposeError> {
    match received {
        Ok(Ok(written)) => match written.data {
            EntryResponse::Batch(responses) => Ok(responses),
            // A foreign state machine's mistake; counted by the caller.
            EntryResponse::Blank | EntryResponse::Membership => Ok(Vec::new()),
        },
        // Refused or overwritten; openraft doesn't say which.
        Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
            Err(ProposeError::Deposed { leader: NotLeader::from(forward).leader })
        }
        // Not an answer to a normal entry.
        Ok(Err(ClientWriteError::ChangeMembershipError(_))) => {
            Err(NotLeader { leader: None }.into())
        }
        // openraft dropped the proposal: it stopped, and its metrics say why.
        Err(_) => match &raft.metrics().borrow().running_state {
            Err(fatal) => Err(Stopped::from(fatal.clone()).into()),
            Ok(()) => Err(Stopped::ShutDown.into()),
        },
    }
}
