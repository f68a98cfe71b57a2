//! Proposes operations in order, many at a time, and again to the next leader if one fails.
//!
//! Why proposing again gives the right state. Operations go out in attempts. An attempt proposes,
//! to one leader and in order, from the first operation that is not acknowledged; once one of
//! them fails the attempt ends: all its other proposals are waited for, and what they answer is
//! dropped. The next attempt starts at the one that failed. So an operation may be applied twice
//! (its fate was unknown, or it was acknowledged behind one that failed), but in the log:
//!
//! - Attempts follow one another. When one starts, nothing of those before waits in a node's
//!   queue any more. What a leader has in its log stays before what it appends later; and before
//!   all that its successor appends, or is overwritten (Raft paper, section 5.3, Log Matching).
//! - Within an attempt operations are in order. Some at its end may be missing.
//! - Whatever lies between the starts of two attempts that follow one another is acknowledged by
//!   the first, and no later one proposes it again.
//!
//! Take a key, and the last operation of the file that concerns it. In the attempt that
//! acknowledged it for good it comes after all others of that key, and every later attempt starts
//! behind it, hence holds no operation of that key. So it is the last one in the log, too; and
//! because SET and DEL don't look at what was there before, it alone decides about the key. Only
//! the responses, the number of deleted keys above all, may differ from those of a single run,
//! and nothing here counts them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use seshat_core::error::ProposeError;
use seshat_core::node::RaftNode;
use seshat_core::operation::Operation;
use seshat_core::types::NodeId;

use crate::Failure;
use crate::flight::Flight;
use crate::nodes::Nodes;
use crate::progress::Progress;
use crate::report::Kill;

/// How long to go on without an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two attempts, lest a node that doesn't know yet that it lost its leadership is asked
/// again and again.
const PAUSE: Duration = Duration::from_millis(2);

/// How to replicate.
#[derive(Debug)]
pub(crate) struct Plan {
    window: usize,
    kill_at: Option<usize>,
}

impl Plan {
    /// The leader dies, if it is to, once half of the operations are acknowledged. A quarter of
    /// them in flight at most leaves the next leader something to do.
    pub(crate) fn new(operations: usize, window: usize, kill: bool) -> Self {
        let kill_at = (kill && operations > 0).then_some(operations / 2);
        Self { window: window.min(operations / 4).max(1), kill_at }
    }

    pub(crate) fn window(&self) -> usize {
        self.window
    }
}

/// What it took.
#[derive(Debug)]
pub(crate) struct Replicated {
    pub(crate) elapsed: Duration,
    /// From each operation's first proposal to its acknowledgement.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) leader_before: NodeId,
    pub(crate) leader_after: NodeId,
    pub(crate) kill: Option<Kill>,
    pub(crate) proposed_again: usize,
}

#[derive(Debug, thiserror::Error)]
enum ReplicateError {
    #[error("no acknowledgement within {waited:?}")]
    Stuck { waited: Duration, source: ProposeError },
    #[error("command {number} failed for good")]
    Refused { number: usize, source: ProposeError },
}

/// Replicates all `operations` to `nodes`. Of those behind the last acknowledged one, any may
/// have been applied if this fails or is dropped.
pub(crate) async fn replicate(
    nodes: &mut Nodes,
    operations: &[Operation],
    plan: &Plan,
    progress: &Progress,
) -> Result<Replicated, Failure> {
    let started = Instant::now();
    let mut leader = nodes.leader().await?;
    let leader_before = leader.id();
    let mut run = Run::new(operations, plan, progress);
    while run.acknowledged < operations.len() {
        leader = nodes.leader().await?;
        run.attempt(&leader, nodes).await?;
    }
    Ok(Replicated {
        elapsed: run.last_answer.duration_since(started),
        latencies: run.latencies,
        leader_before: run.kill.as_ref().map_or(leader_before, |kill| kill.leader),
        leader_after: leader.id(),
        kill: run.kill,
        proposed_again: run.proposed_again,
    })
}

