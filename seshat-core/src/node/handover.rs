//! A leader that leaves hands over to the most up-to-date voter.
//!
//! openraft 0.9 has no call for it, and a follower can't just be told to campaign: voters refuse
//! a candidate until the leader's lease (the maximal election timeout) has run out. What its
//! rules do allow is that one node campaigns on behalf of another. A vote is a promise to follow
//! `(term, node)`. Any AppendEntries with a greater vote makes its receiver store that vote, even
//! if it then refuses the entries, and a vote that isn't committed carries no lease. And a node
//! that is asked for a *committed* vote for itself leads from then on.
//!
//! So the leader L, in term T, with a successor S:
//!
//! 1. takes no more proposals, answers those under way, and waits until S says that it has L's
//!    whole log; begins anew if that went on meanwhile, as it may past the queue;
//! 2. sends itself an AppendEntries with the vote `(T+1, S)`, which ends its leadership and its
//!    lease, then an ordinary request for that vote with S's last log id. It grants it only if
//!    its own log is no longer than S's (Raft paper, section 5.4.1): had it grown, all would end
//!    here;
//! 3. does the same to the other voters, until a quorum has granted it, counting L and S;
//! 4. does the same to S, but with the vote committed.
//!
//! Safe, because S leads only with a vote that a quorum has stored and a log that each of them
//! has compared with its own. Quick: three round trips, five beyond three voters, instead of a
//! lease and an election timeout. If it fails on the way, the voters elect somebody after an
//! election timeout, as if L had just stopped.
//!
//! Between nodes with certificates L speaks for S in steps 2 to 4: who follows L takes that from L, for the next term
//! and no other (`statement/named.rs`).
//!
//! Where a successor was [named](super::transfer), step 1 asks nobody else.
//!
//! A leader that a change of the membership takes the vote from leaves in the same way, but it counts
//! towards no quorum. One whose disk is full does, too; a voter whose disk is full says so when it is asked in
//! step 1 ([`asks_for_room`]).

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openraft::error::{RPCError, RaftError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::HandoverError;
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, LogId, Membership, Node, NodeId, Raft,
    RaftMetrics, TypeConfig, Vote, VoteRequest, VoteResponse,
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

/// An AppendEntries that makes the receiver store `vote`, and nothing else: its log can't match
/// an entry that no log holds. The answer is a conflict; a log that conflicts beyond its end
/// isn't truncated.
fn only_vote(vote: Vote) -> AppendEntriesRequest {
    let nowhere = LogId::new(vote.leader_id, u64::MAX - 1);
    AppendEntriesRequest {
        vote,
        prev_log_id: Some(nowhere),
        entries: Vec::new(),
        leader_commit: None,
    }
}

/// Whether the request asks a voter for its whole log, as step 1 does, rather than to tell that its leader
/// lives: openraft's own heartbeats say what is committed, but before anything is.
pub(super) fn asks_for_room(request: &AppendEntriesRequest) -> bool {
    let AppendEntriesRequest { vote, prev_log_id, entries, leader_commit } = request;
    vote.committed && prev_log_id.is_some() && entries.is_empty() && leader_commit.is_none()
}

/// Who is to take over, and what makes it so.
struct Succession {
    successor: (NodeId, Node),
    last_log_id: Option<LogId>,
    /// The leader's, by which it leads.
    vote_before: Vote,
    vote: Vote,
    membership: Membership,
}

/// Hands what this node leads over within `timeout`, to `to` if that is given, and returns to whom, once that
/// one has taken over.
pub(super) async fn hand_over(
    raft: &Raft,
    peers: &dyn Peers,
    to: Option<NodeId>,
    timeout: Duration,
) -> Result<NodeId, HandoverError> {
    let deadline = Instant::now() + timeout;
    let plan = choose(raft, peers, to, deadline, timeout).await?;
    let successor = plan.successor.0;
    let not_confirmed = HandoverError::NotConfirmed { successor, waited: timeout };
    step_down(raft, &plan).await?;
    match tokio::time::timeout_at(deadline, establish(raft, peers, &plan, timeout)).await {
        Ok(true) => Ok(successor),
        Ok(false) | Err(_) => Err(not_confirmed),
    }
}

/// How long to wait for news before the same voters are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Step 1: the first voter to confirm that it has the whole log. What the leader knows of its
/// followers doesn't tell whether they are still there. If the log went on meanwhile, all begins
/// anew.
async fn choose(
    raft: &Raft,
    peers: &dyn Peers,
    to: Option<NodeId>,
    deadline: Instant,
    timeout: Duration,
) -> Result<Succession, HandoverError> {
    let mut metrics = raft.metrics();
    let caught_up = async {
        loop {
            let committed = committed(raft).await?;
            let mut asked = JoinSet::new();
            let plans = successions(&metrics.borrow_and_update(), committed)?;
            let wanted = |plan: &Succession| to.is_none_or(|to| plan.successor.0 == to);
            for plan in plans.into_iter().filter(wanted) {
                let heartbeat = AppendEntriesRequest {
                    vote: plan.vote_before,
                    prev_log_id: plan.last_log_id,
                    entries: Vec::new(),
                    leader_commit: None,
                };
                let option = RPCOption::new(timeout);
                let answer = peers.append(plan.successor.clone(), heartbeat, option);
                asked.spawn(async move {
                    matches!(answer.await, Ok(AppendEntriesResponse::Success)).then_some(plan)
                });
            }
            while let Some(answered) = asked.join_next().await {
                let Ok(Some(plan)) = answered else { continue };
                if plan.is_whole(raft).await? {
                    return Ok(plan);
                }
            }
            match tokio::time::timeout(ASK_AGAIN, metrics.changed()).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(_)) => return Err(HandoverError::Stopped),
            }
        }
    };
    let late = HandoverError::NoneCaughtUp { waited: timeout };
    tokio::time::timeout_at(deadline, caught_up).await.unwrap_or(Err(late))
}

