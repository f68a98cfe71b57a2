//! What entries count for where something is bounded by their bytes.

use crate::operation::Batch;
use crate::types::{Entry, EntryPayload};

/// What handling an operation costs beside its payload, as bytes.
pub(crate) const OPERATION_OVERHEAD: usize = 64;

/// Bytes that a batch counts for. At least 1, so that a sum of 0 means that there was no entry yet.
pub(crate) fn weight(batch: &Batch) -> usize {
    1 + batch.payload_bytes() + batch.operations().len() * OPERATION_OVERHEAD
}

/// Bytes that an entry counts for.
pub(crate) fn entry_weight(entry: &Entry) -> usize {
    batch_of(entry).map_or(1, weight)
}

/// The batch that an entry holds; `None` if it holds something else.
pub(super) fn batch_of(entry: &Entry) -> Option<&Batch> {
    match &entry.payload {
        EntryPayload::Normal(batch) => Some(batch),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}
