//! [`Sweep`]: a history again and again, the disk failing at another call each time; and what must
//! be there afterwards, whatever the store answered.

use super::words::{as_a_step, in_words, line, name, told, verb};
use crate::failure::{Failure, Kind};
use crate::history;
use crate::lab::Lab;
use crate::model::{Ballot, Model, Payload, Step};
use crate::outcome::Verdict;
use crate::power::{Cut, Fault, Harm, Image};
use crate::story;
use crate::subject::Subject;
use crate::subject::restart::Closed;
use crate::words::{Command, Keeps, Shape};

/// Which half of the store works while the disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Log,
    Machine,
}

/// What comes after the store was opened again and something was written behind what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Another restart.
    Restart,
    /// A power cut: what was acknowledged by then survives it as well.
    CutPower,
    /// Likewise, and only that is looked at, where the store has said that the disk failed.
    OnlyCutPower,
}

/// One harm at every place of a history, or at as many as the budget allows.
pub(super) struct Sweep<'l> {
    pub(super) lab: &'l Lab,
    pub(super) harm: Harm,
    pub(super) half: Half,
    pub(super) then: Then,
}

/// What came of the calls on the failing disk.
struct Met {
    /// The system call that failed, and how; and what the store answered to the step that made it.
    hit: String,
    /// The step that the store answered with an error: openraft stopped there.
    stopped: Option<Step>,
}

