//! [`Retention`]: how much of the log a node keeps behind its snapshots, in bytes.
//!
//! openraft can only count entries, so it purges nothing by itself, except what an installed snapshot
//! covers ([`raft_config`](crate::config::NodeConfig::raft_config)). Here the log is purged after each
//! snapshot, but for [`log_bytes_to_keep`](SnapshotConfig::log_bytes_to_keep) behind it ([`Marks`]), and
//! for what a follower needs to go on from a snapshot that is on its way to it ([`Holds`]): openraft
//! sends the next one to a follower whose first missing entry is purged when it has this one
//! (openraft#1706), for ever where writes make snapshots due faster than they are sent.

mod holds;
mod marks;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::ServerState;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) use self::holds::Attempt;
use self::holds::{GivenUp, Holds};
use self::marks::Marks;
use crate::config::{NodeConfig, SnapshotConfig};
use crate::types::{LogId, NodeId, Raft, RaftMetrics};

/// See the [module](self). Shared by the state machine, which says what is applied, by the network,
/// which says what is on its way, and by the task that purges.
#[derive(Debug)]
pub(super) struct Retention {
    config: SnapshotConfig,
    node_id: NodeId,
    /// How long nothing may happen before it is looked whether something is overdue.
    interval: Duration,
    kept: Mutex<Kept>,
    /// Told when there is something to look at.
    changed: Notify,
}

#[derive(Debug)]
struct Kept {
    marks: Marks,
    holds: Holds,
    /// Asked for already.
    purged: u64,
}

impl Retention {
    pub(super) fn new(config: &NodeConfig) -> Self {
        let patience = config.rpc_timeout().max(config.election_timeout_max());
        let snapshot = *config.snapshot();
        let kept = Kept {
            marks: Marks::new(snapshot.log_bytes_to_keep),
            holds: Holds::new(patience, snapshot.max_held_log_bytes),
            purged: 0,
        };
        Self {
            config: snapshot,
            node_id: config.node_id(),
            interval: config.heartbeat_interval(),
            kept: Mutex::new(kept),
            changed: Notify::new(),
        }
    }

    // Every change under the lock is a single step.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state machine starts with, or installed, what was applied up to `last`.
    pub(super) fn restart(&self, last: Option<LogId>) {
        if let Some(last) = last {
            self.lock().marks.restart(last.index);
        }
    }

    /// An entry is applied, of so many bytes.
    pub(super) fn apply(&self, index: u64, bytes: u64) {
        self.lock().marks.apply(index, bytes);
    }

    /// A snapshot of what is applied is being built.
    pub(super) fn view(&self) {
        self.lock().marks.view();
        self.changed.notify_one();
    }

    /// It won't be.
    pub(super) fn view_failed(&self) {
        self.lock().marks.view_failed();
    }

    /// A snapshot up to `last` is on its way to `target`, until the answer ends.
    pub(super) fn begin(self: &Arc<Self>, target: NodeId, last: Option<LogId>) -> Transfer {
        let mut kept = self.lock();
        let snapshot = kept.marks.position(last.map_or(0, |last| last.index));
        let attempt = kept.holds.begin(target, snapshot);
        drop(kept);
        self.changed.notify_one();
        Transfer { retention: Arc::clone(self), target, attempt, arrived: false }
    }

    /// The snapshot that is on its way to `target`.
    pub(super) fn under_way(&self, target: NodeId) -> Option<Attempt> {
        self.lock().holds.under_way(target)
    }

    /// Purges whenever there is something to purge, until the node stops.
    pub(super) async fn run(self: Arc<Self>, raft: Raft) {
        let mut metrics = raft.metrics();
        loop {
            let (expecting, holding) = {
                let kept = self.lock();
                (kept.marks.expects_snapshot(), !kept.holds.is_empty())
            };
            tokio::select! {
                () = self.changed.notified() => {}
                changed = metrics.changed(), if expecting || holding => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(self.interval), if holding => {}
            }
            let purge = self.look(&metrics.borrow_and_update(), Instant::now());
            if let Some(index) = purge {
                tracing::debug!(node_id = self.node_id, index, "log purged");
                if raft.trigger().purge_log(index).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Up to where the log is to be purged now.
    fn look(&self, metrics: &RaftMetrics, now: Instant) -> Option<u64> {
        let mut kept = self.lock();
        if let Some(snapshot) = metrics.snapshot {
            kept.marks.snapshot(snapshot.index);
        }
        let purge = kept.marks.purge();
        match &metrics.replication {
            Some(matched) if metrics.state == ServerState::Leader => {
                let last = metrics.last_log_index.unwrap_or(0);
                for (target, why) in kept.holds.look(now, last, matched, purge) {
                    self.say(target, why);
                }
            }
            _ => kept.holds.clear(),
        }
        let upto = purge?.index;
        let upto = kept.holds.floor().map_or(upto, |floor| floor.min(upto));
        (upto > kept.purged).then(|| {
            kept.purged = upto;
            upto
        })
    }

    fn say(&self, target: NodeId, why: GivenUp) {
        let node_id = self.node_id;
        let max_bytes = self.config.max_held_log_bytes;
        match why {
            GivenUp::Failed => {
                tracing::info!(node_id, target, "the log is no longer kept: no snapshot is sent");
            }
            GivenUp::Stalled => {
                tracing::info!(node_id, target, "the log is no longer kept: it isn't followed");
            }
            GivenUp::TooMuch { bytes } => {
                tracing::warn!(
                    node_id,
                    target,
                    bytes,
                    max_bytes,
                    "the log is no longer kept for a snapshot that is being sent: another one will follow"
                );
            }
        }
    }
}

/// A snapshot on its way. Dropped, it has failed.
#[derive(Debug)]
pub(super) struct Transfer {
    retention: Arc<Retention>,
    target: NodeId,
    attempt: Attempt,
    arrived: bool,
}

impl Transfer {
    pub(super) fn end(mut self, arrived: bool) {
        self.arrived = arrived;
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut kept = self.retention.lock();
        kept.holds.end(self.target, self.attempt, self.arrived, Instant::now());
        drop(kept);
        self.retention.changed.notify_one();
    }
}
