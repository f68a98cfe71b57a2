//! Operations, batches and responses. Encoding is written out by hand, because a batch is the
//! bulk of all traffic and prost would copy its payload twice; tests compare it with prost's.

use bytes::{BufMut, Bytes};
use prost::encoding::{
    WireType, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len,
};

use super::{DecodeError, DecodeReason, Message, parse, required};
use crate::operation::{Batch, MAX_KEY_BYTES, Operation, Response};
use crate::proto::v1;

/// Length of a length-delimited field with its key.
pub(super) fn field_len(tag: u32, len: usize) -> usize {
    key_len(tag) + encoded_len_varint(len as u64) + len
}

pub(super) fn put_field_head(tag: u32, len: usize, buf: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, buf);
    encode_varint(len as u64, buf);
}

pub(super) fn put_bytes(tag: u32, bytes: &[u8], buf: &mut impl BufMut) {
    put_field_head(tag, bytes.len(), buf);
    buf.put_slice(bytes);
}

/// The next field, if it is length-delimited and has that tag, below 16.
pub(super) fn plain_field<'a>(tag: u8, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (key, after) = rest.split_first()?;
    if *key != tag << 3 | WireType::LengthDelimited as u8 {
        return None;
    }
    let mut after = after;
    let len = usize::try_from(decode_varint(&mut after).ok()?).ok()?;
    let (field, after) = after.split_at_checked(len)?;
    *rest = after;
    Some(field)
}

/// Field 1 and, unless it is empty, field 2 of a message with nothing else: key and value of a
/// SET or of a snapshot's record.
pub(super) fn plain_pair(mut message: &[u8]) -> Option<(&[u8], &[u8])> {
    let key = plain_field(1, &mut message)?;
    if message.is_empty() {
        return Some((key, &[]));
    }
    let value = plain_field(2, &mut message)?;
    message.is_empty().then_some((key, value))
}

/// proto3 leaves a default out.
fn optional_len(tag: u32, bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { field_len(tag, bytes.len()) }
}

fn kind_len(operation: &Operation) -> usize {
    match operation {
        Operation::Set(set) => field_len(1, set.key().len()) + optional_len(2, set.value()),
        Operation::Del(del) => del.keys().iter().map(|key| field_len(1, key.len())).sum(),
    }
}

fn operation_len(operation: &Operation) -> usize {
    field_len(1, kind_len(operation))
}

fn put_operation(operation: &Operation, buf: &mut impl BufMut) {
    match operation {
        Operation::Set(set) => {
            put_field_head(1, kind_len(operation), buf);
            put_bytes(1, set.key(), buf);
            if !set.value().is_empty() {
                put_bytes(2, set.value(), buf);
            }
        }
        Operation::Del(del) => {
            put_field_head(2, kind_len(operation), buf);
            del.keys().iter().for_each(|key| put_bytes(1, key, buf));
        }
    }
}

pub(super) fn batch_len(batch: &Batch) -> usize {
    match batch.encoded() {
        Some(encoded) => encoded.len(),
        None => batch.operations().iter().map(|op| field_len(1, operation_len(op))).sum(),
    }
}

pub(super) fn put_batch(batch: &Batch, buf: &mut impl BufMut) {
    match batch.encoded() {
        Some(encoded) => buf.put_slice(encoded),
        None => {
            for operation in batch.operations() {
                put_field_head(1, operation_len(operation), buf);
                put_operation(operation, buf);
            }
        }
    }
}

impl Message for Operation {
    const NAME: &'static str = "Operation";

    fn encoded_len(&self) -> usize {
        operation_len(self)
    }

    fn encode_to(&self, buf: &mut impl BufMut) {
        put_operation(self, buf);
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        parse::<v1::Operation>(Self::NAME, bytes)?.try_into()
    }
}

impl Message for Batch {
    const NAME: &'static str = "Batch";

    fn encoded_len(&self) -> usize {
        batch_len(self)
    }

