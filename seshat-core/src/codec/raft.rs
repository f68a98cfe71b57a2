//! The RPC messages.

use bytes::{BufMut, Bytes};
use prost::Message as _;

use super::fields::{Fields, Value, field_len, put_field_head};
use super::format::{from_wire, to_wire};
use super::log::{entry_len, log_id, put_entry, read_entry, read_log_id, read_vote};
use super::{DecodeError, DecodeReason, MAX_MEMBERSHIPS, Message, message, required, shape};
use crate::proto::v1;
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, EntryPayload, InstallSnapshotRequest,
    InstallSnapshotResponse, SnapshotMeta, SnapshotResponse, Vote, VoteRequest, VoteResponse,
};

message!(AppendEntriesResponse, v1::AppendEntriesResponse, shape::APPEND_ENTRIES_RESPONSE);
message!(VoteRequest, v1::VoteRequest, shape::VOTE_REQUEST);
message!(VoteResponse, v1::VoteResponse, shape::VOTE_RESPONSE);
message!(InstallSnapshotRequest, v1::InstallSnapshotRequest, shape::INSTALL_SNAPSHOT_REQUEST);
message!(InstallSnapshotResponse, v1::InstallSnapshotResponse, shape::INSTALL_SNAPSHOT_RESPONSE);
message!(SnapshotResponse, v1::FullSnapshotResponse, shape::FULL_SNAPSHOT_RESPONSE);
message!(FullSnapshotPart, v1::FullSnapshotRequest, shape::FULL_SNAPSHOT_REQUEST);
message!(SnapshotOffsetRequest, v1::SnapshotOffsetRequest, shape::SNAPSHOT_OFFSET_REQUEST);
message!(SnapshotOffsetResponse, v1::SnapshotOffsetResponse, shape::SNAPSHOT_OFFSET_RESPONSE);

fn vote(proto: Option<v1::Vote>, message: &'static str) -> Result<Vote, DecodeError> {
    required(proto, message, "vote")?.try_into()
}

/// All but the entries. Two messages one after the other are the message they merge to, so the
/// entries can be written between the fields around them without a copy of their payload.
fn around_entries(request: &AppendEntriesRequest) -> [v1::AppendEntriesRequest; 2] {
    let before = v1::AppendEntriesRequest {
        vote: Some((&request.vote).into()),
        prev_log_id: request.prev_log_id.as_ref().map(Into::into),
        ..Default::default()
    };
    let after = v1::AppendEntriesRequest {
        leader_commit: request.leader_commit.as_ref().map(Into::into),
        ..Default::default()
    };
    [before, after]
}

fn few(memberships: usize) -> Result<(), DecodeError> {
    if memberships > MAX_MEMBERSHIPS {
        let (got, max) = (memberships as u64, MAX_MEMBERSHIPS as u64);
        let reason = DecodeReason::OutOfRange { got, max };
        return Err(DecodeError::new(AppendEntriesRequest::NAME, "entries", reason));
    }
    Ok(())
}

impl Message for AppendEntriesRequest {
    const NAME: &'static str = "AppendEntriesRequest";

    fn encoded_len(&self) -> usize {
        let entries = self.entries.iter().map(|entry| field_len(entry_len(entry)));
        around_entries(self).iter().map(prost::Message::encoded_len).sum::<usize>()
            + entries.sum::<usize>()
    }

    fn encode_to(&self, buf: &mut impl BufMut) {
        let [before, after] = around_entries(self);
        before.encode_raw(buf);
        for entry in &self.entries {
            put_field_head(3, entry_len(entry), buf);
            put_entry(entry, buf);
        }
        after.encode_raw(buf);
    }

    /// Entry by entry: the first that is invalid is refused before those behind it take memory.
    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(Self::NAME, &bytes);
        let mut entries = Vec::with_capacity(fields.count_left());
        let (mut vote, mut prev_log_id, mut leader_commit) = (None, None, None);
        let mut memberships = 0;
        while let Some(field) = fields.next()? {
            match field {
                (3, Value::Bytes(entry)) => {
                    let entry = read_entry(&bytes, entry)?;
                    memberships +=
                        usize::from(matches!(entry.payload, EntryPayload::Membership(_)));
                    few(memberships)?;
                    entries.push(entry);
                }
                (1, Value::Bytes(its)) => fields.once(&mut vote, read_vote(its)?, "vote")?,
                (2, Value::Bytes(id)) => {
                    fields.once(&mut prev_log_id, read_log_id(id)?, "prev_log_id")?;
                }
                (4, Value::Bytes(id)) => {
                    fields.once(&mut leader_commit, read_log_id(id)?, "leader_commit")?;
                }
                known @ (1..=4, _) => return Err(fields.unknown(known)),
                // The request is open.
                _ => {}
            }
        }
        let vote = required(vote, Self::NAME, "vote")?;
        Ok(Self { vote, prev_log_id, entries, leader_commit })
    }
}

