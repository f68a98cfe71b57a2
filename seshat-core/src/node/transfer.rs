//! Leadership goes to a node that was named, while the old leader stays.
//!
//! Guarantees:
//! - Until the node that was named has the whole log and says so, nothing changes: whatever fails before that
//!   leaves leadership where it is, and proposals are taken again.
//! - While the log stands still, between the last proposal that is let in and the new leader's first word, each
//!   proposal is refused as certainly not proposed. What was let in before is answered.
//! - What has begun goes on to its end in a task of the node's, whoever waits for it. No change of the
//!   membership is made meanwhile.
//! - If it fails after the old leader has given its vote away, that one campaigns before any other voter would; no
//!   voter that was asked has a lease then.
//!
//! How leadership changes hands is told in [`handover`](super::handover).

use std::time::Duration;

use openraft::error::{CheckIsLeaderError, RaftError};
use openraft::{LogIdOptionExt, ServerState};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::RaftNode;
use super::handover::{hand_over, leads_by};
use super::membership::NotCaughtUp;
use crate::error::{HandoverError, NotLeader, Stopped, TransferError};
use crate::storage::StateReader;
use crate::types::{NodeId, Vote};

impl<R: StateReader> RaftNode<R> {
    /// Makes the voter `to` the leader, and goes on as a follower. `Ok` says that this node follows it, or, where
    /// it is `to` itself, that it leads already.
    ///
    /// First `to` is waited for as [`add_learner`](Self::add_learner) waits for a learner, while proposals are taken
    /// as ever: as long as it makes progress, and `propose_timeout` without. Then proposals are refused as
    /// [`NotLeader`] without a leader, which says that they weren't proposed and may be
    /// soon, here or elsewhere; that lasts a few round trips, and both election timeouts at most.
    ///
    /// One transfer, or change of the membership, at a time. Dropping the future changes nothing once it is this
    /// transfer's turn: it goes on to its end.
    ///
    /// # Errors
    /// See [`TransferError`]: but for [`NotConfirmed`](TransferError::NotConfirmed) this node leads as before, or
    /// didn't lead.
    pub async fn transfer_leadership(&self, to: NodeId) -> Result<(), TransferError> {
        let patience = self.inner.config.propose_timeout();
        let turn = tokio::time::timeout(patience, self.inner.changes.turn()).await;
        let turn = turn.map_err(|_| TransferError::Busy { waited: patience })??;
        let node = self.clone();
        let transfer = self.inner.runtime.spawn(async move { node.transfer(to, turn).await });
        // The task is gone with its runtime, as is the core.
        transfer.await.unwrap_or(Err(Stopped::ShutDown.into()))
    }

    async fn transfer(&self, to: NodeId, turn: OwnedSemaphorePermit) -> Result<(), TransferError> {
        let (node_id, started) = (self.id(), Instant::now());
        let transferred = self.transfer_to(to).await;
        drop(turn);
        match &transferred {
            Ok(()) if to == node_id => {}
            Ok(()) => {
                let elapsed_ms = started.elapsed().as_millis() as u64;
                tracing::info!(node_id, to, elapsed_ms, "leadership transferred");
            }
            Err(error) => tracing::warn!(node_id, to, %error, "leadership not transferred"),
        }
        transferred
    }

    async fn transfer_to(&self, to: NodeId) -> Result<(), TransferError> {
        let inner = &*self.inner;
        let vote = inner.changes.leadership().await??;
        if to == self.id() {
            return Ok(());
        }
        let expected = self.check_voter(to).await?;
        self.caught_up(to, expected).await?;

        let timeout = inner.config.election_timeout_max();
        let no_quorum = || TransferError::NoQuorum { waited: timeout };
        // Without one nobody could take over, and this node would lead no more.
        let confirmed = tokio::time::timeout(timeout, inner.reads.confirm()).await;
        confirmed.map_err(|_| no_quorum())?.map_err(|error| match error {
            RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)) => {
                NotLeader::from(forward).into()
            }
            RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => no_quorum(),
            RaftError::Fatal(fatal) => Stopped::from(fatal).into(),
        })?;
        let (_paused, answered) = inner.batcher.pause();
        tokio::time::timeout(timeout, answered).await.map_err(|_| no_quorum())?;
        // Before any other voter stands for election.
        let timeout = inner.config.election_timeout_min();
        match hand_over(&inner.raft, &*inner.peers, Some(to), timeout).await {
            Ok(_) => Ok(()),
            Err(HandoverError::Stopped) => Err(Stopped::ShutDown.into()),
            Err(_) => self.after_failure(to, vote, timeout).await,
        }
    }

    /// Where the log ends that `to` has to have, if it may lead: a learner, or who is no member, can't.
    async fn check_voter(&self, to: NodeId) -> Result<Option<u64>, TransferError> {
        let reported = self.inner.raft.metrics().borrow().last_log_index;
        let state = self.inner.raft.with_raft_state(|state| {
            let membership = state.membership_state.effective().membership();
            (state.committed.index(), membership.voter_ids().collect::<Vec<NodeId>>())
        });
        let (committed, voters) = state.await.map_err(Stopped::from)?;
        match voters.contains(&to) {
            true => Ok(committed.max(reported)),
            false => Err(TransferError::NotAVoter { node_id: to, voters }),
        }
    }

    /// Who leads, after the handover of what this node led by `before` to `to` has failed; takes leadership back if
    /// it was given away.
    async fn after_failure(
        &self,
        to: NodeId,
        before: Vote,
        waited: Duration,
    ) -> Result<(), TransferError> {
        let state = self.inner.raft.with_raft_state(|state| {
            (*state.vote_ref(), state.server_state == ServerState::Leader)
        });
        let (vote, leads) = state.await.map_err(Stopped::from)?;
        if leads && vote == before {
            return Err(TransferError::NotTaken { node_id: to, waited });
        }
        if leads_by(&vote, to) {
            // Its word came too late to be waited for.
            return Ok(());
        }
        if vote == Vote::new(before.leader_id.term.saturating_add(1), to) {
            self.trigger_election().await?;
        }
        Err(TransferError::NotConfirmed { node_id: to, waited })
    }
}

impl From<NotCaughtUp> for TransferError {
    fn from(error: NotCaughtUp) -> Self {
        match error {
            NotCaughtUp::NotLeader(error) => error.into(),
            NotCaughtUp::Behind { node_id, got, expected, waited } => {
                Self::NotCaughtUp { node_id, got, expected, waited }
            }
            NotCaughtUp::Stopped(error) => error.into(),
        }
    }
}