/// What is committed, from the core itself. All that was answered is; the metrics may not tell
/// yet, as openraft publishes them only after it has worked through its queues.
async fn committed(raft: &Raft) -> Result<Option<LogId>, HandoverError> {
    let committed = raft.with_raft_state(|state| state.committed).await;
    committed.map_err(|_| HandoverError::Stopped)
}

/// One for each other voter that has the whole log, as far as the leader knows, and that at least
/// up to `committed`.
fn successions(
    metrics: &RaftMetrics,
    committed: Option<LogId>,
) -> Result<Vec<Succession>, HandoverError> {
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<NodeId> = membership.voter_ids().filter(|id| *id != metrics.id).collect();
    if voters.is_empty() {
        return Err(HandoverError::Alone);
    }
    let is_last = |log_id: &Option<LogId>| log_id.map(|id| id.index) == metrics.last_log_index;
    let caught_up: Vec<(NodeId, Option<LogId>)> = match &metrics.replication {
        Some(replication) => {
            let known = replication.iter().map(|(id, matching)| (*id, *matching));
            let whole = known.filter(|(_, matching)| is_last(matching) && *matching >= committed);
            whole.filter(|(id, _)| voters.contains(id)).collect()
        }
        // A leader that is no member any more, which openraft lets go of: it appends nothing more, and
        // knows no more of its followers than that a quorum has what is committed.
        None if leads_by(&metrics.vote, metrics.id) && is_last(&committed) => {
            voters.iter().map(|id| (*id, committed)).collect()
        }
        None => return Err(HandoverError::LogMoved),
    };
    let plan = |(successor, last_log_id): (NodeId, Option<LogId>)| Succession {
        successor: (successor, membership.get_node(&successor).cloned().unwrap_or_default()),
        last_log_id,
        vote_before: metrics.vote,
        vote: Vote::new(metrics.current_term.saturating_add(1), successor),
        membership: membership.clone(),
    };
    Ok(caught_up.into_iter().map(plan).collect())
}

/// Whether `vote` made node `id` the leader.
pub(super) fn leads_by(vote: &Vote, id: NodeId) -> bool {
    vote.committed && vote.leader_id.node_id == id
}

impl Succession {
    /// Whether the log still ends where it did, as far as can be told before the leader is one no
    /// more: what isn't committed shows in the metrics only. Step 2 finds out for certain.
    async fn is_whole(&self, raft: &Raft) -> Result<bool, HandoverError> {
        let committed = committed(raft).await?;
        let last = raft.metrics().borrow().last_log_index;
        Ok(committed <= self.last_log_id && last == self.last_log_id.map(|id| id.index))
    }
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
    let me = raft.metrics().borrow().id;
    let mut granted = BTreeSet::from([me, plan.successor.0]);