impl From<&AppendEntriesResponse> for v1::AppendEntriesResponse {
    fn from(response: &AppendEntriesResponse) -> Self {
        use v1::append_entries_response::Result as Proto;
        let result = match response {
            AppendEntriesResponse::Success => Proto::Success(v1::AppendSuccess {}),
            AppendEntriesResponse::PartialSuccess(matching) => {
                let matching = matching.as_ref().map(Into::into);
                Proto::PartialSuccess(v1::AppendPartialSuccess { matching })
            }
            AppendEntriesResponse::Conflict => Proto::Conflict(v1::AppendConflict {}),
            AppendEntriesResponse::HigherVote(vote) => Proto::HigherVote(vote.into()),
        };
        Self { result: Some(result) }
    }
}

impl TryFrom<v1::AppendEntriesResponse> for AppendEntriesResponse {
    type Error = DecodeError;

    fn try_from(proto: v1::AppendEntriesResponse) -> Result<Self, DecodeError> {
        use v1::append_entries_response::Result as Proto;
        Ok(match required(proto.result, "AppendEntriesResponse", "result")? {
            Proto::Success(_) => Self::Success,
            Proto::PartialSuccess(partial) => Self::PartialSuccess(log_id(partial.matching)?),
            Proto::Conflict(_) => Self::Conflict,
            Proto::HigherVote(vote) => Self::HigherVote(vote.try_into()?),
        })
    }
}

