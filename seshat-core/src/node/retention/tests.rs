//! Laws of what is kept, against oracles that remember everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::holds::{GivenUp, Holds};
use super::marks::{Marks, Position};
use crate::types::{LeaderId, LogId};

#[derive(Debug, Clone, Copy)]
enum Step {
    Apply {
        bytes: u64,
    },
    View,
    ViewFails,
    /// openraft knows the oldest that is built.
    Known,
    Installed,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..400u64).prop_map(|bytes| Step::Apply { bytes }),
        2 => Just(Step::View),
        1 => Just(Step::ViewFails),
        2 => Just(Step::Known),
        1 => Just(Step::Installed),
    ]
}

/// What a log holds, entry by entry.
#[derive(Default)]
struct Log {
    /// Sizes by index.
    entries: BTreeMap<u64, u64>,
    next: u64,
    /// Where snapshots end that openraft doesn't know.
    views: Vec<u64>,
    known: Option<u64>,
}

impl Log {
    fn step(&mut self, step: Step, marks: &mut Marks) {
        match step {
            Step::Apply { bytes } => {
                self.entries.insert(self.next, bytes);
                marks.apply(self.next, bytes);
                self.next += 1;
            }
            Step::View if self.next > 0 => {
                self.views.push(self.next - 1);
                marks.view();
            }
            Step::ViewFails => {
                self.views.pop();
                marks.view_failed();
            }
            Step::Known if !self.views.is_empty() => {
                let known = self.views.remove(0);
                // A second one of the same state is the same to openraft.
                self.views.retain(|view| *view != known);
                self.known = Some(known);
                marks.snapshot(known);
            }
            Step::Installed => {
                self.next += 100;
                (self.entries, self.views, self.known) = Default::default();
                marks.restart(self.next - 1);
            }
            Step::View | Step::Known => {}
        }
    }

