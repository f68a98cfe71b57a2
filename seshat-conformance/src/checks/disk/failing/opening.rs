//! A disk that fails while a store is opened: that is an error, or nothing at all, and no damage.

use super::trial::{Stop, spread};
use super::words::{as_a_step, in_words, told};
use crate::check::{Check, check};
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{Model, Step};
use crate::outcome::Verdict;
use crate::power::{Cut, Fault, Harm, Image, Persistence, Survives};
use crate::story;
use crate::subject::Subject;

pub(super) fn checks() -> Vec<Check> {
    vec![
        check!(
            "disk/full/open", Must, [7, 12, 51], needs: [WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A store that is opened on a full disk opens or says that it can't, and loses nothing by it.",
            consequence: "An operator starts a node before making room, and what it had is lost.",
            relies: [START_VOTE, START_LOG, START_APPLIED],
            since: 3,
            limit: 30,
            run: |lab| opens(lab, [Harm::Full, Harm::Short]),
        ),
        check!(
            "disk/broken/open", Must, [7, 12, 51], needs: [WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "A store that is opened on a disk that fails opens or says that it can't, and loses nothing by it.",
            consequence: "One bad sector while a node starts costs what it had.",
            relies: [START_VOTE, START_LOG, START_APPLIED],
            since: 3,
            limit: 30,
            run: |lab| opens(lab, [Harm::Broken, Harm::LostSync]),
        ),
        check!(
            "disk/first-open", Should, [51], needs: [WatchedFiles],
            promise: "A store whose very first opening failed for its disk can be opened there later.",
            consequence: "A node whose disk was full at first can't join until somebody empties its directory.",
            reason: "A store that was never open has nothing that anybody relies on.",
            since: 3,
            run: first_open,
        ),
    ]
}

/// A directory that a store is opened in.
struct Found {
    image: Image,
    /// `None`: it was closed.
    cut: Option<Cut>,
    asked: Model,
}

impl Found {
    /// The store in a copy of it, closed.
    fn copy<'l>(&self, subject: &Subject<'l>) -> Result<Subject<'l>, Failure> {
        let (lab, dir) = (subject.lab, subject.lab.place());
        let disk = match self.cut {
            Some(cut) => lab.power.restored(&subject.disk, &self.image, cut, &dir)?,
            None => lab.power.revived(&subject.disk, &self.image, &dir)?,
        };
        Ok(Subject::closed(lab, disk, dir, self.asked.clone()))
    }
}

async fn opens(lab: &Lab, harms: [Harm; 2]) -> Verdict {
    let mut subject =
        Subject::with(lab, story::purged_of(9, 5)).await.map_err(Failure::beforehand)?;
    // What even a disk that is well loses is not the failing one's to say.
    subject.perform(Step::CutPower).await.map_err(Failure::beforehand)?;
    let founds = founds(&mut subject).await.map_err(Failure::beforehand)?;
    let steps = lab.record.steps().len();
    for found in &founds {
        for harm in harms {
            let places = places(lab, harm, || found.copy(&subject)).await?;
            let faults = places
                .into_iter()
                .flat_map(|from| [u64::MAX, 1].map(|times| Fault { harm, from, times }));
            for fault in faults {
                if lab.enough() {
                    return Ok(());
                }
                lab.record.back_to(steps);
                let copy = found.copy(&subject)?;
                again(copy, fault).await?;
            }
        }
    }
    Ok(())
}

/// Opened on a failing disk, and then on one that is well: before and after a power cut.
async fn again(mut subject: Subject<'_>, fault: Fault) -> Verdict {
    let lab = subject.lab;
    let stop = Stop { asked: subject.model.clone(), under_way: None };
    let Some(hit) = on_failing(&mut subject, fault).await? else { return Ok(()) };
    let so_far = |when| format!("{}: {hit}; then {when}", in_words(fault));
    let (image, [cut, _]) = (subject.disk.image()?, lab.power.cuts());
    let left = stop.left(&subject, &image, cut).await;
    left.map_err(|failure| told(failure, &so_far("a power cut")))?;
    // What a failure tells is about this disk again.
    subject.disk.heal()?;
    let opened = async {
        stop.opened(&mut subject).await?;
        subject.start().await
    };
    opened.await.map_err(|failure| told(failure, &so_far("opened once more")))
}

