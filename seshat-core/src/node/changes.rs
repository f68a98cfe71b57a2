//! [`Changes`]: changes of the membership, one after the other, each to its end.
//!
//! A change of voters takes two entries (Raft paper, section 6): the joint configuration of the old and
//! the new voters, and, when that is committed, the new ones alone. openraft proposes both in the future
//! of whoever asks for it, and refuses a change while the entry of another isn't committed.
//!
//! Guarantees:
//! - What is proposed goes on to its end in a task of the node's, whoever waits for it. Before that, who
//!   gives up has changed nothing.
//! - One change at a time, first come, first served, made of what the one before left: none is lost,
//!   none is refused because of another.
//! - A joint configuration that nobody ends, of a former leader's or of a caller's of openraft itself, is
//!   ended by who leads: forwards, as only the new voters lead out of it once it is committed. It doesn't
//!   tell whether the others were to be retained: they are, as learners.
//! - A leader that loses its own vote hands leadership over at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, ServerState};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::handover::{Peers, hand_over, leads_by};
use super::intake::Intake;
use super::running::running;
use crate::config::NodeConfig;
use crate::error::{MembershipError, NotLeader, Stopped};
use crate::types::{Membership, Node, NodeId, Raft, Vote};

/// What openraft is asked for.
type Members = ChangeMembers<NodeId, Node>;

/// What is to be changed.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) members: Members,
    /// Whether voters that are left out stay as learners.
    pub(super) retain: bool,
}

/// See the [module](self). Holds nothing that keeps the node from being dropped.
pub(super) struct Changes {
    node_id: NodeId,
    raft: Raft,
    peers: Arc<dyn Peers>,
    intake: Intake,
    /// How long a handover may take, and the answer to what a deposed leader proposed.
    patience: Duration,
    /// For how long a joint configuration is left to whoever made it, and before each attempt to end it.
    pause: Duration,
    /// One permit: the turn to change something.
    turn: Arc<Semaphore>,
    /// Whether this leader is about to lose its vote. What was proposed now would be in its successor's
    /// way.
    leaving: AtomicBool,
}

impl Changes {
    pub(super) fn new(
        config: &NodeConfig,
        raft: Raft,
        peers: Arc<dyn Peers>,
        intake: Intake,
    ) -> Self {
        Self {
            node_id: config.node_id(),
            raft,
            peers,
            intake,
            patience: config.election_timeout_max(),
            pause: config.heartbeat_interval(),
            turn: Arc::new(Semaphore::new(1)),
            leaving: AtomicBool::new(false),
        }
    }

    /// Whether nothing is to be proposed here, as this leader is about to lose its vote.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Makes a change when it is its turn, and waits for its end; for both together at most `timeout`.
    /// Dropped before its turn, it changes nothing; later, it goes on.
    pub(super) async fn make(
        self: &Arc<Self>,
        change: Change,
        timeout: Duration,
    ) -> Result<(), MembershipError> {
        let deadline = Instant::now() + timeout;
        let turn = tokio::time::timeout_at(deadline, self.turn()).await;
        let turn = turn.map_err(|_| MembershipError::Busy { waited: timeout })??;
        let (end, ended) = oneshot::channel();
        let changes = Arc::clone(self);
        tokio::spawn(async move { changes.run(turn, Some(change), end).await });
        match tokio::time::timeout_at(deadline, ended).await {
            Ok(Ok(end)) => end,
            // The task is gone with its runtime, as is the core.
            Ok(Err(_)) => Err(Stopped::ShutDown.into()),
            Err(_) => Err(MembershipError::NoQuorum { waited: timeout }),
        }
    }

