//! Packs the operations that queue up while one entry is under way into the next entry.
//!
//! openraft 0.9 appends one entry for each write and waits for its flush before it replicates
//! it, so the node does what the store can't: one entry carries whatever was queued. No timer: a
//! lone client's operation goes out at once, alone. First come, first served, so proposers are
//! served in turn and each one in its own order. On slow links an entry carries no more than reaches a
//! quorum in a part of a heartbeat interval, so that what is queued behind it doesn't wait for long.
//!
//! Bounds: the queue by bytes (a proposer waits for a place, then for its deadline), an entry by
//! operations and bytes, every proposal by a deadline of its own.

mod queue;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::error::ClientWriteError;
use openraft::raft::ClientWriteResult;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::queue::{Entered, Proposal, Queue, Turn, Work};
use self::waiting::{Answered, Waiting};
use crate::config::BatchConfig;
use crate::error::{Leader, NotLeader, ProposeError, Stopped};
use crate::network::Ways;
use crate::operation::{Batch, EntryResponse, Limits, Operation, Response};
use crate::types::{Raft, TypeConfig};

/// openraft's answer to one entry.
type Answer = oneshot::Receiver<ClientWriteResult<TypeConfig>>;

/// How long a lone proposer waits for its entry itself, before it leaves that to the driver, who
/// minds deadlines and leadership.
const LONE_PATIENCE: Duration = Duration::from_millis(20);

/// The proposing side.
pub(super) struct Batcher {
    queue: Arc<Queue>,
    timeout: Duration,
    raft: Raft,
}

impl Batcher {
    /// The batcher, and the task that drives it until it is [closed](Batcher::close).
    pub(super) fn new(
        config: &BatchConfig,
        limits: Limits,
        timeout: Duration,
        raft: Raft,
        ways: Ways,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let queue = Arc::new(Queue::new(config, limits));
        let driver = Driver { queue: Arc::clone(&queue), timeout, raft: raft.clone(), ways };
        (Self { queue, timeout, raft }, driver.run())
    }

    /// Proposes one operation and waits for its response. Dropping the future gives up the
    /// response, and the operation too if it isn't in an entry yet.
    pub(super) async fn propose(&self, operation: Operation) -> Result<Response, ProposeError> {
        let deadline = Instant::now() + self.timeout;
        let answered = match self.queue.enter(operation, deadline, self.timeout).await? {
            Entered::Queued(answered) => answered,
            Entered::Alone(turn, operation) => {
                match self.propose_alone(turn, operation, deadline).await {
                    Ok(response) => return response,
                    Err(left) => left,
                }
            }
        };
        answered.await.unwrap_or(Err(Stopped::ShutDown.into()))
    }

    /// With nobody else about, an entry of one operation needs no driver. `Err` if it takes long
    /// and was left to the driver.
    async fn propose_alone(
        &self,
        turn: Turn<'_>,
        operation: Operation,
        deadline: Instant,
    ) -> Result<Result<Response, ProposeError>, Answered> {
        if let Some(refused) = refusal(&self.raft) {
            return Ok(Err(refused));
        }
        let mut answer = match self.raft.client_write_ff(Batch::from(operation)).await {
            Ok(answer) => answer,
            Err(fatal) => return Ok(Err(Stopped::from(fatal).into())),
        };
        match tokio::time::timeout(LONE_PATIENCE.min(self.timeout), &mut answer).await {
            Ok(answered) => Ok(responses(&self.raft, answered).and_then(|responses| {
                let none = ProposeError::Unanswered { got: 0, expected: 1 };
                responses.into_iter().next().ok_or(none)
            })),
            Err(_) => {
                let (reply, left) = oneshot::channel();
                if let Err((answer, waiting)) = turn.leave(answer, deadline, reply) {
                    set_aside(&self.raft, self.timeout, answer, waiting);
                }
                Err(left)
            }
        }
    }

    /// Refuses proposals from now on. The driver answers those that are queued, then ends.
    pub(super) fn close(&self) {
        self.queue.close();
    }
}

struct Driver {
    queue: Arc<Queue>,
    timeout: Duration,
    raft: Raft,
    ways: Ways,
}

