//! A snapshot when somebody asks for one.
//!
//! Guarantee: it holds whatever was applied here before the call. openraft reports no build that fails, so one is
//! asked for again now and then: one that was under way before doesn't count either.

use std::time::Duration;

use openraft::error::RaftError;
use tokio::time::Instant;

use super::RaftNode;
use super::running::running;
use crate::error::{BuildError, Stopped};
use crate::storage::StateReader;
use crate::types::Snapshot;

/// How long a build may take before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long one is waited for while the disk is full, which may be why there is none, and may be over soon.
const PATIENCE: Duration = Duration::from_secs(10);

impl<R: StateReader> RaftNode<R> {
    /// A snapshot of what is applied now, or later, whole and where snapshots are kept. If the newest one is that
    /// already, nothing is built. Takes as long as a build does. Those that ask meanwhile share it.
    ///
    /// Dropping the future takes nothing back.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build_snapshot(&self) -> Result<Snapshot, BuildError> {
        let (node_id, started) = (self.id(), Instant::now());
        let mut metrics = self.metrics();
        let wanted = running(&mut metrics)?.last_applied;
        if wanted.is_none() {
            return Err(BuildError::NothingApplied { node_id });
        }
        while running(&mut metrics)?.snapshot < wanted {
            self.trigger_snapshot().await?;
            let built =
                metrics.wait_for(|now| now.snapshot >= wanted || now.running_state.is_err());
            let waited = tokio::time::timeout(ASK_AGAIN, built).await.is_err();
            if waited && started.elapsed() >= PATIENCE {
                self.disk_full().map_or(Ok(()), Err)?;
            }
        }
        let newest = self.raft().get_snapshot().await.map_err(|error| match error {
            RaftError::APIError(never) => match never {},
            RaftError::Fatal(fatal) => Stopped::from(fatal),
        })?;
        newest.ok_or(BuildError::Gone { node_id })
    }
}
