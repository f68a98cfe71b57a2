//! A message's fields, one after the other, read and written.
//!
//! Guarantees: nothing is skipped that its reader doesn't choose to skip, no length is believed
//! beyond the bytes that are there, and nothing is allocated.

use bytes::BufMut;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, encoded_len_varint,
    skip_field,
};

use super::{DecodeError, DecodeReason};

/// What is left of a message.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    message: &'static str,
    rest: &'a [u8],
}

/// A field's number and what it holds.
pub(crate) type Field<'a> = (u32, Value<'a>);

/// What a field holds, by its wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A varint.
    Number(u64),
    /// Bytes, text, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Anything else. None of what is read by hand has such a field.
    Other(WireType),
}

impl<'a> Fields<'a> {
    /// Of a message of that name in the schema.
    pub(crate) fn of(message: &'static str, bytes: &'a [u8]) -> Self {
        Self { message, rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field; `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, DecodeError> {
        match self.next_short() {
            Some(field) => Ok(Some(field)),
            None if self.rest.is_empty() => Ok(None),
            None => self.next_any().map(Some),
        }
    }

    /// Nearly every field: a number or bytes, with a field number below 16.
    #[inline]
    fn next_short(&mut self) -> Option<Field<'a>> {
        const BYTES: u8 = WireType::LengthDelimited as u8;
        const NUMBER: u8 = WireType::Varint as u8;
        let (key, after) = self.rest.split_first()?;
        if !(8..0x80).contains(key) {
            return None;
        }
        let (number, after) = short_varint(after)?;
        let (value, after) = match key & 7 {
            BYTES => {
                let (bytes, after) = after.split_at_checked(number as usize)?;
                (Value::Bytes(bytes), after)
            }
            NUMBER => (Value::Number(number.into()), after),
            _ => return None,
        };
        self.rest = after;
        Some((u32::from(key >> 3), value))
    }

    #[inline(never)]
    fn next_any(&mut self) -> Result<Field<'a>, DecodeError> {
        self.parse()
            .map_err(|source| DecodeError::new(self.message, "*", DecodeReason::Malformed(source)))
    }

    fn parse(&mut self) -> Result<Field<'a>, prost::DecodeError> {
        let (number, wire_type) = decode_key(&mut self.rest)?;
        let value = match wire_type {
            WireType::Varint => Value::Number(decode_varint(&mut self.rest)?),
            WireType::LengthDelimited => {
                let mut after = self.rest;
                let len = decode_varint(&mut after)?;
                let split = usize::try_from(len).ok().and_then(|len| after.split_at_checked(len));
                let Some((bytes, after)) = split else {
                    // Fails too, and says how.
                    skip_field(wire_type, number, &mut self.rest, DecodeContext::default())?;
                    return Ok((number, Value::Other(wire_type)));
                };
                self.rest = after;
                Value::Bytes(bytes)
            }
            _ => {
                skip_field(wire_type, number, &mut self.rest, DecodeContext::default())?;
                Value::Other(wire_type)
            }
        };
        Ok((number, value))
    }

    /// How many fields are left, up to the first that isn't one: what is there, not what is
    /// claimed.
    pub(crate) fn count_left(&self) -> usize {
        let mut left = self.clone();
        std::iter::from_fn(|| left.next().ok().flatten()).count()
    }

    /// Refuses a field.
    #[cold]
    pub(crate) fn unknown(&self, (number, value): Field<'_>) -> DecodeError {
        let wire_type = match value {
            Value::Number(_) => WireType::Varint,
            Value::Bytes(_) => WireType::LengthDelimited,
            Value::Other(wire_type) => wire_type,
        };
        let reason = DecodeReason::Unknown { number, wire_type: wire_type as u8 };
        DecodeError::new(self.message, "*", reason)
    }

    /// Puts what a field holds where nothing may be yet: a oneof, or a message.
    pub(crate) fn once<T>(
        &self,
        slot: &mut Option<T>,
        value: T,
        field: &'static str,
    ) -> Result<(), DecodeError> {
        if slot.is_some() {
            return Err(DecodeError::new(self.message, field, DecodeReason::Twice));
        }
        *slot = Some(value);
        Ok(())
    }
}

/// A varint of three bytes at most.
#[inline]
fn short_varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let low = |byte: &u8| u32::from(byte & 0x7f);
    match bytes {
        [a @ ..0x80, after @ ..] => Some((low(a), after)),
        [a, b @ ..0x80, after @ ..] => Some((low(a) | low(b) << 7, after)),
        [a, b, c @ ..0x80, after @ ..] => Some((low(a) | low(b) << 7 | low(c) << 14, after)),
        _ => None,
    }
}

/// Length of a length-delimited field with its key, whose number is below 16.
pub(crate) fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// Writes the key and the length of such a field.
#[inline]
pub(super) fn put_field_head(tag: u32, len: usize, buf: &mut impl BufMut) {
    buf.put_u8((tag << 3) as u8 | WireType::LengthDelimited as u8);
    encode_varint(len as u64, buf);
}

/// Writes such a field.
pub(crate) fn put_bytes(tag: u32, bytes: &[u8], buf: &mut impl BufMut) {
    put_field_head(tag, bytes.len(), buf);
    buf.put_slice(bytes);
}
