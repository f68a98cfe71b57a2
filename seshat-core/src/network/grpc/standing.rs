//! Whether a node that remembers nothing may take part.
//!
//! A member that lost its vote and its log could vote twice in a term, and would lack entries that
//! it acknowledged. So a node whose storage is empty asks before it answers anybody:
//!
//! - every member of its configuration heard of its present process before it had voted or had a
//!   log itself. Then nobody can have been promised anything by an earlier process: all take part
//!   and form the cluster together. And it has heard of every other, so that each of them
//!   will be told the same;
//! - else, the leader, confirmed by a quorum, has it for a member: it lost its memory, and must
//!   not take part;
//! - the leader doesn't: it is new, or was removed, and waits to be added. A leader sends its vote to
//!   whoever it adds before that one votes, so nothing that it promised before its removal can
//!   be promised again.
//!
//! Anything else means to ask again. A node can only ask those that its configuration names: where
//! the members have changed since, so must the configurations.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::error::{Fatal, RaftError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::client::GrpcTransport;
use super::error::AdmissionError;
use crate::codec::{StandingRequest, StandingResponse};
use crate::types::{Node, NodeId, Raft};

/// How long one round of questions takes at most.
const ROUND: Duration = Duration::from_secs(1);
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(200);
/// Rounds after which somebody should know what is waited for.
const TELL_EVERY: u32 = 25;

/// Why a node takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It has a vote or a log.
    Remembers,
    /// The cluster is new, and so is the node.
    Forms,
    /// The cluster doesn't have it for a member, yet.
    Waits,
}

/// What follows from the answers of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Forms,
    Waits,
    LostMemory { asked: NodeId },
    AskAgain,
}

/// `together`: whether every other member heard this node in time, and was heard.
fn judge(together: bool, answers: &[(NodeId, StandingResponse)]) -> Verdict {
    if together {
        return Verdict::Forms;
    }
    match answers.iter().find(|(_, answer)| answer.confirmed) {
        Some((_, leader)) if !leader.member => Verdict::Waits,
        Some((asked, leader)) if !leader.heard => Verdict::LostMemory { asked: *asked },
        _ => Verdict::AskAgain,
    }
}

/// A node that wants to take part, and that is asked by others who want to.
pub(super) struct Applicant {
    raft: Raft,
    transport: GrpcTransport,
    incarnation: u64,
    /// Incarnations that were heard of while this node had no vote and no log. `None` where it
    /// can't be a founder: a cluster was formed without it, and that it knows nothing itself
    /// says nothing about what others were promised.
    heard: Mutex<Option<HashMap<NodeId, u64>>>,
    /// Somebody was heard of for the first time: it can answer now.
    news: Notify,
}

impl Applicant {
    pub(super) fn new(raft: Raft, transport: GrpcTransport) -> Self {
        let incarnation = RandomState::new().hash_one(transport.config().node_id());
        let heard = (!transport.config().joining()).then(HashMap::new);
        Self { raft, transport, incarnation, heard: Mutex::new(heard), news: Notify::new() }
    }

    /// What this node can say of the one that asks, within `limit`.
    pub(super) async fn answer(
        &self,
        request: StandingRequest,
        limit: Duration,
    ) -> Result<StandingResponse, Fatal<NodeId>> {
        let StandingRequest { node_id, incarnation } = request;
        let formed = self.raft.is_initialized().await?;
        let heard = self.heard().as_mut().is_some_and(|heard| {
            if !formed && heard.insert(node_id, incarnation) != Some(incarnation) {
                self.news.notify_one();
            }
            heard.get(&node_id) == Some(&incarnation)
        });
        let leads = self.raft.metrics().borrow().state.is_leader();
        let confirmed = leads
            && tokio::time::timeout(limit, self.raft.ensure_linearizable())
                .await
                .is_ok_and(|end| end.is_ok());
        // Looked at after the leader was confirmed, so that it holds what was committed before.
        let member = self.raft.with_raft_state(move |state| {
            state.membership_state.effective().membership().get_node(&node_id).is_some()
        });
        Ok(StandingResponse { formed, member: member.await?, confirmed, heard })
    }

