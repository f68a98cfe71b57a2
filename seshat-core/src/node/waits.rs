//! Waiting for what a node reports of itself.

use std::time::Duration;

use super::RaftNode;
use super::running::running;
use crate::error::{Stopped, WaitError};
use crate::storage::StateReader;
use crate::types::{NodeId, RaftMetrics};

impl<R: StateReader> RaftNode<R> {
    /// Waits until `condition` holds for what the node reports of itself; `what` names it in the
    /// error.
    ///
    /// Dropping the future ends the wait, and nothing else; so it is with the other waits.
    ///
    /// # Errors
    /// It didn't within `timeout`, or the node stopped: what it reported last holds no more.
    pub async fn wait_until(
        &self,
        timeout: Duration,
        what: &'static str,
        condition: impl Fn(&RaftMetrics) -> bool,
    ) -> Result<RaftMetrics, WaitError> {
        let mut metrics = self.metrics();
        let met = async {
            loop {
                {
                    let now = running(&mut metrics)?;
                    if condition(&now) {
                        return Ok(now.clone());
                    }
                }
                // If nobody reports any more, `running` says why.
                let _ = metrics.changed().await;
            }
        };
        match tokio::time::timeout(timeout, met).await {
            Ok(met) => met.map_err(|stopped: Stopped| stopped.into()),
            Err(_) => Err(WaitError::Timeout { node_id: self.id(), what, waited: timeout }),
        }
    }

    /// Waits until this node knows a leader; returns its id.
    ///
    /// # Errors
    /// It knew none within `timeout`, or it stopped.
    pub async fn wait_for_leader(&self, timeout: Duration) -> Result<NodeId, WaitError> {
        let known = self.wait_until(timeout, "a leader", |now| now.current_leader.is_some());
        let none = WaitError::Timeout { node_id: self.id(), what: "a leader", waited: timeout };
        known.await?.current_leader.ok_or(none)
    }

    /// Waits until the entry at `index` is applied here.
    ///
    /// # Errors
    /// It wasn't within `timeout`, or the node stopped.
    pub async fn wait_for_applied(&self, timeout: Duration, index: u64) -> Result<(), WaitError> {
        let applied = |now: &RaftMetrics| now.last_applied.is_some_and(|last| last.index >= index);
        self.wait_until(timeout, "an entry to be applied", applied).await.map(drop)
    }
}
