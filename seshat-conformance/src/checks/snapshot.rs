//! Family `snapshot`: building, keeping, receiving and installing.

mod build;
pub(crate) mod identity;
mod install;
pub(crate) mod overtaken;
mod refuse;
mod shorter;

pub(crate) use self::build::newest;
pub(crate) use self::install::bytes_of;

use crate::check::Check;
use crate::driver::store::Snapshot;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::Model;
use crate::outcome::Verdict;
use crate::subject::{Subject, log_id};

pub(crate) fn checks() -> Vec<Check> {
    let all = [
        build::checks(),
        identity::checks(),
        overtaken::checks(),
        install::checks(),
        shorter::checks(),
        refuse::checks(),
    ];
    all.into_iter().flatten().collect()
}

/// What the snapshot `meta` says is what its data are: installed on a fresh node they give the
/// state, the applied id and the membership of that many entries.
pub(crate) async fn verify_data(lab: &Lab, model: &Model, snapshot: Snapshot) -> Verdict {
    let meta = snapshot.meta.clone();
    let covers =
        (0..=model.truth.len()).find(|covers| log_id(lab, model.covered_id(*covers)) == meta.last);
    let Some(covers) = covers else {
        let what = "a snapshot says that it ends at an entry that was never applied";
        let expected = format!("up to {:?}", log_id(lab, model.applied_id()));
        return Err(Failure::broken(what, expected, format!("{:?}", meta.last)));
    };
    let mut truth = model.truth.clone();
    truth.truncate(covers);
    let known = Model { truth, applied: covers, ..Model::new() };
    let mut other = Subject::open(lab, lab.directory()?, known).await?;
    lab.record.step(format!("install the snapshot {} on a fresh node", meta.id));
    other.receive(snapshot).await?;
    other.verify_applied().await?;
    other.verify_current_snapshot().await
}

/// The current snapshot.
pub(crate) async fn current(subject: &mut Subject<'_>) -> Result<Option<Snapshot>, Failure> {
    let current = subject.machine.current();
    subject.lab.call("get_current_snapshot", current).await
}

/// The current snapshot, which must be there.
pub(crate) async fn expect_current(subject: &mut Subject<'_>) -> Result<Snapshot, Failure> {
    current(subject).await?.ok_or_else(|| {
        let what = "get_current_snapshot gives none after a snapshot was built or installed";
        Failure::broken(what, "the current snapshot", "None")
    })
}
