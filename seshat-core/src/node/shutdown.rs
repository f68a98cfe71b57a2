//! How a node ends.
//!
//! Guarantees: an end that has begun goes on to its end in a task of the node's, whoever waits for it,
//! and everybody who waits is told the same. A node whose last clone is dropped stops, whoever else holds
//! openraft's handle.

use std::sync::PoisonError;

use openraft::ServerState;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::handover::hand_over;
use super::running::running;
use super::{Inner, RaftNode};
use crate::error::HandoverError;
use crate::storage::StateReader;
use crate::types::NodeId;

/// What a shutdown did about leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handover {
    /// The node did not lead, or lost its vote and has handed over before.
    NotLeading,
    /// That node leads now.
    To(NodeId),
    /// Nobody took over; the others elect a leader after a timeout.
    Failed(HandoverError),
}

impl<R: StateReader> RaftNode<R> {
    /// Stops the node for good: refuses proposals and changes of the membership, answers those that
    /// wait, hands leadership over if it leads, stops. Takes at most `propose_timeout`, the maximal
    /// election timeout and `rpc_timeout`. Calling it again, or while it runs, does nothing more, and returns
    /// the same.
    ///
    /// When it returns, the storage is [released](crate::storage::Storage::released), so that another node can
    /// be started on it at once; unless a snapshot is being built or sent for longer than `rpc_timeout`, of
    /// which an event tells.
    ///
    /// Dropping the future changes nothing: what has begun ends.
    pub async fn shutdown(&self) -> Handover {
        let ended = self.inner.shutdown.get_or_init(|| {
            let (sender, ended) = watch::channel(None);
            let node = self.clone();
            self.inner.runtime.spawn(async move {
                let handover = node.shut_down().await;
                sender.send_replace(Some(handover));
            });
            ended
        });
        let mut ended = ended.clone();
        let handover = ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        // The task is gone with its runtime, as is the core.
        handover.unwrap_or(Handover::Failed(HandoverError::Stopped))
    }

    async fn shut_down(&self) -> Handover {
        let inner = &*self.inner;
        inner.batcher.close();
        let driver = inner.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        // What has no quorum ends with its time.
        let timeout = inner.config.propose_timeout();
        let drained = async {
            if let Some(driver) = driver {
                let drained = tokio::time::timeout(timeout, driver).await;
                tracing::debug!(drained = drained.is_ok(), "proposals answered");
            }
        };
        tokio::join!(drained, inner.changes.finish(timeout));
        let handover = self.leave().await;
        self.halt().await;
        handover
    }

    /// Hands leadership over if the node leads.
    async fn leave(&self) -> Handover {
        let (inner, node_id, started) = (&*self.inner, self.id(), Instant::now());
        let leads = inner.raft.with_raft_state(|state| state.server_state == ServerState::Leader);
        if !leads.await.is_ok_and(|leads| leads) {
            return Handover::NotLeading;
        }
        let timeout = inner.config.election_timeout_max();
        match hand_over(&inner.raft, &*inner.peers, None, timeout).await {
            Ok(successor) => {
                let elapsed_ms = started.elapsed().as_millis() as u64;
                tracing::info!(node_id, successor, elapsed_ms, "leadership handed over");
                Handover::To(successor)
            }
            Err(error) => {
                tracing::warn!(node_id, %error, "leadership not handed over");
                Handover::Failed(error)
            }
        }
    }

    /// Stops the node at once, as a crash would: proposals that wait end with
    /// [`Stopped::ShutDown`](crate::error::Stopped::ShutDown), nobody takes over. The storage is released
    /// then, as after [`shutdown`](Self::shutdown).
    ///
    /// Dropping the future changes nothing: what has begun ends.
    pub async fn stop(&self) {
        let node = self.clone();
        let stopped = self.inner.runtime.spawn(async move { node.halt().await });
        // If the task is gone with its runtime, so is the core.
        let _ = stopped.await;
    }

    async fn halt(&self) {
        let inner = &*self.inner;
        inner.batcher.close();
        inner.changes.close();
        if let Err(error) = inner.raft.shutdown().await {
            tracing::error!(node_id = self.id(), %error, "the node's core could not be joined");
        }
        inner.tasks.iter().for_each(JoinHandle::abort);
        // Replication and the state machine are openraft's tasks, which end on their own once the core has.
        let patience = inner.config.rpc_timeout();
        let released = tokio::time::timeout(patience, inner.released.clone().wait()).await.is_ok();
        if !released {
            tracing::warn!(
                node_id = self.id(),
                ?patience,
                "stopped, but its storage is still in use"
            );
        }
        tracing::info!(node_id = self.id(), "node stopped");
    }
}

impl<R> Drop for Inner<R> {
    fn drop(&mut self) {
        self.batcher.close();
        self.tasks.iter().for_each(JoinHandle::abort);
        if running(&mut self.raft.metrics()).is_err() {
            return;
        }
        // Others may hold openraft's handle, a server for one, and would keep it going. Where the runtime
        // is gone, this is dropped, and the core is gone already.
        let (node_id, raft) = (self.config.node_id(), self.raft.clone());
        self.runtime.spawn(async move {
            if let Err(error) = raft.shutdown().await {
                tracing::error!(node_id, %error, "the node's core could not be joined");
            }
            tracing::info!(node_id, "node stopped: it was dropped");
        });
    }
}
