//! A leader that leaves hands over to the most up-to-date voter.
//!
//! openraft 0.9 has no call for it, and a follower can't just be told to campaign: voters refuse
//! a candidate until the leader's lease (the maximal election timeout) has run out. What its
//! rules do allow is that one node campaigns on behalf of another. A vote is a promise to follow
//! `(term, node)`; any AppendEntries with a greater vote makes its receiver store that vote, and
//! a vote that isn't committed has no lease. And a node that receives a *committed* vote for
//! itself leads from then on.
//!
//! So the leader L, in term T, with a successor S:
//!
//! 1. waits until S has L's whole log, while L takes no more proposals;
//! 2. sends itself an empty AppendEntries with the vote `(T+1, S)`, which ends its leadership and
//!    lease, then an ordinary request for that vote with S's last log id. It grants it only if
//!    its own log is no longer than S's (Raft paper, section 5.4.1), so if that moved, all ends;
//! 3. does the same to the other voters;
//! 4. once a quorum has granted it, counting L and S, sends S the committed vote.
//!
//! Safe, because S leads only with a log that a quorum has checked and a vote that a quorum has
//! stored. Quick: two round trips instead of a lease and an election timeout. If it fails on the
//! way, the voters elect somebody after an election timeout, as if L had just stopped.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openraft::ServerState;
use openraft::error::{RPCError, RaftError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::HandoverError;
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, LogId, Membership, Node, NodeId, Raft, TypeConfig,
    Vote, VoteRequest, VoteResponse,
};

type Answer<T> = Result<T, RPCError<NodeId, Node, RaftError<NodeId>>>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Any transport, its type forgotten: what a node needs of it for itself.
pub(super) trait Peers: Send + Sync {
    fn append(
        &self,
        to: (NodeId, Node),
        rpc: AppendEntriesRequest,
        option: RPCOption,
    ) -> BoxFuture<Answer<AppendEntriesResponse>>;
    fn vote(
        &self,
        to: (NodeId, Node),
        rpc: VoteRequest,
        option: RPCOption,
    ) -> BoxFuture<Answer<VoteResponse>>;
}

impl<N: RaftNetworkFactory<TypeConfig> + Clone> Peers for N {
    fn append(
        &self,
        to: (NodeId, Node),
        rpc: AppendEntriesRequest,
        option: RPCOption,
    ) -> BoxFuture<Answer<AppendEntriesResponse>> {
        let mut network = self.clone();
        Box::pin(
            async move { network.new_client(to.0, &to.1).await.append_entries(rpc, option).await },
        )
    }

    fn vote(
        &self,
        to: (NodeId, Node),
        rpc: VoteRequest,
        option: RPCOption,
    ) -> BoxFuture<Answer<VoteResponse>> {
        let mut network = self.clone();
        Box::pin(async move { network.new_client(to.0, &to.1).await.vote(rpc, option).await })
    }
}

/// An AppendEntries that only carries a vote.
fn only_vote(vote: Vote) -> AppendEntriesRequest {
    AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None }
}

/// Who is to take over, and what makes it so.
struct Succession {
    successor: (NodeId, Node),
    last_log_id: Option<LogId>,
    vote: Vote,
    membership: Membership,
}

/// Hands over within `timeout`. `Ok(None)` if the node doesn't lead, `Ok(Some(successor))` once
/// the successor has taken over.
pub(super) async fn hand_over(
    raft: &Raft,
    peers: &dyn Peers,
    timeout: Duration,
) -> Result<Option<NodeId>, HandoverError> {
    if raft.metrics().borrow().state != ServerState::Leader {
        return Ok(None);
    }
    let deadline = Instant::now() + timeout;
    let plan = choose(raft, deadline, timeout).await?;
    let successor = plan.successor.0;
    let not_confirmed = HandoverError::NotConfirmed { successor, waited: timeout };
    step_down(raft, &plan).await?;
    match tokio::time::timeout_at(deadline, establish(raft, peers, &plan, timeout)).await {
        Ok(true) => Ok(Some(successor)),
        Ok(false) | Err(_) => Err(not_confirmed),
    }
}

