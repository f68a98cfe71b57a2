//! openraft's face of the switchboard.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{Node, NodeId, Raft, RaftTypeConfig};

use super::{Carry, Switchboard, Wire};
use crate::codec::DecodeError;

/// How long openraft waits before it calls an unreachable node again. Short: the nodes are in one
/// process.
const BACKOFF: Duration = Duration::from_millis(20);

/// The network of one node.
#[derive(Debug, Clone)]
pub struct Port<C: RaftTypeConfig, W> {
    switchboard: Switchboard<C, W>,
    from: C::NodeId,
}

impl<C: RaftTypeConfig, W> Port<C, W> {
    pub(super) fn new(switchboard: Switchboard<C, W>, from: C::NodeId) -> Self {
        Self { switchboard, from }
    }
}

/// The link of one node to another.
#[derive(Debug, Clone)]
pub struct Connection<C: RaftTypeConfig, W> {
    switchboard: Switchboard<C, W>,
    from: C::NodeId,
    to: C::NodeId,
}

/// A message that had no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Undelivered<N: std::fmt::Debug + std::fmt::Display> {
    /// No node with that id is plugged in.
    #[error("{rpc} from node {from} to node {to}: node {to} is not plugged in")]
    NotPlugged {
        /// What was sent.
        rpc: RPCTypes,
        /// Who sent it.
        from: N,
        /// To whom.
        to: N,
    },
    /// The link is cut.
    #[error("{rpc} from node {from} to node {to}: the link is cut")]
    Cut {
        /// What was sent.
        rpc: RPCTypes,
        /// Who sent it.
        from: N,
        /// To whom.
        to: N,
    },
    /// The message or its answer was lost.
    #[error("{rpc} from node {from} to node {to}: no answer")]
    Lost {
        /// What was sent.
        rpc: RPCTypes,
        /// Who sent it.
        from: N,
        /// To whom.
        to: N,
    },
    /// The message or its answer wasn't understood.
    #[error("{rpc} from node {from} to node {to}: not understood")]
    Decode {
        /// What was sent.
        rpc: RPCTypes,
        /// Who sent it.
        from: N,
        /// To whom.
        to: N,
        /// Why not.
        source: DecodeError,
    },
}

type Rpc<C, T, E> = Result<
    T,
    RPCError<
        <C as RaftTypeConfig>::NodeId,
        <C as RaftTypeConfig>::Node,
        RaftError<<C as RaftTypeConfig>::NodeId, E>,
    >,
>;

impl<C, W> Connection<C, W>
where
    C: RaftTypeConfig,
    W: Wire<C>,
{
    /// Sends a request over the link, has the target handle it, and sends the answer back.
    async fn call<Req, Resp, E, F>(
        &self,
        rpc: RPCTypes,
        request: Req,
        option: RPCOption,
        handle: impl Fn(Raft<C>, Req) -> F,
    ) -> Rpc<C, Resp, E>
    where
        W: Carry<Req> + Carry<Resp>,
        Req: Clone,
        E: Error,
        F: Future<Output = Result<Resp, RaftError<C::NodeId, E>>> + Send + 'static,
        Resp: Send + 'static,
        RaftError<C::NodeId, E>: Send,
    {
        let (from, to) = (self.from.clone(), self.to.clone());
        let fate = self.switchboard.fate(&from, &to);
        if fate.cut {
            return Err(unreachable(&Undelivered::Cut { rpc, from, to }));
        }
        let Some(target) = self.switchboard.node(&to) else {
            return Err(unreachable(&Undelivered::NotPlugged { rpc, from, to }));
        };

        if let Some(late) = fate.stray {
            let copy = self.carry(rpc, request.clone())?;
            let stray = handle(target.clone(), copy);
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                // Nobody waits for the answer of a stray message.
                let _ = stray.await;
            });
        }
        wait(fate.delay).await;
        if fate.lost {
            return self.lost(rpc, option).await;
        }
        let request = self.carry(rpc, request)?;
        let handled = handle(target, request).await;

        let fate = self.switchboard.fate(&to, &from);
        wait(fate.delay).await;
        if fate.cut || fate.lost {
            return self.lost(rpc, option).await;
        }
        match handled {
            Ok(response) => self.carry(rpc, response),
            Err(error) => Err(RPCError::RemoteError(RemoteError::new(to, error))),
        }
    }

    fn carry<M, E: Error>(&self, rpc: RPCTypes, message: M) -> Rpc<C, M, E>
    where
        W: Carry<M>,
    {
        self.switchboard.wire.carry(message).map_err(|source| {
            let (from, to) = (self.from.clone(), self.to.clone());
            tracing::error!(error = %source, %from, %to, "message not understood");
            RPCError::Network(NetworkError::new(&Undelivered::Decode { rpc, from, to, source }))
        })
    }

    /// The sender learns of a loss when it is tired of waiting.
    async fn lost<T, E: Error>(&self, rpc: RPCTypes, option: RPCOption) -> Rpc<C, T, E> {
        tokio::time::sleep(option.hard_ttl()).await;
        let (from, to) = (self.from.clone(), self.to.clone());
        Err(RPCError::Network(NetworkError::new(&Undelivered::Lost { rpc, from, to })))
    }
}

async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn unreachable<N: NodeId, D: Node, E: Error>(
    why: &Undelivered<N>,
) -> RPCError<N, D, RaftError<N, E>> {
    tracing::debug!(error = %why, "unreachable");
    RPCError::Unreachable(Unreachable::new(why))
}

impl<C, W> RaftNetworkFactory<C> for Port<C, W>
where
    C: RaftTypeConfig,
    C::Entry: Clone,
    W: Wire<C>,
{
    type Network = Connection<C, W>;

    async fn new_client(&mut self, to: C::NodeId, _: &C::Node) -> Connection<C, W> {
        Connection { switchboard: self.switchboard.clone(), from: self.from.clone(), to }
    }
}

impl<C, W> RaftNetwork<C> for Connection<C, W>
where
    C: RaftTypeConfig,
    C::Entry: Clone,
    W: Wire<C>,
{
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Rpc<C, AppendEntriesResponse<C::NodeId>, openraft::error::Infallible> {
        let handle = |raft: Raft<C>, rpc| async move { raft.append_entries(rpc).await };
        self.call(RPCTypes::AppendEntries, rpc, option, handle).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<C>,
        option: RPCOption,
    ) -> Rpc<C, InstallSnapshotResponse<C::NodeId>, InstallSnapshotError> {
        let handle = |raft: Raft<C>, rpc| async move { raft.install_snapshot(rpc).await };
        self.call(RPCTypes::InstallSnapshot, rpc, option, handle).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<C::NodeId>,
        option: RPCOption,
    ) -> Rpc<C, VoteResponse<C::NodeId>, openraft::error::Infallible> {
        let handle = |raft: Raft<C>, rpc| async move { raft.vote(rpc).await };
        self.call(RPCTypes::Vote, rpc, option, handle).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