    let mut asked = JoinSet::new();
    for (id, node) in plan.membership.nodes() {
        let is_voter = plan.membership.get_joint_config().iter().any(|set| set.contains(id));
        if is_voter && !granted.contains(id) {
            let request = VoteRequest::new(plan.vote, plan.last_log_id);
            let answer = request_vote(peers, (*id, node.clone()), plan.vote, request, timeout);
            let id = *id;
            asked.spawn(async move { answer.await.then_some(id) });
        }
    }
    while !is_quorum(&plan.membership, &granted) {
        match asked.join_next().await {
            Some(Ok(answer)) => granted.extend(answer),
            Some(Err(_)) => {}
            None => return false,
        }
    }

    // Committed: by this message, and only by this, the successor learns that it leads.
    let elected = Vote { committed: true, ..plan.vote };
    let request = VoteRequest::new(elected, plan.last_log_id);
    if !request_vote(peers, plan.successor.clone(), plan.vote, request, timeout).await {
        // Who is asked has no lease any more, which is in the way of nobody who campaigns then.
        while asked.join_next().await.is_some() {}
        return false;
    }
    // Who is no member any more never hears from the new leader.
    if plan.membership.get_node(&me).is_none() {
        return true;
    }
    // Until this node has heard from the new leader itself, it would not know whom to name.
    let mut server = raft.server_metrics();
    let followed = server.wait_for(|server| server.current_leader == Some(plan.successor.0)).await;
    followed.is_ok()
}

/// Ends the lease of the leader that a voter follows, then asks for its vote. Whether it granted
/// what was asked for.
fn request_vote(
    peers: &dyn Peers,
    to: (NodeId, Node),
    vote: Vote,
    request: VoteRequest,
    timeout: Duration,
) -> impl Future<Output = bool> + Send + 'static {
    let wanted = request.vote;
    let end_lease = peers.append(to.clone(), only_vote(vote), RPCOption::new(timeout));
    let ask = peers.vote(to, request, RPCOption::new(timeout));
    async move {
        if end_lease.await.is_err() {
            return false;
        }
        ask.await.is_ok_and(|answer| answer.vote_granted && answer.vote == wanted)
    }
}

/// Whether `granted` holds a majority of every voter set.
fn is_quorum(membership: &Membership, granted: &BTreeSet<NodeId>) -> bool {
    membership
        .get_joint_config()
        .iter()
        .all(|voters| voters.intersection(granted).count() > voters.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LeaderId, StoredMembership};

    /// Node 1 led, with a log of 10 entries, until it was no member any more.
    fn let_go() -> (RaftMetrics, Option<LogId>) {
        let mut metrics = RaftMetrics::new_initial(1);
        metrics.vote = Vote::new_committed(3, 1);
        metrics.current_term = 3;
        metrics.last_log_index = Some(10);
        let last = LogId::new(LeaderId::new(3, 1), 10);
        let membership = Membership::new(vec![BTreeSet::from([2, 3])], ());
        metrics.membership_config = StoredMembership::new(Some(last), membership).into();
        (metrics, Some(last))
    }

    #[test]
    fn a_leader_that_was_let_go_asks_all_voters_for_what_it_committed() {
        let (metrics, last) = let_go();
        let plans = successions(&metrics, last).map_err(|error| error.to_string());
        let plans = plans.into_iter().flatten();
        let asked: Vec<_> = plans
            .map(|plan| (plan.successor.0, plan.last_log_id, plan.vote_before, plan.vote))
            .collect();
        let plan = |id| (id, last, Vote::new_committed(3, 1), Vote::new(4, id));
        assert_eq!(asked, [plan(2), plan(3)]);
    }

    #[test]
    fn what_is_not_its_own_or_not_committed_it_hands_to_nobody() {
        let (metrics, last) = let_go();
        let mut deposed = metrics.clone();
        deposed.vote = Vote::new_committed(4, 2);
        let mut granted = metrics.clone();
        granted.vote = Vote::new(4, 2);
        let mut longer = metrics;
        longer.last_log_index = Some(11);
        for metrics in [deposed, granted, longer] {
            let refused = successions(&metrics, last).err();
            assert_eq!(refused, Some(HandoverError::LogMoved), "{metrics}");
        }
    }
}
