//! [`Formats`]: which format the cluster writes, and when it writes a newer one.
//!
//! Each build reads all formats up to [its own](crate::codec::FORMAT). The cluster's is a part of the
//! replicated state: 1 at first, it rises by an entry that says so ([`Batch::raise`]), and never falls.
//!
//! Guarantees:
//!
//! - Nothing is proposed here of a newer format than the cluster's as it is applied here.
//! - It is raised to v only if every member, of the membership in use and of the last committed one, has
//!   answered in one round of questions that it reads v and [agrees](FormatsResponse::agrees) to it
//!   ([`judge`]). What it said before counts for nothing: it may run another build by now.
//! - No node is added or made a voter that says it reads less than the cluster writes, or is about to.
//!
//! # Why that is enough
//!
//! What is applied here is committed, so that every later leader has the raise, and has it before all
//! that is proposed here behind it. A raise that is lost with its leader takes along what is behind it,
//! none of which is of format v: nothing is before the raise is applied. So no log has an entry of
//! format v but behind a raise to v that is committed, or the raise itself, which is of format v, too:
//! who doesn't read v refuses that already.
//!
//! A node that is added between the answers and the raise would not have been asked. So these exclude
//! each other ([`Formats::admit`]). Added through openraft's own handle, or by a leader that hasn't
//! applied the raise that it has, it refuses the raise: it never catches up, and so becomes no voter. A
//! member that comes back with an older build can't be kept from it: it refuses what it can't read, says
//! so, and counts as one that is down.
//!
//! No task wakes for an entry: what leads and who belongs to the cluster is what matters here, and, as
//! long as something holds the format back, a round every few seconds.

mod judge;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::judge::{Said, judge};
use super::intake::Intake;
use crate::codec::{self, FormatsResponse};
use crate::config::NodeConfig;
use crate::error::{HeldBack, MembershipError, NotLeader, ProposeError, Stopped};
use crate::network::Transport;
use crate::operation::{Batch, Operation};
use crate::types::{Node, NodeId, Raft};

/// How long a node may take to say what it reads.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two rounds: the first pause, and the longest. Each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Any transport, its type forgotten: what is asked of it here.
pub(super) trait Asks: Send + Sync {
    fn formats(&self, target: NodeId, node: Node) -> BoxFuture<Option<FormatsResponse>>;
}

impl<N: Transport> Asks for N {
    fn formats(&self, target: NodeId, node: Node) -> BoxFuture<Option<FormatsResponse>> {
        let network = self.clone();
        Box::pin(async move { Transport::formats(&network, target, &node).await })
    }
}

/// See the [module](self). Shared by who proposes, by the state machine, which says what is applied, by
/// the task that raises, and by the transport's server.
pub(crate) struct Formats {
    node_id: NodeId,
    mine: FormatsResponse,
    others: Box<dyn Asks>,
    intake: Intake,
    /// As in `state`; for every proposal.
    written: AtomicU32,
    /// The newest that this node ever proposed, applied or not.
    proposed: AtomicU32,
    state: watch::Sender<State>,
    /// Held while the members are what a raise was decided for, and while one is added.
    members: Mutex<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// The cluster's format, as applied here.
    written: u32,
    /// Why this leader doesn't raise it; `None` where it may be about to.
    held: Option<HeldBack>,
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Formats").field("mine", &self.mine).finish_non_exhaustive()
    }
}

impl Formats {
    /// Of a node whose state has that format.
    pub(super) fn new(
        config: &NodeConfig,
        others: impl Asks + 'static,
        written: u32,
        intake: Intake,
    ) -> Self {
        let reads = codec::reads();
        let agrees = config.max_format().unwrap_or(reads).min(reads);
        Self {
            node_id: config.node_id(),
            mine: FormatsResponse { reads, agrees },
            others: Box::new(others),
            intake,
            written: AtomicU32::new(written),
            proposed: AtomicU32::new(written),
            state: watch::Sender::new(State { written, held: None }),
            members: Mutex::default(),
        }
    }

    /// What this node says to those who ask.
    #[cfg(feature = "grpc")]
    pub(crate) fn mine(&self) -> FormatsResponse {
        self.mine
    }

