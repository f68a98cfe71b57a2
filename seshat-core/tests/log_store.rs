//! [`LogStore`] as openraft drives it: through its traits, with readers beside the writer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/entries.rs"]
mod entries;

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use entries::{blank, id, ids, membership, normal, set, soon, voters};
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use rstest::rstest;
use seshat_core::log::{AppendError, HardState, LogStore, PurgeError, TruncateError};
use seshat_core::types::{Entry, LogId, LogState, StorageError, Vote};
use tokio::sync::Barrier;

const MIB: usize = 1 << 20;
/// What an entry of one operation counts beside its payload.
const OVERHEAD: usize = 65;

/// Appends, and waits for the callback, which openraft waits for as well (R12). That it comes
/// at most once is the compiler's business: calling it consumes it.
async fn append(store: &mut LogStore, entries: impl Into<Vec<Entry>>) -> Result<(), StorageError> {
    soon(store.blocking_append(entries.into())).await
}

async fn store_with(entries: impl Into<Vec<Entry>>) -> LogStore {
    let mut store = LogStore::default();
    append(&mut store, entries).await.unwrap();
    store
}

fn run(term: u64, indexes: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    indexes.into_iter().map(|index| blank(id(term, index))).collect()
}

async fn all(reader: &mut LogStore) -> Vec<Entry> {
    reader.try_get_log_entries(..).await.unwrap()
}

#[tokio::test]
async fn a_fresh_store_holds_nothing() {
    let mut store = LogStore::default();
    assert_eq!(store.get_log_state().await.unwrap(), LogState::default());
    assert_eq!(store.read_vote().await.unwrap(), None);
    assert_eq!(store.read_committed().await.unwrap(), None);
    assert_eq!(store.hard_state(), HardState::default());
    assert_eq!(all(&mut store).await, []);
}

#[tokio::test]
async fn all_readers_see_an_append_as_soon_as_it_returned() {
    let mut store = LogStore::default();
    let mut taken_before = store.get_log_reader().await;
    let batch = [
        blank(id(1, 0)),
        normal(id(1, 1), [set("key", "value")]),
        membership(id(2, 2), voters([1, 2])),
    ];
    append(&mut store, batch.clone()).await.unwrap();
    let mut taken_after = store.get_log_reader().await;

    for reader in [&mut taken_before, &mut taken_after, &mut store] {
        assert_eq!(all(reader).await, batch);
        assert_eq!(reader.try_get_log_entries(1..2).await.unwrap(), batch[1..2]);
        assert_eq!(reader.limited_get_log_entries(0, 3).await.unwrap(), batch);
    }
}

#[tokio::test]
async fn readers_see_truncation_and_purge_as_soon_as_they_returned() {
    let mut store = store_with(run(1, 0..10)).await;
    let mut reader = store.get_log_reader().await;
    store.truncate(id(1, 7)).await.unwrap();
    assert_eq!(all(&mut reader).await, run(1, 0..7));
    store.purge(id(1, 2)).await.unwrap();
    assert_eq!(all(&mut reader).await, run(1, 3..7));
    let expected = LogState { last_purged_log_id: Some(id(1, 2)), last_log_id: Some(id(1, 6)) };
    assert_eq!(store.get_log_state().await.unwrap(), expected);
}

#[tokio::test]
async fn any_kind_of_range_can_be_read() {
    let mut store = store_with(run(1, 0..6)).await;
    let excluded = (Bound::Excluded(1), Bound::Excluded(4));
    assert_eq!(store.try_get_log_entries(excluded).await.unwrap(), run(1, 2..4));
    assert_eq!(store.try_get_log_entries(2..=3).await.unwrap(), run(1, 2..4));
    assert_eq!(store.try_get_log_entries(4..100).await.unwrap(), run(1, 4..6));
    let inverted = (Bound::Included(4), Bound::Excluded(2));
    assert_eq!(store.try_get_log_entries(inverted).await.unwrap(), []);
}

#[rstest]
#[case::nothing(vec![], vec![])]
#[case::only_what_is_purged(run(1, 0..=3), vec![])]
#[case::some_that_is_purged(run(1, 2..6), run(1, 4..6))]
#[case::nothing_that_is_purged(run(1, 4..5), run(1, 4..5))]
#[tokio::test]
async fn append_skips_what_is_purged_and_is_acknowledged(
    #[case] batch: Vec<Entry>,
    #[case] kept: Vec<Entry>,
) {
    let mut store = LogStore::default();
    store.purge(id(1, 3)).await.unwrap();
    append(&mut store, batch).await.unwrap();
    assert_eq!(all(&mut store).await, kept);
    assert_eq!(store.hard_state().purged, Some(id(1, 3)));
}

#[tokio::test]
async fn a_fresh_log_may_begin_after_index_0() {
    let mut store = store_with(run(1, 3..5)).await;
    append(&mut store, run(2, 5..6)).await.unwrap();
    assert_eq!(ids(&all(&mut store).await), [id(1, 3), id(1, 4), id(2, 5)]);
    let expected = LogState { last_purged_log_id: None, last_log_id: Some(id(2, 5)) };
    assert_eq!(store.get_log_state().await.unwrap(), expected);
}

