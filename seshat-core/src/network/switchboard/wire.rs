//! What a message goes through between two nodes.

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, RaftTypeConfig};

use super::Ship;
#[cfg(feature = "storage-v2")]
use crate::codec::Message;

/// Carries one kind of message.
pub trait Carry<M>: Clone + Send + Sync + 'static {
    /// The message as it comes out at the other end.
    ///
    /// # Errors
    /// What was sent can't be understood. Never for what a node of this version sends.
    fn carry(&self, message: M) -> Result<M, AnyError>;

    /// How many bytes the message takes of a link's
    /// [bandwidth](super::Faults::bytes_per_second). 0 unless the wire says otherwise: one that
    /// makes no bytes of its messages has none to count. Only asked where the bandwidth is limited.
    fn encoded_len(&self, message: &M) -> usize {
        let _ = message;
        0
    }
}

/// Carries every message of a type configuration, and its snapshots.
pub trait Wire<C: RaftTypeConfig>:
    Carry<AppendEntriesRequest<C>>
    + Carry<AppendEntriesResponse<C::NodeId>>
    + Carry<VoteRequest<C::NodeId>>
    + Carry<VoteResponse<C::NodeId>>
    + Carry<InstallSnapshotRequest<C>>
    + Carry<InstallSnapshotResponse<C::NodeId>>
    + Ship<C>
{
}

impl<C: RaftTypeConfig, W> Wire<C> for W where
    W: Carry<AppendEntriesRequest<C>>
        + Carry<AppendEntriesResponse<C::NodeId>>
        + Carry<VoteRequest<C::NodeId>>
        + Carry<VoteResponse<C::NodeId>>
        + Carry<InstallSnapshotRequest<C>>
        + Carry<InstallSnapshotResponse<C::NodeId>>
        + Ship<C>
{
}

/// Encodes every message to protobuf and decodes it, as a real transport does.
#[cfg(feature = "storage-v2")]
#[derive(Debug, Clone, Copy, Default)]
pub struct Encoded;

#[cfg(feature = "storage-v2")]
impl<M: Message> Carry<M> for Encoded {
    fn carry(&self, message: M) -> Result<M, AnyError> {
        M::decode(message.encode()).map_err(|error| AnyError::new(&error))
    }

    fn encoded_len(&self, message: &M) -> usize {
        message.encoded_len()
    }
}

#[cfg(feature = "storage-v2")]
impl super::InChunks for Encoded {}

/// Hands every message over as it is. Weightless: bandwidth doesn't hold it up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl<M> Carry<M> for Direct {
    fn carry(&self, message: M) -> Result<M, AnyError> {
        Ok(message)
    }
}

impl super::InChunks for Direct {}
