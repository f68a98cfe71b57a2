//! How long what is proposed gets on the wire, at most, as it is encoded (`codec/operation.rs`).
//!
//! Guarantees: nothing that a configuration allows is longer than what is said here, and no product
//! overflows: what can't be counted is [`usize::MAX`].

use prost::encoding::encoded_len_varint;

use super::BatchConfig;
use crate::log::{OPERATION_OVERHEAD, REPLICATION_BYTES};
use crate::operation::{Limits, MAX_KEY_BYTES};

/// A message's length goes before it in 32 bits (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(super) const MOST_IN_A_MESSAGE: usize = u32::MAX as usize;

/// What is around the entries of one AppendEntries: vote, log ids, the transport's own fields. And
/// what a membership takes, whose addresses the configuration doesn't bound.
const AROUND_ENTRIES: usize = 1 << 20;

/// What is around an entry's batch, at most: the entry's tag and length (6), the format's version
/// (2), the log id's tag and length (2) and its three numbers (33), the batch's tag and length (6).
const AROUND_BATCH: usize = 49;

/// The field of a SET that asks for the value before.
const GET: usize = 2;

/// The most that one entry may be for its AppendEntries to fit into a message.
pub(super) const MOST_IN_AN_ENTRY: usize = MOST_IN_A_MESSAGE - AROUND_ENTRIES;

/// A field of `len` bytes with its tag, below 16, and its length.
fn field(len: usize) -> usize {
    len.saturating_add(1 + encoded_len_varint(len as u64))
}

/// The entry of one operation whose own fields take `kind` bytes.
fn entry_of(kind: usize) -> usize {
    field(field(kind)).saturating_add(AROUND_BATCH)
}

fn longest_key(limits: &Limits) -> usize {
    field(limits.max_key_bytes.min(MAX_KEY_BYTES))
}

/// The entry of the largest SET.
pub(super) fn set_entry(limits: &Limits) -> usize {
    let fields = longest_key(limits).saturating_add(field(limits.max_value_bytes));
    entry_of(fields.saturating_add(GET))
}

/// The entry of the largest DEL.
pub(super) fn del_entry(limits: &Limits) -> usize {
    entry_of(longest_key(limits).saturating_mul(limits.max_del_keys))
}

/// The longest entry of a batch that several operations share.
pub(super) fn batch_entry(batch: &BatchConfig, limits: &Limits) -> usize {
    let operations = batch.max_operations.min(batch.max_bytes);
    // A SET has three fields.
    let fields = batch.max_operations.saturating_mul(limits.max_del_keys.max(3));
    shared(batch.max_bytes, operations, fields).saturating_add(AROUND_BATCH)
}

/// The longest AppendEntries.
pub(super) fn message(batch: &BatchConfig, limits: &Limits, max_payload_entries: u64) -> usize {
    let one = set_entry(limits).max(del_entry(limits)).max(batch_entry(batch, limits));
    one.max(several_entries(max_payload_entries)).saturating_add(AROUND_ENTRIES)
}

/// Entries that one read of the log returns together, where each counts for a byte at least.
fn several_entries(max_payload_entries: u64) -> usize {
    let entries = usize::try_from(max_payload_entries).unwrap_or(usize::MAX);
    let around = entries.min(REPLICATION_BYTES).saturating_mul(AROUND_BATCH);
    let operations = REPLICATION_BYTES / OPERATION_OVERHEAD;
    shared(REPLICATION_BYTES, operations, REPLICATION_BYTES).saturating_add(around)
}

/// That many operations with `payload` bytes of keys and values between them, in that many fields.
///
/// A field has a byte of payload, or counts for one; an operation has a field. Around a field are its
/// tag and length, and around an operation twice as much, a byte each; a length that takes more bytes than one has
/// 128 bytes behind it for each more, on three levels: less than a 32nd in all.
fn shared(payload: usize, operations: usize, fields: usize) -> usize {
    let (fields, operations) = (fields.min(payload), operations.min(payload));
    let plain = payload
        .saturating_add(fields.saturating_mul(2))
        .saturating_add(operations.saturating_mul(4));
    plain.saturating_add(plain / 32)
}
