//! What is wrong with a snapshot.

use std::io;

use bytes::Bytes;

use super::TRAILER_LEN;
use crate::codec::DecodeError;
use crate::types::{LogId, StoredMembership};

/// Why a snapshot wasn't read from where it is. Nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not what they should be.
    #[error(transparent)]
    Invalid(#[from] SnapshotError),
    /// The system doesn't let its file be read.
    #[error("could not read the snapshot's file")]
    Failed(#[from] io::Error),
}

/// Bytes that are not the snapshot they should be. Nothing was installed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// Too short to hold even a trailer.
    #[error("{got} bytes are too few for a snapshot: it was cut short")]
    Truncated {
        /// Bytes found.
        got: usize,
    },
    /// Doesn't end in a trailer.
    #[error(
        "the last {TRAILER_LEN} of {len} bytes are no trailer: cut short, or followed by something else"
    )]
    NoTrailer {
        /// Bytes found.
        len: usize,
    },
    /// A byte differs from what was written.
    #[error("checksum {got:#018x}, the trailer says {expected:#018x}: a byte was changed or lost")]
    Checksum {
        /// The checksum of the bytes found.
        got: u64,
        /// The checksum in the trailer.
        expected: u64,
    },
    /// A message's length goes beyond the end.
    #[error("a message {before_end} bytes before the end of the records is cut short")]
    Cut {
        /// Bytes from the message's length to the end of the records.
        before_end: usize,
    },
    /// A message that isn't valid, or of a format that this build doesn't know.
    #[error("invalid message")]
    Decode(#[from] DecodeError),
    /// Keys must ascend strictly.
    #[error("key {got:?} does not ascend: it follows {previous:?}")]
    Unordered {
        /// The key found.
        got: Bytes,
        /// The key before it.
        previous: Bytes,
    },
    /// More or less than the header says.
    #[error("{got:?} keys and bytes, the header says {expected:?}")]
    Size {
        /// Keys found, and bytes in keys and values.
        got: (u64, u64),
        /// The same, from the header.
        expected: (u64, u64),
    },
    /// The bytes cover another entry than the metadata says.
    #[error("the snapshot ends at {got:?}, its metadata says {expected:?}")]
    LastLogId {
        /// From the bytes.
        got: Option<LogId>,
        /// From the metadata.
        expected: Option<LogId>,
    },
    /// The bytes hold another membership than the metadata says.
    #[error("the snapshot's membership is {got}, its metadata says {expected}")]
    Membership {
        /// From the bytes.
        got: Box<StoredMembership>,
        /// From the metadata.
        expected: Box<StoredMembership>,
    },
}
