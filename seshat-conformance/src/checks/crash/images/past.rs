//! [`Past`]: a history that a store has behind it, and what becomes of the store where the power
//! failed, or the process was killed, at a moment of it.

use std::fmt;

use super::plan::Plan;
use super::timeline::Timeline;
use crate::failure::Failure;
use crate::history::{self, Kind};
use crate::lab::Lab;
use crate::model::{Id, Model, Step};
use crate::outcome::Verdict;
use crate::power::{Cut, Image, Persistence, Side, Survives};
use crate::subject::Subject;
use crate::subject::restart::Closed;
use crate::words::Halves;

/// What a check looks at. What is wrong with the rest is another's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// Entries, votes, purge marker, committed id.
    Log,
    /// State, applied id, membership, snapshot, and that a node starts on both halves.
    Machine,
    /// All of that.
    Both,
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

/// What befell a store at an image.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Cut(Cut),
    Kill,
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

    /// The images before that.
    ///
    /// # Errors
    /// The disk is not watched.
    pub(crate) fn first_images(&self) -> Result<Vec<Image>, Failure> {
        let first = self.timeline.first_end();
        Ok(self.subject.disk.history()?.images().take_while(|image| image.at < first).collect())
    }

    /// What was under way at an image.
    pub(crate) fn under_way(&self, image: &Image) -> Option<&Step> {
        self.timeline.at(image.at).under_way()
    }

    /// The power is cut at an image, and the store is opened and looked at; `works` says whether
    /// it goes on working then, and loses its power once more.
    ///
    /// # Errors
    /// It can't be opened, or shows what it may not.
    pub(crate) fn cut(&self, image: &Image, cut: Cut, works: bool) -> Verdict {
        self.told(image, Blow::Cut(cut), async {
            let mut subject = self.subject.after_cut(image, cut).await?;
            self.look(&mut subject, self.models(image)).await?;
            if self.starts() {
                subject.start().await?;
            }
            if works {
                self.work(&mut subject).await?;
            }
            subject.close().await
        })
    }

    /// The power is cut at an image, then amid the open that follows, and so on, `more` times more.
    /// How many cuts there were.
    ///
    /// # Errors
    /// It can't be opened, or shows what it may not.
    pub(crate) fn cut_again(&self, image: &Image, cut: Cut, more: u32) -> Result<u64, Failure> {
        self.told(image, Blow::Cut(cut), async {
            // That the first one fails is for `crash/images/log` and its like to say.
            let opened = self.subject.after_cut(image, cut).await;
            let mut subject = opened.map_err(Failure::beforehand)?;
            let looked = self.look(&mut subject, self.models(image)).await;
            looked.map_err(Failure::beforehand)?;
            self.recover(&mut subject, &self.models(image), more).await
        })
    }

    /// Power cuts while a store was opened that was opened after a power cut. How many there were.
    async fn recover(
        &self,
        subject: &mut Subject<'l>,
        models: &[Model],
        more: u32,
    ) -> Result<u64, Failure> {
        let mut tried = 0;
        let opened = subject.disk.now();
        let images: Vec<Image> = subject.disk.history()?.images().collect();
        let mark = self.lab.record.steps().len();
        for (number, image) in images.iter().enumerate() {
            // Shown is shown: at the end it has to last.
            let ended = image.at == opened;
            let models = if ended { vec![subject.model.clone()] } else { models.to_vec() };
            // The one and the other by turns, and both where more than one part is tried.
            let mut cuts = super::cuts(self.lab, image, Persistence::Ext4);
            if let [strict, part] = cuts[..] {
                cuts = vec![if number % 2 == 0 { part } else { strict }];
            }
            for cut in cuts {
                self.lab.record.back_to(mark);
                self.lab.record.step(format!("cut power (while it is opened, {image})"));
                let mut again = subject.after_cut(image, cut).await?;
                self.look(&mut again, models.clone()).await?;
                tried += 1;
                // Going down from each would take for ever.
                let deeper = more > 0 && number == images.len() / 2;
                if deeper {
                    tried += Box::pin(self.recover(&mut again, &models, more - 1)).await?;
                }
                again.close().await?;
            }
        }
        self.lab.record.back_to(mark);
        Ok(tried)
    }

    /// The process is killed at an image. What the next one shows has to be there after a power cut
    /// right after it.
    ///
    /// # Errors
    /// It can't be opened, shows what it may not, or what it showed is gone.
    pub(crate) fn kill(&self, image: &Image) -> Verdict {
        self.told(image, Blow::Kill, async {
            let mut revived = self.subject.after_kill(image).await?;
            self.look(&mut revived, self.models(image)).await?;
            self.lab.record.step("cut power (right after the store was opened)");
            let shown = shown(&revived.model);
            self.lose(&revived).await.map_err(|failure| {
                let what = "what the store showed after a kill is gone after a power cut";
                let what = format!("{what}: {}", failure.what);
                let got = format!("{}\nbefore the power cut it showed {shown}", failure.got);
                Failure { what, got, ..failure }
            })
        })
    }

    fn models(&self, image: &Image) -> Vec<Model> {
        let keeps = self.lab.driver.capabilities().machine_keeps;
        self.timeline.at(image.at).models(keeps)
    }

    /// What a store shows that may be of any of these.
    async fn look(&self, subject: &mut Subject<'_>, models: Vec<Model>) -> Verdict {
        match self.starts() {
            true => subject.learn(models).await?,
            // The state machine may be wrong, and isn't asked.
            false => subject.model = models.last().cloned().unwrap_or_default(),
        }
        let log = subject.verify_reopened_log(Closed::Powerless).await;
        match self.half {
            Half::Log | Half::Both => log?,
            Half::Machine => log.map_err(Failure::beforehand)?,
        }
        if self.starts() {
            subject.verify_reopened_machine().await?;
        }
        Ok(())
    }

    /// Whether a node starts on both halves: not where the state machine is under test, and another
    /// check looks at it.
    fn starts(&self) -> bool {
        self.half != Half::Log || self.lab.driver.capabilities().halves == Halves::Log
    }

    /// Appends and loses its power, so that what a recovery left behind comes to light.
    async fn work(&self, subject: &mut Subject<'l>) -> Verdict {
        for step in history::steps(&subject.model, Kind::Append.choice()) {
            subject.perform(step).await?;
        }
        self.lab.record.step(Step::CutPower.to_string());
        self.lose(subject).await
    }

    /// The power is cut now, and everything that was shown or acknowledged is there.
    async fn lose(&self, subject: &Subject<'l>) -> Verdict {
        let mut again =
            subject.after_cut(&subject.disk.image()?, strict(Persistence::Ext4)).await?;
        self.look(&mut again, vec![subject.model.clone()]).await?;
        again.close().await
    }

    /// A failure tells the steps up to the image, what befell the store there, and what came after.
    fn told<T>(
        &self,
        image: &Image,
        blow: Blow,
        tried: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let record = &self.lab.record;
        let mark = record.steps().len();
        let tried = self.lab.caught(tried);
        let since = record.steps().into_iter().skip(mark);
        record.back_to(mark);
        tried.map_err(|failure| {
            let then = self.timeline.at(image.at);
            let call = match image.side {
                Side::Before(call) => format!("before call {} ({call})", image.at.0 + 1),
                Side::After(call) => format!("after call {} ({call})", image.at.0),
                Side::At => image.to_string(),
            };
            let steps = self.timeline.steps(&then).map(ToString::to_string);
            let steps = steps.chain([format!("{} ({call})", blow.step())]).chain(since).collect();
            let asked = failure.asked.or_else(|| record.asked());
            let what = format!("{}; {blow} {call}, {then}", failure.what);
            Failure { what, steps, asked, ..failure }
        })
    }
}

impl Blow {
    fn step(self) -> &'static str {
        match self {
            Self::Cut(_) => "cut power",
            Self::Kill => "kill",
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(Cut { model: Persistence::Ext4, .. }) => f.write_str("power cut"),
            Self::Cut(Cut { model, .. }) => write!(f, "power cut, under {model} alone,"),
            Self::Kill => f.write_str("killed"),
        }
    }
}

/// What a store has shown.
fn shown(model: &Model) -> String {
    let id = |id: Option<Id>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
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
