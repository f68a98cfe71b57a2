//! What can be wrong with bytes: the message, the field, the reason.

use std::error::Error;
use std::fmt;

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
    /// A required field or oneof is absent. For a oneof of a request or an answer this is also how a
    /// kind looks that only a newer schema knows.
    #[error("missing, or of a kind that this version does not know")]
    Missing,
    /// A field that isn't known, or not as holding that, in something that is understood whole or
    /// not at all: a node of a newer version wrote it.
    #[error(
        "field {number} (wire type {wire_type}) is not known to this version: a node of a newer one wrote it, so upgrade this node"
    )]
    Unknown {
        /// Its number.
        number: u32,
        /// What it holds, as protobuf numbers that.
        wire_type: u8,
    },
    /// Once is enough, and twice has more than one meaning.
    #[error("more than once")]
    Twice,
    /// What is there can't be written in the format that is said.
    #[error("format version {got}, but what it holds needs {needs}")]
    Understated {
        /// The version found.
        got: u32,
        /// The least that reads what is there.
        needs: u32,
    },
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
    /// An id or a set that must not be empty is.
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
