//! Histories by choice: whatever the numbers, what comes out is legal. So random numbers make
//! random histories, and fewer or smaller numbers make shorter ones.

use crate::model::{Ballot, Id, Item, Members, Model, Payload, Step};
use crate::words::{Command, Shape};

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Vote for somebody in a new term.
    Vote,
    /// A new leader is elected.
    Elect,
    /// The leader appends.
    Append,
    /// The leader appends, and goes on before it is flushed.
    Begin,
    /// All that was begun is flushed.
    Flush,
    /// A new leader truncates what isn't committed, in whole or in part, and appends.
    Overwrite,
    /// The leader appends a membership.
    Members,
    /// Truncate some of what isn't committed.
    Truncate,
    /// Commit some.
    Commit,
    /// Apply some of what is committed.
    Apply,
    /// Commit and apply everything.
    ApplyAll,
    /// Purge some of what is applied.
    Purge,
    /// Purge all of what is applied.
    PurgeAll,
    /// Build a snapshot.
    Build,
    /// Install a snapshot of another leader's, and purge up to it.
    Install,
    /// Install a snapshot of what the log holds, which keeps what follows, and purge.
    InstallOwn,
    /// Install a snapshot; the purge is still to come.
    InstallOnly,
    /// Close and open.
    Restart,
    /// Cut the power and open.
    CutPower,
}

/// A kind, and two numbers that say how much of it and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) kind: Kind,
    pub(crate) much: u16,
    pub(crate) which: u16,
}

impl Kind {
    /// Middling numbers.
    pub(crate) fn choice(self) -> Choice {
        Choice { kind: self, much: 5, which: 2 }
    }
}

/// The steps that a choice comes to now; none if it makes no sense now.
pub(crate) fn steps(model: &Model, choice: Choice) -> Vec<Step> {
    let Choice { kind, much, which } = choice;
    if matches!(kind, Kind::Restart) {
        let flush = model.unflushed.map(|_| Step::Flush);
        return flush.into_iter().chain([Step::Restart]).collect();
    }
    if matches!(kind, Kind::CutPower) {
        return vec![Step::CutPower];
    }
    let mut now = Now { model: model.clone(), steps: Vec::new(), which };
    // openraft purges right after an install; nothing else but a restart comes between.
    now.purge_installed();
    now.choose(kind, u64::from(much));
    now.steps
}

/// Plans on a copy of the oracle, so that each step is legal after those before it.
struct Now {
    model: Model,
    steps: Vec<Step>,
    which: u16,
}

impl Now {
    fn choose(&mut self, kind: Kind, much: u64) {
        match kind {
            Kind::Vote => self.vote(self.term() + 1, false),
            Kind::Elect => self.vote(self.term() + 1, true),
            Kind::Append => self.append(1 + much % 9),
            Kind::Begin => {
                self.elect_first();
                let items = self.items(self.next_id(), 1 + much % 4);
                self.plan(Step::Begin(items));
            }
            Kind::Flush => self.plan(Step::Flush),
            Kind::Overwrite => {
                self.truncate(much);
                self.vote(self.term() + 1, true);
                self.append(1 + much % 7);
            }
            Kind::Members => {
                self.elect_first();
                let payload = Payload::Members(self.members());
                let id = match self.next_id() {
                    Id { index: 0, .. } => Id::FIRST,
                    id => id,
                };
                self.plan(Step::Append(vec![Item { id, payload }]));
            }
            Kind::Truncate => self.truncate(much),
            Kind::Commit => self.commit(1 + much % 6),
            Kind::Apply => self.apply(1 + much % 6),
            Kind::ApplyAll => {
                self.commit(u64::MAX);
                self.apply(u64::MAX);
            }
            Kind::Purge => self.purge(1 + much % 6),
            Kind::PurgeAll => self.purge(u64::MAX),
            Kind::Build => self.plan(Step::Build),
            Kind::Install => {
                self.install(1 + much % 12);
                self.purge_installed();
            }
            Kind::InstallOwn => {
                self.install_own(much);
                self.purge(u64::MAX);
            }
            Kind::InstallOnly => self.install(1 + much % 12),
            Kind::Restart | Kind::CutPower => {}
        }
    }

    /// Takes the step if it is legal; what isn't makes no sense now.
    fn plan(&mut self, step: Step) {
        if self.model.perform(&step).is_ok() {
            self.steps.push(step);
        }
    }

    fn term(&self) -> u64 {
        let vote = self.model.log.vote.map_or(0, |vote| vote.term);
        let last = self.model.log.last().map_or(0, |id| id.term);
        let applied = self.model.applied_id().map_or(0, |id| id.term);
        vote.max(last).max(applied)
    }

    fn vote(&mut self, term: u64, committed: bool) {
        let node = 1 + u64::from(self.which % 3);
        self.plan(Step::Vote(Ballot { term, node, committed }));
    }

    /// A leader writes only when it is one, and after the entries of leaders before it.
    fn elect_first(&mut self) {
        let last = self.model.log.last().map_or((0, 0), |id| (id.term, id.node));
        let leads = self.model.log.vote.is_some_and(|v| v.committed && (v.term, v.node) >= last);
        if !leads {
            self.vote(self.term() + 1, true);
        }
    }

    fn flush_first(&mut self) {
        if self.model.unflushed.is_some() {
            self.plan(Step::Flush);
        }
    }