impl From<&VoteRequest> for v1::VoteRequest {
    fn from(request: &VoteRequest) -> Self {
        Self {
            vote: Some((&request.vote).into()),
            last_log_id: request.last_log_id.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::VoteRequest> for VoteRequest {
    type Error = DecodeError;

    fn try_from(proto: v1::VoteRequest) -> Result<Self, DecodeError> {
        Ok(Self { vote: vote(proto.vote, "VoteRequest")?, last_log_id: log_id(proto.last_log_id)? })
    }
}

impl From<&VoteResponse> for v1::VoteResponse {
    fn from(response: &VoteResponse) -> Self {
        Self {
            vote: Some((&response.vote).into()),
            vote_granted: response.vote_granted,
            last_log_id: response.last_log_id.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::VoteResponse> for VoteResponse {
    type Error = DecodeError;

    fn try_from(proto: v1::VoteResponse) -> Result<Self, DecodeError> {
        Ok(Self {
            vote: vote(proto.vote, "VoteResponse")?,
            vote_granted: proto.vote_granted,
            last_log_id: log_id(proto.last_log_id)?,
        })
    }
}

impl From<&InstallSnapshotRequest> for v1::InstallSnapshotRequest {
    fn from(request: &InstallSnapshotRequest) -> Self {
        Self {
            vote: Some((&request.vote).into()),
            meta: Some((&request.meta).into()),
            offset: request.offset,
            data: request.data.clone().into(),
            done: request.done,
        }
    }
}

impl TryFrom<v1::InstallSnapshotRequest> for InstallSnapshotRequest {
    type Error = DecodeError;

    fn try_from(proto: v1::InstallSnapshotRequest) -> Result<Self, DecodeError> {
        Ok(Self {
            vote: vote(proto.vote, "InstallSnapshotRequest")?,
            meta: required(proto.meta, "InstallSnapshotRequest", "meta")?.try_into()?,
            offset: proto.offset,
            data: proto.data.into(),
            done: proto.done,
        })
    }
}

impl From<&InstallSnapshotResponse> for v1::InstallSnapshotResponse {
    fn from(response: &InstallSnapshotResponse) -> Self {
        Self { vote: Some((&response.vote).into()) }
    }
}

impl TryFrom<v1::InstallSnapshotResponse> for InstallSnapshotResponse {
    type Error = DecodeError;

    fn try_from(proto: v1::InstallSnapshotResponse) -> Result<Self, DecodeError> {
        Ok(Self { vote: vote(proto.vote, "InstallSnapshotResponse")? })
    }
}

impl From<&SnapshotResponse> for v1::FullSnapshotResponse {
    fn from(response: &SnapshotResponse) -> Self {
        Self { vote: Some((&response.vote).into()) }
    }
}

impl TryFrom<v1::FullSnapshotResponse> for SnapshotResponse {
    type Error = DecodeError;

    fn try_from(proto: v1::FullSnapshotResponse) -> Result<Self, DecodeError> {
        Ok(Self { vote: vote(proto.vote, "FullSnapshotResponse")? })
    }
}

/// One message of the stream that carries a whole snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FullSnapshotPart {
    /// The first message, and only the first.
    Header(FullSnapshotHeader),
    /// The next bytes of the snapshot.
    Chunk(Bytes),
    /// The last message, and only the last.
    Trailer {
        /// XXH3, 64 bits, seed 0, of all bytes in the chunks, and those that were left out.
        checksum: u64,
    },
}

/// Opens the stream that carries a whole snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullSnapshotHeader {
    /// The sender's vote.
    pub vote: Vote,
    /// What openraft knows of the snapshot.
    pub meta: SnapshotMeta,
    /// Length of the snapshot's bytes.
    pub length: u64,
    /// How many of its first bytes are left out, as the receiver has them.
    pub offset: u64,
    /// As in the trailer. An older version leaves it out.
    pub checksum: Option<u64>,
}

/// How much of these bytes is there?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotOffsetRequest {
    /// Length of the snapshot's bytes.
    pub length: u64,
    /// XXH3, 64 bits, seed 0, of all of them.
    pub checksum: u64,
}

/// Answers [`SnapshotOffsetRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotOffsetResponse {
    /// How many of the first bytes are there: where a transmission can begin.
    pub offset: u64,
    /// Whether all of them are there and being installed.
    pub installing: bool,
    /// The newest format that the node reads.
    pub reads: u32,
}

impl From<&FullSnapshotPart> for v1::FullSnapshotRequest {
    fn from(part: &FullSnapshotPart) -> Self {
        use v1::full_snapshot_request::Part;
        let part = match part {
            FullSnapshotPart::Header(header) => Part::Header(v1::FullSnapshotHeader {
                vote: Some((&header.vote).into()),
                meta: Some((&header.meta).into()),
                length: header.length,
                offset: header.offset,
                checksum: header.checksum,
            }),
            FullSnapshotPart::Chunk(chunk) => Part::Chunk(chunk.clone()),
            FullSnapshotPart::Trailer { checksum } => {
                Part::Trailer(v1::FullSnapshotTrailer { checksum: *checksum })
            }
        };
        Self { part: Some(part) }
    }
}

impl TryFrom<v1::FullSnapshotRequest> for FullSnapshotPart {
    type Error = DecodeError;

    fn try_from(proto: v1::FullSnapshotRequest) -> Result<Self, DecodeError> {
        use v1::full_snapshot_request::Part;
        Ok(match required(proto.part, "FullSnapshotRequest", "part")? {
            Part::Header(header) => Self::Header(FullSnapshotHeader {
                vote: vote(header.vote, "FullSnapshotHeader")?,
                meta: required(header.meta, "FullSnapshotHeader", "meta")?.try_into()?,
                length: header.length,
                offset: header.offset,
                checksum: header.checksum,
            }),
            Part::Chunk(chunk) => Self::Chunk(chunk),
            Part::Trailer(trailer) => Self::Trailer { checksum: trailer.checksum },
        })
    }
}

impl From<&SnapshotOffsetRequest> for v1::SnapshotOffsetRequest {
    fn from(request: &SnapshotOffsetRequest) -> Self {
        Self { length: request.length, checksum: request.checksum }
    }
}

impl TryFrom<v1::SnapshotOffsetRequest> for SnapshotOffsetRequest {
    type Error = DecodeError;

    fn try_from(proto: v1::SnapshotOffsetRequest) -> Result<Self, DecodeError> {
        Ok(Self { length: proto.length, checksum: proto.checksum })
    }
}

impl From<&SnapshotOffsetResponse> for v1::SnapshotOffsetResponse {
    fn from(response: &SnapshotOffsetResponse) -> Self {
        let SnapshotOffsetResponse { offset, installing, reads } = *response;
        Self { offset, installing, reads: to_wire(reads) }
    }
}

impl TryFrom<v1::SnapshotOffsetResponse> for SnapshotOffsetResponse {
    type Error = DecodeError;

    fn try_from(proto: v1::SnapshotOffsetResponse) -> Result<Self, DecodeError> {
        let v1::SnapshotOffsetResponse { offset, installing, reads } = proto;
        Ok(Self { offset, installing, reads: from_wire(reads) })
    }
}