#[tokio::test]
async fn a_refused_first_append_leaves_a_fresh_log() {
    let mut store = LogStore::default();
    let hole = [run(1, 3..4), run(1, 7..8)].concat();
    append(&mut store, hole).await.unwrap_err();
    assert_eq!(store.get_log_state().await.unwrap(), LogState::default());
    append(&mut store, run(1, 0..2)).await.unwrap();
    assert_eq!(all(&mut store).await, run(1, 0..2));
}

fn assert_says<E: std::fmt::Display>(error: &StorageError, subject: &str, cause: &E) {
    assert!(matches!(error, StorageError::IO { .. }), "{error:?}");
    let text = error.to_string();
    let kind = std::any::type_name::<E>();
    let expected = format!("when {subject}: {kind}: {cause}");
    assert_eq!(text, expected);
}

#[tokio::test]
async fn what_the_log_refuses_is_a_storage_error_that_says_why() {
    let mut store = store_with(run(2, 0..8)).await;
    store.purge(id(2, 3)).await.unwrap();

    let last = Some(id(2, 7));
    let hole = AppendError::NotConsecutive { got: id(2, 9), expected: 8, last };
    let error = append(&mut store, run(2, 9..10)).await.unwrap_err();
    assert_says(&error, "Write Logs", &hole);

    let descends = AppendError::LeaderDescends { got: id(1, 8), last: id(2, 7) };
    let error = append(&mut store, run(1, 8..9)).await.unwrap_err();
    assert_says(&error, "Write Logs", &descends);

    let purged = id(2, 3);
    let error = store.truncate(id(2, 3)).await.unwrap_err();
    assert_says(&error, "Write Logs", &TruncateError { got: 3, purged });

    let got = id(3, 3);
    let error = store.purge(got).await.unwrap_err();
    assert_says(&error, "Write Logs", &PurgeError { got, purged });

    assert_eq!(all(&mut store).await, run(2, 4..8));
    append(&mut store, run(2, 8..9)).await.unwrap();
}

#[tokio::test]
async fn vote_and_committed_are_what_was_saved_last_on_every_clone() {
    let mut store = LogStore::default();
    let mut clone = store.clone();
    let mut of_another_node = LogStore::default();
    let mut granted = Vote::new(7, 3);
    granted.committed = true;
    for vote in [Vote::new(7, 2), granted, Vote::new(3, 1)] {
        store.save_vote(&vote).await.unwrap();
        assert_eq!(clone.read_vote().await.unwrap(), Some(vote));
    }
    for committed in [Some(id(1, 3)), Some(id(7, 9)), None, Some(id(7, 10))] {
        clone.save_committed(committed).await.unwrap();
        assert_eq!(store.read_committed().await.unwrap(), committed);
    }
    clone.purge(id(7, 10)).await.unwrap();

    let (vote, id) = (Some(Vote::new(3, 1)), Some(id(7, 10)));
    assert_eq!(store.hard_state(), HardState { vote, committed: id, purged: id });
    assert_eq!(of_another_node.read_vote().await.unwrap(), None);
    assert_eq!(of_another_node.hard_state(), HardState::default());
}

/// One entry for each size; 0 makes a blank one. The key takes a byte of the payload.
fn sized(sizes: &[usize]) -> Vec<Entry> {
    let entry = |(index, size): (u64, &usize)| match size {
        0 => blank(id(1, index)),
        _ => normal(id(1, index), [set("k", vec![b'v'; size - 1])]),
    };
    (0..).zip(sizes).map(entry).collect()
}

#[rstest]
#[case::small_ones(&[10; 300], 300)]
#[case::blank_ones(&[0; 10_000], 10_000)]
#[case::exactly_full(&[MIB / 4 - OVERHEAD; 4], 4)]
#[case::more_than_full(&[MIB / 4 - OVERHEAD; 9], 4)]
#[case::one_byte_too_many(&[MIB / 4 - OVERHEAD, 3 * MIB / 4 - OVERHEAD, 1], 2)]
#[case::first_too_large(&[5 * MIB, 1], 1)]
#[case::alone_too_large(&[9 * MIB], 1)]
#[case::second_too_large(&[1, 5 * MIB, 1], 1)]
#[case::blank_before_too_large(&[0, 5 * MIB, 1], 1)]
#[tokio::test]
async fn a_limited_read_is_the_longest_prefix_of_1_mib_but_never_empty(
    #[case] sizes: &[usize],
    #[case] count: usize,
) {
    let entries = sized(sizes);
    let mut store = store_with(entries.clone()).await;
    let end = entries.len() as u64;
    // The whole range, one beyond the end, and, entry by entry, what openraft does with the rest.
    for end in [end, end + 5] {
        assert_eq!(store.limited_get_log_entries(0, end).await.unwrap(), entries[..count]);
    }
    let mut next = count as u64;
    while next < end {
        let read = store.limited_get_log_entries(next, end).await.unwrap();
        assert!(!read.is_empty(), "nothing from {next} on");
        assert_eq!(read, entries[next as usize..next as usize + read.len()]);
        next += read.len() as u64;
    }
    assert_eq!(all(&mut store).await, entries, "an unlimited read has all");
}

