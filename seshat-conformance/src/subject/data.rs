//! What a snapshot's data are, seen by another node.

use super::{Subject, log_id};
use crate::driver::store::Snapshot;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::Model;

/// What the snapshot `meta` says is what its data are: installed on a fresh node they give the
/// state, the applied id and the membership of that many entries.
pub(crate) async fn verify_data(
    lab: &Lab,
    model: &Model,
    snapshot: Snapshot,
) -> Result<(), Failure> {
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
