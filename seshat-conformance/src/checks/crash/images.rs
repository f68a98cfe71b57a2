//! The power fails at every moment of a history at which it makes a difference: before and after
//! each sync, what a call did first and what it did last. No hook is needed, only files.

mod past;
mod plan;
mod timeline;

pub(super) use self::past::{Half, Past, strict};
pub(super) use self::plan::{Plan, of_the_log, of_the_machine, plans};
use crate::check::{Check, check};
use crate::history::Kind;
use crate::lab::Lab;
use crate::outcome::Verdict;
use crate::power::{Cut, Image, Persistence, Side, Survives};
use crate::words::{Halves, Keeps};

pub(super) fn checks() -> Vec<Check> {
    vec![
        // storage/helper.rs:63-95 (get_initial_state): what is read there is the node's own.
        check!(
            "crash/images/log", Must, [2, 7, 12, 14, 16, 18, 48, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "Whenever the power fails, the log has what was acknowledged, and of what was under way a part that can be.",
            consequence: "Acknowledged votes or entries are lost, or a node can't start again.",
            relies: [SAVE_VOTE, APPEND, START_VOTE, START_LOG, START_LOG_IDS],
            since: 3,
            limit: 60,
            run: log,
        ),
        check!(
            "crash/images/machine", Must, [21, 25, 26, 29, 30, 32, 51, 55], needs: [Machine, WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "Whenever the power fails, state, applied id and snapshot are of one moment, and openraft can start on them.",
            consequence: "A node starts with half a state, behind what it has purged, or not at all.",
            relies: [BUILT, INSTALLED, START_APPLIED, START_PURGE, START_SNAPSHOT],
            since: 3,
            limit: 60,
            run: machine,
        ),
        check!(
            "crash/images/recovery", Must, [7, 12, 26, 51], needs: [WatchedFiles, LogSurvivesRestart],
            promise: "A power cut while a store is opened after a power cut loses nothing more, nor does the next one.",
            consequence: "A node whose power fails twice in a row loses what it has acknowledged, or can't start again.",
            relies: [START_VOTE, START_LOG, START_APPLIED],
            since: 3,
            limit: 60,
            run: recovery,
        ),
        check!(
            "crash/images/first-open", Should, [51, 57], needs: [WatchedFiles, LogSurvivesRestart],
            promise: "A power cut before anything was acknowledged leaves a directory that opens as a fresh store.",
            consequence: "A new node doesn't start, until somebody removes its directory by hand.",
            reason: "Nothing was acknowledged by then, so the directory can be removed and the node begins anew.",
            since: 3,
            limit: 20,
            run: first_open,
        ),
    ]
}

async fn log(lab: &Lab) -> Verdict {
    each(lab, of_the_log(), Half::Log).await
}

async fn machine(lab: &Lab) -> Verdict {
    each(lab, of_the_machine(), Half::Machine).await
}

/// Every image of every history, in every way that the budget has.
async fn each(lab: &Lab, fixed: Vec<Plan>, half: Half) -> Verdict {
    let mut tried = Tried::default();
    for plan in plans(lab, fixed) {
        let past = Past::of(lab, &plan, half).await?;
        tried.histories += 1;
        for image in past.images()?.into_iter().filter(|image| tells(lab, image)) {
            tried.images += 1;
            for cut in cuts(lab, &image, Persistence::Ext4) {
                tried.cuts += 1;
                past.cut(&image, cut, tried.cuts.is_multiple_of(lab.budget.pick(8, 4, 2)))?;
            }
        }
        if lab.enough() {
            break;
        }
    }
    tried.note(lab);
    Ok(())
}

async fn recovery(lab: &Lab) -> Verdict {
    let plan = [
        Kind::Elect.into(),
        Plan::Append(9),
        Kind::ApplyAll.into(),
        Kind::Build.into(),
        Plan::Append(20),
        Kind::Overwrite.into(),
        Kind::Purge.into(),
        Kind::Install.into(),
        Plan::Append(3),
    ];
    let past = Past::of(lab, &plan, all_of(lab)).await?;
    let mut tried = Tried { histories: 1, ..Tried::default() };
    let images = past.images()?;
    let before = images.iter().filter(|image| matches!(image.side, Side::Before(_)));
    for image in before.step_by(lab.budget.pick(5, 2, 1)) {
        tried.images += 1;
        // What recovers from nothing has nothing to do.
        let cut = cuts(lab, image, Persistence::Ext4).pop();
        tried.cuts += past.cut_again(image, cut.unwrap_or(strict(Persistence::Ext4)), 1)?;
        if lab.enough() {
            break;
        }
    }
    tried.note(lab);
    Ok(())
}

async fn first_open(lab: &Lab) -> Verdict {
    let past = Past::of(lab, &[Kind::Vote.into()], all_of(lab)).await?;
    let mut tried = Tried { histories: 1, ..Tried::default() };
    for image in past.first_images()? {
        tried.images += 1;
        for cut in cuts(lab, &image, Persistence::Ext4) {
            tried.cuts += 1;
            past.cut(&image, cut, false)?;
        }
    }
    tried.note(lab);
    Ok(())
}

/// What a check looks at that is about all that there is.
fn all_of(lab: &Lab) -> Half {
    let capabilities = lab.driver.capabilities();
    match (capabilities.halves, capabilities.machine_keeps) {
        (Halves::Both, Keeps::Nothing) => Half::Log,
        _ => Half::Both,
    }
}

/// What a check went through.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) histories: u64,
    pub(super) images: u64,
    pub(super) cuts: u64,
}

impl Tried {
    /// For the report.
    pub(super) fn note(&self, lab: &Lab) {
        let Self { histories, images, cuts } = self;
        lab.record.note(format!("tried: histories {histories}, images {images}, cuts {cuts}"));
    }
}

/// Right before a sync the most is at risk, and as much is owed as ever was by then: where there is
/// little time, that will do.
pub(super) fn tells(lab: &Lab, image: &Image) -> bool {
    lab.budget.pick(!matches!(image.side, Side::After(_)), true, true)
}

/// Nothing survives, and some parts; where nothing is at risk, one is like the other.
pub(super) fn cuts(lab: &Lab, image: &Image, model: Persistence) -> Vec<Cut> {
    let parts = if image.is_settled(model) { 0 } else { lab.budget.pick(1, 2, 6) };
    let some = (0..parts).map(|part| {
        let seed = lab.seed.wrapping_shl(32) ^ (image.at.0 << 4) ^ part;
        Cut { model, survives: Survives::Some(seed) }
    });
    std::iter::once(strict(model)).chain(some).collect()
}
