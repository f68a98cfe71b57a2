//! Which fields the schema's messages have, and which messages are closed.
//!
//! The rule: a message that is stored, replicated or applied is closed. A field of it that isn't
//! known is refused, whatever a newer version meant by it, because to go on without it would be to
//! go on with another state than those who know it. A message that only says something to somebody
//! (a request, an answer) is open: what isn't known in it is skipped, so that it can be extended.
//! Either holds wherever the message stands.
//!
//! [`check`] holds messages against this table before prost reads them, which skips what it doesn't
//! know. Entries and what is in them are read by hand, by the same rule (`log.rs`, `operation.rs`).

use super::DecodeError;
use super::fields::{Fields, Value};

/// A message of the schema.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    open: bool,
    /// Of an open message those that hold closed ones, all others of a closed one too.
    fields: &'static [(u32, Kind)],
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Number,
    /// Repeated numbers: packed, as they are written, or one by one, as they may be read.
    Numbers,
    Bytes,
    Other,
    Message(&'static Shape),
}

use Kind::{Bytes, Message, Number, Numbers, Other};

const fn closed(name: &'static str, fields: &'static [(u32, Kind)]) -> Shape {
    Shape { name, open: false, fields }
}

const fn open(name: &'static str, fields: &'static [(u32, Kind)]) -> Shape {
    Shape { name, open: true, fields }
}

/// Fails for the first field that isn't known where it must be. What passes may still be no valid
/// message of that shape.
pub(crate) fn check(shape: &Shape, message: &[u8]) -> Result<(), DecodeError> {
    let mut fields = Fields::of(shape.name, message);
    while let Some((number, value)) = fields.next()? {
        let known = shape.fields.iter().find(|(known, _)| *known == number);
        match (known.map(|(_, kind)| *kind), value) {
            (Some(Message(inner)), Value::Bytes(message)) => check(inner, message)?,
            (Some(Number | Numbers), Value::Number(_))
            | (Some(Numbers | Bytes), Value::Bytes(_))
            | (Some(Other), Value::Other(_)) => {}
            _ if shape.open => {}
            _ => return Err(fields.unknown((number, value))),
        }
    }
    Ok(())
}

pub(crate) const LOG_ID: Shape = closed("LogId", &[(1, Number), (2, Number), (3, Number)]);
pub(crate) const VOTE: Shape = closed("Vote", &[(1, Number), (2, Number), (3, Number)]);
pub(crate) const BLANK: Shape = closed("Blank", &[]);
pub(crate) const HARD_STATE: Shape = closed(
    "HardState",
    &[(1, Number), (2, Message(&VOTE)), (3, Message(&LOG_ID)), (4, Message(&LOG_ID))],
);

const NODE: Shape = closed("Node", &[(1, Bytes)]);
const VOTER_SET: Shape = closed("VoterSet", &[(1, Numbers)]);
const MEMBER: Shape = closed("Member", &[(1, Number), (2, Message(&NODE))]);
pub(crate) const MEMBERSHIP: Shape =
    closed("Membership", &[(1, Message(&VOTER_SET)), (2, Message(&MEMBER))]);
pub(crate) const STORED_MEMBERSHIP: Shape =
    closed("StoredMembership", &[(1, Message(&LOG_ID)), (2, Message(&MEMBERSHIP))]);

pub(crate) const SNAPSHOT_META: Shape =
    closed("SnapshotMeta", &[(1, Message(&LOG_ID)), (2, Message(&STORED_MEMBERSHIP)), (3, Bytes)]);
pub(crate) const SNAPSHOT_HEADER: Shape = closed(
    "SnapshotHeader",
    &[
        (1, Number),
        (2, Message(&LOG_ID)),
        (3, Message(&STORED_MEMBERSHIP)),
        (4, Number),
        (5, Number),
    ],
);
pub(crate) const SNAPSHOT_TRAILER: Shape = closed("SnapshotTrailer", &[(1, Other)]);

/// What is said, not kept.
pub(crate) const RESPONSE: Shape = open("Response", &[]);

/// Entries are read by hand.
pub(crate) const APPEND_ENTRIES_REQUEST: Shape = open(
    "AppendEntriesRequest",
    &[(1, Message(&VOTE)), (2, Message(&LOG_ID)), (4, Message(&LOG_ID))],
);
const APPEND_PARTIAL_SUCCESS: Shape = open("AppendPartialSuccess", &[(1, Message(&LOG_ID))]);
pub(crate) const APPEND_ENTRIES_RESPONSE: Shape =
    open("AppendEntriesResponse", &[(2, Message(&APPEND_PARTIAL_SUCCESS)), (4, Message(&VOTE))]);
pub(crate) const VOTE_REQUEST: Shape =
    open("VoteRequest", &[(1, Message(&VOTE)), (2, Message(&LOG_ID))]);
pub(crate) const VOTE_RESPONSE: Shape =
    open("VoteResponse", &[(1, Message(&VOTE)), (3, Message(&LOG_ID))]);
pub(crate) const INSTALL_SNAPSHOT_REQUEST: Shape =
    open("InstallSnapshotRequest", &[(1, Message(&VOTE)), (2, Message(&SNAPSHOT_META))]);
pub(crate) const INSTALL_SNAPSHOT_RESPONSE: Shape =
    open("InstallSnapshotResponse", &[(1, Message(&VOTE))]);
const FULL_SNAPSHOT_HEADER: Shape =
    open("FullSnapshotHeader", &[(1, Message(&VOTE)), (2, Message(&SNAPSHOT_META))]);
pub(crate) const FULL_SNAPSHOT_REQUEST: Shape =
    open("FullSnapshotRequest", &[(1, Message(&FULL_SNAPSHOT_HEADER))]);
pub(crate) const FULL_SNAPSHOT_RESPONSE: Shape =
    open("FullSnapshotResponse", &[(1, Message(&VOTE))]);
pub(crate) const SNAPSHOT_OFFSET_REQUEST: Shape = open("SnapshotOffsetRequest", &[]);
pub(crate) const SNAPSHOT_OFFSET_RESPONSE: Shape = open("SnapshotOffsetResponse", &[]);
pub(crate) const STANDING_REQUEST: Shape = open("StandingRequest", &[]);
pub(crate) const FORMATS_REQUEST: Shape = open("FormatsRequest", &[]);
pub(crate) const FORMATS_RESPONSE: Shape = open("FormatsResponse", &[]);
const LEADERSHIP: Shape = open("Leadership", &[(1, Message(&VOTE)), (2, Message(&LOG_ID))]);
pub(crate) const STANDING_RESPONSE: Shape = open("StandingResponse", &[(5, Message(&LEADERSHIP))]);
