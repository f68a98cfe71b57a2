//! Whether a node that remembers nothing may take part: the face of [`crate::admission`], which has the
//! rules and says why they hold. Here is who asks, who locks, and what openraft is told.
//!
//! Guarantees: the gate opens once the node may take part, and not before what binds it does
//! ([`Elections::begin`]). Memory is bounded: of the members that the configuration names a
//! few processes each are remembered, and nothing of strangers, who also wake nobody.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::error::{Fatal, RaftError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::client::GrpcTransport;
use super::error::AdmissionError;
use crate::admission::{Applicant, Verdict, newer, proven};
use crate::codec::{Leadership, StandingRequest, StandingResponse};
use crate::node::{Elections, Formats, Reads};
use crate::storage::Probation;
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
    /// The cluster is new, and so is the node. Where the others formed it first, the node may be
    /// bound as one that [waits](Self::Waits), until they have sent it what they committed meanwhile.
    Forms,
    /// The cluster doesn't have it for a member, yet. It refuses every leader older than the one that
    /// said so, and neither votes nor campaigns before its log has what that one had committed.
    Waits,
    /// It took part before as one that waits, or forms the cluster so, and was stopped before it had caught
    /// up: it is bound as before.
    CatchesUp,
}

/// A node that wants to take part, and that is asked by others who want to.
pub(super) struct Standing {
    raft: Raft,
    elections: Elections,
    reads: Reads,
    formats: Arc<Formats>,
    transport: GrpcTransport,
    incarnation: u64,
    state: Mutex<State>,
    /// Held by the one that asks: a round's questions follow the last round's answers.
    asks: tokio::sync::Mutex<()>,
    /// Somebody was heard of for the first time: it can answer now.
    news: Notify,
}

struct State {
    applicant: Applicant,
    /// What it is admitted for, on whose word; once it is known.
    word: Option<(Admission, Probation)>,
}

impl Standing {
    pub(super) fn new(
        raft: Raft,
        (elections, reads, formats): (Elections, Reads, Arc<Formats>),
        transport: GrpcTransport,
    ) -> Self {
        let config = transport.config();
        let node_id = config.node_id();
        let others = config.members().keys().filter(|id| **id != node_id).copied();
        // Who was told of a cluster is no founder of another, even where it has stored no vote yet.
        let joins = config.joining() || elections.ever_on_probation();
        let applicant = Applicant::new(others.collect(), joins);
        let incarnation = RandomState::new().hash_one(node_id);
        let word = elections.probation().map(|probation| (Admission::CatchesUp, probation));
        let state = Mutex::new(State { applicant, word });
        let (asks, news) = (tokio::sync::Mutex::default(), Notify::new());
        Self { raft, elections, reads, formats, transport, incarnation, state, asks, news }
    }

    /// What this node can say of the one that asks, within `limit`. Whoever asks, and however many do:
    /// they share the rounds that confirm who leads ([`Reads`]).
    pub(super) async fn answer(
        &self,
        request: StandingRequest,
        limit: Duration,
    ) -> Result<StandingResponse, Fatal<NodeId>> {
        let StandingRequest { node_id, incarnation, .. } = request;
        let formed = self.raft.is_initialized().await?;
        let heard = {
            let applicant = &mut self.state().applicant;
            if applicant.hear(node_id, incarnation, formed) {
                self.news.notify_one();
            }
            applicant.has_heard(node_id, incarnation)
        };
        let leads = self.raft.metrics().borrow().state.is_leader();
        let confirmed = leads
            && tokio::time::timeout(limit, self.reads.confirm()).await.is_ok_and(|end| end.is_ok());
        // All at one instant, after the leader was confirmed. If it is another leadership of this
        // node's by then, that one began, and had an entry committed, after the question as well.
        let state = self.raft.with_raft_state(move |state| {
            let memberships = &state.membership_state;
            // An uncommitted removal may yet be undone.
            let member = [memberships.effective(), memberships.committed()]
                .iter()
                .any(|membership| membership.membership().get_node(&node_id).is_some());
            (*state.vote_ref(), state.committed, member)
        });
        let (vote, committed, member) = state.await?;
        let me = self.transport.config().node_id();
        let leadership = committed
            .filter(|_| confirmed)
            .and_then(|committed| proven(me, Leadership { vote, committed }));
        Ok(StandingResponse {
            formed,
            member,
            confirmed: leadership.is_some(),
            heard,
            leadership,
            incarnation: self.incarnation,
            reads: self.formats.mine().reads,
            writes: self.formats.written(),
        })
    }

    /// Asks until it knows, then opens `gate`.
    pub(super) async fn apply(
        &self,
        gate: &watch::Sender<bool>,
    ) -> Result<Admission, AdmissionError> {
        let _asks = self.asks.lock().await;
        // Who was given up on with its probation begun, or stopped, has stored a vote, which is no memory.
        let word = self.state().word.filter(|(_, probation)| !self.elections.is_over(probation));
        let (admission, probation) = match word {
            Some((admission, probation)) => (admission, Some(probation)),
            None => self.decide().await?,
        };
        if let Some(probation) = probation {
            self.state().word = Some((admission, probation));
            self.elections.begin(probation).await?;
        }
        gate.send_replace(true);
        if admission == Admission::Forms && probation.is_none() {
            self.form().await?;
        }
        Ok(admission)
    }

    /// Asks until it knows whether the node may take part, and on which probation.
    async fn decide(&self) -> Result<(Admission, Option<Probation>), AdmissionError> {
        let config = self.transport.config();
        let node_id = config.node_id();
        let mut round = 0_u32;
        // A node that stopped has nothing to wait for.
        while !self.raft.is_initialized().await? {
            let answers = self.ask().await;
            let reads = self.formats.mine().reads;
            if let Some((asked, writes)) = newer(&answers, reads) {
                let cluster = config.cluster_name().to_owned();
                return Err(AdmissionError::Format { node_id, cluster, asked, reads, writes });
            }
            let verdict = self.state().applicant.conclude(&answers);
            match verdict {
                Verdict::Founds => return Ok((Admission::Forms, None)),
                Verdict::IsLate(probation) => return Ok((Admission::Forms, Some(probation))),
                Verdict::Waits(probation) => return Ok((Admission::Waits, Some(probation))),
                Verdict::LostMemory { asked } => {
                    let cluster = config.cluster_name().to_owned();
                    return Err(AdmissionError::LostMemory { node_id, cluster, asked });
                }
                Verdict::AskAgain => {}
            }
            if round.is_multiple_of(TELL_EVERY) {
                let answered: Vec<NodeId> = answers.iter().map(|(id, _)| *id).collect();
                let asked: Vec<NodeId> =
                    config.members().keys().copied().filter(|id| *id != node_id).collect();
                tracing::info!(node_id, ?answered, ?asked, "waiting to take part");
            }
            // Whether the pause ended or somebody new is there: ask again.
            let _ = tokio::time::timeout(PAUSE, self.news.notified()).await;
            round = round.wrapping_add(1);
        }
        Ok((Admission::Remembers, None))
    }

    /// The probation that this node is on.
    pub(super) fn probation(&self) -> Option<Probation> {
        self.elections.probation()
    }

    async fn ask(&self) -> Vec<(NodeId, StandingResponse)> {
        let config = self.transport.config();
        let (node_id, incarnation) = (config.node_id(), self.incarnation);
        let request = StandingRequest { node_id, incarnation, reads: self.formats.mine().reads };
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

    // Every change under the lock is a single one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
