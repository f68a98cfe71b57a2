//! The rules of [`Log`], one by one. `log_law.rs` has all of them together.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/entries.rs"]
mod entries;

use std::ops::{Bound, RangeBounds};

use entries::{blank, id};
use rstest::rstest;
use seshat_core::log::{AppendError, BeginError, Log, PurgeError, TruncateError};
use seshat_core::types::{Entry, LeaderId, LogId, LogState};

type Id = (u64, u64);

fn log(purged: Option<Id>, ids: &[Id]) -> Log {
    let mut log = Log::default();
    if let Some((term, index)) = purged {
        log.purge(id(term, index)).unwrap();
    }
    log.append(blanks(ids)).unwrap();
    log
}

fn blanks(ids: &[Id]) -> Vec<Entry> {
    ids.iter().map(|(term, index)| blank(id(*term, *index))).collect()
}

fn to_id((term, index): Id) -> LogId {
    id(term, index)
}

/// Terms and indexes of all entries. Also checks the invariants, and that the counters agree.
#[track_caller]
fn held(log: &Log) -> Vec<Id> {
    assert!(log.valid(), "{log:?}");
    let held: Vec<Id> =
        log.entries(..).map(|e| (e.log_id.leader_id.term, e.log_id.index)).collect();
    assert_eq!((log.len(), log.is_empty()), (held.len(), held.is_empty()));
    held
}

/// Purged up to index 2 in term 1; then three entries of term 1 and three of term 3.
const PURGED: Option<Id> = Some((1, 2));
const HELD: &[Id] = &[(1, 3), (1, 4), (1, 5), (3, 6), (3, 7), (3, 8)];

#[rstest]
#[case::to_a_fresh_log(None, &[], &[(1, 0), (1, 1)])]
#[case::nothing(PURGED, HELD, &[])]
#[case::same_leader(PURGED, HELD, &[(3, 9), (3, 10)])]
#[case::newer_leader(PURGED, HELD, &[(4, 9), (7, 10)])]
#[case::after_the_marker(PURGED, &[], &[(1, 3)])]
fn append_continues_the_log(#[case] purged: Option<Id>, #[case] has: &[Id], #[case] new: &[Id]) {
    let mut log = log(purged, has);
    log.append(blanks(new)).unwrap();
    assert_eq!(held(&log), [has, new].concat());
    assert_eq!(log.last_log_id(), new.last().or(has.last()).copied().map(to_id));
}

/// The last number is the index that was expected; `None` where it is the leader that's wrong.
#[rustfmt::skip] // One case a line.
#[rstest]
#[case::hole_in_a_fresh_log(None, &[], &[(1, 1)], None, Some(0))]
#[case::hole_after_the_last_entry(PURGED, HELD, &[(3, 10)], Some((3, 8)), Some(9))]
#[case::hole_after_the_marker(PURGED, &[], &[(1, 4)], PURGED, Some(3))]
#[case::hole_within_the_batch(PURGED, HELD, &[(3, 9), (3, 11)], Some((3, 9)), Some(10))]
#[case::overlaps_the_last_entry(PURGED, HELD, &[(3, 8)], Some((3, 8)), Some(9))]
#[case::overlaps_the_first_entry(PURGED, HELD, &[(3, 3)], Some((3, 8)), Some(9))]
#[case::overlaps_the_marker(PURGED, &[], &[(1, 2)], PURGED, Some(3))]
#[case::overlaps_what_was_purged(PURGED, HELD, &[(3, 0)], Some((3, 8)), Some(9))]
#[case::repeats_within_the_batch(PURGED, HELD, &[(3, 9), (3, 9)], Some((3, 9)), Some(10))]
#[case::descends_from_the_last_entry(PURGED, HELD, &[(2, 9)], Some((3, 8)), None)]
#[case::descends_from_the_marker(Some((4, 2)), &[], &[(3, 3)], Some((4, 2)), None)]
#[case::descends_within_the_batch(None, &[], &[(5, 0), (5, 1), (4, 2)], Some((5, 1)), None)]
fn append_refuses_what_does_not_and_keeps_nothing_of_it(
    #[case] purged: Option<Id>,
    #[case] has: &[Id],
    #[case] new: &[Id],
    #[case] last: Option<Id>,
    #[case] expected: Option<u64>,
) {
    let mut log = log(purged, has);
    let before = log.state();
    let (got, last) = (to_id(*new.last().unwrap()), last.map(to_id));
    let error = match expected {
        Some(expected) => AppendError::NotConsecutive { got, expected, last },
        None => AppendError::LeaderDescends { got, last: last.unwrap() },
    };
    // More entries after the wrong one: they don't hide it.
    let more = (got.index + 1..got.index + 3).map(|index| blank(id(9, index)));
    assert_eq!(log.append(blanks(new).into_iter().chain(more)), Err(error));
    assert_eq!((held(&log), log.state()), (has.to_vec(), before));
}

