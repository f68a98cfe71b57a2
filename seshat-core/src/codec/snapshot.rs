//! Snapshot metadata and the parts of a snapshot's bytes.

use bytes::BufMut;

use super::log::log_id;
use super::operation::{field_len, not_empty, plain_pair, put_bytes};
use super::{DecodeError, SNAPSHOT_FORMAT, message, required, version};
use crate::proto::v1;
use crate::snapshot::Header;
use crate::types::SnapshotMeta;

message!(SnapshotMeta, v1::SnapshotMeta, "SnapshotMeta");
message!(Header, v1::SnapshotHeader, "SnapshotHeader");

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
            format_version: SNAPSHOT_FORMAT,
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
        version(proto.format_version, SNAPSHOT_FORMAT, "SnapshotHeader")?;
        let membership = required(proto.last_membership, "SnapshotHeader", "last_membership")?;
        Ok(Self {
            last_log_id: log_id(proto.last_log_id)?,
            last_membership: membership.try_into()?,
            record_count: proto.record_count,
            record_bytes: proto.record_bytes,
        })
    }
}

/// Length of a `SnapshotRecord`, without the varint that precedes it.
fn record_len(key: &[u8], value: &[u8]) -> usize {
    let value = if value.is_empty() { 0 } else { field_len(2, value.len()) };
    field_len(1, key.len()) + value
}

/// Writes a `SnapshotRecord`, preceded by its length.
pub(crate) fn put_record(key: &[u8], value: &[u8], buf: &mut impl BufMut) {
    prost::encoding::encode_varint(record_len(key, value) as u64, buf);
    put_bytes(1, key, buf);
    if !value.is_empty() {
        put_bytes(2, value, buf);
    }
}

/// Key and value of a `SnapshotRecord` that is encoded as [`put_record`] does it, without its
/// length. `None` for what is encoded otherwise, valid or not: prost reads that.
pub(crate) fn plain_record(message: &[u8]) -> Option<(&[u8], &[u8])> {
    plain_pair(message)
}
