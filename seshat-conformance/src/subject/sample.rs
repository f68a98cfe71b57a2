//! Whether a store has the time for many entries: a small batch on a fresh store tells beforehand,
//! for a call that blocks can't be given up.

use super::open;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::story;

/// Fewer entries than that take no time that would have to be known.
const MANY: usize = 512;
/// Entries of the small batch.
const FEW: usize = 256;

/// What takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Append,
    Apply,
}

impl Work {
    /// The call.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Append => "append with its callback",
            Self::Apply => "apply",
        }
    }
}

impl Lab {
    /// Whether so many entries can be tried within the check's limit.
    ///
    /// # Errors
    /// They can't. That is no failure, but nothing is learnt either.
    pub(super) async fn affords(&self, work: Work, entries: usize) -> Result<(), Failure> {
        if entries < MANY {
            return Ok(());
        }
        // What fails here fails in the check as well, with its own words.
        if !self.knows(work.name(), FEW) && self.sample(work).await.is_err() {
            return Ok(());
        }
        let expected = self.foreseen(work.name(), entries);
        let share = self.share();
        if expected <= share {
            return Ok(());
        }
        let times = (expected.as_secs_f64() / share.as_secs_f64()).ceil();
        Err(Failure::untold(format!(
            "{} of {entries} entries would take this store {expected:.0?}: `--limit-scale {times}` \
             waits for it",
            work.name()
        )))
    }

    /// Shows what a few entries take, on a fresh store.
    async fn sample(&self, work: Work) -> Result<(), Failure> {
        let dir = self.directory()?;
        let (mut log, mut machine) = open(self, &dir).await?;
        let items = story::entries(1, 1, 0, FEW as u64);
        let (appended, applied) = (self.entries(&items)?, self.entries(&items)?);
        self.call_of(FEW, Work::Append.name(), log.append(appended)).await?;
        if work == Work::Apply {
            self.call_of(FEW, Work::Apply.name(), machine.apply(applied)).await?;
        }
        Ok(())
    }
}