#[test]
fn of_two_leaders_of_one_term_the_one_with_the_lower_node_id_is_older() {
    let of_node = |node, index| LogId::new(LeaderId::new(1, node), index);
    let mut log = Log::default();
    log.append([blank(of_node(2, 0))]).unwrap();
    let (got, last) = (of_node(1, 1), of_node(2, 0));
    assert_eq!(log.append([blank(got)]), Err(AppendError::LeaderDescends { got, last }));
    log.append([blank(of_node(3, 1))]).unwrap();
}

#[rstest]
#[case::at_the_first_entry(3, 0)]
#[case::at_the_second_entry(4, 1)]
#[case::where_the_leader_changes(6, 3)]
#[case::at_the_last_entry(8, 5)]
#[case::after_the_last_entry(9, 6)]
#[case::far_after_the_last_entry(100, 6)]
#[case::at_the_end_of_numbers(u64::MAX, 6)]
fn truncate_removes_the_entry_at_its_index_and_all_after(#[case] since: u64, #[case] kept: usize) {
    let mut log = log(PURGED, HELD);
    log.truncate(since).unwrap();
    assert_eq!(held(&log), HELD[..kept]);
    let last = HELD[..kept].last().copied().or(PURGED).map(to_id);
    assert_eq!(log.state(), LogState { last_purged_log_id: PURGED.map(to_id), last_log_id: last });

    let next = log.next_index();
    log.append([blank(id(3, next))]).unwrap();
    assert_eq!(held(&log).last(), Some(&(3, next)));
}

#[rstest]
#[case::at_the_marker(2)]
#[case::below_the_marker(1)]
#[case::everything(0)]
fn truncate_refuses_what_is_purged(#[case] got: u64) {
    let mut log = log(PURGED, HELD);
    let error = log.truncate(got).unwrap_err();
    assert_eq!(error, TruncateError { got, purged: id(1, 2) });
    assert_eq!(held(&log), HELD);
}

#[test]
fn truncating_everything_that_was_never_purged_leaves_a_fresh_log() {
    let mut log = log(None, &[(1, 0), (1, 1)]);
    log.truncate(0).unwrap();
    assert_eq!((held(&log), log.state()), (vec![], LogState::default()));
    log.append([blank(id(1, 0))]).unwrap();
}

