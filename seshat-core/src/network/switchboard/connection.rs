//! openraft's face of the switchboard.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, ReplicationClosed,
    StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, Node, NodeId, OptionalSend, RaftTypeConfig, Snapshot, Vote};

use super::link::Fate;
use super::{Carry, Plugged, Shipped, Switchboard, Wire};

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
    /// The target can't take it.
    #[error("{rpc} from node {from} to node {to}: refused")]
    Refused {
        /// What was sent.
        rpc: RPCTypes,
        /// Who sent it.
        from: N,
        /// To whom.
        to: N,
        /// Why.
        source: AnyError,
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
        source: AnyError,
    },
}

/// What becomes of a message that is sent.
pub type Rpc<C, T, E> = Result<
    T,
    RPCError<
        <C as RaftTypeConfig>::NodeId,
        <C as RaftTypeConfig>::Node,
        RaftError<<C as RaftTypeConfig>::NodeId, E>,
    >,
>;

/// What a node answers, or why it isn't asked.
pub(super) type Handled<C, T, E> =
    Result<Result<T, AnyError>, RaftError<<C as RaftTypeConfig>::NodeId, E>>;

impl<C: RaftTypeConfig> Plugged<C> {
    async fn append_entries(
        self,
        mut request: AppendEntriesRequest<C>,
    ) -> Handled<C, AppendEntriesResponse<C::NodeId>, openraft::error::Infallible> {
        let refused = match &self.guard {
            Some(guard) => guard.admits(&request).await.err(),
            None => None,
        };
        if refused.is_some() {
            request.entries.clear();
        }
        let answer = self.raft.append_entries(request).await?;
        match (refused, &answer) {
            (Some(why), AppendEntriesResponse::Success) => Ok(Err(why)),
            _ => Ok(Ok(answer)),
        }
    }
}

impl<C: RaftTypeConfig, W: Clone> Connection<C, W> {
    /// Sends a request over the link, has the target handle it, and sends the answer back.
    pub(super) async fn call<Req, Resp, E, F>(
        &self,
        rpc: RPCTypes,
        request: Req,
        option: RPCOption,
        handle: impl Fn(Plugged<C>, Req) -> F,
    ) -> Rpc<C, Resp, E>
    where
        W: Carry<Req> + Carry<Resp>,
        Req: Clone,
        E: Error,
        F: Future<Output = Handled<C, Resp, E>> + Send + 'static,
        Resp: Send + 'static,
        RaftError<C::NodeId, E>: Send,
    {
        let (target, fate) = self.set_out(rpc)?;
        let bytes = self.size(fate, &request);
        if let Some(late) = fate.stray {
            let copy = self.carry(rpc, request.clone())?;
            let stray = handle(target.clone(), copy);
            let (switchboard, from, to) =
                (self.switchboard.clone(), self.from.clone(), self.target());
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                if switchboard.pass(&from, &to, bytes).await.is_ok() {
                    // Nobody waits for the answer of a stray message.
                    let _ = stray.await;
                }
            });
        }
        self.cross(rpc, fate, bytes, &option).await?;
        let request = self.carry(rpc, request)?;
        let handled = handle(target, request).await;
        let fate = self.set_back();
        // What an error weighs is next to nothing.
        let bytes = match &handled {
            Ok(Ok(answer)) => self.size(fate, answer),
            _ => 0,
        };
        self.come_back(rpc, fate, bytes, &option).await?;
        match handled {
            Ok(Ok(response)) => Ok(self.carry(rpc, response)?),
            Ok(Err(source)) => {
                let (from, to) = (self.from.clone(), self.target());
                Err(Undelivered::Refused { rpc, from, to, source }.into())
            }
            Err(error) => Err(RPCError::RemoteError(RemoteError::new(self.target(), error))),
        }
    }

    /// The target, and what happens to the message on its way.
    pub(super) fn set_out(
        &self,
        rpc: RPCTypes,
    ) -> Result<(Plugged<C>, Fate), Undelivered<C::NodeId>> {
        let (from, to) = (self.from.clone(), self.to.clone());
        let fate = self.switchboard.fate(&from, &to);
        if fate.cut {
            return Err(Undelivered::Cut { rpc, from, to });
        }
        match self.switchboard.node(&to) {
            Some(target) => Ok((target, fate)),
            None => Err(Undelivered::NotPlugged { rpc, from, to }),
        }
    }

    /// What happens to the answer on its way.
    pub(super) fn set_back(&self) -> Fate {
        self.switchboard.fate(&self.to, &self.from)
    }

    /// The way to the target of a message of so many bytes.
    pub(super) async fn cross(
        &self,
        rpc: RPCTypes,
        fate: Fate,
        bytes: u64,
        option: &RPCOption,
    ) -> Result<(), Undelivered<C::NodeId>> {
        if self.switchboard.pass(&self.from, &self.to, bytes).await.is_err() {
            return Err(Undelivered::Cut { rpc, from: self.from.clone(), to: self.target() });
        }
        self.arrive(rpc, fate, option).await
    }

    /// The way back of an answer of so many bytes.
    pub(super) async fn come_back(
        &self,
        rpc: RPCTypes,
        mut fate: Fate,
        bytes: u64,
        option: &RPCOption,
    ) -> Result<(), Undelivered<C::NodeId>> {
        fate.cut |= self.switchboard.pass(&self.to, &self.from, bytes).await.is_err();
        self.arrive(rpc, fate, option).await
    }

    async fn arrive(
        &self,
        rpc: RPCTypes,
        fate: Fate,
        option: &RPCOption,
    ) -> Result<(), Undelivered<C::NodeId>> {
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        if fate.cut || fate.lost {
            // The sender learns of a loss when it is tired of waiting.
            tokio::time::sleep(option.hard_ttl()).await;
            return Err(Undelivered::Lost { rpc, from: self.from.clone(), to: self.target() });
        }
        Ok(())
    }

    pub(super) fn target(&self) -> C::NodeId {
        self.to.clone()
    }

    pub(super) fn not_understood(&self, rpc: RPCTypes, source: AnyError) -> Undelivered<C::NodeId> {
        let (from, to) = (self.from.clone(), self.to.clone());
        tracing::error!(error = %source, %from, %to, "message not understood");
        Undelivered::Decode { rpc, from, to, source }
    }

    /// What the message takes of the link's bandwidth.
    fn size<M>(&self, fate: Fate, message: &M) -> u64
    where
        W: Carry<M>,
    {
        if fate.limited { self.switchboard.wire.encoded_len(message) as u64 } else { 0 }
    }

    fn carry<M>(&self, rpc: RPCTypes, message: M) -> Result<M, Undelivered<C::NodeId>>
    where
        W: Carry<M>,
    {
        let carried = self.switchboard.wire.carry(message);
        carried.map_err(|source| self.not_understood(rpc, source))
    }
}

