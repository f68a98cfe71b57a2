//! Operations, batches and responses, by hand: a batch is the bulk of all traffic. Prost would copy
//! its payload twice to write it, and to read it skip what it doesn't know, and make a list of
//! everything before the first of it can be refused. Tests compare what is written with prost's.

use bytes::{BufMut, Bytes};

use super::fields::{Fields, Value, field_len, put_bytes, put_field_head};
use super::{DecodeError, DecodeReason, Message, OLDEST_FORMAT, reads, required, shape};
use crate::operation::{Batch, Condition, How, Keys, MAX_KEY_BYTES, Operation, Response, Set};
use crate::proto::v1;

/// proto3 leaves a default out.
fn optional_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { field_len(bytes.len()) }
}

fn put_optional(tag: u32, bytes: &[u8], buf: &mut impl BufMut) {
    if !bytes.is_empty() {
        put_bytes(tag, bytes, buf);
    }
}

/// Key and value, as a SET and a snapshot's record have them.
pub(super) fn pair_len(key: &[u8], value: &[u8]) -> usize {
    optional_len(key) + optional_len(value)
}

pub(super) fn put_pair(key: &[u8], value: &[u8], buf: &mut impl BufMut) {
    put_optional(1, key, buf);
    put_optional(2, value, buf);
}

/// The same, but for the value at its end, which isn't empty.
pub(super) fn put_pair_head(key: &[u8], value: &[u8], buf: &mut impl BufMut) {
    put_optional(1, key, buf);
    put_field_head(2, value.len(), buf);
}

/// Length of a flag with its key, where it is set.
const FLAG_LEN: usize = 2;

/// Number of the kind, and of the flag, that only feature `next` has.
const NEXT: u32 = 3;

fn set_kind(set: &Set) -> u32 {
    match set.how() {
        #[cfg(feature = "next")]
        How::Append => NEXT,
        _ => 1,
    }
}

fn has_next_flag(set: &Set) -> bool {
    match set.how() {
        #[cfg(feature = "next")]
        How::Prepend => true,
        _ => false,
    }
}

#[inline]
fn kind_len(operation: &Operation) -> usize {
    match operation {
        Operation::Set(set) => {
            let flags = [set.get(), has_next_flag(set), set.condition().is_some()];
            let flags = flags.into_iter().filter(|set| *set).count();
            pair_len(set.key(), set.value()) + flags * FLAG_LEN
        }
        Operation::Del(del) => del.keys().encoded().len(),
    }
}

fn operation_len(operation: &Operation) -> usize {
    field_len(kind_len(operation))
}

/// An operation whose kind takes `len` bytes.
#[inline]
fn put_operation(operation: &Operation, len: usize, buf: &mut impl BufMut) {
    match operation {
        Operation::Set(set) => {
            put_field_head(set_kind(set), len, buf);
            put_pair(set.key(), set.value(), buf);
            if has_next_flag(set) {
                prost::encoding::bool::encode(NEXT, &true, buf);
            }
            if set.get() {
                prost::encoding::bool::encode(4, &true, buf);
            }
            if let Some(condition) = set.condition() {
                prost::encoding::int32::encode(5, &to_wire(condition), buf);
            }
        }
        Operation::Del(del) => put_bytes(2, del.keys().encoded(), buf),
    }
}

pub(super) fn batch_len(batch: &Batch) -> usize {
    match batch.encoded() {
        Some(encoded) => encoded.len(),
        None => {
            let operations = batch.operations().iter().map(|op| field_len(operation_len(op)));
            let raise =
                batch.raises().map(|format| prost::encoding::uint32::encoded_len(2, &format));
            operations.chain(raise).sum()
        }
    }
}

