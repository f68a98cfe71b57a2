//! [`Ship`]: how a snapshot gets from one node to another.
//!
//! A wire of its own for snapshots, because openraft's feature `generic-snapshot-data` takes the
//! bounds off `SnapshotData`, and whoever depends on this crate may turn it on.

use std::future::Future;

use openraft::error::{
    Fatal, InstallSnapshotError, NetworkError, RPCError, RemoteError, ReplicationClosed,
    StreamingError,
};
use openraft::network::snapshot_transport::{Chunked, SnapshotTransport};
use openraft::network::{RPCOption, RPCTypes, RaftNetwork};
use openraft::raft::{InstallSnapshotRequest, InstallSnapshotResponse, SnapshotResponse};
use openraft::{AnyError, Raft, RaftTypeConfig, Snapshot, Vote};
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite};

use super::connection::{Connection, Rpc};
use super::{Carry, Plugged};

/// What becomes of a snapshot that is sent.
pub type Shipped<C> = Result<
    SnapshotResponse<<C as RaftTypeConfig>::NodeId>,
    StreamingError<C, Fatal<<C as RaftTypeConfig>::NodeId>>,
>;

/// The part of a connection that depends on what a snapshot is made of.
///
/// [`InChunks`] implements it for snapshots that are readers, writers and seekers; a wire that
/// carries them in another way implements it with [`Connection::hand_over`].
pub trait Ship<C: RaftTypeConfig>: Sized {
    /// Sends a snapshot, and has the target install it.
    ///
    /// # Errors
    /// The target wasn't reached, or said no; or `cancel` came first.
    fn full_snapshot(
        connection: &mut Connection<C, Self>,
        vote: Vote<C::NodeId>,
        snapshot: Snapshot<C>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> impl Future<Output = Shipped<C>> + Send
    where
        Connection<C, Self>: RaftNetwork<C>;

    /// Sends one chunk of a snapshot. Refused by a wire whose [`Ship::full_snapshot`] makes none.
    ///
    /// # Errors
    /// The target wasn't reached, or said no.
    fn install_snapshot(
        connection: &Connection<C, Self>,
        chunk: InstallSnapshotRequest<C>,
        option: RPCOption,
    ) -> impl Future<Output = Rpc<C, InstallSnapshotResponse<C::NodeId>, InstallSnapshotError>> + Send
    {
        let _ = (connection, chunk, option);
        let refused = AnyError::error("this wire carries snapshots whole");
        async move { Err(RPCError::Network(NetworkError::new(&refused))) }
    }
}

/// A wire over which snapshots travel as openraft sends them by default: chunk by chunk, each a
/// message like any other.
pub trait InChunks {}

impl<C, W> Ship<C> for W
where
    C: RaftTypeConfig,
    C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin,
    W: InChunks + Carry<InstallSnapshotRequest<C>> + Carry<InstallSnapshotResponse<C::NodeId>>,
{
    async fn full_snapshot(
        connection: &mut Connection<C, W>,
        vote: Vote<C::NodeId>,
        snapshot: Snapshot<C>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Shipped<C>
    where
        Connection<C, W>: RaftNetwork<C>,
    {
        Chunked::send_snapshot(connection, vote, snapshot, cancel, option).await
    }

    async fn install_snapshot(
        connection: &Connection<C, W>,
        chunk: InstallSnapshotRequest<C>,
        option: RPCOption,
    ) -> Rpc<C, InstallSnapshotResponse<C::NodeId>, InstallSnapshotError> {
        #[allow(deprecated, reason = "by `generic-snapshot-data`, which others may turn on")]
        let handle = |target: Plugged<C>, rpc| async move {
            target.raft.install_snapshot(rpc).await.map(Ok)
        };
        connection.call(RPCTypes::InstallSnapshot, chunk, option, handle).await
    }
}

impl<C: RaftTypeConfig, W: Clone> Connection<C, W> {
    /// Sends a snapshot as one message: `copy` makes of it what comes out at the target, and the
    /// target installs that. It takes `bytes` of the link's
    /// [bandwidth](super::Faults::bytes_per_second). It may be delayed or lost, but never arrives
    /// twice.
    ///
    /// # Errors
    /// The target wasn't reached, or said no; `copy` failed; or `cancel` came first.
    pub async fn hand_over<F>(
        &self,
        vote: Vote<C::NodeId>,
        snapshot: Snapshot<C>,
        bytes: u64,
        cancel: impl Future<Output = ReplicationClosed> + Send,
        option: RPCOption,
        copy: impl FnOnce(Snapshot<C>, Raft<C>) -> F + Send,
    ) -> Shipped<C>
    where
        F: Future<Output = Result<Snapshot<C>, AnyError>> + Send,
    {
        let rpc = RPCTypes::InstallSnapshot;
        let sent = async {
            let (target, fate) = self.set_out(rpc)?;
            self.cross(rpc, fate, bytes, &option).await?;
            let copied = copy(snapshot, target.raft.clone()).await;
            let snapshot = copied.map_err(|source| self.not_understood(rpc, source))?;
            let answer = target.raft.install_full_snapshot(vote, snapshot).await;
            self.come_back(rpc, self.set_back(), 0, &option).await?;
            answer.map_err(|error| RemoteError::new(self.target(), error).into())
        };
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = sent => sent,
        }
    }
}