/// openraft backs off from a node that is unreachable, and calls again at once after a failure
/// that the next call may not meet.
enum Weight {
    Unreachable(Unreachable),
    Network(NetworkError),
}

fn weigh<N: NodeId>(why: &Undelivered<N>) -> Weight {
    match why {
        Undelivered::NotPlugged { .. } | Undelivered::Cut { .. } | Undelivered::Refused { .. } => {
            tracing::debug!(error = %why, "unreachable");
            Weight::Unreachable(Unreachable::new(why))
        }
        Undelivered::Lost { .. } | Undelivered::Decode { .. } => {
            Weight::Network(NetworkError::new(why))
        }
    }
}

impl<N: NodeId, D: Node, E: Error> From<Undelivered<N>> for RPCError<N, D, E> {
    fn from(why: Undelivered<N>) -> Self {
        match weigh(&why) {
            Weight::Unreachable(error) => error.into(),
            Weight::Network(error) => error.into(),
        }
    }
}

impl<C: RaftTypeConfig, E: Error> From<Undelivered<C::NodeId>> for StreamingError<C, E> {
    fn from(why: Undelivered<C::NodeId>) -> Self {
        match weigh(&why) {
            Weight::Unreachable(error) => error.into(),
            Weight::Network(error) => error.into(),
        }
    }
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

#[cfg(feature = "storage-v2")]
impl<W: Wire<crate::types::TypeConfig> + Clone> crate::network::Transport
    for Port<crate::types::TypeConfig, W>
{
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
        let handle = |target: Plugged<C>, rpc| target.append_entries(rpc);
        self.call(RPCTypes::AppendEntries, rpc, option, handle).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<C>,
        option: RPCOption,
    ) -> Rpc<C, InstallSnapshotResponse<C::NodeId>, InstallSnapshotError> {
        W::install_snapshot(self, rpc, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<C::NodeId>,
        snapshot: Snapshot<C>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Shipped<C> {
        let rpc = RPCTypes::InstallSnapshot;
        let guard = self.switchboard.node(&self.to).and_then(|target| target.guard);
        if let Some(source) = guard.and_then(|guard| guard.installs().err()) {
            let (from, to) = (self.from.clone(), self.target());
            return Err(Undelivered::Refused { rpc, from, to, source }.into());
        }
        W::full_snapshot(self, vote, snapshot, cancel, option).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<C::NodeId>,
        option: RPCOption,
    ) -> Rpc<C, VoteResponse<C::NodeId>, openraft::error::Infallible> {
        let handle = |target: Plugged<C>, rpc| async move { target.raft.vote(rpc).await.map(Ok) };
        self.call(RPCTypes::Vote, rpc, option, handle).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
