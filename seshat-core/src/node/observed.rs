//! [`Observed`]: any transport, with a span around every call that elects or replicates, and what
//! follows a snapshot in the log kept for as long as that is on its way. What becomes of one call is for those who
//! look closer: transports tell that a node is lost, or back, once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{
    Fatal, InstallSnapshotError, RPCError, RaftError, ReplicationClosed, StreamingError,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::{LogIdOptionExt, OptionalSend};
use tracing::Instrument;

use super::retention::Retention;
use crate::config::NodeConfig;
use crate::metrics;
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    Node, NodeId, Snapshot, SnapshotResponse, TypeConfig, Vote, VoteRequest, VoteResponse,
};

/// The transport `N` of node `node_id`.
#[derive(Debug, Clone)]
pub(super) struct Observed<N> {
    node_id: NodeId,
    heartbeat: Duration,
    inner: N,
    retention: Arc<Retention>,
}

/// One connection of an [`Observed`] transport.
pub(super) struct ObservedConnection<N> {
    node_id: NodeId,
    target: NodeId,
    inner: N,
    retention: Arc<Retention>,
    meters: metrics::Follower,
}

impl<N> Observed<N> {
    pub(super) fn new(config: &NodeConfig, inner: N, retention: Arc<Retention>) -> Self {
        let (node_id, heartbeat) = (config.node_id(), config.heartbeat_interval());
        Self { node_id, heartbeat, inner, retention }
    }
}

impl<N: RaftNetworkFactory<TypeConfig>> RaftNetworkFactory<TypeConfig> for Observed<N> {
    type Network = ObservedConnection<N::Network>;

    async fn new_client(&mut self, target: NodeId, node: &Node) -> Self::Network {
        let inner = self.inner.new_client(target, node).await;
        let retention = Arc::clone(&self.retention);
        let meters = metrics::Follower::new(target, self.heartbeat);
        ObservedConnection { node_id: self.node_id, target, inner, retention, meters }
    }
}

impl<N: RaftNetwork<TypeConfig>> RaftNetwork<TypeConfig> for ObservedConnection<N> {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse, RPCError<NodeId, Node, RaftError<NodeId>>> {
        let span = tracing::debug_span!(
            "replication",
            node_id = self.node_id,
            target = self.target,
            entries = rpc.entries.len(),
            commit_index = rpc.leader_commit.index(),
        );
        let term = rpc.vote.leader_id.term;
        self.meters.goes_out(term);
        let sent = self.inner.append_entries(rpc, option).instrument(span.clone()).await;
        if sent.is_ok() {
            self.meters.answers(term);
        }
        if let Err(error) = &sent {
            span.in_scope(|| tracing::debug!(%error, "replication failed"));
        }
        sent
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest,
        option: RPCOption,
    ) -> Result<
        InstallSnapshotResponse,
        RPCError<NodeId, Node, RaftError<NodeId, InstallSnapshotError>>,
    > {
        let span = tracing::debug_span!(
            "snapshot_chunk",
            node_id = self.node_id,
            target = self.target,
            offset = rpc.offset,
            bytes = rpc.data.len(),
        );
        #[allow(deprecated, reason = "by `generic-snapshot-data`, which others may turn on")]
        self.inner.install_snapshot(rpc, option).instrument(span).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest,
        option: RPCOption,
    ) -> Result<VoteResponse, RPCError<NodeId, Node, RaftError<NodeId>>> {
        let span = tracing::info_span!(
            "election",
            node_id = self.node_id,
            term = rpc.vote.leader_id.term,
            target = self.target,
        );
        let answer = self.inner.vote(rpc, option).instrument(span.clone()).await;
        span.in_scope(|| match &answer {
            Ok(answer) => tracing::debug!(granted = answer.vote_granted, "vote answered"),
            Err(error) => tracing::debug!(%error, "vote not answered"),
        });
        answer
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse, StreamingError<TypeConfig, Fatal<NodeId>>> {
        let span = tracing::info_span!(
            "snapshot_send",
            node_id = self.node_id,
            target = self.target,
            snapshot_id = %snapshot.meta.snapshot_id,
            bytes = snapshot.snapshot.len(),
        );
        let transfer = self.retention.begin(self.target, snapshot.meta.last_log_id);
        let sent = self.inner.full_snapshot(vote, snapshot, cancel, option);
        let sent = sent.instrument(span.clone()).await;
        transfer.end(sent.is_ok());
        self.meters.sent(sent.is_ok());
        span.in_scope(|| match &sent {
            Ok(_) => tracing::info!("snapshot sent"),
            Err(error) => tracing::warn!(%error, "snapshot not sent"),
        });
        sent
    }

    fn backoff(&self) -> Backoff {
        self.inner.backoff()
    }
}