    /// The turn to change something; while it is held, nobody else does.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, Stopped> {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        turn.map_err(|_| Stopped::ShutDown)
    }

    /// Ends joint configurations that nobody ends, until the node stops. Looks at what changes with
    /// leaders and members only.
    pub(super) async fn end_those_left(self: Arc<Self>) {
        let mut server = self.raft.server_metrics();
        loop {
            let left = server.wait_for(|now| {
                now.state == ServerState::Leader && is_joint(now.membership_config.membership())
            });
            if left.await.is_err() {
                return;
            }
            // A caller of openraft itself may be about to end it. Whoever makes a change here does, in its
            // turn.
            tokio::time::sleep(self.pause).await;
            let Ok(turn) = self.turn().await else { return };
            let (end, ended) = oneshot::channel();
            self.run(turn, None, end).await;
            if let Ok(Err(error)) = ended.await {
                tracing::warn!(node_id = self.node_id, %error, "still joint");
            }
        }
    }

    /// Waits, at most for `timeout`, until the changes that were asked for have ended; there are no more
    /// from then on.
    pub(super) async fn finish(&self, timeout: Duration) {
        let ended = tokio::time::timeout(timeout, self.turn.acquire()).await;
        tracing::debug!(ended = ended.is_ok(), "changes of the membership ended");
        self.close();
    }

    /// Refuses changes from now on.
    pub(super) fn close(&self) {
        self.turn.close();
    }

    async fn run(
        &self,
        turn: OwnedSemaphorePermit,
        change: Option<Change>,
        end: oneshot::Sender<Result<(), MembershipError>>,
    ) {
        let vote = match self.leadership().await {
            Ok(Ok(vote)) => vote,
            // Whoever dropped the future doesn't hear it, here and below.
            Ok(Err(not_leader)) => return drop(end.send(Err(not_leader.into()))),
            Err(stopped) => return drop(end.send(Err(stopped.into()))),
        };
        let _leaving = Leaving(&self.leaving);
        let changed = tokio::select! {
            biased;
            changed = self.change(change) => changed,
            deposed = self.deposed(vote) => Err(deposed),
        };
        let _ = end.send(changed);
        self.yield_leadership().await;
        drop(turn);
    }

    /// Ends what is joint, then makes the change.
    async fn change(&self, change: Option<Change>) -> Result<(), MembershipError> {
        let membership = self.settled().await?;
        if is_joint(&membership) {
            tracing::info!(node_id = self.node_id, %membership, "ends a joint configuration");
            // No voter more: only the way out of the joint configuration is left.
            let members = ChangeMembers::AddVoterIds(BTreeSet::new());
            self.propose(&membership, Change { members, retain: true }).await?;
        }
        let Some(change) = change else { return Ok(()) };
        let removed = match &change {
            Change { members: ChangeMembers::RemoveVoters(ids), retain: false } => ids.clone(),
            _ => BTreeSet::new(),
        };
        self.propose(&self.settled().await?, change).await?;
        // Who was a learner already, by an attempt before.
        let membership = self.settled().await?;
        let left: BTreeSet<NodeId> =
            removed.into_iter().filter(|id| membership.get_node(id).is_some()).collect();
        if !left.is_empty() {
            let members = ChangeMembers::RemoveNodes(left);
            self.propose(&membership, Change { members, retain: false }).await?;
        }
        Ok(())
    }

    async fn propose(
        &self,
        membership: &Membership,
        Change { members, retain }: Change,
    ) -> Result<(), MembershipError> {
        if let Some(full) = self.intake.refusal() {
            return Err(full.into());
        }
        if takes_vote(&members, membership, self.node_id) {
            self.leaving.store(true, Ordering::Relaxed);
        }
        match self.raft.change_membership(members, retain).await {
            Ok(_) => Ok(()),
            // Refused or overwritten; openraft doesn't say which.
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(MembershipError::Deposed { leader: NotLeader::from(forward).leader })
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
                Err(error.into())
            }
            Err(RaftError::Fatal(fatal)) => Err(Stopped::from(fatal).into()),
        }
    }

    /// The vote by which this node leads.
    pub(super) async fn leadership(&self) -> Result<Result<Vote, NotLeader>, Stopped> {
        let vote = self.raft.with_raft_state(|state| {
            (state.server_state == ServerState::Leader).then(|| *state.vote_ref())
        });
        let not_leader = || NotLeader::of(&self.raft.metrics().borrow());
        Ok(vote.await?.ok_or_else(not_leader))
    }

    /// The membership, once it is committed.
    async fn settled(&self) -> Result<Membership, Stopped> {
        let mut metrics = self.raft.metrics();
        loop {
            // Whatever is committed later is applied after this.
            let applied = running(&mut metrics)?.last_applied;
            let settled = self.raft.with_raft_state(|state| {
                let memberships = &state.membership_state;
                let effective = memberships.effective();
                (effective.log_id() == memberships.committed().log_id())
                    .then(|| effective.membership().clone())
            });
            if let Some(membership) = settled.await? {
                return Ok(membership);
            }
            // Not for any report: the question above makes one. If nobody reports any more, `running`
            // says why.
            let _ = metrics.wait_for(|now| now.last_applied != applied).await;
        }
    }

    /// Ends when this node doesn't lead by `vote` any more, and an answer to what it proposed would have
    /// come. openraft gives none to an entry that a snapshot covers.
    async fn deposed(&self, vote: Vote) -> MembershipError {
        let mut server = self.raft.server_metrics();
        if server.wait_for(|now| now.vote.leader_id > vote.leader_id).await.is_err() {
            // The core is gone, which the change hears as well.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.patience).await;
        let leader = NotLeader::of(&self.raft.metrics().borrow()).leader;
        MembershipError::Deposed { leader }
    }

    /// Hands leadership over if this node leads without a vote. openraft would let go of it in silence,
    /// or keep it where the node is a learner.
    async fn yield_leadership(&self) {
        let me = self.node_id;
        let without_vote = self.raft.with_raft_state(move |state| {
            let (vote, memberships) = (state.vote_ref(), &state.membership_state);
            let effective = memberships.effective();
            leads_by(vote, me)
                && effective.log_id() == memberships.committed().log_id()
                && !effective.membership().voter_ids().any(|id| id == me)
        });
        if !without_vote.await.is_ok_and(|it| it) {
            return;
        }
        match hand_over(&self.raft, &*self.peers, None, self.patience).await {
            Ok(successor) => {
                tracing::info!(
                    node_id = me,
                    successor,
                    "no voter any more: leadership handed over"
                );
            }
            Err(error) => {
                tracing::warn!(node_id = me, %error, "no voter any more, leadership not handed over");
            }
        }
    }
}

