//! Domain types to protobuf bytes and back.
//!
//! Guarantees: what decodes is valid, so nobody downstream checks again; what doesn't is a
//! [`DecodeError`] that names message, field and reason. No input panics, and no length that the
//! input claims is trusted before the bytes are there. Decoding shares the input: keys and
//! values are slices of it, not copies.
//!
//! What is stored, replicated or applied is understood whole or refused: a field in it that isn't
//! known is a [`DecodeReason::Unknown`], since a node that went on without it would end up with
//! another state than those that know it. Only in requests and answers around it is such a field
//! skipped. A new field of something that is kept needs a format of its own: an entry, or a snapshot,
//! is written with the least version that reads it, so that a node of an older version still reads
//! what holds nothing new.

#[cfg(feature = "grpc")]
pub(crate) mod client;
mod error;
mod fields;
mod format;
mod log;
mod membership;
mod operation;
mod raft;
mod serde;
mod shape;
pub(crate) mod snapshot;
mod transport;
mod wal;

use bytes::{BufMut, Bytes};

pub use error::{DecodeError, DecodeReason};
pub(crate) use fields::{Fields, Value, field_len, put_bytes};
#[cfg(feature = "next")]
pub(crate) use format::NEXT_FORMAT;
pub(crate) use format::reads;
pub use format::{FORMAT, OLDEST_FORMAT};
pub use raft::{
    FullSnapshotHeader, FullSnapshotPart, SnapshotOffsetRequest, SnapshotOffsetResponse,
};
pub(crate) use snapshot::{put_record, put_record_head, read_record, read_trailer};
pub use transport::{
    FormatsRequest, FormatsResponse, Leadership, StandingRequest, StandingResponse,
};

/// The greatest `format_version` of [`HardState`](crate::log::HardState) that this build knows, and the
/// one it is written with. It never leaves its node, so it has a number of its own.
pub const HARD_STATE_FORMAT: u32 = 1;

/// What a message may take in memory once it is decoded, for each byte of it, and beside that
/// [`DECODED_BESIDE`]. Its own bytes, which what is decoded shares, are not in it.
///
/// Most of all takes an entry with a batch of two `SET "" ""`, 16 bytes that become 360; in a longer
/// batch each of those is 4 bytes that become an [`Operation`](crate::operation::Operation) of 72. Where
/// keys and values have some hundred bytes it is less than their own.
/// What is invalid is refused before anything behind it takes memory.
pub const DECODED_PER_BYTE: usize = 24;
/// See [`DECODED_PER_BYTE`]: what the memberships of one message may take beyond that. They are the
/// only ones that cost hundreds of bytes for a few, and are counted ([`MAX_MEMBERSHIPS`]).
pub const DECODED_BESIDE: usize = 2 << 20;
/// Entries in one AppendEntries that change the membership. No leader sends more: where entries are
/// counted in bytes, each of these counts for a share of what one message carries.
pub const MAX_MEMBERSHIPS: usize = 1024;
/// Sets of voters in one membership. openraft makes two while a change is under way.
pub const MAX_CONFIGS: usize = 4;
/// Nodes in one membership, far more than a leader can replicate to.
pub const MAX_MEMBERS: usize = 1024;

/// Raft groups in one write-ahead log.
pub const MAX_GROUPS: usize = 1 << 16;

/// Terms, indexes: one less than 2^64, because openraft adds one to them.
const MAX_COUNTER: u64 = u64::MAX - 1;

/// A domain type with a message in the schema.
pub trait Message: Sized {
    /// The message's name in the schema.
    const NAME: &'static str;

    /// How many bytes the message takes.
    fn encoded_len(&self) -> usize;

    /// Writes the message to `buf`, which must have room for [`encoded_len`](Self::encoded_len)
    /// bytes, as all that grow have.
    fn encode_to(&self, buf: &mut impl BufMut);

    /// The message as bytes. Can't fail: memory is the only bound.
    fn encode(&self) -> Bytes {
        let mut buf = Vec::with_capacity(self.encoded_len());
        self.encode_to(&mut buf);
        buf.into()
    }

    /// Reads the message from the whole of `bytes`.
    ///
    /// # Errors
    /// See [`DecodeReason`].
    fn decode(bytes: Bytes) -> Result<Self, DecodeError>;
}

/// Implements [`Message`] by way of the generated type.
macro_rules! message {
    ($domain:ty, $proto:ty, $shape:path) => {
        impl crate::codec::Message for $domain {
            const NAME: &'static str = $shape.name;

            fn encoded_len(&self) -> usize {
                prost::Message::encoded_len(&<$proto>::from(self))
            }

            fn encode_to(&self, buf: &mut impl bytes::BufMut) {
                prost::Message::encode_raw(&<$proto>::from(self), buf);
            }

            fn encode(&self) -> bytes::Bytes {
                prost::Message::encode_to_vec(&<$proto>::from(self)).into()
            }

            fn decode(bytes: bytes::Bytes) -> Result<Self, crate::codec::DecodeError> {
                crate::codec::parse::<$proto>(&$shape, bytes)?.try_into()
            }
        }
    };
}
use message;

/// The generated type, if nothing in it is unknown where it must be known.
fn parse<P: prost::Message + Default>(
    shape: &shape::Shape,
    bytes: Bytes,
) -> Result<P, DecodeError> {
    shape::check(shape, &bytes)?;
    parse_open(shape.name, bytes)
}

/// The generated type, whatever else is there.
pub(crate) fn parse_open<P: prost::Message + Default>(
    name: &'static str,
    bytes: Bytes,
) -> Result<P, DecodeError> {
    P::decode(bytes).map_err(|source| DecodeError::new(name, "*", DecodeReason::Malformed(source)))
}

fn required<T>(
    value: Option<T>,
    message: &'static str,
    field: &'static str,
) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::new(message, field, DecodeReason::Missing))
}

fn not_empty<T>(
    found: &[T],
    message: &'static str,
    field: &'static str,
) -> Result<(), DecodeError> {
    if found.is_empty() {
        return Err(DecodeError::new(message, field, DecodeReason::Empty));
    }
    Ok(())
}

pub(crate) fn counter(
    got: u64,
    message: &'static str,
    field: &'static str,
) -> Result<u64, DecodeError> {
    if got > MAX_COUNTER {
        let reason = DecodeReason::OutOfRange { got, max: MAX_COUNTER };
        return Err(DecodeError::new(message, field, reason));
    }
    Ok(got)
}

pub(crate) fn version(got: u32, known: u32, message: &'static str) -> Result<(), DecodeError> {
    if got == 0 || got > known {
        let reason = DecodeReason::Version { got, known };
        return Err(DecodeError::new(message, "format_version", reason));
    }
    Ok(())
}
