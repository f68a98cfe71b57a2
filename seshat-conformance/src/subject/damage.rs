//! Damage: bytes of a closed store that change. By the author's hook where there is one; else by
//! watching: whatever was written while a step was performed is its record, and one bit of it after
//! the other is flipped, each in a copy of its own.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Subject;
use crate::failure::{Failure, Kind};
use crate::model::Step;
use crate::outcome::Verdict;
use crate::power::{Disk, Flip, Moment};
use crate::words::{BoxError, Hooks, Marker};

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The entry at an index, which the log has.
    Entry(u64),
    /// The newest entry.
    LastEntry,
    Vote,
    Snapshot,
    Marker(Marker),
}

/// What a step wrote, and when.
#[derive(Debug)]
pub(super) struct Mark {
    wrote: Wrote,
    during: Range<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wrote {
    Entries(Range<u64>),
    Vote,
    Purged,
    Committed,
    Applied,
    /// And, if it was installed, what it makes applied.
    Snapshot {
        installed: bool,
    },
}

impl Wrote {
    fn by(step: &Step) -> Option<Self> {
        Some(match step {
            Step::Append(items) => {
                let (first, last) = (items.first()?, items.last()?);
                Self::Entries(first.id.index..last.id.index + 1)
            }
            Step::Vote(_) => Self::Vote,
            Step::Purge(_) => Self::Purged,
            Step::Commit(_) => Self::Committed,
            Step::Apply(_) => Self::Applied,
            Step::Build => Self::Snapshot { installed: false },
            Step::Install(_) => Self::Snapshot { installed: true },
            _ => return None,
        })
    }

    fn holds(&self, target: Target) -> bool {
        match (target, self) {
            (Target::Entry(index), Self::Entries(range)) => range.contains(&index),
            (Target::LastEntry, Self::Entries(_))
            | (Target::Vote, Self::Vote)
            | (Target::Snapshot, Self::Snapshot { .. })
            | (Target::Marker(Marker::Purged), Self::Purged)
            | (Target::Marker(Marker::Committed), Self::Committed)
            | (
                Target::Marker(Marker::Applied),
                Self::Applied | Self::Snapshot { installed: true },
            )
            | (Target::Marker(Marker::SnapshotMeta), Self::Snapshot { .. }) => true,
            _ => false,
        }
    }
}

/// What an author's hook does to a directory.
type Strike = Box<dyn Fn(&Path) -> Result<(), BoxError>>;

impl Target {
    /// The author's hook that does it.
    fn hook(self, hooks: &Hooks) -> Option<Strike> {
        macro_rules! by {
            ($hook:ident, $told:expr) => {{
                let hook = hooks.$hook.clone()?;
                Some(Box::new(move |dir| hook.call(dir, $told)))
            }};
        }
        match self {
            Self::Entry(index) => by!(damage_record, index),
            Self::LastEntry => by!(damage_last_record, ()),
            Self::Vote => by!(damage_vote, ()),
            Self::Snapshot => by!(damage_snapshot, ()),
            Self::Marker(marker) => by!(damage_marker, marker),
        }
    }

    /// Whether a store may have no such record.
    fn is_optional(self) -> bool {
        matches!(self, Self::Snapshot | Self::Marker(_))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entry(index) => write!(f, "the record of the entry at {index}"),
            Self::LastEntry => f.write_str("the last record"),
            Self::Vote => f.write_str("the vote"),
            Self::Snapshot => f.write_str("the snapshot"),
            Self::Marker(marker) => write!(f, "the marker {marker:?}"),
        }
    }
}

/// A closed store that something was done to.
pub(crate) struct Damaged<'l> {
    pub(crate) subject: Subject<'l>,
    /// Which bit, where that is known: what to put behind the name of what is damaged.
    pub(crate) bit: String,
    /// What is struck need not be the record: it was moved since, and all that was written from
    /// then on was taken for it.
    pub(crate) vague: bool,
}

impl<'l> Subject<'l> {
    /// Notes when a step was performed.
    pub(super) fn mark(&mut self, step: &Step, began: Moment) {
        if let Some(wrote) = Wrote::by(step).filter(|_| self.disk.is_watched()) {
            self.marks.push(Mark { wrote, during: began..self.disk.now() });
        }
    }

    /// Whether the author's hook does it, to one byte.
    pub(crate) fn has_hook(&self, target: Target) -> bool {
        target.hook(&self.lab.driver.hooks()).is_some()
    }

    /// Closes the store, damages it, and has each damage looked at. Inconclusive where there is no
    /// such record.
    pub(crate) async fn damage(
        &mut self,
        target: Target,
        look: impl AsyncFn(&mut Damaged<'l>) -> Verdict,
    ) -> Verdict {
        let lab = self.lab;
        lab.record.step("close");
        self.close().await?;
        if let Some(hook) = target.hook(&lab.driver.hooks()) {
            lab.record.step(format!("damage {target}"));
            return match hook(&self.dir) {
                Err(error) if target.is_optional() => {
                    lab.inconclusive(error.to_string());
                    Ok(())
                }
                Err(error) => Err(Failure::error("hook", error)),
                Ok(()) => {
                    look(&mut self.copied(self.disk.clone(), self.dir.clone(), "", false)).await
                }
            };
        }
        let (flips, vague) = self.flips(target)?;
        if flips.is_empty() {
            lab.inconclusive(format!("nothing in its files was written for {target}"));
        }
        let steps = lab.record.steps().len();
        for flip in flips {
            if lab.enough() {
                break;
            }
            lab.record.back_to(steps);
            lab.record.step(format!("damage {target}: flip {flip}"));
            let dir = lab.place();
            let disk = lab.power.flipped(&self.disk, &flip, &dir)?;
            look(&mut self.copied(disk, dir, &format!(", by {flip}"), vague)).await?;
        }
        Ok(())
    }

    fn copied(&self, disk: Disk, dir: PathBuf, bit: &str, vague: bool) -> Damaged<'l> {
        let mut subject = Subject::closed(self.lab, disk, dir, self.model.clone());
        subject.meta = self.meta.clone();
        Damaged { subject, bit: bit.to_owned(), vague }
    }

    /// What to flip, one after the other; and whether the record itself was moved since.
    fn flips(&self, target: Target) -> Result<(Vec<Flip>, bool), Failure> {
        let Some(mark) = self.marks.iter().rev().find(|mark| mark.wrote.holds(target)) else {
            let what = format!("the kit is wrong, please report it: {target} was never written");
            return Err(Failure::new(Kind::Kit, what, "", ""));
        };
        let count = self.lab.budget.pick(8, 41, u64::from(u32::MAX));
        let flips = self.disk.flips(mark.during.clone(), count)?;
        if !flips.is_empty() {
            return Ok((flips, false));
        }
        // Written later, as by a close, or moved, as by a purge.
        let since = mark.during.start..self.disk.now();
        Ok((self.disk.flips(since, count)?, true))
    }
}
