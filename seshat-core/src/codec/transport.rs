//! What nodes say to each other beside Raft.

use super::format::{OLDEST_FORMAT, from_wire, to_wire};
use super::{DecodeError, message, required, shape};
use crate::proto::v1;
use crate::types::{LogId, NodeId, Vote};

message!(StandingRequest, v1::StandingRequest, shape::STANDING_REQUEST);
message!(StandingResponse, v1::StandingResponse, shape::STANDING_RESPONSE);
message!(FormatsRequest, v1::FormatsRequest, shape::FORMATS_REQUEST);
message!(FormatsResponse, v1::FormatsResponse, shape::FORMATS_RESPONSE);

/// What is known of the node that asks, which remembers nothing?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingRequest {
    /// The node.
    pub node_id: NodeId,
    /// Tells the process that asks from every other that ever ran the node.
    pub incarnation: u64,
    /// The newest format that the node reads.
    pub reads: u32,
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
    /// The newest format that the answering node reads.
    pub reads: u32,
    /// The cluster's format, as far as the answering node has applied it.
    pub writes: u32,
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
        let StandingRequest { node_id, incarnation, reads } = *request;
        Self { node_id, incarnation, reads: to_wire(reads) }
    }
}

impl TryFrom<v1::StandingRequest> for StandingRequest {
    type Error = DecodeError;

    fn try_from(proto: v1::StandingRequest) -> Result<Self, DecodeError> {
        let v1::StandingRequest { node_id, incarnation, reads } = proto;
        Ok(Self { node_id, incarnation, reads: from_wire(reads) })
    }
}

impl From<&StandingResponse> for v1::StandingResponse {
    fn from(response: &StandingResponse) -> Self {
        let StandingResponse { formed, member, confirmed, heard, incarnation, .. } = *response;
        let leadership = response.leadership.as_ref().map(Into::into);
        let (reads, writes) = (to_wire(response.reads), to_wire(response.writes));
        Self { formed, member, confirmed, heard, leadership, incarnation, reads, writes }
    }
}

impl TryFrom<v1::StandingResponse> for StandingResponse {
    type Error = DecodeError;

    fn try_from(proto: v1::StandingResponse) -> Result<Self, DecodeError> {
        let v1::StandingResponse { formed, member, confirmed, heard, incarnation, .. } = proto;
        let leadership = proto.leadership.map(Leadership::try_from).transpose()?;
        let (reads, writes) = (from_wire(proto.reads), from_wire(proto.writes));
        Ok(Self { formed, member, confirmed, heard, leadership, incarnation, reads, writes })
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

/// Which formats do you read?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FormatsRequest;

/// Answers [`FormatsRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatsResponse {
    /// The newest format of entries and snapshots that the node reads.
    pub reads: u32,
    /// The newest that it agrees to have written: what it reads, or less where its
    /// [configuration](crate::config::NodeConfig::max_format) holds the cluster back.
    pub agrees: u32,
}

impl FormatsResponse {
    /// What a build means that doesn't know the question.
    pub const OLDEST: Self = Self { reads: OLDEST_FORMAT, agrees: OLDEST_FORMAT };
}

impl From<&FormatsRequest> for v1::FormatsRequest {
    fn from(FormatsRequest: &FormatsRequest) -> Self {
        Self {}
    }
}

impl TryFrom<v1::FormatsRequest> for FormatsRequest {
    type Error = DecodeError;

    fn try_from(v1::FormatsRequest {}: v1::FormatsRequest) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

impl From<&FormatsResponse> for v1::FormatsResponse {
    fn from(response: &FormatsResponse) -> Self {
        Self { reads: to_wire(response.reads), agrees: to_wire(response.agrees) }
    }
}

impl TryFrom<v1::FormatsResponse> for FormatsResponse {
    type Error = DecodeError;

    fn try_from(proto: v1::FormatsResponse) -> Result<Self, DecodeError> {
        Ok(Self { reads: from_wire(proto.reads), agrees: from_wire(proto.agrees) })
    }
}
