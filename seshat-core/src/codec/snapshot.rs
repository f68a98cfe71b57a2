//! Snapshot metadata and the parts of a snapshot's bytes.

use bytes::{BufMut, Bytes};

use super::fields::{Fields, Value};
use super::log::log_id;
use super::operation::{check_key, pair_len, put_pair, put_pair_head};
use super::{DecodeError, message, not_empty, parse, reads, required, shape, version};
use crate::proto::v1;
use crate::types::{LogId, SnapshotMeta, StoredMembership};

/// Opens a snapshot: what state it is, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The least version that reads the snapshot: 2 if there is a value under the empty key,
    /// otherwise 1; and no less than the [cluster's format](crate::machine::Machine::format).
    pub format_version: u32,
    /// The last entry that the snapshot covers.
    pub last_log_id: Option<LogId>,
    /// The last membership applied.
    pub last_membership: StoredMembership,
    /// How many records follow.
    pub record_count: u64,
    /// Sum of the lengths of all keys and values, in bytes.
    pub record_bytes: u64,
}

message!(SnapshotMeta, v1::SnapshotMeta, shape::SNAPSHOT_META);
message!(Header, v1::SnapshotHeader, shape::SNAPSHOT_HEADER);

impl From<&SnapshotMeta> for v1::SnapshotMeta {
    fn from(meta: &SnapshotMeta) -> Self {
        Self {
            last_log_id: meta.last_log_id.as_ref().map(Into::into),
            last_membership: Some((&meta.last_membership).into()),
            snapshot_id: meta.snapshot_id.clone(),
        }
    }
}

impl TryFrom<v1::SnapshotMeta> for SnapshotMeta {
    type Error = DecodeError;

    fn try_from(proto: v1::SnapshotMeta) -> Result<Self, DecodeError> {
        not_empty(proto.snapshot_id.as_bytes(), "SnapshotMeta", "snapshot_id")?;
        let membership = required(proto.last_membership, "SnapshotMeta", "last_membership")?;
        Ok(Self {
            last_log_id: log_id(proto.last_log_id)?,
            last_membership: membership.try_into()?,
            snapshot_id: proto.snapshot_id,
        })
    }
}

impl From<&Header> for v1::SnapshotHeader {
    fn from(header: &Header) -> Self {
        Self {
            format_version: header.format_version,
            last_log_id: header.last_log_id.as_ref().map(Into::into),
            last_membership: Some((&header.last_membership).into()),
            record_count: header.record_count,
            record_bytes: header.record_bytes,
        }
    }
}

impl TryFrom<v1::SnapshotHeader> for Header {
    type Error = DecodeError;

    fn try_from(proto: v1::SnapshotHeader) -> Result<Self, DecodeError> {
        version(proto.format_version, reads(), "SnapshotHeader")?;
        let membership = required(proto.last_membership, "SnapshotHeader", "last_membership")?;
        Ok(Self {
            format_version: proto.format_version,
            last_log_id: log_id(proto.last_log_id)?,
            last_membership: membership.try_into()?,
            record_count: proto.record_count,
            record_bytes: proto.record_bytes,
        })
    }
}

/// Writes a `SnapshotRecord`, preceded by its length.
pub(crate) fn put_record(key: &[u8], value: &[u8], buf: &mut impl BufMut) {
    prost::encoding::encode_varint(pair_len(key, value) as u64, buf);
    put_pair(key, value, buf);
}

/// The same, but for the value at its end, which isn't empty.
pub(crate) fn put_record_head(key: &[u8], value: &[u8], buf: &mut impl BufMut) {
    prost::encoding::encode_varint(pair_len(key, value) as u64, buf);
    put_pair_head(key, value, buf);
}

/// Key and value of a `SnapshotRecord`.
#[inline]
pub(crate) fn read_record(record: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    const NAME: &str = "SnapshotRecord";
    let mut fields = Fields::of(NAME, record);
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2, Value::Bytes(bytes)) => value = bytes,
            other => return Err(fields.unknown(other)),
        }
    }
    check_key(key, NAME, "key")?;
    Ok((key, value))
}

/// The checksum in a `SnapshotTrailer`.
pub(crate) fn read_trailer(trailer: Bytes) -> Result<u64, DecodeError> {
    let trailer: v1::SnapshotTrailer = parse(&shape::SNAPSHOT_TRAILER, trailer)?;
    Ok(trailer.checksum)
}
