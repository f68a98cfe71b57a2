//! Whether a store is slow or hangs: a large batch that took too long is compared with a small one.

use std::time::{Duration, Instant};

use super::open;
use crate::failure::{Failure, Kind};
use crate::lab::{Lab, scale};
use crate::story;

/// Fewer entries than that take no time that would need a comparison.
const MANY: usize = 512;
/// Entries of the small batch.
const FEW: usize = 64;

/// What takes long.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Append,
    Apply,
}

impl Lab {
    /// A call about many entries that did not return: where a few on a fresh store show that they
    /// would have taken longer than was waited, nothing is known, and nobody is accused.
    pub(super) async fn slow_or_hung<T>(
        &self,
        work: Work,
        entries: usize,
        done: Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Err(late) = done else { return done };
        if late.kind != Kind::Hang || entries < MANY {
            return Err(late);
        }
        let Ok(took) = self.sample(work).await else { return Err(late) };
        let expected = scale(took, entries, FEW);
        if expected < self.patience() {
            return Err(late);
        }
        let each = scale(took, 1, FEW);
        let enough = (4.0 * expected.as_secs_f64()).ceil();
        let what = format!(
            "{entries} entries would take this store {expected:.0?}, at {each:.1?} each: \
             `--patience {enough}` waits for them"
        );
        Err(Failure::untold(what))
    }

    /// What a few entries take on a fresh store.
    async fn sample(&self, work: Work) -> Result<Duration, Failure> {
        let dir = self.directory()?;
        let (mut log, mut machine) = open(self, &dir).await?;
        let items = story::entries(1, 1, 0, FEW as u64);
        let (appended, applied) = (self.entries(&items)?, self.entries(&items)?);
        let mut began = Instant::now();
        self.call("append", log.append(appended)).await?;
        if let Work::Apply = work {
            began = Instant::now();
            self.call("apply", machine.apply(applied)).await?;
        }
        Ok(began.elapsed())
    }
}