/// While a change is made, proposals may be refused; not longer.
struct Leaving<'a>(&'a AtomicBool);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn is_joint(membership: &Membership) -> bool {
    membership.get_joint_config().len() > 1
}

/// Whether `id` votes in `membership` and won't when `members` is done.
fn takes_vote(members: &Members, membership: &Membership, id: NodeId) -> bool {
    let votes = membership.voter_ids().any(|voter| voter == id);
    votes
        && match members {
            ChangeMembers::ReplaceAllVoters(voters) => !voters.contains(&id),
            ChangeMembers::RemoveVoters(voters) => voters.contains(&id),
            // What is added is added to the last of the configurations.
            _ => !membership.get_joint_config().last().is_some_and(|last| last.contains(&id)),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_vote_a_change_takes() {
        let set = |ids: &[NodeId]| ids.iter().copied().collect::<BTreeSet<_>>();
        let uniform = Membership::new(vec![set(&[1, 2])], set(&[3]));
        let joint = Membership::new(vec![set(&[1, 2]), set(&[2, 3])], ());
        let more = |ids| ChangeMembers::AddVoterIds(set(ids));
        let less = |ids| ChangeMembers::RemoveVoters(set(ids));
        let only = |ids| ChangeMembers::ReplaceAllVoters(set(ids));
        for (members, membership, id, expected) in [
            (more(&[3]), &uniform, 1, false),
            (more(&[]), &joint, 1, true),
            (more(&[]), &joint, 2, false),
            (less(&[1]), &uniform, 1, true),
            (less(&[1]), &uniform, 2, false),
            (less(&[3]), &uniform, 3, false),
            (only(&[2, 3]), &uniform, 1, true),
            (only(&[2, 3]), &uniform, 2, false),
            (ChangeMembers::RemoveNodes(set(&[3])), &uniform, 1, false),
        ] {
            assert_eq!(takes_vote(&members, membership, id), expected, "{members:?}: {id}");
        }
    }
}
