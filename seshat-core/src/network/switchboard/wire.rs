//! What a message goes through between two nodes.

use openraft::RaftTypeConfig;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};

use crate::codec::{DecodeError, Message};

/// Carries one kind of message.
pub trait Carry<M>: Clone + Send + Sync + 'static {
    /// The message as it comes out at the other end.
    ///
    /// # Errors
    /// What was sent can't be understood. Never for what a node of this version sends.
    fn carry(&self, message: M) -> Result<M, DecodeError>;
}

/// Carries every message of a type configuration.
pub trait Wire<C: RaftTypeConfig>:
    Carry<AppendEntriesRequest<C>>
    + Carry<AppendEntriesResponse<C::NodeId>>
    + Carry<VoteRequest<C::NodeId>>
    + Carry<VoteResponse<C::NodeId>>
    + Carry<InstallSnapshotRequest<C>>
    + Carry<InstallSnapshotResponse<C::NodeId>>
{
}

impl<C: RaftTypeConfig, W> Wire<C> for W where
    W: Carry<AppendEntriesRequest<C>>
        + Carry<AppendEntriesResponse<C::NodeId>>
        + Carry<VoteRequest<C::NodeId>>
        + Carry<VoteResponse<C::NodeId>>
        + Carry<InstallSnapshotRequest<C>>
        + Carry<InstallSnapshotResponse<C::NodeId>>
{
}

/// Encodes every message to protobuf and decodes it, as a real transport does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Encoded;

impl<M: Message> Carry<M> for Encoded {
    fn carry(&self, message: M) -> Result<M, DecodeError> {
        M::decode(message.encode())
    }
}

/// Hands every message over as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl<M> Carry<M> for Direct {
    fn carry(&self, message: M) -> Result<M, DecodeError> {
        Ok(message)
    }
}
