//! [`Timeline`]: what a store may show that lost its power at some moment of a history. Pure.
//!
//! What had ended by then is there. Of what was under way there may be nothing, all, or a part that
//! openraft can go on from: some of an append from the front, some of a truncation from the end, some
//! of a purge from the front, some of an apply; a snapshot as a whole.

use std::fmt;

use crate::model::{Id, LogModel, Model, Step};
use crate::power::Moment;
use crate::words::Keeps;

/// The steps of a history, each with the moments at which it began and ended, and what is right
/// after it.
pub(super) struct Timeline {
    fresh: Model,
    spans: Vec<Span>,
}

struct Span {
    step: Step,
    began: Moment,
    ended: Moment,
    after: Model,
}

/// What had ended at a moment, and what was under way.
pub(super) struct Then<'t> {
    before: &'t Model,
    /// Which step had ended last, counted from 1.
    done: usize,
    last: Option<&'t Step>,
    under_way: Option<&'t Span>,
}

impl Timeline {
    /// Of a fresh store.
    pub(super) fn new(fresh: Model) -> Self {
        Self { fresh, spans: Vec::new() }
    }

    /// The next step.
    pub(super) fn push(&mut self, step: Step, began: Moment, ended: Moment, after: Model) {
        self.spans.push(Span { step, began, ended, after });
    }

    /// When something was acknowledged for the first time; never, if nothing was.
    pub(super) fn first_end(&self) -> Moment {
        self.spans.first().map_or(Moment(u64::MAX), |span| span.ended)
    }

    /// The steps up to then, what was under way included.
    pub(super) fn steps(&self, then: &Then<'_>) -> impl Iterator<Item = &Step> {
        let begun = then.done + usize::from(then.under_way.is_some());
        self.spans.iter().take(begun).map(|span| &span.step)
    }

    /// At a moment: so many calls had been made, and not one more.
    pub(super) fn at(&self, moment: Moment) -> Then<'_> {
        let done = self.spans.iter().take_while(|span| span.ended <= moment).count();
        let last = done.checked_sub(1).and_then(|last| self.spans.get(last));
        Then {
            before: last.map_or(&self.fresh, |span| &span.after),
            done,
            last: last.map(|span| &span.step),
            under_way: self.spans.get(done).filter(|span| span.began < moment),
        }
    }
}

impl<'t> Then<'t> {
    /// The step that was under way.
    pub(super) fn under_way(&self) -> Option<&'t Step> {
        self.under_way.map(|span| &span.step)
    }

    /// What the store may be: the state machine of one of these, the latest first, with any of the
    /// logs that each names as survivors.
    pub(super) fn models(&self, keeps: Keeps) -> Vec<Model> {
        let (survivors, committed) = (self.survivors(), self.committed());
        let with = |model: Model| Model {
            survivors: survivors.clone(),
            committed: committed.clone(),
            log: self.before.log.clone(),
            ..model
        };
        self.machines(keeps).into_iter().map(with).collect()
    }

    /// As the state machine goes; the log is another matter.
    fn machines(&self, keeps: Keeps) -> Vec<Model> {
        let before = self.before.clone();
        let Some(Span { step, after, .. }) = self.under_way else { return vec![before] };
        let (from, upto) = (before.applied, after.applied);
        match step {
            Step::Install(_) => vec![after.clone(), before],
            // A restart applies what is committed, and may begin with less than was applied.
            Step::Apply(_) | Step::Restart => {
                let longer = if from < upto { after } else { &before };
                let with = |applied| Model {
                    applied,
                    truth: longer.truth.clone(),
                    snapshot: before.snapshot,
                    ..before.clone()
                };
                match keeps {
                    Keeps::Applied => (from..=upto.max(from)).rev().map(with).collect(),
                    Keeps::Snapshot | Keeps::Nothing => vec![with(upto.max(from))],
                }
            }
            _ => vec![before],
        }
    }

    /// The logs that may be, in the order in which they came to be.
    fn survivors(&self) -> Vec<LogModel> {
        let old = &self.before.survivors;
        let mut logs = old.clone();
        if let Some(Span { step, after, .. }) = self.under_way {
            // Vote, entries and marker may be in files of their own: what was not yet acknowledged
            // is there or not, whatever becomes of the other.
            match step {
                Step::Vote(vote) => {
                    let with = |log: &LogModel| LogModel { vote: Some(*vote), ..log.clone() };
                    logs.extend(old.iter().map(with));
                }
                Step::Append(items) => {
                    let goes_on = |log: &&LogModel| log.last() == self.before.log.last();
                    logs.extend(old.iter().filter(goes_on).flat_map(|log| log.prefixes(items)));
                }
                _ => {}
            }
            logs.extend(after.survivors.iter().cloned());
        }
        // Where one comes twice, its last place counts.
        let mut once: Vec<LogModel> = Vec::new();
        for log in logs.into_iter().rev() {
            if !once.contains(&log) {
                once.push(log);
            }
        }
        once.reverse();
        once
    }

    fn committed(&self) -> Vec<Id> {
        let before = &self.before.committed;
        let saved = self.under_way.filter(|span| matches!(span.step, Step::Commit(_)));
        saved.map_or(before, |span| &span.after.committed).clone()
    }
}