    /// The cluster's format, as far as it is applied here.
    pub(crate) fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }

    /// The state machine has applied a raise, or installed a snapshot, of that format.
    pub(super) fn applied(&self, format: u32) {
        let before = self.written.fetch_max(format, Ordering::Relaxed);
        if format > before {
            self.state.send_modify(|state| state.written = format);
            tracing::info!(node_id = self.node_id, format, before, "the cluster's format rose");
        }
    }

    /// Returns once `operation` may be proposed here. Waits where this node leads, the cluster doesn't
    /// write that format yet, and nothing is known to hold it back: as in the first moments of a
    /// leader.
    pub(super) async fn allow(
        &self,
        operation: &Operation,
        raft: &Raft,
        patience: Duration,
    ) -> Result<(), ProposeError> {
        let got = operation.format();
        let refused = |expected, held| {
            Err(ProposeError::Format { operation: operation.name(), got, expected, held })
        };
        let (mut state, mut server) = (self.state.subscribe(), raft.server_metrics());
        let allowed = async {
            loop {
                if !server.borrow_and_update().state.is_leader() {
                    return Err(NotLeader::of(&raft.metrics().borrow()).into());
                }
                let State { written, held } = *state.borrow_and_update();
                if got <= written {
                    return Ok(());
                }
                if held.is_some() {
                    return refused(written, held);
                }
                tokio::select! {
                    _ = state.changed() => {}
                    changed = server.changed() => changed.map_err(|_| Stopped::ShutDown)?,
                }
            }
        };
        timeout(patience, allowed).await.unwrap_or_else(|_| refused(self.written(), None))
    }

    /// Whether this leader may add node `id` or make it a voter: not where that says that it reads too
    /// little. One that doesn't answer may be added: it holds back what it might not read. Until what is
    /// returned is dropped, nothing is raised here.
    pub(super) async fn admit(
        &self,
        id: NodeId,
        node: &Node,
    ) -> Result<MutexGuard<'_, ()>, MembershipError> {
        let members = self.members.lock().await;
        let expected = self.written().max(self.proposed.load(Ordering::Relaxed));
        let asked = timeout(PATIENCE, self.others.formats(id, node.clone()));
        match asked.await.ok().flatten() {
            Some(FormatsResponse { reads: got, .. }) if got < expected => {
                let error = MembershipError::Format { node_id: id, got, expected };
                tracing::warn!(node_id = self.node_id, %error, "a node isn't admitted");
                Err(error)
            }
            _ => Ok(members),
        }
    }

    /// Raises the format whenever this node leads and it can be, until the node stops.
    pub(super) async fn run(self: Arc<Self>, raft: Raft) {
        let mut server = raft.server_metrics();
        let mut pause = PAUSES.0;
        loop {
            let leads = server.borrow_and_update().state.is_leader();
            if leads {
                self.settle(&raft).await;
            } else {
                self.hold(None);
            }
            let unsettled = leads && self.written() < self.mine.reads;
            tokio::select! {
                changed = server.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    pause = PAUSES.0;
                }
                () = sleep(pause), if unsettled => pause = (pause * 2).min(PAUSES.1),
            }
        }
    }

    /// One round of questions, and what follows from the answers.
    async fn settle(&self, raft: &Raft) {
        let written = self.written();
        if written >= self.mine.reads {
            let (node_id, format) = (self.node_id, self.mine.reads);
            return self.hold(Some(HeldBack::Reads { node_id, format }));
        }
        let Some(members) = members(raft).await else { return };
        match judge(written, &self.ask(&members).await) {
            Ok(format) => {
                self.hold(None);
                self.raise(format, raft, members).await;
            }
            Err(held) => self.hold(Some(held)),
        }
    }

    /// What each of them says.
    async fn ask(&self, members: &BTreeMap<NodeId, Node>) -> Said {
        let mut said: Said = members.keys().map(|id| (*id, None)).collect();
        let mut asked = JoinSet::new();
        for (id, node) in members.iter().filter(|(id, _)| **id != self.node_id) {
            let (id, answer) = (*id, self.others.formats(*id, node.clone()));
            asked.spawn(async move { (id, timeout(PATIENCE, answer).await.ok().flatten()) });
        }
        while let Some(end) = asked.join_next().await {
            said.extend(end.ok());
        }
        said.insert(self.node_id, Some(self.mine));
        said
    }

    /// Proposes the raise, if the members are still those that were asked, and waits for its answer as
    /// long as this node leads.
    async fn raise(&self, format: u32, raft: &Raft, asked: BTreeMap<NodeId, Node>) {
        let members_stay = self.members.lock().await;
        if members(raft).await != Some(asked) {
            return;
        }
        if self.intake.refusal().is_some() {
            // It can wait for room.
            return;
        }
        self.proposed.fetch_max(format, Ordering::Relaxed);
        let Ok(answer) = raft.client_write_ff(Batch::raise(format)).await else { return };
        // What is asked for from now on is behind it in the log.
        drop(members_stay);
        let mut server = raft.server_metrics();
        let deposed = server.wait_for(|now| !now.state.is_leader());
        tokio::select! {
            _ = answer => {}
            _ = deposed => {}
        }
    }

    fn hold(&self, held: Option<HeldBack>) {
        let changed = self.state.send_if_modified(|state| {
            let changed = state.held != held;
            state.held = held;
            changed
        });
        let written = self.written();
        if let Some(why) = held.filter(|_| changed && written < self.mine.reads) {
            tracing::info!(node_id = self.node_id, written, %why, "the cluster's format stays");
        }
    }
}

/// Everybody who may be a member; `None` if the node stopped.
async fn members(raft: &Raft) -> Option<BTreeMap<NodeId, Node>> {
    let state = raft.with_raft_state(|state| {
        let memberships = &state.membership_state;
        // A change that isn't committed may yet be undone.
        let both = [memberships.committed(), memberships.effective()];
        let nodes = both.iter().flat_map(|membership| membership.membership().nodes());
        nodes.map(|(id, node)| (*id, node.clone())).collect()
    });
    state.await.ok()
}
