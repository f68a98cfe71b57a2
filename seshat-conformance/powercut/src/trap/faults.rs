//! [`Faults`]: counts calls, and decides which of them fail.

use crate::fault::{Fault, Harm};

/// What a call does, as far as a fault cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Writes bytes. So many of them may be there when the disk is full half-way; 0 if it can't be.
    Write(u64),
    /// Reserves room.
    Reserve,
    /// Changes a size, for which no room is needed.
    Resize,
    /// Makes a name.
    Create,
    /// Moves or removes one.
    Rename,
    /// Syncs a file.
    Sync,
    /// Syncs a directory.
    SyncDir,
}

/// What a call that meets a fault comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    /// It fails, and nothing was done.
    Full,
    /// Likewise.
    Broken,
    /// It fails, and the dirty pages count as clean.
    Lose,
    /// It writes so many bytes, fewer than it was told.
    Short(u64),
}

/// Counts calls and decides which of them fail.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    fault: Option<Fault>,
    met: u64,
    refused: u64,
    shortened: bool,
}

impl Faults {
    /// Begins to count anew.
    pub(super) fn set(&mut self, fault: Option<Fault>) {
        *self = Self { fault, ..Self::default() };
    }

    /// True if a write may fail, now or later.
    pub(super) fn writes_fail(&self) -> bool {
        self.fault.is_some_and(|fault| fault.harm != Harm::LostSync)
    }

    /// How many calls failed.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// How many calls could have failed.
    pub(super) fn met(&self) -> u64 {
        self.met
    }

    /// Decides on the next call.
    pub(super) fn meet(&mut self, kind: Kind) -> Option<Blow> {
        let fault = self.fault?;
        let blow = blow(fault.harm, kind, self.shortened)?;
        self.met += 1;
        let first = fault.from.max(1);
        if self.met < first || self.met - first >= fault.times {
            return None;
        }
        self.shortened |= matches!(blow, Blow::Short(_));
        self.refused += 1;
        Some(blow)
    }
}

fn blow(harm: Harm, kind: Kind, shortened: bool) -> Option<Blow> {
    match (harm, kind) {
        (Harm::Short, Kind::Write(part)) if !shortened && part > 0 => Some(Blow::Short(part)),
        // The first to meet it is a write.
        (Harm::Short, Kind::Reserve | Kind::Create) if !shortened => None,
        (Harm::Full | Harm::Short, Kind::Write(_) | Kind::Reserve | Kind::Create) => {
            Some(Blow::Full)
        }
        (Harm::Broken | Harm::LostSync, Kind::Sync) => Some(Blow::Lose),
        (Harm::Broken, _) => Some(Blow::Broken),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(fault: Fault, kinds: &[Kind]) -> Vec<Option<Blow>> {
        let mut faults = Faults::default();
        faults.set(Some(fault));
        kinds.iter().map(|kind| faults.meet(*kind)).collect()
    }

    #[test]
    fn only_calls_that_a_fault_can_meet_are_counted() {
        let fault = Fault { harm: Harm::LostSync, from: 2, times: 1 };
        let kinds = [Kind::Write(9), Kind::Sync, Kind::SyncDir, Kind::Sync, Kind::Sync];
        assert_eq!(met(fault, &kinds), [None, None, None, Some(Blow::Lose), None]);
    }

    #[test]
    fn a_short_write_is_followed_by_a_full_disk() {
        let fault = Fault { harm: Harm::Short, from: 2, times: u64::MAX };
        let (write, create) = (Kind::Write(9), Kind::Create);
        let kinds = [write, create, write, write, Kind::Rename, create];
        let full = Some(Blow::Full);
        assert_eq!(met(fault, &kinds), [None, None, Some(Blow::Short(9)), full, None, full]);
    }

    #[test]
    fn a_write_that_cannot_be_short_finds_a_full_disk() {
        assert_eq!(met(Fault::new(Harm::Short), &[Kind::Write(0)]), [Some(Blow::Full)]);
    }

    #[test]
    fn a_broken_disk_refuses_everything() {
        let kinds = [Kind::Write(1), Kind::Resize, Kind::Create, Kind::Rename, Kind::SyncDir];
        assert!(met(Fault::new(Harm::Broken), &kinds).iter().all(|b| *b == Some(Blow::Broken)));
    }
}
