//! Whatever is done, the log on disk shows what the log in memory does, wherever its entries are; also after
//! it was opened again.

use std::ops::Bound;

use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt};
use proptest::collection::vec;
use proptest::prelude::*;
use seshat_core::log::LogStore;
use seshat_core::types::{Entry, LeaderId, LogId, Vote};

use crate::entries::{blank, membership, normal, set, voters};
use crate::run::open;
use crate::sim::Sim;

#[derive(Debug, Clone)]
enum Step {
    /// So many entries of so many bytes, by the same leader or the next, that far from where they should
    /// begin.
    Append(u64, usize, bool, i64),
    Truncate(u64),
    /// Up to so many entries from the first on, with another leader or not.
    Purge(u64, bool),
    Read(Bound<u64>, Bound<u64>),
    Limited(u64, u64),
    Vote(u64),
    Committed(u64),
    Reopen,
}

fn bound() -> impl Strategy<Value = Bound<u64>> {
    let at = 0..40_u64;
    prop_oneof![
        3 => at.clone().prop_map(Bound::Included),
        3 => at.prop_map(Bound::Excluded),
        1 => Just(Bound::Unbounded),
        1 => Just(Bound::Included(u64::MAX)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let skew = prop_oneof![9 => Just(0), 1 => -2..3_i64];
    prop_oneof![
        6 => (0..6_u64, 0..1500_usize, any::<bool>(), skew)
            .prop_map(|(count, len, next, skew)| Step::Append(count, len, next, skew)),
        2 => (0..40_u64).prop_map(Step::Truncate),
        2 => (0..12_u64, prop::bool::weighted(0.2)).prop_map(|(n, other)| Step::Purge(n, other)),
        4 => (bound(), bound()).prop_map(|(start, end)| Step::Read(start, end)),
        2 => (0..40_u64, 0..40_u64).prop_map(|(start, end)| Step::Limited(start, end)),
        1 => (0..9_u64).prop_map(Step::Vote),
        1 => (0..40_u64).prop_map(Step::Committed),
        2 => Just(Step::Reopen),
    ]
}

/// Two of them in each term, as openraft allows.
fn leader(rank: u64) -> LeaderId {
    LeaderId::new(rank / 2, rank % 2)
}

fn rank(leader: LeaderId) -> u64 {
    leader.term * 2 + leader.node_id
}

fn entry(number: u64, log_id: LogId, len: usize) -> Entry {
    match number % 7 {
        0 => blank(log_id),
        1 => membership(log_id, voters([1, 2, log_id.index])),
        _ => normal(log_id, [set(number.to_string(), vec![b'x'; len])]),
    }
}

async fn holds(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let sim = Sim::new(512);
    let (mut disk, mut machine) = open(sim.clone()).unwrap();
    let mut memory = LogStore::default();
    let mut last = 2;
    for (number, step) in steps.into_iter().enumerate() {
        let state = memory.get_log_state().await.unwrap();
        let first = state.last_purged_log_id.map_or(0, |purged| purged.index + 1);
        match step {
            Step::Append(count, len, next, skew) => {
                last += u64::from(next);
                let begin = state.last_log_id.map_or(0, |last| last.index + 1);
                let begin = begin.saturating_add_signed(skew);
                let id = |n| LogId::new(leader(last), begin + n);
                let entries: Vec<Entry> =
                    (0..count).map(|n| entry(number as u64 + n, id(n), len)).collect();
                let expected = memory.blocking_append(entries.clone()).await.is_ok();
                prop_assert_eq!(disk.blocking_append(entries).await.is_ok(), expected);
            }
            Step::Truncate(since) => {
                let since = LogId::new(leader(last), since);
                let expected = memory.truncate(since).await.is_ok();
                prop_assert_eq!(disk.truncate(since).await.is_ok(), expected);
            }
            Step::Purge(n, other) => {
                let there = memory.try_get_log_entries(first + n..=first + n).await.unwrap();
                let its = there.first().map_or(last, |it| rank(it.log_id.leader_id));
                let its = its + u64::from(other);
                last = last.max(its);
                let upto = LogId::new(leader(its), first + n);
                let expected = memory.purge(upto).await.is_ok();
                prop_assert_eq!(disk.purge(upto).await.is_ok(), expected);
            }
            Step::Read(start, end) => {
                let expected = memory.try_get_log_entries((start, end)).await.unwrap();
                prop_assert_eq!(disk.try_get_log_entries((start, end)).await.unwrap(), expected);
            }
            Step::Limited(start, end) => {
                let expected = memory.limited_get_log_entries(start, end).await.unwrap();
                prop_assert_eq!(disk.limited_get_log_entries(start, end).await.unwrap(), expected);
            }
            Step::Vote(term) => {
                let vote = Vote::new(term, 2);
                memory.save_vote(&vote).await.unwrap();
                disk.save_vote(&vote).await.unwrap();
            }
            Step::Committed(index) => {
                let committed = Some(LogId::new(leader(last), index));
                memory.save_committed(committed).await.unwrap();
                disk.save_committed(committed).await.unwrap();
            }
            Step::Reopen => {
                drop((disk, machine));
                (disk, machine) = open(sim.clone()).unwrap();
            }
        }
        prop_assert_eq!(disk.hard_state(), memory.hard_state());
        prop_assert_eq!(disk.get_log_state().await.unwrap(), memory.get_log_state().await.unwrap());
        let expected = memory.try_get_log_entries(..).await.unwrap();
        prop_assert_eq!(disk.try_get_log_entries(..).await.unwrap(), expected);
        prop_assert!(disk.hot_bytes() <= 300, "{}", disk.hot_bytes());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_log_on_disk_is_the_log_in_memory(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(holds(steps))?;
    }
}

/// A log that began elsewhere, lost all it had, and goes back: nothing is missing where it begins now.
#[tokio::test]
async fn a_log_that_goes_back_misses_nothing() {
    let append = |skew| Step::Append(1, 0, false, skew);
    let steps = vec![append(2), Step::Truncate(0), Step::Purge(0, false), append(0), Step::Reopen];
    holds(steps).await.unwrap();
}