impl Sweep<'_> {
    pub(super) async fn run(&self) -> Verdict {
        let total = self.rehearse().await.map_err(Failure::beforehand)?;
        if total == 0 {
            self.lab.inconclusive(format!("it makes no call that meets {}", name(self.harm)));
            return Ok(());
        }
        let (both, most) = self.lab.budget.pick((false, 10), (false, 60), (true, u64::MAX));
        for (number, from) in spread(total, most, self.lab.seed).into_iter().enumerate() {
            for (turn, times) in [u64::MAX, 1].into_iter().enumerate() {
                // For good, and once; by turns, where not all is tried.
                if !both && turn != number % 2 {
                    continue;
                }
                if self.lab.enough() {
                    return Ok(());
                }
                self.attempt(Fault { harm: self.harm, from, times }).await?;
            }
        }
        Ok(())
    }

    /// The history on a disk that is well. How many calls could have failed.
    async fn rehearse(&self) -> Result<u64, Failure> {
        let mut subject = Subject::with(self.lab, self.before()).await?;
        subject.disk.fail(Fault { harm: self.harm, from: u64::MAX, times: 1 })?;
        subject.run(self.steps()).await?;
        let total = subject.disk.met()?;
        subject.disk.heal()?;
        subject.verify().await?;
        // What even a disk that is well loses is not the failing one's to say.
        subject.perform(Step::CutPower).await?;
        Ok(total)
    }

    /// One fault in one history, and all that follows.
    async fn attempt(&self, fault: Fault) -> Verdict {
        let lab = self.lab;
        let mut subject = Subject::with(lab, self.before()).await.map_err(Failure::beforehand)?;
        lab.record.step(as_a_step(fault));
        subject.disk.fail(fault)?;
        let Some(Met { hit, stopped }) = self.history(&mut subject, fault).await? else {
            return Ok(());
        };
        let then = |when: &'static str| {
            let so_far = format!("{}: {hit}; then {when}", in_words(fault));
            move |failure: Failure| told(failure, &so_far)
        };
        let only = self.then == Then::OnlyCutPower;
        if only && stopped.is_none() {
            return Ok(());
        }
        let stop = Stop { asked: subject.model.clone(), under_way: stopped.as_ref() };
        if !only {
            self.cut(&stop, &subject).await.map_err(then("a power cut"))?;
        }
        lab.record.step("restart");
        // What it would write may be refused.
        if subject.close().await.is_err() {
            lab.record.step("(closing failed)");
        }
        subject.disk.heal()?;
        stop.opened(&mut subject).await.map_err(then("a restart, the disk being well"))?;
        if !only {
            self.cut(&stop, &subject).await.map_err(then("a restart, and a power cut"))?;
        }
        // What a failure tells is about this disk again.
        subject.disk.heal()?;
        let behind = match self.then {
            Then::Restart => "a restart, new writes, and another restart",
            Then::CutPower | Then::OnlyCutPower => "a restart, new writes, and a power cut",
        };
        self.go_on(&mut subject).await.map_err(then(behind))
    }

    /// Cuts the power of a copy, so that the store goes on.
    async fn cut(&self, stop: &Stop<'_>, subject: &Subject<'_>) -> Verdict {
        let (image, steps) = (subject.disk.image()?, self.lab.record.steps().len());
        let [cut, other] = self.lab.power.cuts();
        // Where nothing is at risk, every cut leaves the same.
        let other = (!image.is_settled(other.model)).then_some(other);
        for cut in [cut].into_iter().chain(other) {
            stop.left(subject, &image, cut).await?;
            self.lab.record.back_to(steps);
        }
        self.lab.power.tell(None);
        Ok(())
    }

    /// The steps on the failing disk, up to the first error. `None` if none of their calls failed.
    async fn history(
        &self,
        subject: &mut Subject<'_>,
        fault: Fault,
    ) -> Result<Option<Met>, Failure> {
        let mut hit: Option<String> = None;
        for step in self.steps() {
            let answer = subject.perform(step.clone()).await;
            let name = verb(&step);
            if hit.is_none() && subject.disk.refused()? > 0 {
                let said = if answer.is_ok() { "success" } else { "an error" };
                let call = subject.disk.hit()?.unwrap_or_default();
                hit = Some(format!("{call}; {name} answered {said}"));
            }
            let Err(failure) = answer else { continue };
            let Some(hit) = hit.filter(|_| failure.kind == Kind::Error) else {
                return Err(told(failure, &in_words(fault)));
            };
            subject.lab.record.step(format!("({name} failed: {})", line(&failure.got)));
            subject.model.stop(&step);
            return Ok(Some(Met { hit, stopped: Some(step) }));
        }
        Ok(hit.map(|hit| Met { hit, stopped: None }))
    }

    /// The node goes on where it stopped.
    async fn go_on(&self, subject: &mut Subject<'_>) -> Verdict {
        use history::Kind::{Append, ApplyAll, Build, Elect};
        subject.start().await?;
        let kinds: &[history::Kind] = match self.half {
            Half::Log => &[Elect, Append, Append],
            Half::Machine => &[Elect, Append, ApplyAll, Build],
        };
        for kind in kinds {
            let steps = history::steps(&subject.model, kind.choice());
            subject.run(steps).await?;
        }
        match self.then {
            Then::Restart => subject.perform(Step::Restart).await?,
            Then::CutPower | Then::OnlyCutPower => subject.perform(Step::CutPower).await?,
        }
        subject.verify().await
    }

    fn purges(&self) -> bool {
        self.lab.driver.capabilities().machine_keeps != Keeps::Nothing
    }

    /// Entries that fill more than a page: what comes behind them is written to another one.
    fn wide(&self, (term, node): (u64, u64), from: u64, to: u64) -> Step {
        let large = |n| Command { n, shape: Shape::Large(9_000) };
        let mut items = story::entries(term, node, from, to);
        for item in &mut items {
            let large = large(item.id.index);
            if self.lab.driver.has(&large) {
                item.payload = Payload::Command(large);
            }
        }
        Step::Append(items)
    }

    /// What was there when the disk began to fail.
    fn before(&self) -> Vec<Step> {
        match self.half {
            Half::Log => {
                let build = self.purges().then_some(Step::Build);
                story::applied_of(9, 6).into_iter().chain(build).collect()
            }
            Half::Machine => {
                story::applied_of(12, 4).into_iter().chain([Step::Commit(11)]).collect()
            }
        }
    }

    /// Every kind of step of that half, and some twice.
    fn steps(&self) -> Vec<Step> {
        let append = |(term, node), from, to| Step::Append(story::entries(term, node, from, to));
        match self.half {
            Half::Log if self.then == Then::OnlyCutPower => vec![
                story::leader(5, 1),
                self.wide((5, 1), 9, 10),
                self.wide((5, 1), 10, 13),
                Step::Commit(7),
                Step::Truncate(11),
                story::leader(7, 2),
                self.wide((7, 2), 11, 14),
                append((7, 2), 14, 16),
            ],
            Half::Log => {
                let mut steps = vec![
                    story::leader(5, 1),
                    append((5, 1), 9, 10),
                    append((5, 1), 10, 14),
                    Step::Commit(7),
                    Step::Vote(Ballot { term: 6, node: 2, committed: false }),
                    Step::Truncate(11),
                    story::leader(7, 2),
                    append((7, 2), 11, 14),
                    Step::Purge(story::id_of(9, 3)),
                    append((7, 2), 14, 16),
                    Step::Purge(story::id_of(9, 5)),
                    story::leader(8, 3),
                    append((8, 3), 16, 17),
                ];
                steps.retain(|step| self.purges() || !matches!(step, Step::Purge(_)));
                steps
            }
            Half::Machine => vec![
                Step::Apply(2),
                Step::Build,
                Step::Apply(6),
                Step::Build,
                Step::Purge(story::id_of(12, 7)),
                story::leader(9, 2),
                Step::Install(story::entries(9, 2, 12, 30)),
                Step::Purge(story::id(9, 2, 29)),
                append((9, 2), 30, 33),
                Step::Commit(31),
                Step::Apply(2),
                Step::Build,
            ],
        }
    }
}

