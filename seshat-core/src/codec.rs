//! Domain types to protobuf bytes and back.
//!
//! Guarantees: what decodes is valid, so nobody downstream checks again; what doesn't is a
//! [`DecodeError`] that names message, field and reason. No input panics, and no length that the
//! input claims is trusted before the bytes are there. Decoding shares the input: keys and
//! values are slices of it, not copies.

mod format;
mod log;
mod membership;
mod operation;
mod raft;
mod serde;
mod snapshot;
mod transport;

use std::error::Error;
use std::fmt;

use bytes::{BufMut, Bytes};

pub(crate) use operation::check_key;
pub use raft::{
    FullSnapshotHeader, FullSnapshotPart, SnapshotOffsetRequest, SnapshotOffsetResponse,
};
pub(crate) use snapshot::{plain_record, put_record};
pub use format::{FORMAT, OLDEST_FORMAT};
pub(crate) use format::reads;
pub use transport::{
    FormatsRequest, FormatsResponse, Leadership, StandingRequest, StandingResponse,
};

/// The greatest `format_version` of [`Entry`](crate::types::Entry) that this build knows, and
/// the one it writes.
pub const ENTRY_FORMAT: u32 = 1;
/// The same for [`HardState`](crate::log::HardState).
pub const HARD_STATE_FORMAT: u32 = 1;
/// The same for the header of a snapshot.
pub const SNAPSHOT_FORMAT: u32 = 1;

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
    ($domain:ty, $proto:ty, $name:literal) => {
        impl crate::codec::Message for $domain {
            const NAME: &'static str = $name;

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
                crate::codec::parse::<$proto>($name, bytes)?.try_into()
            }
        }
    };
}
pub(crate) use message;

pub(crate) fn parse<P: prost::Message + Default>(
    name: &'static str,
    bytes: Bytes,
) -> Result<P, DecodeError> {
    P::decode(bytes).map_err(|source| DecodeError::new(name, "*", DecodeReason::Malformed(source)))
}

/// Bytes that are not a valid message. Its text holds the reason's, so its source is what comes
/// behind the reason: whoever prints the chain prints nothing twice.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeError {
    /// Name of the message in the schema.
    pub message: &'static str,
    /// Name of the field in that message; `*` if it is the message itself.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: DecodeReason,
}

impl DecodeError {
    pub(crate) fn new(message: &'static str, field: &'static str, reason: DecodeReason) -> Self {
        Self { message, field, reason }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}: {}", self.message, self.field, self.reason)
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeReason {
    /// Not protobuf, or cut short.
    #[error("not a protobuf message")]
    Malformed(#[source] prost::DecodeError),
    /// A required field or oneof is absent. For a oneof this is also how a kind looks that only
    /// a newer schema knows.
    #[error("missing, or of a kind that this version does not know")]
    Missing,
    /// Written in a format that is newer than this build, or in none.
    #[error("format version {got}, this build reads 1 to {known}")]
    Version {
        /// The version found; 0 if none was.
        got: u32,
        /// The greatest version known.
        known: u32,
    },
    /// A number beyond its bound.
    #[error("{got} is out of range: at most {max}")]
    OutOfRange {
        /// The number found.
        got: u64,
        /// The greatest one allowed.
        max: u64,
    },
    /// A key, an id or a set that must not be empty is.
    #[error("empty")]
    Empty,
    /// Ids that must ascend strictly don't.
    #[error("ids do not ascend: {got} after {previous}")]
    NotAscending {
        /// The id before.
        previous: u64,
        /// The id found.
        got: u64,
    },
    /// A voter that is no member has no address.
    #[error("voter {voter} is not a member")]
    UnknownVoter {
        /// Its id.
        voter: u64,
    },
}

fn required<T>(
    value: Option<T>,
    message: &'static str,
    field: &'static str,
) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::new(message, field, DecodeReason::Missing))
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