    fn next_id(&self) -> Id {
        let vote = self.model.log.vote;
        let (term, node) = vote.map_or((0, 1), |vote| (vote.term, vote.node));
        Id { term, node, index: self.model.log.next_index() }
    }

    fn members(&self) -> Members {
        match self.which % 4 {
            0 => Members::new(&[1, 2, 3], &[]),
            1 => Members::new(&[1, 2, 3], &[4]),
            2 => Members::joint(&[&[1, 2, 3], &[2, 3, 4]], &[5]),
            _ => Members::new(&[2, 3, 4], &[]),
        }
    }

    fn payload(&self, id: Id) -> Payload {
        match (id.index, (id.index + u64::from(self.which)) % 7) {
            (0, _) => Payload::Members(Members::new(&[1, 2, 3], &[])),
            (_, 3) => Payload::Blank,
            (_, 5) => Payload::Members(self.members()),
            _ => {
                let n = id.index + 1_000 * (id.term % 1_000);
                Payload::Command(Command { n, shape: Shape::Plain })
            }
        }
    }

    fn items(&self, first: Id, count: u64) -> Vec<Item> {
        let id = |place| match first.index + place {
            0 => Id::FIRST,
            index => Id { index, ..first },
        };
        (0..count).map(|n| Item { id: id(n), payload: self.payload(id(n)) }).collect()
    }

    fn append(&mut self, count: u64) {
        self.elect_first();
        let items = self.items(self.next_id(), count);
        self.plan(Step::Append(items));
    }

    fn truncate(&mut self, much: u64) {
        let first = (self.model.committed_count() as u64).max(self.model.log.first_index());
        let first = first.max(1);
        let open = self.model.log.next_index().saturating_sub(first);
        if open > 0 {
            self.plan(Step::Truncate(first + much % open));
        }
    }

    fn commit(&mut self, count: u64) {
        let end = self.model.unflushed.unwrap_or(u64::MAX).min(self.model.log.next_index());
        let last = end.checked_sub(1);
        let upto = (self.model.committed_count() as u64).saturating_add(count - 1);
        if let Some(last) = last {
            self.plan(Step::Commit(upto.min(last)));
        }
    }

    fn apply(&mut self, count: u64) {
        let open = self.model.committed_count() - self.model.applied;
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(open);
        self.plan(Step::Apply(count));
    }

    /// Of what is applied; a snapshot of it comes first, where there is none.
    fn purge(&mut self, count: u64) {
        let upto = usize::try_from(self.model.log.first_index().saturating_add(count));
        let upto = upto.unwrap_or(usize::MAX).min(self.model.applied);
        if self.model.snapshot.is_none_or(|snapshot| snapshot.covers < upto) {
            self.plan(Step::Build);
        }
        let id = self.model.covered_id(upto).filter(|id| Some(*id) > self.model.log.purged);
        if let Some(id) = id {
            self.plan(Step::Purge(id));
        }
    }

    /// A snapshot of a later leader, which goes beyond what is committed here. What isn't
    /// committed here is not in it, so openraft truncates that first where the two collide.
    fn install(&mut self, more: u64) {
        self.flush_first();
        let committed = self.model.committed_count() as u64;
        self.vote(self.term() + 1, true);
        let node = 1 + u64::from(self.which % 3);
        let applied = self.model.applied as u64;
        // The first entry is the same everywhere, committed here or not.
        let mut items = self.model.log.range(applied, committed.max(1));
        let first = Id { term: self.term(), node, index: applied + items.len() as u64 };
        items.extend(self.items(first, more));
        let last = items.last().map_or(0, |item| item.id.index);
        if self.model.log.get(last).is_some() {
            self.plan(Step::Truncate(committed.max(1)));
        }
        self.plan(Step::Install(items));
    }

    /// A snapshot of what the log holds, beyond what is committed here but committed elsewhere.
    fn install_own(&mut self, much: u64) {
        self.flush_first();
        let applied = self.model.applied as u64;
        let committed = self.model.committed_count() as u64;
        let open = self.model.log.next_index().saturating_sub(committed);
        if open > 0 {
            let items = self.model.log.range(applied, committed + 1 + much % open);
            self.plan(Step::Install(items));
        }
    }

    fn purge_installed(&mut self) {
        let last = self.model.log.last();
        if let Some(id) = self.model.applied_id().filter(|id| last < Some(*id)) {
            self.plan(Step::Purge(id));
        }
    }
}

/// Choices at random, the same for the same seed.
pub(crate) fn random(seed: u64, kinds: &[Kind], length: usize) -> Vec<Choice> {
    let mut state = seed;
    // SplitMix64.
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let choice = || {
        let number = next();
        let kind = kinds.get((number >> 32) as usize % kinds.len().max(1))?;
        Some(Choice { kind: *kind, much: number as u16 % 32, which: (number >> 16) as u16 % 8 })
    };
    std::iter::repeat_with(choice).map_while(|choice| choice).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_history_and_another_makes_another() {
        let kinds = [Kind::Vote, Kind::Append, Kind::Build];
        let one = random(1, &kinds, 40);
        assert_eq!(one.len(), 40);
        assert_eq!(one, random(1, &kinds, 40));
        assert_ne!(one, random(2, &kinds, 40));
        assert!(kinds.iter().all(|kind| one.iter().any(|choice| choice.kind == *kind)));
        assert!(random(1, &[], 40).is_empty());
    }
}
