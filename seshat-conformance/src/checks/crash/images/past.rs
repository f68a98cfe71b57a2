//! [`Past`]: a history that a store has behind it, and what becomes of the store where the power
//! failed, or the process was killed, at a moment of it.

use super::plan::Plan;
use super::timeline::Timeline;
use crate::failure::Failure;
use crate::history::{self, Kind};
use crate::lab::Lab;
use crate::model::{Id, Step};
use crate::outcome::Verdict;
use crate::power::{Cut, Image, Persistence, Survives};
use crate::subject::Subject;
use crate::subject::restart::Closed;
use crate::words::Halves;

/// Which half a check looks at. What is wrong with the other one is another's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// Entries, votes, purge marker, committed id.
    Log,
    /// State, applied id, membership, snapshot, and that a node starts on both halves.
    Machine,
}

/// A store that was closed after a history, and what was right at each moment of it.
pub(crate) struct Past<'l> {
    lab: &'l Lab,
    subject: Subject<'l>,
    timeline: Timeline,
    half: Half,
}

/// The strictest cut, under a model.
pub(crate) fn strict(model: Persistence) -> Cut {
    Cut { model, survives: Survives::Nothing }
}

impl<'l> Past<'l> {
    /// A fresh store on which a plan was performed.
    ///
    /// # Errors
    /// What failed before any power did: that is for others to say.
    pub(crate) async fn of(lab: &'l Lab, plan: &[Plan], half: Half) -> Result<Self, Failure> {
        Self::performed(lab, plan, half).await.map_err(Failure::beforehand)
    }

    async fn performed(lab: &'l Lab, plan: &[Plan], half: Half) -> Result<Self, Failure> {
        let mut subject = Subject::fresh(lab).await?;
        let mut timeline = Timeline::new(subject.model.clone());
        for plan in plan {
            for step in plan.steps(&subject.model) {
                let began = subject.disk.now();
                subject.perform(step.clone()).await?;
                timeline.push(step, began, subject.disk.now(), subject.model.clone());
            }
        }
        subject.close().await?;
        Ok(Self { lab, subject, timeline, half })
    }

    /// The images of the history, from when something was acknowledged.
    ///
    /// # Errors
    /// The disk is not watched.
    pub(crate) fn images(&self) -> Result<Vec<Image>, Failure> {
        let first = self.timeline.first_end();
        Ok(self.subject.disk.history()?.images().filter(|image| image.at >= first).collect())
    }

    /// What was under way at an image.
    pub(crate) fn under_way(&self, image: &Image) -> Option<&Step> {
        self.timeline.at(image.at).under_way()
    }