/// `amid step 4 (append of 9 entries), after step 3 (vote t2.n1)`.
impl fmt::Display for Then<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, .. } = self;
        match (self.last, self.under_way()) {
            (None, None) => f.write_str("before the first step"),
            (None, Some(step)) => write!(f, "amid step 1 ({})", Brief(step)),
            (Some(last), None) => write!(f, "after step {done} ({})", Brief(last)),
            (Some(last), Some(step)) => {
                let (last, step, next) = (Brief(last), Brief(step), done + 1);
                write!(f, "amid step {next} ({step}), after step {done} ({last})")
            }
        }
    }
}

/// A step without its entries.
struct Brief<'s>(&'s Step);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count: usize| if count == 1 { "y" } else { "ies" };
        match self.0 {
            Step::Append(items) => {
                write!(f, "append of {} entr{}", items.len(), many(items.len()))
            }
            Step::Begin(items) => write!(f, "begin of {} entr{}", items.len(), many(items.len())),
            Step::Install(items) => {
                write!(f, "install of {} more entr{}", items.len(), many(items.len()))
            }
            step => step.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Ballot;
    use crate::story;

    /// Every step takes three calls.
    fn timeline(steps: Vec<Step>) -> Timeline {
        let mut model = Model::new();
        let mut timeline = Timeline::new(model.clone());
        for (step, number) in steps.into_iter().zip(0..) {
            model.perform(&step).unwrap();
            timeline.push(step, Moment(3 * number), Moment(3 * number + 3), model.clone());
        }
        timeline
    }

    fn lasts(then: &Then<'_>) -> Vec<Option<u64>> {
        let logs = then.models(Keeps::Applied)[0].survivors.clone();
        logs.iter().map(|log| log.last().map(|id| id.index)).collect()
    }

    fn applied(then: &Then<'_>, keeps: Keeps) -> Vec<usize> {
        then.models(keeps).iter().map(|model| model.applied).collect()
    }

    fn appended() -> Vec<Step> {
        vec![story::leader(1, 1), Step::Append(story::entries(1, 1, 0, 4))]
    }

    #[test]
    fn what_had_ended_is_there_and_what_had_not_begun_is_not() {
        let timeline = timeline(appended());
        assert_eq!(timeline.first_end(), Moment(3));
        let fresh = timeline.at(Moment(0)).models(Keeps::Snapshot);
        assert_eq!(fresh, [Model::new()]);
        let voted = &timeline.at(Moment(3)).models(Keeps::Snapshot)[0];
        assert_eq!(voted.survivors.len(), 1);
        assert_eq!(voted.survivors[0].vote.map(|vote| vote.term), Some(1));
        for (end, done) in [(6, 2), (u64::MAX, 2)] {
            assert_eq!(lasts(&timeline.at(Moment(end))), [Some(3)]);
            assert_eq!(timeline.at(Moment(end)).done, done);
        }
    }

    #[test]
    fn of_a_vote_there_is_the_old_or_the_new() {
        let timeline = timeline(vec![story::leader(1, 1), story::leader(2, 3)]);
        let logs = timeline.at(Moment(4)).models(Keeps::Applied)[0].survivors.clone();
        let votes: Vec<_> = logs.iter().map(|log| log.vote).collect();
        let of = |term, node| Some(Ballot { term, node, committed: true });
        assert_eq!(votes, [of(1, 1), of(2, 3)]);
    }

    #[test]
    fn of_an_append_there_is_some_from_the_front() {
        let then = timeline(appended());
        assert_eq!(lasts(&then.at(Moment(5))), [None, Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn a_truncation_goes_from_the_end_and_lasts_with_the_next_vote() {
        let steps = [appended(), vec![Step::Truncate(2), story::leader(2, 2)]].concat();
        let timeline = timeline(steps);
        assert_eq!(lasts(&timeline.at(Moment(7))), [Some(3), Some(2), Some(1)]);
        // Done, and not durable by itself.
        assert_eq!(lasts(&timeline.at(Moment(9))), [Some(3), Some(2), Some(1)]);
        // The vote may be there before the truncation is.
        let logs = timeline.at(Moment(10)).models(Keeps::Applied)[0].survivors.clone();
        let both = |term, last| {
            logs.iter().any(|log| {
                log.vote.map(|vote| vote.term) == Some(term)
                    && log.last().map(|id| id.index) == Some(last)
            })
        };
        assert!(both(1, 3) && both(2, 3) && both(1, 1) && both(2, 1));
        assert_eq!(lasts(&timeline.at(Moment(12))), [Some(1)]);
    }

    #[test]
    fn a_purge_goes_from_the_front_and_an_append_may_overtake_it() {
        let mut steps = appended();
        steps.extend([Step::Commit(3), Step::Apply(3), Step::Build]);
        steps.push(Step::Purge(story::id(1, 1, 1)));
        steps.push(Step::Append(story::entries(1, 1, 4, 5)));
        let timeline = timeline(steps);
        let purged = |moment| {
            let logs = timeline.at(Moment(moment)).models(Keeps::Applied)[0].survivors.clone();
            let marks = logs.iter().map(|log| (log.purged.map(|id| id.index), log.items.len()));
            marks.collect::<Vec<_>>()
        };
        assert_eq!(purged(16), [(None, 4), (Some(0), 3), (Some(1), 2)]);
        assert!(purged(19).contains(&(None, 5)), "{:?}", purged(19));
        assert_eq!(purged(21), [(Some(1), 3)]);
    }

    #[test]
    fn of_an_apply_there_is_a_part_and_of_a_state_from_snapshots_any() {
        let mut steps = appended();
        steps.extend([Step::Commit(3), Step::Apply(1), Step::Apply(3)]);
        let timeline = timeline(steps);
        let then = timeline.at(Moment(13));
        assert_eq!(applied(&then, Keeps::Applied), [4, 3, 2, 1]);
        assert_eq!(applied(&then, Keeps::Snapshot), [4]);
        assert_eq!(then.models(Keeps::Applied)[0].truth.len(), 4);
        assert_eq!(applied(&timeline.at(Moment(15)), Keeps::Applied), [4]);
    }

    #[test]
    fn of_a_snapshot_there_is_all_or_nothing() {
        let install = Step::Install(story::entries(3, 2, 0, 9));
        let timeline = timeline([appended(), vec![story::leader(3, 2), install]].concat());
        assert_eq!(applied(&timeline.at(Moment(10)), Keeps::Snapshot), [9, 0]);
        assert_eq!(applied(&timeline.at(Moment(12)), Keeps::Snapshot), [9]);
    }

    #[test]
    fn it_is_said_what_had_ended_and_what_was_under_way() {
        let timeline = timeline(appended());
        let said = |moment| timeline.at(Moment(moment)).to_string();
        assert_eq!(said(0), "before the first step");
        assert_eq!(said(1), "amid step 1 (vote t1.n1 committed)");
        assert_eq!(
            said(4),
            "amid step 2 (append of 4 entries), after step 1 (vote t1.n1 committed)"
        );
        assert_eq!(said(6), "after step 2 (append of 4 entries)");
    }
}