/// A node that stopped: what it had been asked for, and the step that was under way.
pub(super) struct Stop<'s> {
    pub(super) asked: Model,
    pub(super) under_way: Option<&'s Step>,
}

impl Stop<'_> {
    /// What a power cut leaves, opened beside it.
    pub(super) async fn left(&self, subject: &Subject<'_>, image: &Image, cut: Cut) -> Verdict {
        let (lab, dir) = (subject.lab, subject.lab.place());
        lab.record.step("cut power");
        let disk = lab.power.restored(&subject.disk, image, cut, &dir)?;
        let mut other = Subject::closed(lab, disk, dir, self.asked.clone());
        self.opened(&mut other).await?;
        other.start().await
    }

    /// Everything acknowledged is there, and of the step under way anything.
    pub(super) async fn opened(&self, subject: &mut Subject<'_>) -> Verdict {
        subject.open_again().await?;
        if let Some(step) = self.under_way {
            subject.learn_step(step).await?;
        }
        subject.verify_reopened(Closed::Powerless).await
    }
}

/// So many numbers of `1..=total`, far apart from the first to the last of them, each once.
pub(super) fn spread(total: u64, most: u64, seed: u64) -> Vec<u64> {
    // The golden section leaves no gap wider than need be, wherever it is stopped.
    let golden = (total as f64 * 0.618) as u64;
    let stride = (golden.max(1)..).find(|stride| gcd(*stride, total) == 1).unwrap_or(1);
    let sum = |n: u64| u128::from(n) * u128::from(stride) + u128::from(seed);
    let place = |n: u64| (sum(n) % u128::from(total.max(1))) as u64 + 1;
    (0..total.min(most)).map(place).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_each_number_once() {
        for total in 1..200 {
            let mut all = spread(total, u64::MAX, 7);
            all.sort_unstable();
            assert_eq!(all, (1..=total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn part_of_a_spread_leaves_no_wide_gap() {
        for total in [50, 97, 120, 1_000] {
            let mut some = spread(total, 10, 1);
            some.sort_unstable();
            let widest = some.windows(2).map(|two| two[1] - two[0]).max();
            assert!(widest <= Some(total / 4), "{total}: {some:?}");
        }
    }
}
