//! [`Origin`]: another state machine of the same store, with the same commands applied one by one.
//! Snapshots to install come from it, and what a digest must be where the author doesn't say.

use super::open;
use crate::driver::store::{Log, Machine, Replies, Snapshot};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::model::{Item, Payload};
use crate::power::Disk;
use crate::words::Command;

/// What the author's answers may cost: commands replayed for the replies of one batch.
const REPLAYED: usize = 20_000;

/// A state machine that has applied a run of entries from the first on.
pub(crate) struct Origin<'l> {
    lab: &'l Lab,
    // Keeps the directory open: the machine may share its files.
    _log: Box<dyn Log>,
    pub(crate) machine: Box<dyn Machine>,
    applied: Vec<Item>,
    // Dropped after the handles: where it is watched, syncs needn't be waited for.
    _disk: Disk,
}

impl<'l> Origin<'l> {
    pub(crate) async fn new(lab: &'l Lab) -> Result<Self, Failure> {
        let dir = lab.directory()?;
        let disk = lab.power.disk(&dir, lab.driver.hooks())?;
        let (log, machine) = open(lab, &dir).await?;
        Ok(Self { lab, _log: log, machine, applied: Vec::new(), _disk: disk })
    }

    /// Whether what was applied here is how `truth` begins.
    pub(crate) fn precedes(&self, truth: &[Item]) -> bool {
        truth.starts_with(&self.applied)
    }

    /// Applies what of `truth` isn't yet, an entry at a time.
    pub(crate) async fn apply(&mut self, truth: &[Item]) -> Result<(), Failure> {
        for item in truth.iter().skip(self.applied.len()) {
            let entry = self.lab.entries(std::slice::from_ref(item))?;
            self.lab.call("apply (on another node)", self.machine.apply(entry)).await?;
            self.applied.push(item.clone());
        }
        Ok(())
    }

    /// A snapshot of it.
    pub(crate) async fn snapshot(&mut self) -> Result<Snapshot, Failure> {
        let making = self.machine.builder();
        let mut builder = self.lab.call("get_snapshot_builder (on another node)", making).await?;
        self.lab.call("build_snapshot (on another node)", builder.build()).await
    }

    /// What the state machine holds.
    pub(crate) async fn digest(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.lab.call("digest (on another node)", self.machine.digest()).await
    }
}

impl Lab {
    /// One reply an entry, in order; each as the author says, where the author says anything.
    pub(crate) fn replies(
        &self,
        before: &[Command],
        items: &[Item],
        replies: &dyn Replies,
    ) -> Result<(), Failure> {
        self.assert(replies.len() == items.len(), || {
            Failure::broken(
                "apply gave another number of replies than it was given entries",
                items.len().to_string(),
                replies.len().to_string(),
            )
        })?;
        let mut applied = before.to_vec();
        // The author's answer replays all that was applied: in a long history or a large batch
        // every so-manyth will do.
        let compared = (REPLAYED / (before.len() + items.len())).clamp(1, 64);
        let stride = items.len().div_ceil(compared);
        for (place, item) in items.iter().enumerate() {
            let Payload::Command(command) = item.payload else { continue };
            applied.push(command);
            if place % stride != 0 && place + 2 < items.len() {
                continue;
            }
            let Some(expected) = self.driver.expected_reply(&applied) else { continue };
            let Some(got) = replies.show(place) else { continue };
            self.assert(got == expected, || {
                let what = format!("the reply to {} at {} is wrong", item.payload, item.id);
                Failure::broken(what, expected.clone(), got.clone())
            })?;
        }
        Ok(())
    }
}
