//! [`Follower`]: the node, for those that would lead it.
//!
//! Guarantees: openraft hears nothing from another node that wasn't [judged](crate::statement), and
//! hears what may change its log one after the other, so that what it was judged by is still so. A
//! leader is heard even while something of it is under way that takes long.

use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openraft::ServerState;
use openraft::error::RaftError;
use tokio::sync::{Mutex, MutexGuard};
use tonic::Status;

use super::error::Refusal;
use super::identity::Sender;
use crate::error::Stopped;
use crate::network::heartbeat;
use crate::node::Intake;
use crate::statement::{self, Facts, Implausible, Named, Terms, Told};
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, LeaderId, LogId, NodeId, Raft, Snapshot,
    SnapshotMeta, SnapshotResponse, Vote, VoteRequest, VoteResponse,
};

/// The node, for those that would lead it.
pub(super) struct Follower {
    raft: Raft,
    me: NodeId,
    intake: Intake,
    told: Mutex<Told>,
    named: StdMutex<Named>,
}

/// By now.
pub(super) fn terms() -> Terms {
    // A clock that stands before 1970 has nothing to say.
    Terms::at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

/// The answer of a node that stopped.
pub(super) fn stopped(error: impl Into<RaftError<u64>>) -> Status {
    match error.into() {
        RaftError::Fatal(fatal) => Refusal::Stopped.status(Stopped::from(fatal)),
        RaftError::APIError(never) => match never {},
    }
}

fn implausible(reason: Implausible) -> Status {
    Refusal::Implausible.status(reason)
}

/// What came of an attempt to have openraft follow a vote.
enum Turn<'a> {
    /// It does, and nothing else is under way.
    Follows(MutexGuard<'a, Told>),
    /// It has this one, which is higher.
    Has(Vote),
}

impl Follower {
    pub(super) fn new(raft: Raft, intake: Intake) -> Self {
        let me = raft.metrics().borrow().id;
        Self { raft, me, intake, told: Mutex::default(), named: StdMutex::default() }
    }

    /// Whether `sender` may speak of a vote: its own, or that of the successor that it has named.
    pub(super) async fn may_say(&self, sender: Sender, vote: Vote) -> Result<(), Status> {
        let Err(refused) = sender.check(vote.leader_id.node_id) else { return Ok(()) };
        let Some(by) = sender.certified() else { return Err(refused) };
        let now = self.raft.with_raft_state(|state| *state.vote_ref()).await.map_err(stopped)?;
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.allows(by, vote, now) { Ok(()) } else { Err(refused) }
    }

    /// Replicates entries, if the request is plausible and the disk has room for them. If it hasn't, the
    /// leader is heard all the same.
    pub(super) async fn append(
        &self,
        mut request: AppendEntriesRequest,
    ) -> Result<AppendEntriesResponse, Status> {
        statement::append(self.me, &request).map_err(implausible)?;
        let vote = request.vote;
        if statement::is_only_vote(&request) {
            terms().judge(vote).map_err(implausible)?;
            self.may_be_mine(vote).await?;
            return self.raft.append_entries(request).await.map_err(stopped);
        }
        let full = self.intake.admits(&request).await.err();
        if full.is_some() {
            request.entries.clear();
        }
        let mut told = match self.turn(vote).await? {
            Turn::Follows(told) => told,
            Turn::Has(vote) => return Ok(AppendEntriesResponse::HigherVote(vote)),
        };
        told.judge(&mut request).map_err(implausible)?;
        // If this future is dropped meanwhile, nobody knows what came of it.
        let before = std::mem::take(&mut *told);
        let (prev, taken) = (request.prev_log_id, before.clone().taken(&request));
        let answer = self.raft.append_entries(request).await.map_err(stopped)?;
        *told = match answer {
            AppendEntriesResponse::Success => taken,
            AppendEntriesResponse::Conflict => before.conflicted(prev),
            AppendEntriesResponse::HigherVote(_) => before.deposed(),
            // openraft's engine doesn't answer that.
            AppendEntriesResponse::PartialSuccess(_) => Told::default(),
        };
        match (full, &answer) {
            (Some(full), AppendEntriesResponse::Success) => Err(Refusal::Full.status(full)),
            _ => Ok(answer),
        }
    }

    /// Grants a vote, if the request is plausible.
    pub(super) async fn vote(&self, request: VoteRequest) -> Result<VoteResponse, Status> {
        statement::vote(self.me, &request).map_err(implausible)?;
        terms().judge(request.vote).map_err(implausible)?;
        if request.vote.committed {
            // It was elected by others (see `node/handover.rs`), and was told so before.
            let told = self.raft.with_raft_state(|state| *state.vote_ref()).await;
            if told.map_err(stopped)?.leader_id != request.vote.leader_id {
                let reason = Implausible::NoCandidate { got: request.vote, me: self.me };
                return Err(implausible(reason));
            }
        }
        self.raft.vote(request).await.map_err(stopped)
    }

    /// Whether a snapshot is worth to be received: what can be told before it is here.
    pub(super) fn judge_snapshot(&self, vote: Vote, meta: &SnapshotMeta) -> Result<(), Status> {
        terms().judge(vote).map_err(implausible)?;
        statement::snapshot(self.me, vote, meta).map_err(implausible)
    }

    /// Tells the node that its leader lives.
    pub(super) async fn hear(&self, vote: Vote) -> Result<AppendEntriesResponse, Status> {
        self.raft.append_entries(heartbeat(vote)).await.map_err(stopped)
    }

    /// Installs a snapshot that passed [`judge_snapshot`](Self::judge_snapshot), and whose content was
    /// read, if it contradicts nothing.
    pub(super) async fn install(
        &self,
        vote: Vote,
        snapshot: Snapshot,
    ) -> Result<SnapshotResponse, Status> {
        let mut told = match self.turn(vote).await? {
            Turn::Follows(told) => told,
            Turn::Has(vote) => return Ok(SnapshotResponse::new(vote)),
        };
        let from = told.judge_snapshot(&snapshot.meta).map_err(implausible)?;
        if let Some(full) = self.intake.refusal() {
            return Err(Refusal::Full.status(full));
        }
        *told = Told::default();
        if let Some(index) = from {
            self.make_way(vote, snapshot.meta.last_log_id, index).await?;
        }
        self.raft.install_full_snapshot(vote, snapshot).await.map_err(stopped)
    }

    /// Has openraft remove its entries from `index` on, as their leader would: by an entry that they
    /// conflict with.
    async fn make_way(&self, vote: Vote, last: Option<LogId>, index: u64) -> Result<(), Status> {
        let leader_id: LeaderId = vote.leader_id;
        let conflict = LogId::new(leader_id, index);
        tracing::info!(%vote, from = index, snapshot = ?last, "entries make way for a snapshot");
        let request = AppendEntriesRequest { prev_log_id: Some(conflict), ..heartbeat(vote) };
        match self.raft.append_entries(request).await.map_err(stopped)? {
            // The leader's own entries are newer than its snapshot, and come before its end.
            AppendEntriesResponse::Success => {
                let expected = last.unwrap_or(conflict);
                Err(implausible(Implausible::Contradicts { got: conflict, expected }))
            }
            _ => Ok(()),
        }
    }

    /// Waits for the turn of somebody that leads by `vote`.
    async fn turn(&self, vote: Vote) -> Result<Turn<'_>, Status> {
        let mut told = match self.told.try_lock() {
            Ok(told) if told.follows(vote) => return Ok(Turn::Follows(told)),
            Ok(told) => {
                terms().judge(vote).map_err(implausible)?;
                told
            }
            Err(_) => {
                terms().judge(vote).map_err(implausible)?;
                let hears = self.hear(vote);
                tokio::select! {
                    biased;
                    answer = hears => match answer? {
                        AppendEntriesResponse::HigherVote(vote) => return Ok(Turn::Has(vote)),
                        _ => self.told.lock().await,
                    },
                    told = self.told.lock() => told,
                }
            }
        };
        if !told.follows(vote) {
            // From here on nobody but this leader changes the log.
            if let AppendEntriesResponse::HigherVote(vote) = self.hear(vote).await? {
                return Ok(Turn::Has(vote));
            }
            let facts = self.ask().await?;
            if facts.vote != vote {
                return Ok(Turn::Has(facts.vote));
            }
            told.learn(facts);
        }
        Ok(Turn::Follows(told))
    }

    async fn ask(&self) -> Result<Facts, Status> {
        let state = self.raft.with_raft_state(|state| {
            let memberships = &state.membership_state;
            let membership = memberships.committed().clone();
            let effective = *memberships.effective().log_id();
            (*state.vote_ref(), state.committed, membership, effective)
        });
        let (vote, committed, membership, effective) = state.await.map_err(stopped)?;
        // openraft tells its last entry nowhere else. Nobody grants this one.
        let nobody = VoteRequest::new(Vote::default(), None);
        let last = self.raft.vote(nobody).await.map_err(stopped)?.last_log_id;
        Ok(Facts { vote, committed, membership, effective, last })
    }

    /// A vote of this node's that others elect it by (see `node/handover.rs`) is the next one, and it
    /// neither leads nor campaigns by another: openraft would do both at once.
    async fn may_be_mine(&self, vote: Vote) -> Result<(), Status> {
        if vote.leader_id.node_id != self.me {
            return Ok(());
        }
        let state = self.raft.with_raft_state(|state| (*state.vote_ref(), state.server_state));
        let (mine, server_state) = state.await.map_err(stopped)?;
        let same = mine.leader_id == vote.leader_id;
        let next = vote.leader_id.term <= mine.leader_id.term.saturating_add(1);
        let follows = matches!(server_state, ServerState::Follower | ServerState::Learner);
        if same || vote < mine || (next && follows) {
            return Ok(());
        }
        Err(implausible(Implausible::NoLeader { got: vote, me: self.me }))
    }
}