    fn encode_to(&self, buf: &mut impl BufMut) {
        put_batch(self, buf);
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        if let Some(batch) = plain_batch(&bytes) {
            return Ok(batch);
        }
        let operations = parse::<v1::Batch>(Self::NAME, bytes.clone())?.operations;
        let operations = operations.into_iter().map(Operation::try_from);
        Ok(Self::decoded(operations.collect::<Result<_, _>>()?, bytes))
    }
}

/// A batch that is encoded as [`put_batch`] does it, several times faster than prost. `None` for
/// what is encoded otherwise, valid or not: prost reads that.
fn plain_batch(bytes: &Bytes) -> Option<Batch> {
    let mut rest: &[u8] = bytes;
    let first = plain_operation(bytes, plain_field(1, &mut rest)?)?;
    if rest.is_empty() {
        return Some(Batch::decoded_one(first, bytes.clone()));
    }
    let mut operations = vec![first];
    while !rest.is_empty() {
        operations.push(plain_operation(bytes, plain_field(1, &mut rest)?)?);
    }
    Some(Batch::decoded(operations, bytes.clone()))
}

/// One operation, a part of `bytes`.
fn plain_operation(bytes: &Bytes, mut operation: &[u8]) -> Option<Operation> {
    if let Some(set) = plain_field(1, &mut operation) {
        let (key, value) = plain_pair(set)?;
        check_key(key, "SetOperation", "key").ok()?;
        let set = Operation::decoded_set(bytes.slice_ref(key), bytes.slice_ref(value));
        return operation.is_empty().then_some(set);
    }
    let mut del = plain_field(2, &mut operation)?;
    let mut keys = Vec::new();
    while !del.is_empty() {
        let key = plain_field(1, &mut del)?;
        check_key(key, "DelOperation", "keys").ok()?;
        keys.push(bytes.slice_ref(key));
    }
    (operation.is_empty() && !keys.is_empty()).then(|| Operation::decoded_del(keys.into()))
}

impl TryFrom<v1::Operation> for Operation {
    type Error = DecodeError;

    fn try_from(proto: v1::Operation) -> Result<Self, DecodeError> {
        match required(proto.kind, "Operation", "kind")? {
            v1::operation::Kind::Set(v1::SetOperation { key, value }) => {
                check_key(&key, "SetOperation", "key")?;
                Ok(Self::decoded_set(key, value))
            }
            v1::operation::Kind::Del(v1::DelOperation { keys }) => {
                not_empty(&keys, "DelOperation", "keys")?;
                keys.iter().try_for_each(|key| check_key(key, "DelOperation", "keys"))?;
                Ok(Self::decoded_del(keys.into()))
            }
        }
    }
}

pub(crate) fn check_key(
    key: &[u8],
    message: &'static str,
    field: &'static str,
) -> Result<(), DecodeError> {
    not_empty(key, message, field)?;
    if key.len() > MAX_KEY_BYTES {
        let reason = DecodeReason::OutOfRange { got: key.len() as u64, max: MAX_KEY_BYTES as u64 };
        return Err(DecodeError::new(message, field, reason));
    }
    Ok(())
}

pub(super) fn not_empty<T>(
    found: &[T],
    message: &'static str,
    field: &'static str,
) -> Result<(), DecodeError> {
    if found.is_empty() {
        return Err(DecodeError::new(message, field, DecodeReason::Empty));
    }
    Ok(())
}

super::message!(Response, v1::Response, "Response");

impl From<&Response> for v1::Response {
    fn from(response: &Response) -> Self {
        let kind = match response {
            Response::Set { previous } => {
                v1::response::Kind::Set(v1::SetResponse { previous: previous.clone() })
            }
            Response::Del { deleted } => {
                v1::response::Kind::Del(v1::DelResponse { deleted: *deleted })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Response> for Response {
    type Error = DecodeError;

    fn try_from(proto: v1::Response) -> Result<Self, DecodeError> {
        Ok(match required(proto.kind, "Response", "kind")? {
            v1::response::Kind::Set(set) => Self::Set { previous: set.previous },
            v1::response::Kind::Del(del) => Self::Del { deleted: del.deleted },
        })
    }
}
