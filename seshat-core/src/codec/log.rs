//! Log ids, votes, entries and hard state.

use bytes::{BufMut, Bytes};
use prost::Message as _;

use super::operation::{batch_len, field_len, put_batch, put_field_head};
use super::{
    DecodeError, ENTRY_FORMAT, HARD_STATE_FORMAT, Message, counter, message, parse, required,
    version,
};
use crate::log::HardState;
use crate::operation::Batch;
use crate::proto::v1;
use crate::types::{Entry, EntryPayload, LeaderId, LogId, Vote};

/// Length of an entry's version with its key.
const VERSION_LEN: usize = 2;

message!(LogId, v1::LogId, "LogId");
message!(Vote, v1::Vote, "Vote");
message!(HardState, v1::HardState, "HardState");

impl From<&LogId> for v1::LogId {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, node_id: id.leader_id.node_id, index: id.index }
    }
}

impl TryFrom<v1::LogId> for LogId {
    type Error = DecodeError;

    fn try_from(proto: v1::LogId) -> Result<Self, DecodeError> {
        let term = counter(proto.term, "LogId", "term")?;
        let index = counter(proto.index, "LogId", "index")?;
        Ok(Self::new(LeaderId::new(term, proto.node_id), index))
    }
}

pub(super) fn log_id(proto: Option<v1::LogId>) -> Result<Option<LogId>, DecodeError> {
    proto.map(LogId::try_from).transpose()
}

impl From<&Vote> for v1::Vote {
    fn from(vote: &Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            node_id: vote.leader_id.node_id,
            committed: vote.committed,
        }
    }
}

impl TryFrom<v1::Vote> for Vote {
    type Error = DecodeError;

    fn try_from(proto: v1::Vote) -> Result<Self, DecodeError> {
        let term = counter(proto.term, "Vote", "term")?;
        Ok(Self { leader_id: LeaderId::new(term, proto.node_id), committed: proto.committed })
    }
}

impl From<&HardState> for v1::HardState {
    fn from(state: &HardState) -> Self {
        Self {
            format_version: HARD_STATE_FORMAT,
            vote: state.vote.as_ref().map(Into::into),
            committed: state.committed.as_ref().map(Into::into),
            purged: state.purged.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::HardState> for HardState {
    type Error = DecodeError;

    fn try_from(proto: v1::HardState) -> Result<Self, DecodeError> {
        version(proto.format_version, HARD_STATE_FORMAT, "HardState")?;
        Ok(Self {
            vote: proto.vote.map(Vote::try_from).transpose()?,
            committed: log_id(proto.committed)?,
            purged: log_id(proto.purged)?,
        })
    }
}

/// The fields of an entry that holds no batch.
fn entry_without_batch(entry: &Entry) -> v1::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => Some(v1::entry::Payload::Blank(v1::Blank {})),
        EntryPayload::Normal(_) => None,
        EntryPayload::Membership(membership) => {
            Some(v1::entry::Payload::Membership(membership.into()))
        }
    };
    v1::Entry { format_version: ENTRY_FORMAT, log_id: Some((&entry.log_id).into()), payload }
}

pub(super) fn entry_len(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(batch) => {
            let log_id = v1::LogId::from(&entry.log_id).encoded_len();
            VERSION_LEN + field_len(2, log_id) + field_len(4, batch_len(batch))
        }
        _ => entry_without_batch(entry).encoded_len(),
    }
}

pub(super) fn put_entry(entry: &Entry, buf: &mut impl BufMut) {
    match &entry.payload {
        EntryPayload::Normal(batch) => {
            prost::encoding::uint32::encode(1, &ENTRY_FORMAT, buf);
            let log_id = v1::LogId::from(&entry.log_id);
            put_field_head(2, log_id.encoded_len(), buf);
            log_id.encode_raw(buf);
            put_field_head(4, batch_len(batch), buf);
            put_batch(batch, buf);
        }
        _ => entry_without_batch(entry).encode_raw(buf),
    }
}

impl Message for Entry {
    const NAME: &'static str = "Entry";

    fn encoded_len(&self) -> usize {
        entry_len(self)
    }

    fn encode_to(&self, buf: &mut impl BufMut) {
        put_entry(self, buf);
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        parse::<v1::Entry>(Self::NAME, bytes)?.try_into()
    }
}

impl TryFrom<v1::Entry> for Entry {
    type Error = DecodeError;

    fn try_from(proto: v1::Entry) -> Result<Self, DecodeError> {
        version(proto.format_version, ENTRY_FORMAT, "Entry")?;
        let log_id = required(proto.log_id, "Entry", "log_id")?.try_into()?;
        let payload = match required(proto.payload, "Entry", "payload")? {
            v1::entry::Payload::Blank(_) => EntryPayload::Blank,
            v1::entry::Payload::Batch(bytes) => EntryPayload::Normal(Batch::decode(bytes)?),
            v1::entry::Payload::Membership(membership) => {
                EntryPayload::Membership(membership.try_into()?)
            }
        };
        Ok(Self { log_id, payload })
    }
}
