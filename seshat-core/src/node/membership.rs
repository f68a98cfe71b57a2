//! Who belongs to the cluster, and changes of that.

use std::collections::BTreeSet;

use openraft::ChangeMembers;

use super::RaftNode;
use crate::error::MembershipError;
use crate::storage::StateReader;
use crate::types::{Node, NodeId};

impl<R: StateReader> RaftNode<R> {
    /// Adds a node that receives the log but doesn't vote, and waits until it has caught up with
    /// what this node had when it began.
    ///
    /// # Errors
    /// See [`MembershipError`]. A node that can't be reached is a `NoQuorum` after
    /// `propose_timeout`; it is a learner all the same.
    pub async fn add_learner(
        &self,
        id: NodeId,
        address: impl Into<String>,
    ) -> Result<(), MembershipError> {
        let node = Node { addr: address.into() };
        let added = self.inner.raft.add_learner(id, node, true);
        self.within_timeout(added).await
    }

    /// Makes exactly `voters` the voters, through joint consensus. Each must be a learner or a
    /// voter already. Voters that are left out stay as learners if `retain`, and are removed
    /// otherwise.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn change_membership(
        &self,
        voters: BTreeSet<NodeId>,
        retain: bool,
    ) -> Result<(), MembershipError> {
        let changed = self.inner.raft.change_membership(voters, retain);
        self.within_timeout(changed).await
    }

    /// Removes learners.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn remove_learners(&self, ids: BTreeSet<NodeId>) -> Result<(), MembershipError> {
        let changed = self.inner.raft.change_membership(ChangeMembers::RemoveNodes(ids), false);
        self.within_timeout(changed).await
    }

    async fn within_timeout<T, E: Into<MembershipError>>(
        &self,
        change: impl Future<Output = Result<T, E>>,
    ) -> Result<(), MembershipError> {
        let timeout = self.inner.config.propose_timeout();
        match tokio::time::timeout(timeout, change).await {
            Ok(changed) => changed.map(drop).map_err(Into::into),
            Err(_) => Err(MembershipError::NoQuorum { waited: timeout }),
        }
    }
}
