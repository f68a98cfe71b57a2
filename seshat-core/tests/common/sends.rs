//! What nodes send each other: how long snapshots take, how many there are, and how many heartbeats.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::OptionalSend;
use openraft::error::{
    Fatal, InstallSnapshotError, NetworkError, RPCError, RaftError, ReplicationClosed,
    StreamingError,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use seshat_core::network::Transport;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    Node, Snapshot, SnapshotResponse, TypeConfig, Vote, VoteRequest, VoteResponse,
};

/// Shared by all nodes of a cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshots(Arc<Mutex<Sent>>);

#[derive(Debug, Default)]
struct Sent {
    takes: Duration,
    fail: bool,
    /// By target, the last index of each that was begun.
    begun: BTreeMap<u64, Vec<u64>>,
    heartbeats: usize,
}

impl Snapshots {
    /// Each takes that long, from now on.
    pub(crate) fn take(&self, time: Duration) {
        self.0.lock().unwrap().takes = time;
    }

    /// Each fails when its time is over, from now on.
    pub(crate) fn fail(&self) {
        self.0.lock().unwrap().fail = true;
    }

    /// The last index of each snapshot that was on its way to `target`.
    pub(crate) fn begun(&self, target: u64) -> Vec<u64> {
        self.0.lock().unwrap().begun.get(&target).cloned().unwrap_or_default()
    }

    /// Calls without entries, from anybody to anybody.
    #[allow(dead_code, reason = "each test file takes what it needs")]
    pub(crate) fn heartbeats(&self) -> usize {
        self.0.lock().unwrap().heartbeats
    }

    pub(crate) fn through<N>(&self, inner: N) -> Through<N> {
        Through { inner, target: 0, snapshots: self.clone() }
    }
}

/// A transport, or one of its connections.
#[derive(Debug, Clone)]
pub(crate) struct Through<N> {
    inner: N,
    target: u64,
    snapshots: Snapshots,
}

impl<N: RaftNetworkFactory<TypeConfig>> RaftNetworkFactory<TypeConfig> for Through<N> {
    type Network = Through<N::Network>;

    async fn new_client(&mut self, target: u64, node: &Node) -> Self::Network {
        let inner = self.inner.new_client(target, node).await;
        Through { inner, target, snapshots: self.snapshots.clone() }
    }
}

impl<N: Transport> Transport for Through<N> {}

impl<N: RaftNetwork<TypeConfig>> RaftNetwork<TypeConfig> for Through<N> {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse, RPCError<u64, Node, RaftError<u64>>> {
        if rpc.entries.is_empty() {
            self.snapshots.0.lock().unwrap().heartbeats += 1;
        }
        self.inner.append_entries(rpc, option).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse, RPCError<u64, Node, RaftError<u64, InstallSnapshotError>>>
    {
        #[allow(deprecated, reason = "by `generic-snapshot-data`, which others may turn on")]
        self.inner.install_snapshot(rpc, option).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest,
        option: RPCOption,
    ) -> Result<VoteResponse, RPCError<u64, Node, RaftError<u64>>> {
        self.inner.vote(rpc, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse, StreamingError<TypeConfig, Fatal<u64>>> {
        let (takes, fails) = {
            let mut sent = self.snapshots.0.lock().unwrap();
            let last = snapshot.meta.last_log_id.map_or(0, |last| last.index);
            sent.begun.entry(self.target).or_default().push(last);
            (sent.takes, sent.fail)
        };
        let mut cancel = Box::pin(cancel);
        tokio::select! {
            closed = &mut cancel => return Err(closed.into()),
            () = tokio::time::sleep(takes) => {}
        }
        if fails {
            let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            return Err(NetworkError::new(&lost).into());
        }
        self.inner.full_snapshot(vote, snapshot, cancel, option).await
    }

    fn backoff(&self) -> Backoff {
        self.inner.backoff()
    }
}