#[rstest]
#[case::empty(4, 4)]
#[case::inverted(5, 2)]
#[case::after_the_last(8, 20)]
#[case::purged(0, 3)]
#[tokio::test]
async fn a_limited_read_of_a_range_without_entries_is_empty(#[case] start: u64, #[case] end: u64) {
    let mut store = store_with(run(1, 0..8)).await;
    store.purge(id(1, 2)).await.unwrap();
    assert_eq!(store.limited_get_log_entries(start, end).await.unwrap(), []);
}

/// What the writer below appends under an id, so that whoever reads it can tell.
fn written(log_id: LogId) -> Entry {
    normal(log_id, [set(log_id.index.to_be_bytes().to_vec(), log_id.to_string())])
}

/// What holds for every read that begins from now on.
#[derive(Default)]
struct Announced {
    /// All up to here is purged.
    purged: AtomicU64,
    /// From the index in the low half on, the term is at least that in the high half.
    truncated: AtomicU64,
    done: AtomicBool,
}

impl Announced {
    fn check(&self, purged: u64, truncated: u64, entries: &[Entry], range: (u64, u64)) {
        let (term, since) = (truncated >> 32, truncated & u64::from(u32::MAX));
        for pair in entries.windows(2) {
            let (a, b) = (pair[0].log_id, pair[1].log_id);
            assert_eq!(a.index + 1, b.index, "a hole or an overlap");
            assert!(a.leader_id <= b.leader_id, "{a} before {b}");
        }
        for entry in entries {
            let log_id = entry.log_id;
            assert_eq!(*entry, written(log_id), "not what was written");
            assert!((range.0..range.1).contains(&log_id.index), "{log_id} is not in {range:?}");
            assert!(log_id.index > purged, "{log_id} was purged before the read");
            assert!(
                log_id.index < since || log_id.leader_id.term >= term,
                "{log_id} was truncated before the read, since {since} for term {term}"
            );
        }
    }
}

async fn read_on(mut reader: LogStore, kind: u64, announced: Arc<Announced>, start: Arc<Barrier>) {
    start.wait().await;
    let mut last_round = false;
    let mut most = 0;
    while !last_round {
        last_round = announced.done.load(Ordering::SeqCst);
        let purged = announced.purged.load(Ordering::SeqCst);
        let truncated = announced.truncated.load(Ordering::SeqCst);
        let range = match kind {
            0 => (0, u64::MAX),
            1 => (purged + 5, purged + 15),
            _ => (purged + kind, u64::MAX),
        };
        let entries = match kind {
            0 => reader.try_get_log_entries(..).await.unwrap(),
            1 | 2 => reader.try_get_log_entries(range.0..range.1).await.unwrap(),
            _ => reader.limited_get_log_entries(range.0, range.1).await.unwrap(),
        };
        announced.check(purged, truncated, &entries, range);
        most = most.max(entries.len());
        tokio::task::yield_now().await;
    }
    assert!(most > 3, "it never read a run of entries, so it proved nothing");
}

/// Appends, truncates and purges in a fixed pattern whose parts have no common divisor.
async fn write_on(mut store: LogStore, rounds: u64, announced: &Announced) {
    let (mut term, mut next, mut first) = (1, 1, 1);
    for round in 0..rounds {
        let batch = next..next + 1 + round % 7;
        next = batch.end;
        append(&mut store, batch.map(|index| written(id(term, index))).collect::<Vec<_>>())
            .await
            .unwrap();
        if round % 3 == 0 {
            next -= (round % 11).min(next - first);
            store.truncate(id(term, next)).await.unwrap();
            term += 1;
            announced.truncated.store(term << 32 | next, Ordering::SeqCst);
        }
        if round % 5 == 0 && next > first + 40 {
            let upto = next - 30;
            let found = store.try_get_log_entries(upto..=upto).await.unwrap();
            store.purge(found[0].log_id).await.unwrap();
            first = upto + 1;
            announced.purged.store(upto, Ordering::SeqCst);
        }
        if round % 4 == 0 {
            tokio::task::yield_now().await;
        }
    }
    announced.done.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 5)]
async fn every_read_beside_a_writer_is_the_log_of_one_moment() {
    const READERS: u64 = 4;
    let mut store = LogStore::default();
    store.purge(id(0, 0)).await.unwrap();
    let announced = Arc::<Announced>::default();
    let start = Arc::new(Barrier::new(READERS as usize + 1));
    let mut readers = Vec::new();
    for kind in 0..READERS {
        let reader = store.get_log_reader().await;
        let (announced, start) = (Arc::clone(&announced), Arc::clone(&start));
        readers.push(tokio::spawn(read_on(reader, kind, announced, start)));
    }
    start.wait().await;
    soon(write_on(store, 5_000, &announced)).await;
    for reader in readers {
        soon(reader).await.unwrap();
    }
}