    /// Of all entries behind the one, up to the other.
    fn bytes(&self, after: u64, last: u64) -> u64 {
        let between = self.entries.iter().filter(|(index, _)| (after + 1..=last).contains(*index));
        between.map(|(_, bytes)| bytes).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_purged_leaves_what_is_to_be_kept_and_little_more(
        keep in prop_oneof![Just(0), 1..3000u64],
        steps in prop::collection::vec(any_step(), 1..400),
    ) {
        let (mut log, mut marks) = (Log::default(), Marks::new(keep));
        for step in steps {
            log.step(step, &mut marks);
            prop_assert_eq!(marks.expects_snapshot(), !log.views.is_empty());
            let Some(known) = log.known else {
                prop_assert_eq!(marks.purge(), None);
                continue;
            };
            prop_assert_eq!(marks.position(known).index, known);
            match marks.purge() {
                Some(purge) => {
                    let left = log.bytes(purge.index, known);
                    prop_assert!(purge.index <= known);
                    prop_assert!(left >= keep, "{left} of {keep} left");
                    // An entry, and what two marks may lie apart.
                    prop_assert!(left < keep + 400 + keep / 64 + 400, "{left} of {keep} left");
                }
                None => {
                    let first = log.entries.keys().next().copied().unwrap_or(0);
                    let all = log.bytes(first, known);
                    prop_assert!(all < keep + 400 + keep / 64, "{all} of {keep} left");
                }
            }
        }
    }
}

#[test]
fn a_long_log_takes_few_marks() {
    let mut marks = Marks::new(1 << 20);
    for index in 0..100_000 {
        marks.apply(index, 1000);
        assert!(marks.len() <= 64 + 2, "{}", marks.len());
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
const MOST: u64 = 1000;

#[derive(Debug, Clone, Copy)]
enum Event {
    Begin { target: u64, snapshot: u64 },
    End { target: u64, late: bool, arrived: bool },
    Matched { target: u64, index: u64 },
    Written { entries: u64 },
    Purgeable { index: u64 },
    Leaves { target: u64 },
    Passes { secs: u64 },
}

fn any_event() -> impl Strategy<Value = Event> {
    let target = 2..4u64;
    prop_oneof![
        3 => (target.clone(), 0..300u64)
            .prop_map(|(target, snapshot)| Event::Begin { target, snapshot }),
        3 => (target.clone(), prop::bool::weighted(0.2), any::<bool>())
            .prop_map(|(target, late, arrived)| Event::End { target, late, arrived }),
        3 => (target.clone(), 0..400u64)
            .prop_map(|(target, index)| Event::Matched { target, index }),
        2 => (0..50u64).prop_map(|entries| Event::Written { entries }),
        2 => (0..400u64).prop_map(|index| Event::Purgeable { index }),
        1 => target.prop_map(|target| Event::Leaves { target }),
        3 => (0..4u64).prop_map(|secs| Event::Passes { secs }),
    ]
}

/// One transfer and all that was seen of its target since, at each look.
struct Story {
    snapshot: u64,
    attempt: u64,
    ended: Option<(bool, u64)>,
    /// Second, end of the log, matched; from the first look after it ended.
    seen: Vec<(u64, u64, u64)>,
    given_up: bool,
    over: bool,
}

impl Story {
    /// An entry is 10 bytes.
    fn look(&mut self, now: u64, last: u64, matched: Option<u64>, purge: u64) {
        let Some(matched) = matched else {
            self.over = true;
            return;
        };
        if self.ended.is_some() {
            self.seen.push((now, last, matched));
        }
        let too_much = (purge.saturating_sub(self.snapshot)) * 10 > MOST;
        let (over, overdue) = match self.ended {
            None => (false, false),
            Some((false, at)) => (false, now - at > 5),
            Some((true, at)) => {
                let goal = self.seen[0].1;
                let mut best = (self.snapshot, at);
                for (second, _, matched) in &self.seen {
                    if *matched > best.0 {
                        best = (*matched, *second);
                    }
                }
                (matched >= goal, now - best.1 > 5)
            }
        };
        self.given_up |= !over && (overdue || too_much);
        self.over |= over || self.given_up && self.ended.is_some();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_log_is_held_from_a_snapshot_on_until_it_is_followed(
        events in prop::collection::vec(any_event(), 1..60),
    ) {
        let start = Instant::now();
        let mut holds = Holds::new(PATIENCE, MOST);
        let mut stories: BTreeMap<u64, Story> = BTreeMap::new();
        let mut matched: BTreeMap<u64, u64> = [(2, 0), (3, 0)].into();
        let (mut second, mut last, mut purge) = (0, 300, 0);
        for event in events {
            let now = start + Duration::from_secs(second);
            match event {
                Event::Begin { target, snapshot } => {
                    let at = Position { index: snapshot, bytes: snapshot * 10 };
                    let attempt = holds.begin(target, at);
                    let story = Story {
                        snapshot, attempt, ended: None, seen: vec![], given_up: false, over: false,
                    };
                    stories.insert(target, story);
                    matched.entry(target).or_insert(0);
                }
                Event::End { target, late, arrived } => {
                    let Some(story) = stories.get_mut(&target) else { continue };
                    let attempt = if late { story.attempt - 1 } else { story.attempt };
                    let ends = !late && story.ended.is_none();
                    // A transfer ends once.
                    if late || ends {
                        holds.end(target, attempt, arrived, now);
                    }
                    if ends {
                        story.ended = Some((arrived, second));
                        story.over |= story.given_up;
                    }
                }
                Event::Matched { target, index } => {
                    let at = matched.entry(target).or_insert(0);
                    *at = (*at).max(index.min(last));
                }
                Event::Written { entries } => last += entries,
                Event::Purgeable { index } => purge = purge.max(index),
                Event::Leaves { target } => { matched.remove(&target); }
                Event::Passes { secs } => second += secs,
            }
            let now = start + Duration::from_secs(second);
            let id = |index: u64| Some(LogId::new(LeaderId::new(1, 1), index));
            let seen = matched.iter().map(|(target, index)| (*target, id(*index))).collect();
            let at = Position { index: purge, bytes: purge * 10 };
            let before: BTreeSet<u64> =
                stories.iter().filter(|(_, it)| it.given_up).map(|(target, _)| *target).collect();
            let given_up = holds.look(now, last, &seen, Some(at));
            for (target, story) in stories.iter_mut().filter(|(_, story)| !story.over) {
                story.look(second, last, matched.get(target).copied(), purge);
            }
            let after = stories.iter().filter(|(_, it)| it.given_up).map(|(target, _)| *target);
            let said: BTreeSet<u64> = given_up.iter().map(|(target, _)| *target).collect();
            prop_assert_eq!(said, after.filter(|it| !before.contains(it)).collect());
            let held = stories.values().filter(|story| !story.over && !story.given_up);
            prop_assert_eq!(holds.floor(), held.map(|story| story.snapshot).min());
            for (target, story) in &stories {
                let under_way = !story.over && story.ended.is_none();
                prop_assert_eq!(holds.under_way(*target), under_way.then_some(story.attempt));
            }
        }
    }
}

#[test]
fn each_way_to_give_up_is_named() {
    let now = Instant::now();
    let later = now + PATIENCE + Duration::from_secs(1);
    let at = |index| Position { index, bytes: index * 10 };
    let matched = [(2, None), (3, None), (4, None)].into();
    let mut holds = Holds::new(PATIENCE, MOST);
    let failed = holds.begin(2, at(150));
    holds.end(2, failed, false, now);
    let arrived = holds.begin(3, at(150));
    holds.end(3, arrived, true, now);
    holds.begin(4, at(5));
    assert_eq!(holds.look(now, 200, &matched, Some(at(105))), []);
    assert_eq!(holds.floor(), Some(5));
    let given_up = holds.look(later, 200, &matched, Some(at(106)));
    let too_much = GivenUp::TooMuch { bytes: 1010 };
    assert_eq!(given_up, [(2, GivenUp::Failed), (3, GivenUp::Stalled), (4, too_much)]);
    assert_eq!(holds.floor(), None);
    assert!(!holds.is_empty(), "the transfer to 4 goes on");
    holds.clear();
    assert!(holds.is_empty());
}
