//! [`StubNetwork`]: stands where a transport will.

use std::future::Future;

use openraft::OptionalSend;
use openraft::error::{
    Fatal, InstallSnapshotError, RPCError, RaftError, ReplicationClosed, StreamingError,
    Unreachable,
};
use openraft::network::{RPCOption, RPCTypes, RaftNetwork, RaftNetworkFactory};

use super::Transport;
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    Node, NodeId, Snapshot, SnapshotResponse, TypeConfig, Vote, VoteRequest, VoteResponse,
};

/// A transport that reaches nobody: every call fails at once as unreachable, and is traced.
///
/// Enough for a single node. It never answers `Ok`, which a leader would count as a replica.
#[derive(Debug, Clone, Copy, Default)]
pub struct StubNetwork;

/// [`StubNetwork`] towards one node.
#[derive(Debug, Clone)]
pub struct StubConnection {
    target: NodeId,
    address: String,
}

/// There is no transport.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rpc} to node {target} at {address:?}: this node has no transport")]
pub struct NoTransport {
    /// What was to be sent.
    pub rpc: RPCTypes,
    /// To whom.
    pub target: NodeId,
    /// Where that is.
    pub address: String,
}

impl StubConnection {
    fn refuse(&self, rpc: RPCTypes) -> Unreachable {
        let error = NoTransport { rpc, target: self.target, address: self.address.clone() };
        tracing::warn!(%error, target_node = self.target, "unreachable");
        Unreachable::new(&error)
    }
}

impl RaftNetworkFactory<TypeConfig> for StubNetwork {
    type Network = StubConnection;

    async fn new_client(&mut self, target: NodeId, node: &Node) -> StubConnection {
        StubConnection { target, address: node.addr.clone() }
    }
}

impl Transport for StubNetwork {}

impl RaftNetwork<TypeConfig> for StubConnection {
    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse, RPCError<NodeId, Node, RaftError<NodeId>>> {
        Err(self.refuse(RPCTypes::AppendEntries).into())
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest,
        _: RPCOption,
    ) -> Result<
        InstallSnapshotResponse,
        RPCError<NodeId, Node, RaftError<NodeId, InstallSnapshotError>>,
    > {
        Err(self.refuse(RPCTypes::InstallSnapshot).into())
    }

    async fn vote(
        &mut self,
        _: VoteRequest,
        _: RPCOption,
    ) -> Result<VoteResponse, RPCError<NodeId, Node, RaftError<NodeId>>> {
        Err(self.refuse(RPCTypes::Vote).into())
    }
    /// Chunk by chunk, as openraft does it, an unreachable target is tried five times.
    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: Snapshot,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse, StreamingError<TypeConfig, Fatal<NodeId>>> {
        Err(self.refuse(RPCTypes::InstallSnapshot).into())
    }
}