    /// Asks until it knows, then opens `gate`.
    pub(super) async fn apply(
        &self,
        gate: &watch::Sender<bool>,
    ) -> Result<Admission, AdmissionError> {
        let config = self.transport.config();
        let node_id = config.node_id();
        let others = config.members().keys().filter(|id| **id != node_id).copied();
        let others: BTreeSet<NodeId> = others.collect();
        // What was said once stays true.
        let mut heard_by = BTreeSet::new();
        let mut round = 0_u32;
        // A node that stopped has nothing to wait for.
        while !self.raft.is_initialized().await? {
            let answers = self.ask().await;
            heard_by.extend(answers.iter().filter(|(_, answer)| answer.heard).map(|(id, _)| *id));
            let heard_all = self
                .heard()
                .as_ref()
                .is_some_and(|heard| others.iter().all(|id| heard.contains_key(id)));
            let together = heard_by == others && heard_all;
            match judge(together, &answers) {
                Verdict::Forms => {
                    gate.send_replace(true);
                    self.form().await?;
                    return Ok(Admission::Forms);
                }
                Verdict::Waits => {
                    *self.heard() = None;
                    gate.send_replace(true);
                    return Ok(Admission::Waits);
                }
                Verdict::LostMemory { asked } => {
                    let cluster = config.cluster_name().to_owned();
                    return Err(AdmissionError::LostMemory { node_id, cluster, asked });
                }
                Verdict::AskAgain => {}
            }
            if round.is_multiple_of(TELL_EVERY) {
                let answered: Vec<NodeId> = answers.iter().map(|(id, _)| *id).collect();
                tracing::info!(node_id, ?answered, asked = ?others, "waiting to take part");
            }
            // Whether the pause ended or somebody new is there: ask again.
            let _ = tokio::time::timeout(PAUSE, self.news.notified()).await;
            round = round.wrapping_add(1);
        }
        gate.send_replace(true);
        Ok(Admission::Remembers)
    }

    async fn ask(&self) -> Vec<(NodeId, StandingResponse)> {
        let config = self.transport.config();
        let request = StandingRequest { node_id: config.node_id(), incarnation: self.incarnation };
        let mut asked = JoinSet::new();
        for (id, address) in config.members().iter().filter(|(id, _)| **id != config.node_id()) {
            let (id, connection) = (*id, self.transport.connect(*id, address));
            asked.spawn(async move { (id, connection.standing(request, ROUND).await) });
        }
        let mut answers = Vec::new();
        while let Some(end) = asked.join_next().await {
            if let Ok((id, Ok(answer))) = end {
                answers.push((id, answer));
            }
        }
        answers
    }

    /// Any member can make all of them members, and it does no harm if several do. But then all
    /// of those campaign; so each gives those below it time for it.
    async fn form(&self) -> Result<(), AdmissionError> {
        let config = self.transport.config();
        let below = config.members().range(..config.node_id()).count();
        let formed = self.raft.metrics();
        let formed =
            async { formed.clone().wait_for(|now| now.last_log_index.is_some()).await.is_ok() };
        let patience = config.election_timeout_max().saturating_mul(below as u32);
        if below > 0 && tokio::time::timeout(patience, formed).await.is_ok() {
            return Ok(());
        }
        let members = config.members().iter();
        let members: BTreeMap<_, _> =
            members.map(|(id, address)| (*id, Node::new(address))).collect();
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(_)) => Ok(()),
            Err(RaftError::Fatal(fatal)) => Err(fatal.into()),
        }
    }

    // Every change under the lock is a single insertion or assignment.
    fn heard(&self) -> MutexGuard<'_, Option<HashMap<NodeId, u64>>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{StandingResponse, Verdict, judge};

    const FRESH: StandingResponse =
        StandingResponse { formed: false, member: false, confirmed: false, heard: true };
    const MEMBER: StandingResponse =
        StandingResponse { formed: true, member: true, confirmed: false, heard: false };
    const REMOVED: StandingResponse = StandingResponse { member: false, ..MEMBER };
    const OTHERS: [StandingResponse; 3] = [FRESH, MEMBER, REMOVED];

    fn leader(answer: StandingResponse) -> StandingResponse {
        StandingResponse { confirmed: true, ..answer }
    }

    #[test]
    fn the_leader_decides_whatever_others_say() {
        for other in OTHERS {
            let lost = [(2, other), (3, leader(MEMBER))];
            assert_eq!(judge(false, &lost), Verdict::LostMemory { asked: 3 });
            assert_eq!(judge(false, &[(2, other), (3, leader(REMOVED))]), Verdict::Waits);
        }
    }

    #[test]
    fn nobody_else_decides() {
        for (one, other) in OTHERS.into_iter().flat_map(|one| OTHERS.map(|other| (one, other))) {
            assert_eq!(judge(false, &[(2, one), (3, other)]), Verdict::AskAgain);
            assert_eq!(judge(true, &[(2, one), (3, other)]), Verdict::Forms);
        }
    }

    /// The cluster was formed while this node, which helps to form it, had not heard from all.
    #[test]
    fn a_founder_that_is_late_lost_no_memory() {
        let heard = StandingResponse { heard: true, ..leader(MEMBER) };
        assert_eq!(judge(false, &[(2, MEMBER), (3, heard)]), Verdict::AskAgain);
        assert_eq!(judge(true, &[(2, MEMBER), (3, heard)]), Verdict::Forms);
    }
}
