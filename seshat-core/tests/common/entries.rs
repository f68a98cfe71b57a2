//! Log ids, operations and entries in few words, and a deadline.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use seshat_core::operation::{Batch, Condition, Limits, Operation, SetOptions};
use seshat_core::types::{Entry, EntryPayload, LeaderId, LogId, Membership};

pub(crate) const NO_LIMITS: Limits =
    Limits { max_key_bytes: usize::MAX, max_value_bytes: usize::MAX, max_del_keys: usize::MAX };

/// Of node 1.
pub(crate) fn id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, 1), index)
}

pub(crate) fn ids(entries: &[Entry]) -> Vec<LogId> {
    entries.iter().map(|entry| entry.log_id).collect()
}

pub(crate) fn set(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Operation {
    Operation::set(key, value, &NO_LIMITS).unwrap()
}

pub(crate) fn set_get(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Operation {
    Operation::set_get(key, value, &NO_LIMITS).unwrap()
}

pub(crate) fn set_if(
    condition: Condition,
    get: bool,
    key: impl Into<Bytes>,
    value: impl Into<Bytes>,
) -> Operation {
    let options = SetOptions { condition: Some(condition), get };
    Operation::set_with(key, value, options, &NO_LIMITS).unwrap()
}

pub(crate) fn del<K: Into<Bytes>>(keys: impl IntoIterator<Item = K>) -> Operation {
    Operation::del(keys, &NO_LIMITS).unwrap()
}

pub(crate) fn blank(log_id: LogId) -> Entry {
    Entry { log_id, payload: EntryPayload::Blank }
}

pub(crate) fn normal(log_id: LogId, operations: impl Into<Vec<Operation>>) -> Entry {
    let batch = Batch::new(operations.into());
    Entry { log_id, payload: EntryPayload::Normal(batch) }
}

pub(crate) fn voters(voters: impl IntoIterator<Item = u64>) -> Membership {
    Membership::new(vec![BTreeSet::from_iter(voters)], ())
}

pub(crate) fn membership(log_id: LogId, membership: Membership) -> Entry {
    Entry { log_id, payload: EntryPayload::Membership(membership) }
}

/// No test takes that long; one that hangs shall say where.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it hangs")
}
