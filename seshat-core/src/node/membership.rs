//! Who belongs to the cluster, and changes of that, which [`Changes`](super::changes::Changes) makes.
//!
//! Guarantees: no node becomes a voter before it has what the leader's log had when that was asked for
//! (Raft dissertation, section 4.2.1). openraft's own wait is satisfied with a lag of so many entries,
//! which may be all that there are.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::{ChangeMembers, LogIdOptionExt, ServerState};
use tokio::time::Instant;

use super::RaftNode;
use super::changes::Change;
use super::retention::Attempt;
use super::running::running;
use crate::error::{MembershipError, NotLeader, Stopped};
use crate::storage::StateReader;
use crate::types::{Membership, Node, NodeId, RaftMetrics};

impl<R: StateReader> RaftNode<R> {
    /// Adds a node that receives the log but doesn't vote, and waits until it has what this node's log
    /// had when the call began: for as long as that takes while the node makes progress.
    ///
    /// Progress is an entry more that the node is known to have, or a snapshot that is on its way to it;
    /// if that fails, the next one doesn't count. Dropping the future ends the wait, and adds the node
    /// or doesn't.
    ///
    /// # Errors
    /// See [`MembershipError`]. A node that can't be reached, or takes nothing on for
    /// `propose_timeout`, is a `NotCaughtUp`; it is a learner all the same.
    pub async fn add_learner(
        &self,
        id: NodeId,
        address: impl Into<String>,
    ) -> Result<(), MembershipError> {
        let (expected, _) = self.to_catch_up(&BTreeSet::new()).await?;
        let node = Node { addr: address.into() };
        // Others answer that they don't lead.
        let admitted = match self.is_leader() && id != self.id() {
            true => Some(self.inner.formats.admit(id, &node).await?),
            false => None,
        };
        self.change(ChangeMembers::AddNodes([(id, node)].into()), true).await?;
        drop(admitted);
        Ok(self.caught_up(id, expected).await?)
    }

