//! What is carried at most, against what is encoded: the largest of everything is built.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use proptest::prelude::*;
use seshat_core::codec::Message;
use seshat_core::config::BatchConfig;
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::types::{AppendEntriesRequest, Entry, EntryPayload, LeaderId, LogId, Vote};

use super::*;

/// What one read of the log returns at most, if it has more than one entry.
const READ: usize = 1 << 20;

fn last_id() -> LogId {
    LogId::new(LeaderId::new(u64::MAX - 1, u64::MAX), u64::MAX - 1)
}

/// With the longest ids there are.
fn message(entries: impl IntoIterator<Item = EntryPayload>) -> AppendEntriesRequest {
    let entry = |payload| Entry { log_id: last_id(), payload };
    AppendEntriesRequest {
        vote: Vote::new_committed(u64::MAX - 1, u64::MAX),
        prev_log_id: Some(last_id()),
        leader_commit: Some(last_id()),
        entries: entries.into_iter().map(entry).collect(),
    }
}

fn len(entries: impl IntoIterator<Item = EntryPayload>) -> usize {
    message(entries).encoded_len()
}

fn alone(operation: Operation) -> usize {
    len([EntryPayload::Normal(operation.into())])
}

fn largest_set(limits: &Limits) -> Operation {
    let (key, value) = (vec![b'k'; limits.max_key_bytes], vec![b'v'; limits.max_value_bytes]);
    Operation::set_get(key, value, limits).unwrap()
}

fn largest_del(limits: &Limits) -> Operation {
    let key = Bytes::from(vec![b'k'; limits.max_key_bytes]);
    Operation::del(vec![key; limits.max_del_keys], limits).unwrap()
}

/// Batches that come near what `batch` allows, of the smallest operations and the largest.
fn largest_batches(batch: &BatchConfig, limits: &Limits) -> Vec<Batch> {
    let one = |keys| Operation::del(vec![Bytes::from_static(b"k"); keys], limits).unwrap();
    let short_set = Operation::set("k", "", limits).unwrap();
    let shortest = Operation::set_get("", "", limits).unwrap();
    let empty_keys = Operation::del(vec![Bytes::new(); limits.max_del_keys], limits).unwrap();
    let shapes = [
        short_set,
        shortest,
        one(1),
        one(limits.max_del_keys),
        empty_keys,
        largest_set(limits),
        largest_del(limits),
    ];
    let filled = |shape: Operation| {
        let count = batch.max_bytes / shape.payload_bytes();
        Batch::new(vec![shape; count.min(batch.max_operations)])
    };
    shapes.into_iter().map(filled).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    #[test]
    fn whatever_one_entry_may_hold_fits(
        max_key_bytes in prop_oneof![1..200usize, 16_000..17_000usize],
        max_value_bytes in prop_oneof![1..200usize, 16_000..17_000usize, Just(3_000_000)],
        max_del_keys in prop_oneof![1..200usize, Just(2000)],
        max_operations in 1..5000usize,
        max_bytes in prop_oneof![1..5000usize, 1..2_000_000usize],
    ) {
        let limits = Limits { max_key_bytes, max_value_bytes, max_del_keys };
        let batch = BatchConfig { max_operations, max_bytes, ..BatchConfig::default() };
        let most = valid().limits(limits).batch(batch).build().unwrap().max_message_bytes();
        prop_assert!(alone(largest_set(&limits)) <= most);
        prop_assert!(alone(largest_del(&limits)) <= most);
        for batch in largest_batches(&batch, &limits) {
            prop_assert!(len([EntryPayload::Normal(batch)]) <= most);
        }
    }
}

/// What the log's reads return together, made of entries that have much around little.
#[test]
fn what_a_read_returns_fits() {
    let limits = Limits { max_key_bytes: 1, max_value_bytes: 1, max_del_keys: READ };
    let small = valid().limits(limits).max_payload_entries(u64::from(u32::MAX));
    let most = small.build().unwrap().max_message_bytes();
    // A blank counts for a byte.
    assert!(len(vec![EntryPayload::Blank; READ]) <= most);
    let key = Bytes::from_static(b"k");
    let del = Operation::del(vec![key; READ / 2 - 65], &limits).unwrap();
    let halves = vec![EntryPayload::Normal(del.into()); 2];
    assert!(len(halves) <= most);
}

/// It is not just any large number: an entry that is alone is counted exactly.
#[test]
fn the_largest_operation_is_counted_to_the_byte() {
    let mib = 1 << 20;
    let of = |limits| valid().limits(limits).build().unwrap().max_message_bytes();
    let base = Limits { max_key_bytes: 16, max_value_bytes: 100 * mib, max_del_keys: 1 };
    let longer = Limits { max_value_bytes: 100 * mib + 1, ..base };
    assert_eq!(of(longer), of(base) + 1);
    let around = of(base) - alone(largest_set(&base));
    assert!((mib - 200..=mib).contains(&around), "{around}");
    let dels = Limits { max_key_bytes: 200, max_value_bytes: 0, max_del_keys: 500_000 };
    let around = of(dels) - alone(largest_del(&dels));
    assert!((mib - 200..=mib).contains(&around), "{around}");
}
