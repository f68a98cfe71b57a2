//! What nodes say to each other beside Raft.

use super::{DecodeError, message, required, shape};
use crate::proto::v1;
use crate::types::{LogId, NodeId, Vote};

message!(StandingRequest, v1::StandingRequest, shape::STANDING_REQUEST);
message!(StandingResponse, v1::StandingResponse, shape::STANDING_RESPONSE);

/// What is known of the node that asks, which remembers nothing?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingRequest {
    /// The node.
    pub node_id: NodeId,
    /// Tells the process that asks from every other that ever ran the node.
    pub incarnation: u64,
}

/// Answers [`StandingRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingResponse {
    /// Whether the answering node has voted or has a log: the cluster was formed.
    pub formed: bool,
    /// Whether the node is in the last membership that the answering node has, committed or not,
    /// or in the last committed one.
    pub member: bool,
    /// Whether the answering node leads, and a quorum confirmed that after the question came: no
    /// later membership is committed. Without [`leadership`](Self::leadership) it comes from a
    /// version that didn't say by which vote, and decides nothing.
    pub confirmed: bool,
    /// Whether the answering node heard of that incarnation before it voted or had a log itself.
    pub heard: bool,
    /// By what the answering node leads; `None` unless confirmed.
    pub leadership: Option<Leadership>,
    /// Tells the process that answers from every other that ever ran the node.
    pub incarnation: u64,
}

/// What a quorum confirmed of a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// Its vote.
    pub vote: Vote,
    /// The last entry that it has committed, which is one of its own.
    pub committed: LogId,
}

impl From<&StandingRequest> for v1::StandingRequest {
    fn from(request: &StandingRequest) -> Self {
        Self { node_id: request.node_id, incarnation: request.incarnation }
    }
}

impl TryFrom<v1::StandingRequest> for StandingRequest {
    type Error = DecodeError;

    fn try_from(proto: v1::StandingRequest) -> Result<Self, DecodeError> {
        Ok(Self { node_id: proto.node_id, incarnation: proto.incarnation })
    }
}

impl From<&StandingResponse> for v1::StandingResponse {
    fn from(response: &StandingResponse) -> Self {
        let StandingResponse { formed, member, confirmed, heard, leadership, incarnation } =
            *response;
        let leadership = leadership.as_ref().map(Into::into);
        Self { formed, member, confirmed, heard, leadership, incarnation }
    }
}

impl TryFrom<v1::StandingResponse> for StandingResponse {
    type Error = DecodeError;

    fn try_from(proto: v1::StandingResponse) -> Result<Self, DecodeError> {
        let v1::StandingResponse { formed, member, confirmed, heard, leadership, incarnation } =
            proto;
        let leadership = leadership.map(Leadership::try_from).transpose()?;
        Ok(Self { formed, member, confirmed, heard, leadership, incarnation })
    }
}

impl From<&Leadership> for v1::Leadership {
    fn from(leadership: &Leadership) -> Self {
        let Leadership { vote, committed } = leadership;
        Self { vote: Some(vote.into()), committed: Some(committed.into()) }
    }
}

impl TryFrom<v1::Leadership> for Leadership {
    type Error = DecodeError;

    fn try_from(proto: v1::Leadership) -> Result<Self, DecodeError> {
        Ok(Self {
            vote: required(proto.vote, "Leadership", "vote")?.try_into()?,
            committed: required(proto.committed, "Leadership", "committed")?.try_into()?,
        })
    }
}