    /// Makes exactly `voters` the voters, through joint consensus. Each must be a learner or a
    /// voter already. Voters that are left out stay as learners if `retain`, and are removed
    /// otherwise. A leader that is left out hands leadership over.
    ///
    /// A learner among them is waited for first, as [`add_learner`](Self::add_learner) does. Then it is
    /// this change's turn: changes that are asked for at once are made one after the other. Where two
    /// callers each want one voter more or less, ask for that
    /// ([`add_voters`](Self::add_voters), [`remove_voters`](Self::remove_voters)): here the last one wins.
    ///
    /// Dropping the future before the change is proposed gives it up. Later, or when its time is over, it
    /// goes on to its end, and past this node's leadership: whoever leads ends a joint configuration.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn change_membership(
        &self,
        voters: BTreeSet<NodeId>,
        retain: bool,
    ) -> Result<(), MembershipError> {
        self.new_voters_caught_up(&voters).await?;
        self.change(ChangeMembers::ReplaceAllVoters(voters), retain).await
    }

    /// Makes voters of learners, whoever else votes when it is their turn. Who votes already stays one.
    /// Otherwise like [`change_membership`](Self::change_membership).
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn add_voters(&self, ids: BTreeSet<NodeId>) -> Result<(), MembershipError> {
        self.new_voters_caught_up(&ids).await?;
        self.change(ChangeMembers::AddVoterIds(ids), true).await
    }

    /// Takes the vote from those nodes, whoever else votes when it is their turn; they stay as learners if
    /// `retain`. Otherwise none of them is a member afterwards, also who was a learner before. Otherwise
    /// like [`change_membership`](Self::change_membership).
    ///
    /// # Errors
    /// See [`MembershipError`]. Somebody must be left to vote.
    pub async fn remove_voters(
        &self,
        ids: BTreeSet<NodeId>,
        retain: bool,
    ) -> Result<(), MembershipError> {
        self.change(ChangeMembers::RemoveVoters(ids), retain).await
    }

    /// Removes learners. Dropping the future removes them or doesn't.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn remove_learners(&self, ids: BTreeSet<NodeId>) -> Result<(), MembershipError> {
        self.change(ChangeMembers::RemoveNodes(ids), false).await
    }

    /// Refuses a learner that can't read what it would be sent as a voter.
    async fn admit(&self, id: NodeId) -> Result<(), MembershipError> {
        let metrics = self.metrics();
        let node = metrics.borrow().membership_config.membership().get_node(&id).cloned();
        if let Some(node) = node {
            drop(self.inner.formats.admit(id, &node).await?);
        }
        Ok(())
    }

    async fn change(
        &self,
        members: ChangeMembers<NodeId, Node>,
        retain: bool,
    ) -> Result<(), MembershipError> {
        let timeout = self.inner.config.propose_timeout();
        self.inner.changes.make(Change { members, retain }, timeout).await
    }

    /// Waits until those of `voters` that are learners are caught up.
    async fn new_voters_caught_up(&self, voters: &BTreeSet<NodeId>) -> Result<(), MembershipError> {
        let (expected, new) = self.to_catch_up(voters).await?;
        for id in new {
            self.admit(id).await?;
            self.caught_up(id, expected).await?;
        }
        Ok(())
    }

    /// What a node must have to be caught up, and which of `voters` are learners. Metrics lag: they may
    /// lack an entry that was acknowledged, or a learner that was added. openraft keeps to itself where
    /// its log ends, so what isn't committed yet counts as far as they say.
    async fn to_catch_up(
        &self,
        voters: &BTreeSet<NodeId>,
    ) -> Result<(Option<u64>, Vec<NodeId>), MembershipError> {
        self.inner.changes.leadership().await??;
        let reported = self.metrics().borrow().last_log_index;
        let voters = voters.clone();
        let state = self.inner.raft.with_raft_state(move |state| {
            let membership = state.membership_state.effective().membership();
            (state.committed.index(), new_voters(&voters, membership))
        });
        let (committed, new) = state.await.map_err(Stopped::from)?;
        Ok((committed.max(reported), new))
    }

    /// Waits until `id` has the log up to `expected`.
    pub(super) async fn caught_up(
        &self,
        id: NodeId,
        expected: Option<u64>,
    ) -> Result<(), NotCaughtUp> {
        let Some(expected) = expected.filter(|_| id != self.id()) else { return Ok(()) };
        let timeout = self.inner.config.propose_timeout();
        let mut progress = Progress::new(Instant::now());
        let mut metrics = self.metrics();
        loop {
            {
                let now = running(&mut metrics)?;
                if now.state != ServerState::Leader {
                    return Err(NotLeader::of(&now).into());
                }
                let got = matched(id, &now);
                if got >= Some(expected) {
                    return Ok(());
                }
                let transfer = self.inner.retention.under_way(id);
                let waited = progress.none_for(got, transfer, Instant::now());
                if waited >= timeout {
                    return Err(NotCaughtUp::Behind { node_id: id, got, expected, waited });
                }
            }
            // A transfer's end shows nowhere else.
            tokio::select! {
                // If nobody reports any more, `running` says why.
                _ = metrics.changed() => {}
                () = tokio::time::sleep(self.inner.config.heartbeat_interval()) => {}
            }
        }
    }
}

/// Why a node isn't known to have caught up.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCaughtUp {
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    #[error("node {node_id} is not caught up")]
    Behind { node_id: NodeId, got: Option<u64>, expected: u64, waited: Duration },
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<NotCaughtUp> for MembershipError {
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

/// Learners that are to be voters. None if a node is to be that was never added, which openraft refuses.
fn new_voters(voters: &BTreeSet<NodeId>, membership: &Membership) -> Vec<NodeId> {
    if voters.iter().any(|id| membership.get_node(id).is_none()) {
        return Vec::new();
    }
    let present: BTreeSet<NodeId> = membership.voter_ids().collect();
    voters.difference(&present).copied().collect()
}

/// Up to where the log of `id` is known to equal the leader's.
fn matched(id: NodeId, now: &RaftMetrics) -> Option<u64> {
    let matched = now.replication.as_ref()?.get(&id)?;
    matched.map(|last| last.index)
}

/// Whether a node that is waited for moves.
#[derive(Debug)]
struct Progress {
    matched: Option<u64>,
    /// The first since `matched`.
    transfer: Option<Attempt>,
    since: Instant,
}

impl Progress {
    fn new(now: Instant) -> Self {
        Self { matched: None, transfer: None, since: now }
    }

    /// For how long there was none, with what is known of the node now.
    fn none_for(
        &mut self,
        matched: Option<u64>,
        transfer: Option<Attempt>,
        now: Instant,
    ) -> Duration {
        if matched != self.matched {
            *self = Self { matched, transfer: None, since: now };
        }
        if let Some(transfer) = transfer
            && *self.transfer.get_or_insert(transfer) == transfer
        {
            self.since = now;
        }
        now.saturating_duration_since(self.since)
    }
}