/// Step 1: the voter that has most of the log, once it has all of it.
async fn choose(
    raft: &Raft,
    deadline: Instant,
    timeout: Duration,
) -> Result<Succession, HandoverError> {
    let mut metrics = raft.metrics();
    let caught_up = async {
        loop {
            let found = succession(&metrics.borrow_and_update())?;
            if let Some(plan) = found {
                return Ok(plan);
            }
            metrics.changed().await.map_err(|_| HandoverError::Stopped)?;
        }
    };
    let late = HandoverError::NoneCaughtUp { waited: timeout };
    tokio::time::timeout_at(deadline, caught_up).await.unwrap_or(Err(late))
}

/// `None` if no other voter has the whole log yet.
fn succession(metrics: &crate::types::RaftMetrics) -> Result<Option<Succession>, HandoverError> {
    let Some(replication) = &metrics.replication else { return Err(HandoverError::LogMoved) };
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
    let best = replication
        .iter()
        .filter(|(id, _)| **id != metrics.id && voters.contains(id))
        .max_by_key(|(_, matching)| **matching);
    let (&successor, &matching) = best.ok_or(HandoverError::Alone)?;
    if matching.map(|id| id.index) != metrics.last_log_index {
        return Ok(None);
    }
    let node = membership.get_node(&successor).cloned().unwrap_or_default();
    Ok(Some(Succession {
        successor: (successor, node),
        last_log_id: matching,
        vote: Vote::new(metrics.current_term.saturating_add(1), successor),
        membership: membership.clone(),
    }))
}

/// Step 2: this node grants the successor's vote, unless its log went on.
async fn step_down(raft: &Raft, plan: &Succession) -> Result<(), HandoverError> {
    let released = raft.append_entries(only_vote(plan.vote)).await;
    released.map_err(|_| HandoverError::Stopped)?;
    let request = VoteRequest::new(plan.vote, plan.last_log_id);
    let answer = raft.vote(request).await.map_err(|_| HandoverError::Stopped)?;
    if answer.vote_granted && answer.vote == plan.vote {
        Ok(())
    } else {
        Err(HandoverError::LogMoved)
    }
}

/// Steps 3 and 4. Whether the successor leads.
async fn establish(raft: &Raft, peers: &dyn Peers, plan: &Succession, timeout: Duration) -> bool {
    let option = || RPCOption::new(timeout);
    let me = raft.metrics().borrow().id;
    let mut granted = BTreeSet::from([me, plan.successor.0]);

    let mut asked = JoinSet::new();
    for (id, node) in plan.membership.nodes() {
        let is_voter = plan.membership.get_joint_config().iter().any(|set| set.contains(id));
        if is_voter && !granted.contains(id) {
            let to = (*id, node.clone());
            let end_lease = peers.append(to.clone(), only_vote(plan.vote), option());
            let request = VoteRequest::new(plan.vote, plan.last_log_id);
            let ask = peers.vote(to, request, option());
            let (id, vote) = (*id, plan.vote);
            asked.spawn(async move {
                end_lease.await.ok()?;
                let answer = ask.await.ok()?;
                (answer.vote_granted && answer.vote == vote).then_some(id)
            });
        }
    }
    while !is_quorum(&plan.membership, &granted) {
        match asked.join_next().await {
            Some(Ok(answer)) => granted.extend(answer),
            Some(Err(_)) => {}
            None => return false,
        }
    }

    let vote = Vote { committed: true, ..plan.vote };
    let told = peers.append(plan.successor.clone(), only_vote(vote), option()).await;
    if !matches!(told, Ok(AppendEntriesResponse::Success)) {
        return false;
    }
    // Until this node has heard from the new leader itself, it would not know whom to name.
    let mut server = raft.server_metrics();
    let followed = server.wait_for(|server| server.current_leader == Some(plan.successor.0)).await;
    followed.is_ok()
}

/// Whether `granted` holds a majority of every voter set.
fn is_quorum(membership: &Membership, granted: &BTreeSet<NodeId>) -> bool {
    membership
        .get_joint_config()
        .iter()
        .all(|voters| voters.intersection(granted).count() > voters.len() / 2)
}