#[rstest]
#[case::first(PURGED, HELD, (1, 3), 1)]
#[case::middle(PURGED, HELD, (3, 6), 4)]
#[case::last(PURGED, HELD, (3, 8), 6)]
#[case::beyond_the_last(PURGED, HELD, (3, 20), 6)]
#[case::beyond_the_last_by_an_older_leader(None, &[(3, 0), (3, 1)], (2, 5), 2)]
#[case::never_purged(None, &[(1, 0), (1, 1)], (1, 0), 1)]
#[case::of_a_fresh_log(None, &[], (1, 7), 0)]
#[case::of_an_empty_log(PURGED, &[], (1, 3), 0)]
#[case::entry_of_an_older_leader(PURGED, HELD, (2, 4), 6)]
#[case::entry_of_a_newer_leader(PURGED, HELD, (2, 6), 6)]
#[case::first_entry_of_an_older_leader(PURGED, HELD, (2, 3), 6)]
fn purge_removes_up_to_its_id_or_all_if_the_entry_there_has_another_leader(
    #[case] purged: Option<Id>,
    #[case] has: &[Id],
    #[case] upto: Id,
    #[case] gone: usize,
) {
    let mut log = log(purged, has);
    log.purge(to_id(upto)).unwrap();
    assert_eq!(held(&log), has[gone..]);
    let last = has[gone..].last().copied().unwrap_or(upto);
    let expected =
        LogState { last_purged_log_id: Some(to_id(upto)), last_log_id: Some(to_id(last)) };
    assert_eq!(log.state(), expected);
    log.append([blank(id(3, last.1 + 1))]).unwrap();
    assert!(log.valid());
}

#[rstest]
#[case::again((1, 2))]
#[case::backwards((1, 1))]
#[case::backwards_by_an_older_leader((0, 1))]
#[case::backwards_by_a_newer_leader((9, 0))]
fn purge_up_to_an_earlier_place_changes_nothing(#[case] upto: Id) {
    let mut log = log(PURGED, HELD);
    let before = log.state();
    log.purge(to_id(upto)).unwrap();
    assert_eq!((held(&log), log.state()), (HELD.to_vec(), before));
}

#[rstest]
#[case::newer_leader_at_the_marker((2, 2))]
#[case::older_leader_at_the_marker((0, 2))]
#[case::older_leader_after_the_marker((0, 3))]
#[case::older_leader_beyond_the_last((0, 50))]
fn purge_refuses_what_contradicts_the_marker(#[case] got: Id) {
    let mut log = log(PURGED, HELD);
    let before = log.state();
    let error = log.purge(to_id(got)).unwrap_err();
    assert_eq!(error, PurgeError { got: to_id(got), purged: id(1, 2) });
    assert_eq!((held(&log), log.state()), (HELD.to_vec(), before));
}

#[test]
fn purging_before_the_beginning_of_a_log_that_began_elsewhere_changes_nothing() {
    let mut log = Log::default();
    log.begin_at(5).unwrap();
    log.append(blanks(&[(1, 5), (1, 6)])).unwrap();
    log.purge(id(1, 3)).unwrap();
    assert_eq!(held(&log), [(1, 5), (1, 6)]);
    assert_eq!(log.entries(6..7).map(|entry| entry.log_id).collect::<Vec<_>>(), [id(1, 6)]);
    log.purge(id(1, 4)).unwrap();
    assert_eq!(held(&log), [(1, 5), (1, 6)]);
    assert_eq!(log.state().last_purged_log_id, Some(id(1, 4)));
}

#[test]
fn purging_most_of_a_long_log_keeps_the_rest() {
    let mut log = Log::default();
    log.append((0..10_000).map(|index| blank(id(1, index)))).unwrap();
    for upto in [1, 5_000, 9_990, 9_998] {
        log.purge(id(1, upto)).unwrap();
        assert_eq!(held(&log), (upto + 1..10_000).map(|index| (1, index)).collect::<Vec<_>>());
    }
}

#[test]
fn the_leader_of_entries_that_a_purge_disagreed_with_is_forgotten() {
    let mut log = log(None, &[(3, 0)]);
    log.purge(id(2, 0)).unwrap();
    log.append(blanks(&[(2, 1), (4, 2)])).unwrap();
    assert_eq!(held(&log), [(2, 1), (4, 2)]);
    log.truncate(1).unwrap();
    log.append(blanks(&[(2, 1)])).unwrap();
    assert_eq!(held(&log), [(2, 1)]);
}