impl Driver {
    async fn run(self) {
        let mut backlog = VecDeque::new();
        let budget = || self.budget();
        let mut next = self.queue.next(&mut backlog, false, &budget).await;
        while let Some(work) = next {
            match work {
                Work::Await(answer, waiting) => self.under_way(answer, waiting, &mut backlog).await,
                Work::Propose(operations, waiting) => {
                    if let Some(refused) = refusal(&self.raft) {
                        waiting.fail(&refused);
                        next = self.queue.next(&mut backlog, true, &budget).await;
                        continue;
                    }
                    tracing::trace!(operations = operations.len(), "propose an entry");
                    match self.raft.client_write_ff(Batch::new(operations)).await {
                        Ok(answer) => self.under_way(answer, waiting, &mut backlog).await,
                        Err(fatal) => waiting.fail(&Stopped::from(fatal).into()),
                    }
                }
            }
            // Those who were just answered may have more to say: let them, so that it goes into
            // the next entry.
            tokio::task::yield_now().await;
            next = self.queue.next(&mut backlog, true, &budget).await;
        }
    }

    /// Bytes that an entry should carry at most, as the links to the others are.
    fn budget(&self) -> usize {
        let metrics = self.raft.metrics();
        let now = metrics.borrow();
        self.ways.quorum_budget(now.id, now.membership_config.membership())
    }

    /// Waits for an entry's answer, and meanwhile for deadlines.
    async fn under_way(
        &self,
        mut answer: Answer,
        mut waiting: Waiting,
        backlog: &mut VecDeque<Proposal>,
    ) {
        let mut server = self.raft.server_metrics();
        loop {
            let deadline = match (waiting.deadline(), self.queue.deadline(backlog)) {
                (Some(a), Some(b)) => a.min(b),
                // Nobody waits for the entry any more.
                (None, _) => return,
                (Some(a), None) => a,
            };
            tokio::select! {
                biased;
                answered = &mut answer => return distribute(&self.raft, answered, waiting),
                // The entry of a former leader may wait for a long time to be overwritten. What
                // is queued behind it shall hear at once that this node doesn't lead.
                Ok(()) = server.changed() => {
                    if server.borrow_and_update().state != ServerState::Leader {
                        return set_aside(&self.raft, self.timeout, answer, waiting);
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    let late = ProposeError::NoQuorum { waited: self.timeout };
                    waiting.expire(&late);
                    self.queue.expire(backlog, &late);
                }
            }
        }
    }
}

/// Goes on waiting for an entry's answer in a task of its own, until its last deadline.
fn set_aside(raft: &Raft, waited: Duration, mut answer: Answer, mut waiting: Waiting) {
    let raft = raft.clone();
    tokio::spawn(async move {
        while let Some(deadline) = waiting.deadline() {
            tokio::select! {
                biased;
                answered = &mut answer => return distribute(&raft, answered, waiting),
                () = tokio::time::sleep_until(deadline) => {
                    waiting.expire(&ProposeError::NoQuorum { waited });
                }
            }
        }
    });
}

/// How openraft's answer arrives.
type Received = Result<ClientWriteResult<TypeConfig>, oneshot::error::RecvError>;

fn distribute(raft: &Raft, answered: Received, waiting: Waiting) {
    match responses(raft, answered) {
        Ok(responses) => waiting.answer(responses),
        Err(error) => waiting.fail(&error),
    }
}

/// Why nothing needs to be proposed, if this node doesn't lead.
fn refusal(raft: &Raft) -> Option<ProposeError> {
    let metrics = raft.metrics();
    let now = metrics.borrow();
    if now.state == ServerState::Leader || now.running_state.is_err() {
        return None;
    }
    let leader = now.current_leader.map(|id| Leader {
        id,
        address: now.membership_config.membership().get_node(&id).map(|node| node.addr.clone()),
    });
    Some(NotLeader { leader }.into())
}

/// The responses to an entry's operations.
fn responses(raft: &Raft, answered: Received) -> Result<Vec<Response>, ProposeError> {
    match answered {
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
