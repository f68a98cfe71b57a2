//! What operators ask of a node: to give leadership away, to build a snapshot, and how it is.

use super::Service;
use super::answer::{Not, leader, members};
use crate::node::Health;
use crate::proto::client as proto;
use crate::types::NodeId;

impl Service {
    pub(super) async fn transfer(&self, to: NodeId) -> Result<proto::Leader, Not> {
        let _inside = self.enter()?;
        self.node.transfer_leadership(to).await?;
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        let address = membership.get_node(&to).map(|node| node.addr.clone());
        Ok(proto::Leader { id: to, address })
    }

    pub(super) async fn build_snapshot(&self) -> Result<proto::SnapshotBuilt, Not> {
        let built = self.node.build_snapshot().await?;
        let last = built.meta.last_log_id.unwrap_or_default();
        Ok(proto::SnapshotBuilt {
            index: last.index,
            term: last.leader_id.term,
            bytes: built.snapshot.len() as u64,
            id: built.meta.snapshot_id,
        })
    }

    /// The one partition that there is.
    pub(super) async fn partition(&self) -> proto::Partition {
        // A node that stopped can't tell, and one that panicked reports as before.
        let committed = self.node.raft().with_raft_state(|state| state.committed).await;
        let metrics = self.metrics();
        let role = committed.as_ref().map_or(proto::Role::Stopped, |_| self.role(metrics.state));
        proto::Partition {
            group: 0,
            role: role.into(),
            leader: leader(&metrics),
            term: metrics.current_term,
            last: metrics.last_log_index,
            committed: committed.ok().flatten().map(|last| last.index),
            applied: metrics.last_applied.map(|last| last.index),
            snapshot: metrics.snapshot.map(|last| last.index),
            purged: metrics.purged.map(|last| last.index),
            members: members(&metrics),
        }
    }

    pub(super) async fn health(&self) -> proto::HealthResponse {
        let Health { dead, unready } = self.node.health().await;
        let mut unready: Vec<String> = unready.iter().map(ToString::to_string).collect();
        if self.role(self.metrics().state) == proto::Role::Applicant {
            unready.insert(0, "the node waits to be let into its cluster".to_owned());
        }
        let dead = dead.map(|dead| dead.to_string());
        proto::HealthResponse { id: self.node.id(), dead, unready }
    }
}