#[test]
fn a_fresh_log_may_begin_anywhere() {
    let mut log = Log::default();
    log.begin_at(9).unwrap();
    log.begin_at(4).unwrap();
    assert_eq!((log.state(), log.next_index()), (LogState::default(), 4));
    let error = AppendError::NotConsecutive { got: id(1, 0), expected: 4, last: None };
    assert_eq!(log.append([blank(id(1, 0))]), Err(error));
    log.append([blank(id(1, 4)), blank(id(1, 5))]).unwrap();
    assert_eq!(held(&log), [(1, 4), (1, 5)]);
}

#[rstest]
#[case::entries(None, &[(1, 0)], (1, 0))]
#[case::a_marker(PURGED, &[], (1, 2))]
#[case::both(PURGED, HELD, (3, 8))]
fn a_log_with_history_begins_where_it_does(
    #[case] purged: Option<Id>,
    #[case] has: &[Id],
    #[case] last: Id,
) {
    let mut log = log(purged, has);
    assert_eq!(log.begin_at(50), Err(BeginError { got: 50, last: to_id(last) }));
    assert_eq!(held(&log), has);
    assert_eq!(log.next_index(), last.1 + 1);
}

type MakeBound = fn(u64) -> Bound<u64>;

#[rstest]
fn every_kind_of_range_reads_what_it_contains(
    #[values(Bound::Included, Bound::Excluded, |_| Bound::Unbounded)] start: MakeBound,
    #[values(Bound::Included, Bound::Excluded, |_| Bound::Unbounded)] end: MakeBound,
    #[values(0, 3, u64::MAX - 6)] first: u64,
) {
    let held: Vec<u64> = (first..first + 5).collect();
    let mut log = Log::default();
    log.begin_at(first).unwrap();
    log.append(held.iter().map(|index| blank(id(1, *index)))).unwrap();

    let near = (first.saturating_sub(2)..first.saturating_add(8)).chain([0, u64::MAX]);
    let positions: Vec<u64> = near.collect();
    for (a, b) in positions.iter().flat_map(|a| positions.iter().map(move |b| (*a, *b))) {
        let range = (start(a), end(b));
        let read: Vec<u64> = log.entries(range).map(|entry| entry.log_id.index).collect();
        let expected: Vec<u64> = held.iter().copied().filter(|i| range.contains(i)).collect();
        assert_eq!(read, expected, "{range:?}");
    }
}

#[rstest]
#[case::half_open(log(PURGED, HELD).entries(4..6).count(), 2)]
#[case::closed(log(PURGED, HELD).entries(4..=6).count(), 3)]
#[case::inverted(log(PURGED, HELD).entries((Bound::Included(6), Bound::Excluded(4))).count(), 0)]
#[case::empty(log(PURGED, HELD).entries(4..4).count(), 0)]
#[case::purged(log(PURGED, HELD).entries(..=2).count(), 0)]
#[case::after_the_last(log(PURGED, HELD).entries(9..).count(), 0)]
fn ranges_count(#[case] read: usize, #[case] expected: usize) {
    assert_eq!(read, expected);
}

#[rstest]
#[case::hole(
    log(PURGED, HELD).append(blanks(&[(3, 10)])).unwrap_err().to_string(),
    "entry T3-N1-10 does not continue the log, which ends with T3-N1-8: expected index 9"
)]
#[case::descends(
    log(PURGED, HELD).append(blanks(&[(2, 9)])).unwrap_err().to_string(),
    "entry T2-N1-9 has an older leader than the entry before it, T3-N1-8"
)]
#[case::begin(
    log(PURGED, HELD).begin_at(7).unwrap_err().to_string(),
    "the log can't begin at index 7: it already reaches T3-N1-8"
)]
#[case::truncate(
    log(PURGED, HELD).truncate(1).unwrap_err().to_string(),
    "can't truncate since index 1: the log is purged up to T1-N1-2"
)]
#[case::purge(
    log(PURGED, HELD).purge(id(2, 2)).unwrap_err().to_string(),
    "can't purge up to T2-N1-2: it contradicts the log, which is purged up to T1-N1-2"
)]
fn errors_say_what_they_got_and_what_they_expected(#[case] text: String, #[case] expected: &str) {
    assert!(text.starts_with(expected), "{text}");
}
