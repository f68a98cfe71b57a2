//! [`Reads`]: who asks whether this node leads shares the answer with those who ask meanwhile.
//!
//! A leader may answer a read if, after the read came, a quorum confirmed that it still leads (Raft
//! dissertation, section 6.4). Each such round is a heartbeat to every voter. Here:
//!
//! - A round answers who came before it began, and nobody else. Who comes while one is under way waits
//!   for the next, with all who do.
//! - One is under way at a time, and one more is waited for, however many ask.
//! - Who finds none under way begins one at once, in its own task: nothing comes between.
//!
//! A node that led when it stopped, and starts from what it stored, leads again at once, under the same vote.
//! What it had acknowledged is in its log, and openraft takes for committed what was stored as that, which may
//! be less: it rides along with what is written next, and a power cut takes it. So such a node answers once
//! it has applied what its log had at its start.
//!
//! To drop the future of who leads a round gives the round up, and one of those who waited for it leads
//! another; who waits and is dropped is in nobody's way.

mod levels;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::error::{CheckIsLeaderError, Fatal, RaftError};
use openraft::storage::RaftLogStorage;
use tokio::sync::oneshot;

pub use self::levels::{Behind, ReadLevel};
use super::RaftNode;
use super::running::running;
use crate::error::ReadError;
use crate::metrics;
use crate::operation::Batch;
use crate::storage::StateReader;
use crate::types::{LogId, Node, NodeId, Raft, StorageError, TypeConfig};

/// Why a round confirmed nothing.
pub(crate) type Unconfirmed = RaftError<NodeId, CheckIsLeaderError<NodeId, Node>>;

/// The rounds of one node. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Reads {
    raft: Raft,
    rounds: Rounds<Result<(), Unconfirmed>>,
    meters: Arc<metrics::Reads>,
    /// What must be applied before any answer. A later leader's entries are greater.
    floor: Option<LogId>,
}

impl Reads {
    /// The rounds of a node that starts.
    pub(super) fn new(raft: Raft, led: Option<Led>) -> Self {
        let meters = Arc::new(metrics::Reads::new());
        Self { raft, rounds: Rounds::default(), meters, floor: led.map(|led| led.floor) }
    }

    /// Confirms that this node leads, and that all is applied here that was committed when it was asked.
    /// Shares a round that begins later than the call does.
    ///
    /// # Errors
    /// As [`Raft::ensure_linearizable`].
    pub(crate) async fn confirm(&self) -> Result<(), Unconfirmed> {
        let round = async || {
            let round = self.meters.begins();
            let end = self.raft.ensure_linearizable().await.map(drop);
            match &end {
                Ok(()) => round.confirms(),
                Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_))) => {
                    round.elsewhere()
                }
                Err(_) => drop(round),
            }
            end
        };
        // A round ends by its leader's hand, so nobody is left without an answer.
        self.rounds.join(round).await.unwrap_or(Err(Fatal::Stopped.into()))?;
        let Some(floor) = self.floor else { return Ok(()) };
        let mut reports = self.raft.metrics();
        let reached = reports.wait_for(|now| now.last_applied >= Some(floor)).await;
        reached.map(drop).map_err(|_| Fatal::Stopped.into())
    }

    /// Whether this node leads, as far as it knows, and has applied all that was acknowledged before it did.
    fn leads(&self) -> bool {
        let mut reports = self.raft.metrics();
        let Ok(now) = running(&mut reports) else { return false };
        let of_its_term =
            |last: &LogId| last.leader_id.term == now.current_term && Some(*last) >= self.floor;
        now.state.is_leader() && now.last_applied.as_ref().is_some_and(of_its_term)
    }
}

/// What a node that led when it stopped has to do with its log when it leads again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Led {
    /// The end of its log, which must be applied before it answers.
    floor: LogId,
    /// It stopped between its election and the first entry of its term. Such a leader commits nothing (Raft
    /// paper, section 5.4.2), and openraft appends no such entry again.
    mute: bool,
}