/// A store that was closed in order, and one whose power was cut off before an append was synced:
/// that one has something to repair.
async fn founds(subject: &mut Subject<'_>) -> Result<Vec<Found>, Failure> {
    let lab = subject.lab;
    subject.run([story::leader(5, 1), Step::Append(story::entries(5, 1, 9, 12))]).await?;
    let (mut asked, began) = (subject.model.clone(), subject.disk.now());
    let step = Step::Append(story::entries(5, 1, 12, 16));
    asked.stop(&step);
    subject.perform(step).await?;
    let written = subject.disk.history()?.images().find(|image| image.at > began);
    let cut = |seed| {
        let survives = Survives::Some(lab.seed.wrapping_shl(8).wrapping_add(seed));
        Cut { model: Persistence::Ext4, survives }
    };
    let cuts = (0..lab.budget.pick(4, 12, 48)).map(cut);
    let torn = |cut| Some(Found { image: written.clone()?, cut: Some(cut), asked: asked.clone() });
    let mut founds: Vec<Found> = cuts.filter_map(torn).collect();
    lab.record.step("close");
    subject.close().await?;
    founds.push(Found { image: subject.disk.image()?, cut: None, asked: subject.model.clone() });
    Ok(founds)
}

/// At which calls an opening is to fail: none, if it makes none that could.
async fn places<'l>(
    lab: &'l Lab,
    harm: Harm,
    copy: impl FnOnce() -> Result<Subject<'l>, Failure>,
) -> Result<Vec<u64>, Failure> {
    let mut copy = copy()?;
    copy.disk.fail(Fault { harm, from: u64::MAX, times: 1 })?;
    copy.open_again().await.map_err(Failure::beforehand)?;
    lab.record.case();
    let total = copy.disk.met()?;
    copy.vanish();
    Ok(spread(total, lab.budget.pick(2, 6, u64::MAX), lab.seed))
}

/// Opens a store on a failing disk; whether it can is its own affair. What failed, if anything did.
async fn on_failing(subject: &mut Subject<'_>, fault: Fault) -> Result<Option<String>, Failure> {
    let lab = subject.lab;
    lab.record.step(as_a_step(fault));
    lab.record.step("open");
    subject.disk.fail(fault)?;
    let opened = subject.open_once().await;
    let hit = subject.disk.hit()?;
    let said = match opened {
        Ok(()) => "success",
        Err(failure) if failure.kind == Kind::Error => "an error",
        Err(failure) => return Err(told(failure, &in_words(fault))),
    };
    subject.vanish();
    subject.disk.heal()?;
    Ok(hit.map(|hit| format!("{hit}; open answered {said}")))
}

async fn first_open(lab: &Lab) -> Verdict {
    let fresh = || {
        let dir = lab.directory()?;
        let disk = lab.power.disk(&dir, lab.driver.hooks())?;
        Ok(Subject::closed(lab, disk, dir, Model::new()))
    };
    for harm in [Harm::Full, Harm::Short, Harm::Broken, Harm::LostSync] {
        for from in places(lab, harm, fresh).await? {
            if lab.enough() {
                return Ok(());
            }
            lab.record.forget_steps();
            let fault = Fault { harm, from, times: u64::MAX };
            let mut subject = fresh()?;
            let Some(hit) = on_failing(&mut subject, fault).await? else { continue };
            let again = async {
                subject.open_again().await?;
                subject
                    .run([story::leader(1, 1), Step::Append(story::entries(1, 1, 0, 3))])
                    .await?;
                subject.verify().await
            };
            let so_far = format!("{}: {hit}; then opened once more", in_words(fault));
            again.await.map_err(|failure| told(failure, &so_far))?;
        }
    }
    Ok(())
}