    /// The store as a power cut at an image leaves it, after a look.
    ///
    /// # Errors
    /// It can't be opened, or shows what it may not.
    pub(crate) fn cut(&self, image: &Image, cut: Cut) -> Result<Subject<'l>, Failure> {
        let mark = self.lab.record.steps().len();
        let looked = self.lab.caught(async {
            let mut subject = self.subject.after_cut(image, cut).await?;
            self.look(&mut subject, image).await?;
            Ok(subject)
        });
        looked.map_err(|failure| self.told(failure, image, Some(cut), mark))
    }

    /// The power is cut, and the store closed again where it is right; `works` says whether it
    /// goes on working before, and loses its power once more.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub(crate) fn attempt(&self, image: &Image, cut: Cut, works: bool) -> Verdict {
        let mut subject = self.cut(image, cut)?;
        let mark = self.lab.record.steps().len();
        let worked = self.lab.caught(async {
            if works {
                self.work(&mut subject).await?;
            }
            subject.close().await
        });
        worked.map_err(|failure| self.told(failure, image, Some(cut), mark))
    }

    /// The process is killed at an image. What the next one shows has to be there after a power cut
    /// right after it.
    ///
    /// # Errors
    /// It can't be opened, shows what it may not, or what it showed is gone.
    pub(crate) fn kill(&self, image: &Image) -> Verdict {
        let mark = self.lab.record.steps().len();
        let killed = self.lab.caught(async {
            let mut revived = self.subject.after_kill(image).await?;
            self.look(&mut revived, image).await?;
            Ok(revived)
        });
        let revived = killed.map_err(|failure| self.told(failure, image, None, mark))?;
        let shown = shown(&revived);
        let found = self.lab.caught(async {
            self.lab.record.step("cut power (right after the store was opened)");
            let mut again = self.after_strict_cut(&revived).await?;
            again.close().await
        });
        found.map_err(|failure| {
            let failure = self.told(failure, image, None, mark);
            let what = format!(
                "what a store showed after a kill is gone after a power cut: {}; it showed {shown}",
                failure.what
            );
            Failure { what, ..failure }
        })
    }

    async fn look(&self, subject: &mut Subject<'_>, image: &Image) -> Verdict {
        let keeps = self.lab.driver.capabilities().machine_keeps;
        let models = self.timeline.at(image.at).models(keeps);
        match self.starts() {
            true => subject.learn(models).await?,
            false => subject.model = models.last().cloned().unwrap_or_default(),
        }
        self.verify(subject).await
    }

    async fn verify(&self, subject: &mut Subject<'_>) -> Verdict {
        let log = subject.verify_reopened_log(Closed::Powerless).await;
        match self.half {
            Half::Log => log?,
            Half::Machine => log.map_err(Failure::beforehand)?,
        }
        if self.starts() {
            subject.verify_reopened_machine().await?;
            subject.start().await?;
        }
        Ok(())
    }

    /// Whether a node starts on both halves: where the state machine is under test, and nobody
    /// asked for it, it may be wrong.
    fn starts(&self) -> bool {
        self.half == Half::Machine || self.lab.driver.capabilities().halves == Halves::Log
    }

    /// Appends and loses its power, so that what a recovery left behind comes to light.
    async fn work(&self, subject: &mut Subject<'_>) -> Verdict {
        for step in history::steps(&subject.model, Kind::Append.choice()) {
            subject.perform(step).await?;
        }
        self.lab.record.step(Step::CutPower.to_string());
        self.after_strict_cut(subject).await?.close().await
    }

    async fn after_strict_cut(&self, subject: &Subject<'l>) -> Result<Subject<'l>, Failure> {
        let (image, cut) = (subject.disk.image()?, strict(Persistence::Ext4));
        let mut again = subject.after_cut(&image, cut).await?;
        self.verify(&mut again).await?;
        Ok(again)
    }

    /// What went wrong, with the steps up to the image, where that was, and those after it.
    fn told(&self, failure: Failure, image: &Image, cut: Option<Cut>, mark: usize) -> Failure {
        let then = self.timeline.at(image.at);
        let steps = self.timeline.steps(&then).map(ToString::to_string);
        let event = if cut.is_some() { "cut power" } else { "kill" };
        let since = self.lab.record.steps().into_iter().skip(mark);
        let steps = steps.chain([format!("{event} ({image}, {then})")]).chain(since).collect();
        let asked = failure.asked.or_else(|| self.lab.record.asked());
        let what = format!("{}; {event} {image}, {then}", failure.what);
        Failure { what, steps, asked, ..failure }
    }
}

/// What a store has shown.
fn shown(subject: &Subject<'_>) -> String {
    let id = |id: Option<Id>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    let model = &subject.model;
    let vote = model.log.vote.map(|vote| format!("t{}.n{}", vote.term, vote.node));
    let snapshot = model.snapshot.map_or(0, |snapshot| snapshot.covers);
    format!(
        "vote {}, purged {}, last {}, applied {}, a snapshot of {snapshot} entries",
        vote.unwrap_or_else(|| "none".to_owned()),
        id(model.log.purged),
        id(model.log.last()),
        id(model.applied_id()),
    )
}