pub(super) fn put_batch(batch: &Batch, buf: &mut impl BufMut) {
    match batch.encoded() {
        Some(encoded) => buf.put_slice(encoded),
        None => {
            for operation in batch.operations() {
                let len = kind_len(operation);
                put_field_head(1, field_len(len), buf);
                put_operation(operation, len, buf);
            }
            if let Some(format) = batch.raises() {
                prost::encoding::uint32::encode(2, &format, buf);
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
        put_operation(self, kind_len(self), buf);
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        read_operation(&bytes, &bytes)
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
        let mut fields = Fields::of(Self::NAME, &bytes);
        let first = match fields.next()? {
            Some((1, Value::Bytes(operation))) => read_operation(&bytes, operation)?,
            Some((2, Value::Number(format))) => match fields.next()? {
                None => return read_raise(format),
                Some(other) => return Err(fields.unknown(other)),
            },
            Some(other) => return Err(fields.unknown(other)),
            None => return Ok(Self::empty()),
        };
        if fields.is_empty() {
            return Ok(Self::decoded_one(first, bytes));
        }
        let mut operations = Vec::with_capacity(1 + fields.count_left());
        operations.push(first);
        while let Some(operation) = next_operation(&bytes, &mut fields)? {
            operations.push(operation);
        }
        Ok(Self::decoded(operations, bytes))
    }
}

/// A raise to that format. To one that isn't read here, none is proposed as long as this node is a member.
fn read_raise(format: u64) -> Result<Batch, DecodeError> {
    let (got, known) = (u32::try_from(format).unwrap_or(u32::MAX), reads());
    if got < OLDEST_FORMAT || got > known {
        let reason = DecodeReason::Version { got, known };
        return Err(DecodeError::new(Batch::NAME, "format", reason));
    }
    Ok(Batch::raise(got))
}

/// The next operation of a batch, which are `bytes`.
#[inline]
fn next_operation(
    bytes: &Bytes,
    fields: &mut Fields<'_>,
) -> Result<Option<Operation>, DecodeError> {
    match fields.next()? {
        Some((1, Value::Bytes(operation))) => read_operation(bytes, operation).map(Some),
        Some(other) => Err(fields.unknown(other)),
        None => Ok(None),
    }
}

/// An operation that is a part of `bytes`.
#[inline]
fn read_operation(bytes: &Bytes, operation: &[u8]) -> Result<Operation, DecodeError> {
    let mut fields = Fields::of(Operation::NAME, operation);
    // Where it is, not what: an operation is large to be moved about.
    let mut kind = None;
    while let Some(field) = fields.next()? {
        match field {
            (number @ (1 | 2), Value::Bytes(held)) => {
                fields.once(&mut kind, (number, held), "kind")?;
            }
            #[cfg(feature = "next")]
            (NEXT, Value::Bytes(held)) if reads() >= super::NEXT_FORMAT => {
                fields.once(&mut kind, (NEXT, held), "kind")?;
            }
            other => return Err(fields.unknown(other)),
        }
    }
    match required(kind, Operation::NAME, "kind")? {
        (1, set) => read_set(bytes, set, How::Replace),
        #[cfg(feature = "next")]
        (NEXT, set) => read_set(bytes, set, How::Append),
        (_, del) => read_del(bytes, del),
    }
}

#[inline]
fn read_set(bytes: &Bytes, set: &[u8], mut how: How) -> Result<Operation, DecodeError> {
    const NAME: &str = "SetOperation";
    let mut fields = Fields::of(NAME, set);
    let (mut key, mut value, mut get): (&[u8], &[u8], _) = (&[], &[], false);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2, Value::Bytes(bytes)) => value = bytes,
            (4, Value::Number(number)) => get = number != 0,
            (5, Value::Number(number)) => how = condition(number)?.into(),
            #[cfg(feature = "next")]
            (NEXT, Value::Number(1)) if reads() >= super::NEXT_FORMAT => how = How::Prepend,
            other => return Err(fields.unknown(other)),
        }
    }
    check_key(key, NAME, "key")?;
    Ok(Operation::decoded_set(bytes.slice_ref(key), bytes.slice_ref(value), get, how))
}

/// A condition that isn't known is refused as a field would be.
fn condition(number: u64) -> Result<Option<Condition>, DecodeError> {
    match i32::try_from(number).ok().and_then(|number| v1::SetCondition::try_from(number).ok()) {
        Some(v1::SetCondition::Unspecified) => Ok(None),
        Some(v1::SetCondition::Absent) => Ok(Some(Condition::Absent)),
        Some(v1::SetCondition::Present) => Ok(Some(Condition::Present)),
        None => {
            let reason =
                DecodeReason::OutOfRange { got: number, max: v1::SetCondition::Present as u64 };
            Err(DecodeError::new("SetOperation", "condition", reason))
        }
    }
}

fn to_wire(condition: Condition) -> i32 {
    match condition {
        Condition::Absent => v1::SetCondition::Absent.into(),
        Condition::Present => v1::SetCondition::Present.into(),
    }
}

fn read_del(bytes: &Bytes, del: &[u8]) -> Result<Operation, DecodeError> {
    const NAME: &str = "DelOperation";
    let mut fields = Fields::of(NAME, del);
    let mut keys = Keys::default();
    while let Some(field) = fields.next()? {
        let (1, Value::Bytes(key)) = field else { return Err(fields.unknown(field)) };
        check_key(key, NAME, "keys")?;
        keys.count(key);
    }
    if keys.is_empty() {
        return Err(DecodeError::new(NAME, "keys", DecodeReason::Empty));
    }
    Ok(Operation::decoded_del(keys.encoded_as(bytes.slice_ref(del))))
}

pub(crate) fn check_key(
    key: &[u8],
    message: &'static str,
    field: &'static str,
) -> Result<(), DecodeError> {
    if key.len() > MAX_KEY_BYTES {
        let reason = DecodeReason::OutOfRange { got: key.len() as u64, max: MAX_KEY_BYTES as u64 };
        return Err(DecodeError::new(message, field, reason));
    }
    Ok(())
}

super::message!(Response, v1::Response, shape::RESPONSE);

impl From<&Response> for v1::Response {
    fn from(response: &Response) -> Self {
        let kind = match response {
            Response::Set { previous } => {
                let previous = previous.clone();
                v1::response::Kind::Set(v1::SetResponse { previous, not_set: false })
            }
            Response::NotSet { previous } => {
                let previous = previous.clone();
                v1::response::Kind::Set(v1::SetResponse { previous, not_set: true })
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
            v1::response::Kind::Set(v1::SetResponse { previous, not_set: false }) => {
                Self::Set { previous }
            }
            v1::response::Kind::Set(v1::SetResponse { previous, not_set: true }) => {
                Self::NotSet { previous }
            }
            v1::response::Kind::Del(del) => Self::Del { deleted: del.deleted },
        })
    }
}