/// The state that outlives an attempt.
struct Run<'a> {
    operations: &'a [Operation],
    window: usize,
    /// `None` once it happened.
    kill_at: Option<usize>,
    progress: &'a Progress,
    /// The operations before this one are, in this attempt or for good in one before.
    acknowledged: usize,
    /// When each of those behind was proposed for the first time, as far as they were.
    first_proposed: VecDeque<Instant>,
    latencies: Vec<Duration>,
    last_answer: Instant,
    kill: Option<Kill>,
    proposed_again: usize,
}

impl<'a> Run<'a> {
    fn new(operations: &'a [Operation], plan: &Plan, progress: &'a Progress) -> Self {
        Self {
            operations,
            window: plan.window,
            kill_at: plan.kill_at,
            progress,
            acknowledged: 0,
            first_proposed: VecDeque::new(),
            latencies: Vec::with_capacity(operations.len()),
            last_answer: Instant::now(),
            kill: None,
            proposed_again: 0,
        }
    }

    /// Proposes to `leader` until all is acknowledged or something fails that may succeed
    /// elsewhere.
    async fn attempt(&mut self, leader: &RaftNode, nodes: &mut Nodes) -> Result<(), Failure> {
        let mut flight = Flight::default();
        let mut alive = true;
        loop {
            if alive {
                self.fill(&mut flight, leader);
            }
            if self.kill_at.is_some_and(|at| self.acknowledged >= at) {
                self.kill_at = None;
                self.progress.phase("leader killed, waiting for another");
                self.kill =
                    Some(Kill { leader: leader.id(), acknowledged: self.acknowledged, gap: None });
                nodes.kill(leader.id()).await;
                alive = false;
            }
            match flight.next().await {
                Some(Ok(_)) => self.acknowledge(alive),
                Some(Err(error)) if may_succeed_elsewhere(&error) => {
                    flight.drain().await;
                    self.give_up_if_stuck(error)?;
                    tokio::time::sleep(PAUSE).await;
                    return Ok(());
                }
                Some(Err(source)) => {
                    let number = self.acknowledged + 1;
                    return Err(ReplicateError::Refused { number, source }.into());
                }
                None => return Ok(()),
            }
        }
    }

    fn fill(&mut self, flight: &mut Flight, leader: &RaftNode) {
        let window = self.window;
        while let Some(operation) = self.operations.get(self.acknowledged + flight.len())
            && flight.has_room(window, operation)
        {
            if flight.len() < self.first_proposed.len() {
                self.proposed_again += 1;
            } else {
                self.first_proposed.push_back(Instant::now());
            }
            flight.propose(leader, operation);
        }
    }

    fn acknowledge(&mut self, by_living: bool) {
        let now = Instant::now();
        self.acknowledged += 1;
        self.progress.acknowledged(self.acknowledged);
        if let Some(proposed) = self.first_proposed.pop_front() {
            self.latencies.push(now.duration_since(proposed));
        }
        // What the dead leader had answered may be heard after its death. The gap comes then.
        if let Some(kill) = &mut self.kill
            && kill.gap.is_none()
            && by_living
        {
            kill.gap = Some(now.duration_since(self.last_answer));
            self.progress.phase("replicating");
        }
        self.last_answer = now;
    }

    fn give_up_if_stuck(&self, source: ProposeError) -> Result<(), ReplicateError> {
        match self.last_answer.elapsed() {
            waited if waited > PATIENCE => Err(ReplicateError::Stuck { waited, source }),
            _ => Ok(()),
        }
    }
}

/// Whether to go on with another leader. Whatever else fails would fail there too.
fn may_succeed_elsewhere(error: &ProposeError) -> bool {
    match error {
        ProposeError::NotLeader(_)
        | ProposeError::Deposed { .. }
        | ProposeError::NoQuorum { .. }
        | ProposeError::QuorumLost { .. }
        | ProposeError::QueueFull { .. }
        | ProposeError::DiskFull(_)
        | ProposeError::Stopped(_) => true,
        ProposeError::Limit(_) | ProposeError::Format { .. } | ProposeError::Unanswered { .. } => {
            false
        }
    }
}
