//! The same power cuts where a name is on the disk only once its directory was synced, as POSIX has
//! it. What fails there alone rests on a kindness of the file system.

use super::images::{Half, Past, Plan, Tried, cuts, of_the_log, of_the_machine, plans, tells};
use crate::check::{Check, check};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::outcome::Verdict;
use crate::power::{Cut, Image, Persistence, Survives};

pub(super) fn checks() -> Vec<Check> {
    vec![
        check!(
            "crash/posix/log", Should, [7, 12, 51], needs: [Log, WatchedFiles, LogSurvivesRestart],
            promise: "What was acknowledged of the log survives a power cut on any file system that POSIX allows.",
            consequence: "None on ext4 or XFS, where a new file's own sync makes its name last; elsewhere acknowledged entries vanish with the file's name.",
            reason: "ext4 and XFS promise more than POSIX does, and most nodes are on those.",
            since: 3,
            limit: 60,
            run: log,
        ),
        check!(
            "crash/posix/machine", Should, [25, 26, 30, 51], needs: [Machine, WatchedFiles, LogSurvivesRestart, MachineSurvivesRestart],
            promise: "State and snapshot survive a power cut on any file system that POSIX allows.",
            consequence: "None on ext4 or XFS, where a new file's own sync makes its name last; elsewhere a snapshot vanishes with the file's name.",
            reason: "ext4 and XFS promise more than POSIX does, and most nodes are on those.",
            since: 3,
            limit: 60,
            run: machine,
        ),
    ]
}

async fn log(lab: &Lab) -> Verdict {
    each(lab, of_the_log(), Half::Log, "crash/images/log").await
}

async fn machine(lab: &Lab) -> Verdict {
    each(lab, of_the_machine(), Half::Machine, "crash/images/machine").await
}

async fn each(lab: &Lab, fixed: Vec<Plan>, half: Half, kindly: &str) -> Verdict {
    let mut tried = Tried::default();
    for plan in plans(lab, fixed) {
        let past = Past::of(lab, &plan, half).await?;
        tried.histories += 1;
        for image in past.images()?.into_iter().filter(|image| tells(lab, image)) {
            tried.images += 1;
            lab.record.case();
            if !differs(&image) {
                continue;
            }
            for cut in cuts(lab, &image, Persistence::Posix) {
                tried.cuts += 1;
                past.cut(&image, cut, false)
                    .map_err(|failure| alone(lab, &past, &image, cut, failure, kindly))?;
            }
        }
        if lab.enough() {
            break;
        }
    }
    tried.note(lab);
    Ok(())
}

/// Whether the two models leave different things.
fn differs(image: &Image) -> bool {
    image.unsynced(Persistence::Posix) != image.unsynced(Persistence::Ext4)
}

/// A failure under POSIX, if it is one under POSIX alone.
fn alone(
    lab: &Lab,
    past: &Past<'_>,
    image: &Image,
    cut: Cut,
    failure: Failure,
    kindly: &str,
) -> Failure {
    let scene = lab.power.scene();
    let both = [Survives::Nothing, cut.survives];
    let fails =
        |survives| past.cut(image, Cut { model: Persistence::Ext4, survives }, false).is_err();
    if both.into_iter().any(fails) {
        return Failure::untold(format!("fails under ext4 as well: `{kindly}` says it"));
    }
    lab.power.tell(scene);
    failure
}