impl Led {
    /// `None` where a node that is about to start didn't lead.
    pub(super) async fn read(
        node_id: NodeId,
        log: &mut impl RaftLogStorage<TypeConfig>,
    ) -> Result<Option<Self>, StorageError> {
        let led = log.read_vote().await?;
        let led = led.filter(|vote| vote.committed && vote.leader_id.node_id == node_id);
        let last = log.get_log_state().await?.last_log_id;
        Ok(led
            .zip(last)
            .map(|(vote, floor)| Self { floor, mute: floor.leader_id != vote.leader_id }))
    }

    /// Appends the entry that is missing, if one is. A node that doesn't lead any more has no use for it.
    pub(super) async fn speak(self, raft: &Raft) {
        if self.mute {
            tracing::info!(last = %self.floor, "leads again, and begins its term");
            // Whoever needs to know that the node stopped is told so elsewhere.
            let _ = raft.client_write_ff(Batch::empty()).await;
        }
    }
}

impl<R: StateReader> RaftNode<R> {
    /// The value of `key` after everything that was acknowledged before the call (Raft
    /// dissertation, section 6.4: the leader confirms with a quorum that it still leads). Reads that come
    /// while others wait share one round of confirmation.
    ///
    /// Dropping the future gives the read up, and no other.
    ///
    /// # Errors
    /// This node doesn't lead, or no quorum confirmed it within `propose_timeout`.
    pub async fn read_linearizable(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.await_level(ReadLevel::Linearizable).await?;
        self.read(key).await
    }
}

/// Rounds that end with a `T`. Clones are the same ones.
struct Rounds<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    /// Whether somebody leads a round, or is about to.
    led: bool,
    /// Those whom the next round answers, in the order in which they came.
    waiting: Vec<oneshot::Sender<Word<T>>>,
}

/// What one who waits is told.
enum Word<T> {
    /// The round that it waited for ended so.
    Ended(T),
    /// It leads that round.
    Lead(Lead<T>),
}

/// The right to lead a round, which is passed on when it is dropped.
struct Lead<T> {
    rounds: Rounds<T>,
    /// Those whom the round under way answers, beside who leads it.
    answers: Vec<oneshot::Sender<Word<T>>>,
}

impl<T> Clone for Rounds<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { led: false, waiting: Vec::new() })))
    }
}

impl<T: Clone> Rounds<T> {
    /// How a round ended that began after the call. `round` is begun by who leads it. `None` can't be.
    async fn join(&self, round: impl AsyncFnOnce() -> T) -> Option<T> {
        let mut lead = match self.come() {
            Ok(lead) => lead,
            Err(word) => match word.await.ok()? {
                Word::Ended(end) => return Some(end),
                Word::Lead(lead) => lead,
            },
        };
        // Who came since the right was passed on came before the round begins.
        lead.answers = std::mem::take(&mut self.lock().waiting);
        let end = round().await;
        for waits in lead.answers.drain(..) {
            // Some have gone.
            let _ = waits.send(Word::Ended(end.clone()));
        }
        Some(end)
    }
}

impl<T> Rounds<T> {
    /// The right to lead a round if nobody has it, else a place among those who wait for the next.
    fn come(&self) -> Result<Lead<T>, oneshot::Receiver<Word<T>>> {
        let mut state = self.lock();
        if state.led {
            let (waits, word) = oneshot::channel();
            state.waiting.push(waits);
            return Err(word);
        }
        state.led = true;
        drop(state);
        Ok(Lead { rounds: self.clone(), answers: Vec::new() })
    }

    // Every change under the lock is a single one.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        let mut state = self.rounds.lock();
        // Those whom a round that was given up didn't answer came before the others.
        let came = std::mem::take(&mut self.answers);
        state.waiting.splice(..0, came);
        state.waiting.retain(|waits| !waits.is_closed());
        if state.waiting.is_empty() {
            state.led = false;
            return;
        }
        let next = state.waiting.remove(0);
        drop(state);
        let lead = Lead { rounds: self.rounds.clone(), answers: Vec::new() };
        // Who has gone in this instant drops it, and with it passes it on.
        let _ = next.send(Word::Lead(lead));
    }
}

#[cfg(test)]
mod tests;
