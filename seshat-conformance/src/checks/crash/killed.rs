//! The process is killed: what the kernel has is there. Seen by copying the directory between two
//! calls and opening the copy, so it needs no hook, only files.

use std::fs;
use std::io;
use std::path::Path;

use crate::check::{Check, check};
use crate::checks::reopen::{KINDS, base};
use crate::failure::Failure;
use crate::history;
use crate::lab::Lab;
use crate::model::Model;
use crate::outcome::Verdict;
use crate::subject::Subject;
use crate::subject::restart::Closed;

pub(crate) fn checks() -> Vec<Check> {
    vec![check!(
        "crash/killed", Must, [7, 12, 25, 26, 51], needs: [Files, LogSurvivesRestart, MachineSurvivesRestart],
        promise: "What was acknowledged is there after the process was killed, whatever was done last.",
        consequence: "A node that is killed forgets votes or entries that it has acknowledged.",
        relies: [SAVE_VOTE, APPEND, START_VOTE, START_LOG, START_APPLIED],
        limit: 40,
        run: killed,
    )]
}

async fn killed(lab: &Lab) -> Verdict {
    for kind in KINDS {
        for before in [false, true] {
            let steps = if before { base() } else { Vec::new() };
            let mut subject = Subject::with(lab, steps).await?;
            subject.run(history::steps(&subject.model, kind.choice())).await?;
            let image = lab.directory()?;
            lab.record.step("kill: copy the directory while the store is open, and open the copy");
            copy(&subject.dir, &image).map_err(|error| {
                Failure::error(format!("copying to {}", image.display()), error)
            })?;
            let model: Model = subject.model.clone();
            let mut revived = Subject::open(lab, image, model).await?;
            revived.verify_reopened(Closed::Powerless).await?;
            revived.start().await?;
        }
        if lab.enough() {
            break;
        }
    }
    Ok(())
}

/// A directory and what is in it. Files that vanish meanwhile were temporary.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            match fs::copy(entry.path(), target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                copied => drop(copied?),
            }
        }
    }
    Ok(())
}
