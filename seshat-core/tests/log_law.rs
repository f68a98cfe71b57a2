//! The rules of [`Log`] all together: any sequence of operations does what the oracle does.

#[path = "common/entries.rs"]
mod entries;
#[path = "common/log_oracle.rs"]
mod log_oracle;

use std::ops::Bound;

use entries::{normal, set};
use log_oracle::Oracle;
use proptest::collection::vec;
use proptest::prelude::*;
use seshat_core::log::Log;
use seshat_core::types::{Entry, LeaderId, LogId};

/// Places are counted from a little before the first entry, leaders from that of an entry near
/// by, so that most steps are close to the rules' edges wherever the log has moved to.
#[derive(Debug, Clone)]
enum Step {
    /// Where the batch starts, counted from where it should; then by how much index and leader
    /// go on from one entry to the next, 1 and 0 being right.
    Append(i64, Vec<(u64, i64)>),
    Truncate(u64),
    Purge(u64, i64),
    BeginAt(u64),
    Read(Bound<u64>, Bound<u64>),
    Cool(u64),
}

fn any_leader_step() -> impl Strategy<Value = i64> {
    prop_oneof![12 => Just(0), 3 => Just(1), 1 => Just(-1)]
}

fn any_bound() -> impl Strategy<Value = Bound<u64>> {
    prop_oneof![
        4 => (0..20_u64).prop_map(Bound::Included),
        4 => (0..20_u64).prop_map(Bound::Excluded),
        1 => Just(Bound::Included(u64::MAX)),
        1 => Just(Bound::Excluded(u64::MAX)),
        2 => Just(Bound::Unbounded),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let skew = prop_oneof![12 => Just(0), 1 => -3..3_i64];
    let index_step = prop_oneof![20 => Just(1), 1 => 0..3_u64];
    prop_oneof![
        6 => (skew, vec((index_step, any_leader_step()), 0..5))
            .prop_map(|(skew, batch)| Step::Append(skew, batch)),
        2 => (0..20_u64).prop_map(Step::Truncate),
        2 => (0..20_u64, any_leader_step()).prop_map(|(place, by)| Step::Purge(place, by)),
        1 => (0..20_u64).prop_map(Step::BeginAt),
        2 => (any_bound(), any_bound()).prop_map(|(start, end)| Step::Read(start, end)),
        1 => (0..20_u64).prop_map(Step::Cool),
    ]
}

/// Leaders in one row: two nodes to a term.
fn leader_after(last: Option<LogId>, by: i64) -> LeaderId {
    let at = last.map_or(8, |last| last.leader_id.term * 2 + last.leader_id.node_id - 1);
    let at = at.saturating_add_signed(by);
    LeaderId::new(at / 2, at % 2 + 1)
}

fn append(log: &mut Log, oracle: &mut Oracle, skew: i64, batch: &[(u64, i64)], value: String) {
    let mut last = oracle.last();
    let mut index = oracle.next_index().saturating_add_signed(skew);
    let mut entries = Vec::new();
    for (index_step, leader_step) in batch {
        let log_id = LogId::new(leader_after(last, *leader_step), index);
        entries.push(normal(log_id, [set("key", value.clone())]));
        last = Some(log_id);
        index += index_step;
    }
    assert_eq!(log.append(entries.clone()), oracle.append(&entries));
}

/// Those whose payloads the log has.
fn hot(log: &Log, entries: Vec<Entry>) -> impl Iterator<Item = Entry> {
    let cold = log.cold();
    entries.into_iter().filter(move |entry| !cold.contains(&entry.log_id.index))
}

proptest! {
    #[test]
    fn any_sequence_of_operations_does_what_the_oracle_does(steps in vec(any_step(), 1..100)) {
        let (mut log, mut oracle) = (Log::default(), Oracle::default());
        for (number, step) in steps.into_iter().enumerate() {
            let base = oracle.first_index().saturating_sub(2);
            match step {
                Step::Append(skew, batch) => {
                    append(&mut log, &mut oracle, skew, &batch, number.to_string());
                }
                Step::Truncate(place) => {
                    let since = base + place;
                    prop_assert_eq!(log.truncate(since).map(drop), oracle.truncate(since));
                }
                Step::Purge(place, by) => {
                    let index = base + place;
                    let there = oracle.entries.range(index..).next().map(|(_, e)| e.log_id);
                    let upto = LogId::new(leader_after(there.or(oracle.last()), by), index);
                    prop_assert_eq!(log.purge(upto).map(drop), oracle.purge(upto));
                }
                Step::BeginAt(index) => prop_assert_eq!(log.begin_at(index), oracle.begin_at(index)),
                Step::Read(start, end) => {
                    let shift = |bound: Bound<u64>| bound.map(|place| base.saturating_add(place));
                    let range = (shift(start), shift(end));
                    prop_assert!(log.entries(range).eq(hot(&log, oracle.read(range))));
                }
                Step::Cool(place) => {
                    let before = log.cold().end;
                    log.cool(base + place);
                    let until = (base + place).min(oracle.next_index());
                    prop_assert_eq!(log.cold().end, before.max(until));
                }
            }
            prop_assert!(log.valid(), "{:?}", log);
            prop_assert_eq!(log.state(), oracle.state());
            prop_assert_eq!(log.next_index(), oracle.next_index());
            prop_assert_eq!(log.len(), oracle.entries.len());
            let all: Vec<_> = oracle.entries.values().cloned().collect();
            prop_assert!(log.entries(..).eq(hot(&log, all)), "{:?}\n{:?}", log, oracle);
        }
    }
}
