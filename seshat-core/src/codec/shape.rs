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

use super::fields::{Fields, Value};
use super::{DecodeError, DecodeReason, MAX_CONFIGS, MAX_GROUPS, MAX_MEMBERS};

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
    Bytes,
    Other,
    Message(&'static Shape),
    /// Repeated numbers, so many at most: packed, as they are written, or one by one, as they may
    /// be read.
    Numbers(&'static str, usize),
    /// Repeated messages, so many at most.
    Few(&'static str, usize, &'static Shape),
}

use Kind::{Bytes, Few, Message, Number, Numbers, Other};

/// Fields that are counted are among the first two of their message.
const COUNTED: usize = 2;
/// Bytes of the longest varint.
const LONGEST_NUMBER: usize = 10;

const fn closed(name: &'static str, fields: &'static [(u32, Kind)]) -> Shape {
    Shape { name, open: false, fields }
}

const fn open(name: &'static str, fields: &'static [(u32, Kind)]) -> Shape {
    Shape { name, open: true, fields }
}

/// Fails for the first field that isn't known where it must be, and for the first of too many. What
/// passes may still be no valid message of that shape, but is none that takes much memory to read.
pub(crate) fn check(shape: &Shape, message: &[u8]) -> Result<(), DecodeError> {
    let mut fields = Fields::of(shape.name, message);
    let mut counts = [0; COUNTED];
    while let Some((number, value)) = fields.next()? {
        let place = shape.fields.iter().position(|(known, _)| *known == number);
        let kind = place.and_then(|place| shape.fields.get(place)).map(|(_, kind)| *kind);
        let more = match (kind, value) {
            (Some(Message(inner) | Few(_, _, inner)), Value::Bytes(message)) => {
                check(inner, message)?;
                1
            }
            // At least so many; all that matters is that they aren't many more.
            (Some(Numbers(..)), Value::Bytes(packed)) => packed.len() / LONGEST_NUMBER,
            (Some(Number | Numbers(..)), Value::Number(_))
            | (Some(Bytes), Value::Bytes(_))
            | (Some(Other), Value::Other(_)) => 1,
            _ if shape.open => 0,
            _ => return Err(fields.unknown((number, value))),
        };
        if let Some(Numbers(field, max) | Few(field, max, _)) = kind
            && let Some(count) = place.and_then(|place| counts.get_mut(place))
        {
            *count += more;
            if *count > max {
                let reason = DecodeReason::OutOfRange { got: *count as u64, max: max as u64 };
                return Err(DecodeError::new(shape.name, field, reason));
            }
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
const VOTER_SET: Shape = closed("VoterSet", &[(1, Numbers("node_ids", MAX_MEMBERS))]);
const MEMBER: Shape = closed("Member", &[(1, Number), (2, Message(&NODE))]);
pub(crate) const MEMBERSHIP: Shape = closed(
    "Membership",
    &[(1, Few("configs", MAX_CONFIGS, &VOTER_SET)), (2, Few("members", MAX_MEMBERS, &MEMBER))],
);
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

/// What is in its entries is judged where they are read.
pub(crate) const ENTRIES: Shape = closed("Entries", &[(1, Bytes)]);
pub(crate) const TRUNCATE: Shape = closed("Truncate", &[(1, Number)]);
pub(crate) const COMMITTED: Shape = closed("Committed", &[(1, Message(&LOG_ID))]);
pub(crate) const SNAPSHOT_POINTER: Shape =
    closed("SnapshotPointer", &[(1, Message(&SNAPSHOT_META)), (2, Bytes), (3, Number)]);
pub(crate) const PROBATION: Shape =
    closed("Probation", &[(1, Message(&VOTE)), (2, Message(&LOG_ID))]);
pub(crate) const GROUP_STATE: Shape = closed(
    "GroupState",
    &[
        (1, Number),
        (2, Message(&VOTE)),
        (3, Message(&LOG_ID)),
        (4, Message(&LOG_ID)),
        (5, Message(&SNAPSHOT_POINTER)),
        (6, Number),
        (7, Number),
        (8, Message(&PROBATION)),
    ],
);
pub(crate) const CHECKPOINT: Shape =
    closed("Checkpoint", &[(1, Few("groups", MAX_GROUPS, &GROUP_STATE))]);
pub(crate) const IDENTITY: Shape =
    closed("Identity", &[(1, Number), (2, Bytes), (3, Number), (4, Other)]);

/// What clients propose. In entries it is read by hand.
const SET_OPERATION: Shape =
    closed("SetOperation", &[(1, Bytes), (2, Bytes), (4, Number), (5, Number)]);
const DEL_OPERATION: Shape = closed("DelOperation", &[(1, Bytes)]);
const OPERATION: Shape =
    closed("Operation", &[(1, Message(&SET_OPERATION)), (2, Message(&DEL_OPERATION))]);
#[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "only that transport has clients"))]
pub(crate) const PROPOSE_REQUEST: Shape = open("ProposeRequest", &[(1, Message(&OPERATION))]);
#[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "only that transport has clients"))]
pub(crate) const REQUEST: Shape = open("Request", &[(2, Message(&PROPOSE_REQUEST))]);

/// What is said, not kept.
pub(crate) const RESPONSE: Shape = open("Response", &[]);

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
