//! Log ids, votes, entries and hard state.

use bytes::{BufMut, Bytes};
use prost::Message as _;

use super::fields::{Fields, Value, field_len, put_field_head};
use super::operation::{batch_len, put_batch};
use super::{
    DecodeError, DecodeReason, HARD_STATE_FORMAT, Message, counter, message, reads, required,
    shape, version,
};
use crate::log::HardState;
use crate::operation::Batch;
use crate::proto::v1;
use crate::types::{Entry, EntryPayload, LeaderId, LogId, Membership, Vote};

/// Length of an entry's version with its key.
const VERSION_LEN: usize = 2;

message!(LogId, v1::LogId, shape::LOG_ID);
message!(Vote, v1::Vote, shape::VOTE);
message!(HardState, v1::HardState, shape::HARD_STATE);

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
    let format_version = entry_format(&entry.payload);
    v1::Entry { format_version, log_id: Some((&entry.log_id).into()), payload }
}

/// The least version that reads an entry of that payload.
fn entry_format(payload: &EntryPayload) -> u32 {
    match payload {
        EntryPayload::Blank | EntryPayload::Membership(_) => 1,
        EntryPayload::Normal(batch) => batch.format(),
    }
}

pub(super) fn entry_len(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(batch) => {
            let log_id = prost::Message::encoded_len(&v1::LogId::from(&entry.log_id));
            VERSION_LEN + field_len(log_id) + field_len(batch_len(batch))
        }
        _ => entry_without_batch(entry).encoded_len(),
    }
}

pub(super) fn put_entry(entry: &Entry, buf: &mut impl BufMut) {
    match &entry.payload {
        EntryPayload::Normal(batch) => {
            prost::encoding::uint32::encode(1, &batch.format(), buf);
            let log_id = v1::LogId::from(&entry.log_id);
            put_field_head(2, prost::Message::encoded_len(&log_id), buf);
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
        read_entry(&bytes, &bytes)
    }
}

/// An entry that is a part of `bytes`.
pub(super) fn read_entry(bytes: &Bytes, entry: &[u8]) -> Result<Entry, DecodeError> {
    let mut fields = Fields::of(Entry::NAME, entry);
    let (mut format, mut log_id, mut payload) = (0, None, None);
    while let Some(field) = fields.next()? {
        match field {
            // Comes first where it was written by us: the version is judged before anything that
            // it may have changed.
            (1, Value::Number(got)) => {
                format = u32::try_from(got).unwrap_or(u32::MAX);
                version(format, reads(), Entry::NAME)?;
            }
            (2, Value::Bytes(id)) => fields.once(&mut log_id, read_log_id(id)?, "log_id")?,
            (number @ 3..=5, Value::Bytes(held)) => {
                fields.once(&mut payload, (number, held), "payload")?;
            }
            other => return Err(fields.unknown(other)),
        }
    }
    version(format, reads(), Entry::NAME)?;
    let log_id = required(log_id, Entry::NAME, "log_id")?;
    let payload = match required(payload, Entry::NAME, "payload")? {
        (3, blank) => {
            shape::check(&shape::BLANK, blank)?;
            EntryPayload::Blank
        }
        (4, batch) => EntryPayload::Normal(Batch::decode(bytes.slice_ref(batch))?),
        (_, membership) => {
            EntryPayload::Membership(Membership::decode(bytes.slice_ref(membership))?)
        }
    };
    let needs = entry_format(&payload);
    if needs > format {
        let reason = DecodeReason::Understated { got: format, needs };
        return Err(DecodeError::new(Entry::NAME, "format_version", reason));
    }
    Ok(Entry { log_id, payload })
}

pub(super) fn read_vote(vote: &[u8]) -> Result<Vote, DecodeError> {
    let mut fields = Fields::of(Vote::NAME, vote);
    let mut proto = v1::Vote::default();
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Number(term)) => proto.term = term,
            (2, Value::Number(node_id)) => proto.node_id = node_id,
            (3, Value::Number(committed)) => proto.committed = committed != 0,
            other => return Err(fields.unknown(other)),
        }
    }
    proto.try_into()
}

pub(super) fn read_log_id(id: &[u8]) -> Result<LogId, DecodeError> {
    let mut fields = Fields::of(LogId::NAME, id);
    let mut proto = v1::LogId::default();
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Number(term)) => proto.term = term,
            (2, Value::Number(node_id)) => proto.node_id = node_id,
            (3, Value::Number(index)) => proto.index = index,
            other => return Err(fields.unknown(other)),
        }
    }
    proto.try_into()
}
