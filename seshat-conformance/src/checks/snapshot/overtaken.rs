//! A build that is under way while a newer snapshot is installed, and ends after it.

use std::time::Duration;

use super::{newest, verify_data};
use crate::check::{Check, check};
use crate::driver::store::Snapshot;
use crate::failure::{Failure, Kind};
use crate::lab::Lab;
use crate::model::{Model, Step};
use crate::outcome::Verdict;
use crate::poll::poll_times;
use crate::story;
use crate::subject::{Origin, Subject};

pub(crate) fn checks() -> Vec<Check> {
    vec![
        // core/sm/worker.rs:184-192: the build is a task of its own, and the worker goes on.
        check!(
            "snapshot/build/overtaken", Must, [30, 31, 32, 61], needs: [Machine],
            promise: "A build that waits inside while a newer snapshot is installed doesn't replace it.",
            consequence: "A node goes back to a state from before the entries that it has purged.",
            relies: [BUILD],
            since: 2,
            limit: 20,
            run: overtaken,
        ),
    ]
}

/// Whether a build had ended before the install began: then nothing was overtaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overtaken {
    Yes,
    No,
}

/// A node that has applied six entries builds; when the build was polled so many times, a
/// snapshot of thirty is installed, and then the build goes on to its end.
pub(crate) async fn overtake(lab: &Lab, polls: u32) -> Result<(Subject<'_>, Overtaken), Failure> {
    let mut subject = Subject::with(lab, story::applied_of(12, 6)).await?;
    subject.perform(Step::Truncate(6)).await?;
    let step = Step::Install(story::entries(7, 2, 6, 30));
    let snapshot = snapshot_after(lab, &subject.model, &step).await?;
    let Snapshot { meta, data } = subject.arrive(snapshot).await?;
    let making = subject.machine.builder();
    let builder = lab.call("get_snapshot_builder", making).await?;
    lab.record.step(format!("get_snapshot_builder, build_snapshot (polled {polls} times)"));
    // A builder that is done is dropped, and with it what it may hold.
    let mut build = Box::pin(async move {
        let mut builder = builder;
        builder.build().await
    });
    let early = poll_times(build.as_mut(), polls).await;
    lab.record.step(step.to_string());
    let mut installing = subject.machine.install(&meta, data);
    let installed = tokio::time::timeout(Duration::from_millis(50), installing.as_mut()).await;
    let overtaken = if early.is_none() { Overtaken::Yes } else { Overtaken::No };
    // Whichever waits for the other: an install for a build that holds the state, or a build that
    // was overtaken. What such a build would give is of no use any more: it may fail.
    let installed = match (installed, early) {
        (Ok(outcome), None) => {
            lab.record.step("the build goes on");
            lab.answer("build_snapshot", build.as_mut()).await.map(drop)?;
            outcome
        }
        (Err(_), None) => {
            let both = async { tokio::join!(installing.as_mut(), build.as_mut()) };
            lab.answer("install_snapshot beside build_snapshot", both).await?.0
        }
        (Ok(outcome), Some(_)) => outcome,
        (Err(_), Some(_)) => lab.answer("install_snapshot", installing.as_mut()).await?,
    };
    drop((installing, build));
    installed.map_err(|error| Failure::error("install_snapshot", error))?;
    subject.follow(&step)?;
    subject.meta = Some(meta);
    Ok((subject, overtaken))
}

/// The snapshot of a node where the oracle has followed `step`.
async fn snapshot_after(lab: &Lab, model: &Model, step: &Step) -> Result<Snapshot, Failure> {
    let mut after = model.clone();
    after.perform(step).map_err(|error| Failure::new(Kind::Kit, error.to_string(), "", ""))?;
    let mut origin = Origin::new(lab).await?;
    origin.apply(&after.truth).await?;
    origin.snapshot().await
}

/// How often a build is polled before it is overtaken; when it ends before that, it's enough.
pub(crate) fn most(lab: &Lab) -> u32 {
    lab.budget.pick(8, 16, 64)
}

pub(crate) async fn overtaken(lab: &Lab) -> Verdict {
    for polls in 1..=most(lab) {
        let (mut subject, overtaken) = overtake(lab, polls).await?;
        subject.verify_applied().await?;
        let snapshot = newest(&mut subject).await?;
        verify_data(lab, &subject.model, snapshot).await?;
        if overtaken == Overtaken::No || lab.enough() {
            break;
        }
    }
    Ok(())
}
