//! [`causes`]: which failures explain the others, so that one fault is named once.
//!
//! No fault is known here, and no check: what is gone by is what a failure itself tells. Its *place*
//! is the call whose answer was wrong, and the last thing done before. A failure is *at home* in a
//! check that is about that place, by the words of its id. A check that fails elsewhere met what
//! another is about: it is explained by that one. Of those at home the one that relies on the
//! fewest kinds of step speaks for all that rely on as much.

mod place;

use crate::failure::{Failure, Kind};
use crate::outcome::{CheckResult, Outcome};
use crate::spec::Level;

use self::place::{About, Place};

/// What is wrong, as far as can be told from what failed.
#[derive(Debug, Clone)]
pub struct Cause<'r> {
    /// The smallest check that fails for it.
    pub result: &'r CheckResult,
    /// Other checks that fail where this one does, in the order of the report.
    pub explains: Vec<&'r CheckResult>,
}

/// A failure and what is told from it.
struct Suspect<'r> {
    result: &'r CheckResult,
    failure: &'r Failure,
    place: Place,
    /// Whether its check is about that place, or met what another is about.
    fits: bool,
    /// In the order of the report.
    number: usize,
}

impl<'r> Suspect<'r> {
    fn of(number: usize, result: &'r CheckResult) -> Option<Self> {
        let Outcome::Failed(failure) = &result.outcome else { return None };
        if failure.kind.is_beside_the_store() {
            return None;
        }
        let place = Place::of(failure);
        let fits = About::of(result.spec.id).fits(&place);
        Some(Self { result, failure, place, fits, number })
    }

    /// Whether it can speak for others.
    fn is_at_home(&self) -> bool {
        self.fits && !self.is_late() && self.failure.kind != Kind::NotTried
    }

    /// A check that ran out of time says nothing of the call that was under way by then.
    fn is_late(&self) -> bool {
        self.failure.kind == Kind::Hang && self.failure.what.starts_with("did not end")
    }

    /// The least comes first.
    fn relies_on(&self) -> impl Ord + use<> {
        let tried = self.failure.kind != Kind::NotTried;
        let family = family_rank(self.result.spec.family());
        let size = (self.place.size(), self.place.is_range(), self.number);
        // A call that takes long may be the machine's fault, a wrong answer is none. What fails a
        // run is not explained by what doesn't.
        let hangs = self.failure.kind == Kind::Hang;
        (!tried, self.is_late(), !self.is_at_home(), hangs, self.weight(), family, size)
    }

    fn explains(&self, other: &Self) -> bool {
        // What fails a run, and is at home nowhere, is not explained by what doesn't fail it.
        let outweighed = self.weight() > other.weight() && !other.is_at_home();
        !outweighed && self.place.lies_behind(&other.place)
    }

    fn weight(&self) -> u8 {
        match self.result.spec.level {
            Level::Must => 0,
            Level::Should => 1,
            Level::May => 2,
        }
    }

    /// What a cluster loses most by comes first: what is wrong and nobody sees, before what
    /// stops a node; votes and entries before what can be made of them again.
    fn loss(&self) -> impl Ord + use<> {
        (
            self.weight(),
            self.failure.kind != Kind::Broken,
            self.place.part.is_none(),
            self.place.part,
        )
    }
}

/// From the parts of a store to all of it at once.
fn family_rank(family: &str) -> usize {
    const FAMILIES: [&str; 14] = [
        "log",
        "callback",
        "vote",
        "committed",
        "machine",
        "snapshot",
        "reopen",
        "crash",
        "disk",
        "concurrency",
        "wire",
        "model",
        "cluster",
        "suite",
    ];
    FAMILIES.iter().position(|known| *known == family).unwrap_or(FAMILIES.len())
}

/// The causes of what failed in a run, what a cluster loses most by first. Every failure of the
/// store is one or is explained by one.
pub fn causes(results: &[CheckResult]) -> Vec<Cause<'_>> {
    let failed = results.iter().enumerate().filter_map(|(n, result)| Suspect::of(n, result));
    let mut suspects: Vec<Suspect<'_>> = failed.collect();
    suspects.sort_by_key(Suspect::relies_on);
    let mut groups: Vec<Vec<Suspect<'_>>> = Vec::new();
    for suspect in suspects {
        let explains =
            |group: &Vec<Suspect<'_>>| group.first().is_some_and(|cause| cause.explains(&suspect));
        let explained = groups.iter().position(explains);
        // What is not at home goes with the smallest, where nothing else explains it.
        match groups.get_mut(explained.unwrap_or_default()) {
            Some(group) if explained.is_some() || !suspect.is_at_home() => group.push(suspect),
            _ => groups.push(vec![suspect]),
        }
    }
    groups.sort_by_key(|group| group.first().map(Suspect::loss));
    let mut groups = joined(groups);
    groups.retain(|group| !group.is_empty());
    groups.into_iter().filter_map(cause).collect()
}

/// So many parts of a store don't go wrong by themselves in one step.
const PARTS: usize = 3;

/// What that many parts lose in the same step is lost by the step: one cause, the first.
fn joined<'r>(mut groups: Vec<Vec<Suspect<'r>>>) -> Vec<Vec<Suspect<'r>>> {
    // What is cut off from power is started again.
    let step = |group: &[Suspect<'r>]| {
        let step = group.first().and_then(|cause| cause.place.step);
        step.map(|step| if step == "cut" { "restart" } else { step })
    };
    for number in 0..groups.len() {
        let Some((first, rest)) = groups.get_mut(number..).and_then(<[_]>::split_first_mut) else {
            break;
        };
        let Some(last) = step(first) else { continue };
        let mut same: Vec<_> = rest.iter_mut().filter(|group| step(group) == Some(last)).collect();
        if same.len() + 1 >= PARTS {
            same.iter_mut().for_each(|group| first.append(group));
        }
    }
    groups
}

fn cause(mut group: Vec<Suspect<'_>>) -> Option<Cause<'_>> {
    let first = (!group.is_empty()).then(|| group.remove(0))?;
    group.sort_by_key(|suspect| suspect.number);
    let explains = group.into_iter().map(|suspect| suspect.result).collect();
    Some(Cause { result: first.result, explains })
}

#[cfg(test)]
mod tests;
