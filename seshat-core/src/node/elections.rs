//! [`Elections`]: whether a node may campaign and vote, which it may not while it is on [`Probation`].
//!
//! Guarantees: a probation is durable before the node stores a vote or an entry by it, and before anybody hears
//! of the node ([`Elections::begin`]); so it holds again after a restart, from before openraft's clock runs. It
//! ends when the log reaches what the leader had, and whoever was told so may act on it: none comes back while
//! the process lives.
//!
//! That who is on probation doesn't vote is its transport's to see to, which knows who asks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::error::{Fatal, RaftError};
use openraft::storage::RaftLogStorage;
use tokio::sync::Notify;

use crate::codec::Leadership;
use crate::network::heartbeat;
use crate::storage::{Probation, Probations};
use crate::types::{NodeId, Raft, StorageError, TypeConfig};

/// Why a node may not campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// It remembers nothing of what it promised, and hasn't caught up since.
    Probation,
    /// It couldn't take what it leads others to store.
    Disk,
}

/// Lets a node campaign, or forbids it: by its clock and by its caller's wish. It may when there is no
/// reason against it. Clones are the same.
///
/// A node whose log is sent to it from the start passes through old memberships, by each of which it
/// may be a voter, or the only one. What is forbidden before its log has the first of them begins
/// nowhere; what is under way goes on.
#[derive(Clone)]
pub(crate) struct Elections {
    inner: Arc<Inner>,
}

struct Inner {
    node_id: NodeId,
    raft: Raft,
    against: Mutex<BTreeSet<Reason>>,
    probations: Arc<dyn Probations>,
    /// The one that the node is on.
    probation: Mutex<Option<Probation>>,
    /// There is one to be ended.
    begun: Notify,
}

/// The probation that a node is on whose log ends so.
pub(super) async fn probation(
    probations: &dyn Probations,
    log: &mut impl RaftLogStorage<TypeConfig>,
) -> Result<Option<Probation>, StorageError> {
    let last = log.get_log_state().await?.last_log_id;
    Ok(probations.kept().filter(|probation| !probation.is_over(last.map(|last| last.index))))
}

impl Elections {
    /// Of a node that starts, which may be on probation.
    pub(super) fn new(
        node_id: NodeId,
        raft: Raft,
        probations: Arc<dyn Probations>,
        probation: Option<Probation>,
    ) -> Self {
        let against = BTreeSet::from_iter(probation.map(|_| Reason::Probation));
        let (against, begun) = (Mutex::new(against), Notify::new());
        if let Some(Probation { leadership: Leadership { vote, committed } }) = &probation {
            tracing::info!(node_id, leader = %vote, until = %committed, "still on probation");
            begun.notify_one();
        }
        let probation = Mutex::new(probation);
        Self { inner: Arc::new(Inner { node_id, raft, against, probations, probation, begun }) }
    }

    /// Why not, if so. openraft's own switch is for its clock alone.
    pub(super) fn reason_against(&self) -> Option<Reason> {
        self.against().first().copied()
    }

    /// Takes the reason back, or has it from now on.
    pub(super) fn allow(&self, reason: Reason, allowed: bool) {
        let mut against = self.against();
        if allowed {
            against.remove(&reason);
        } else {
            against.insert(reason);
        }
        // Under the lock, so that the last word is openraft's too.
        self.inner.raft.runtime_config().elect(against.is_empty());
    }

    /// Whether the node ever was on probation, since its storage was empty.
    pub(crate) fn ever_on_probation(&self) -> bool {
        self.inner.probations.kept().is_some()
    }

    /// Puts the node on probation, before anybody hears of it. Twice is as good as once.
    ///
    /// Crash windows: before the probation is kept, the node has stored nothing, and asks again; between that
    /// and the vote, it stores the vote when it begins the same probation anew.
    ///
    /// openraft itself refuses every leader whose vote is less than the stored one, and stores that
    /// of an AppendEntries before it answers. Without entries, and without one before them, that
    /// is all that it does: nothing is appended, truncated or committed.
    pub(crate) async fn begin(&self, probation: Probation) -> Result<(), Fatal<NodeId>> {
        let inner = &*self.inner;
        if inner.probations.kept() != Some(probation) {
            let probations = Arc::clone(&inner.probations);
            let kept = tokio::task::spawn_blocking(move || probations.keep(probation)).await;
            kept.map_err(|_| Fatal::Panicked)??;
        }
        *self.lock() = Some(probation);
        self.allow(Reason::Probation, false);
        let Leadership { vote, committed } = probation.leadership;
        match inner.raft.append_entries(heartbeat(vote)).await {
            // A conflict can't be, and a greater vote refuses that leader's elders as well.
            Ok(_) => {}
            Err(RaftError::APIError(never)) => match never {},
            Err(RaftError::Fatal(fatal)) => return Err(fatal),
        }
        tracing::info!(node_id = inner.node_id, leader = %vote, until = %committed, "on probation");
        // Over already, where it was begun before.
        self.probation();
        inner.begun.notify_one();
        Ok(())
    }

    /// The probation that this node is on, which ends here if it is over.
    pub(crate) fn probation(&self) -> Option<Probation> {
        let mut on = self.lock();
        if on.take_if(|probation| self.is_over(probation)).is_some() {
            self.allow(Reason::Probation, true);
            tracing::info!(node_id = self.inner.node_id, "caught up: it may vote");
        }
        *on
    }

    /// Whether the log has what it takes to end that one.
    pub(crate) fn is_over(&self, probation: &Probation) -> bool {
        // What is reported may be behind, and is durable but for a snapshot that is being installed.
        probation.is_over(self.inner.raft.metrics().borrow().last_log_index)
    }

    /// Lets the node campaign once it has caught up, though nobody asks for its vote. Runs as long as
    /// the node does, and looks at what the node does only while it is on probation.
    pub(super) async fn end_probation(self) {
        let mut metrics = self.inner.raft.metrics();
        loop {
            self.inner.begun.notified().await;
            if let Some(probation) = self.probation() {
                let over = metrics.wait_for(|now| probation.is_over(now.last_log_index)).await;
                if over.is_err() {
                    return;
                }
            }
            self.probation();
        }
    }

    // Every change under a lock is a single one.
    fn against(&self) -> MutexGuard<'_, BTreeSet<Reason>> {
        self.inner.against.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Probation>> {
        self.inner.probation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "grpc"))]
mod tests;
