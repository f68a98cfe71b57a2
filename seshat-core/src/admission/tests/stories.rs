//! Worlds in which much has happened already, all of it by the rules.

use super::world::*;

impl World {
    /// After these steps, each of which can happen, though not all within the budget.
    fn told(self, steps: impl IntoIterator<Item = Action>) -> Self {
        steps.into_iter().fold(self, |world, step| world.after(step).unwrap())
    }

    /// The same, then everything that `leader` has is sent to each of `followers`.
    fn sent(self, leader: u8, followers: &[u8]) -> Self {
        followers.iter().fold(self, |world, follower| {
            let (from, to) = (world.node(leader), world.node(*follower));
            let lacks = from.log.len() - from.matches(to);
            world.told([Action::Replicate(leader, *follower, lacks)])
        })
    }

    /// `leader` makes `voters` the members, with the help of `quorum`.
    fn changed(self, leader: u8, voters: &[u8], quorum: &[u8]) -> Self {
        let (voters, before) = (Set::of(voters.iter().copied()), self.node(leader).config());
        let to = Config { before: before.unwrap().voters, ..Config::of(voters) };
        let stay: Vec<u8> = quorum.iter().copied().filter(|id| voters.has(*id)).collect();
        self.told([Action::Change(leader, to)]).sent(leader, quorum).sent(leader, &stay)
    }

    /// Each of `ids` asks each of `others`.
    fn asked(self, ids: &[u8], others: &[u8]) -> Self {
        let pairs = ids.iter().flat_map(|id| others.iter().map(move |other| (*id, *other)));
        let asked = pairs.filter(|(id, other)| id != other);
        self.told(asked.map(|(id, other)| Action::Ask(id, other)).collect::<Vec<_>>())
    }

    fn crashed(self, ids: &[u8]) -> Self {
        self.told(ids.iter().map(|id| Action::Crash(*id)))
    }

    fn concluded(self, ids: &[u8]) -> Self {
        self.told(ids.iter().map(|id| Action::Conclude(*id)))
    }

    fn elected(self, id: u8, voters: &[u8]) -> Self {
        let votes = voters.iter().map(|voter| Action::RequestVote(id, *voter));
        let steps = std::iter::once(Action::Campaign(id)).chain(votes);
        self.told(steps.chain([Action::Win(id)])).sent(id, voters)
    }

    fn with(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Enough for any story.
    const PLENTY: Budget =
        Budget { crashes: 20, restarts: 0, campaigns: 20, writes: 20, changes: 20 };

    /// Node 5 of five was cut off, then 3 and 4 were removed, and have started again.
    pub(super) fn removed_behind_its_back(budget: Budget) -> Self {
        let world = Self::formed(5, Self::PLENTY).changed(1, &[1, 2, 5], &[2, 3]);
        world.crashed(&[3, 4]).with(budget)
    }

    /// Node 1 led while 5 was removed, and still takes itself for the leader: 2 leads, and has added 5
    /// again, which acknowledged what 4 lacks, and has started once more.
    pub(super) fn added_behind_the_leaders_back(budget: Budget) -> Self {
        let world = Self::formed(5, Self::PLENTY).changed(1, &[1, 2, 3, 4], &[2, 3, 4]);
        let world = world.sent(1, &[2, 3, 4]).crashed(&[5]).asked(&[5], &[1]).concluded(&[5]);
        let world = world.elected(2, &[3, 4]);
        let learners = Set::of([5]);
        let learns = Config { learners, ..Config::of(Set::of([1, 2, 3, 4])) };
        let world = world.told([Action::Change(2, learns)]).sent(2, &[3, 4, 5]).sent(2, &[3, 4, 5]);
        let world = world.changed(2, &[1, 2, 3, 4, 5], &[3, 4, 5]).sent(2, &[3, 4, 5]);
        world.told([Action::Write(2)]).sent(2, &[3, 5]).crashed(&[5]).with(budget)
    }

    /// Nodes 3, 4 and 5 were removed, have started again, and never reached a leader. Node 2 was
    /// removed, started again, was added, and led; then 1 was removed, and started again. Each met
    /// 3, 4 and 5 while it had forgotten everything.
    pub(super) fn met_by_those_who_wait(budget: Budget) -> Self {
        let waiting = [3, 4, 5];
        let world = Self::formed(5, Self::PLENTY).changed(1, &[1, 2], &[2, 3]).crashed(&waiting);
        let world = world.asked(&waiting, &waiting).changed(1, &[1], &[2]).crashed(&[2]);
        let world = world.asked(&waiting, &[2]).asked(&[2], &waiting).asked(&[2], &[1]);
        let learns = Config { learners: Set::of([2]), ..Config::of(Set::of([1])) };
        let world = world.concluded(&[2]).told([Action::Change(1, learns)]).sent(1, &[2]);
        let world = world.changed(1, &[1, 2], &[2]).sent(1, &[2]).elected(2, &[1]);
        let world = world.changed(2, &[2], &[1]).crashed(&[1]);
        world.asked(&waiting, &[1]).asked(&[1], &waiting).with(budget)
    }

    /// Five that are new. Node 3 knows that it may form the cluster, but is slow; the others have
    /// formed it without 3. Node 1 was part of it, started again, and 3 heard of it. Node 2 leads;
    /// 4 and 5 were removed, but are cut off, and 3 is there at last.
    pub(super) fn late_behind_their_backs(budget: Budget) -> Self {
        let all = [1, 2, 3, 4, 5];
        let world = Self::fresh(5, Self::PLENTY).asked(&all, &all).concluded(&all);
        let world = world.asked(&all, &all).concluded(&all).asked(&all, &all);
        let world = world.concluded(&[1, 2, 4, 5]).told([
            Action::Initialize(2),
            Action::RequestVote(2, 1),
            Action::RequestVote(2, 4),
            Action::Win(2),
        ]);
        let world = world.sent(2, &[1, 4, 5]);
        let to = Config { before: Set::of(all), ..Config::of(Set::of([1, 2, 3])) };
        let world = world.told([Action::Change(2, to)]).sent(2, &[1]).crashed(&[1]);
        let world = world.asked(&[1], &[3]).concluded(&[3]).sent(2, &[3]).sent(2, &[3]);
        world.with(budget)
    }

    /// Three that are new, of which 3 knows that it may form the cluster, but was paused: 1 and 2 have
    /// formed it, and removed 3.
    pub(super) fn paused_and_removed(budget: Budget) -> Self {
        let all = [1, 2, 3];
        let world = Self::fresh(3, Self::PLENTY).asked(&all, &all).concluded(&all);
        let world = world.asked(&all, &all).concluded(&all).asked(&[1, 2], &all);
        let world = world.concluded(&[1, 2]).told([
            Action::Initialize(1),
            Action::RequestVote(1, 2),
            Action::Win(1),
        ]);
        world.sent(1, &[2]).changed(1, &[1, 2], &[2]).sent(1, &[2]).with(budget)
    }
}
