//! What is done to a store whose images are looked at.

use crate::history::{self, Choice, Kind};
use crate::lab::Lab;
use crate::model::{Model, Step};
use crate::story;

/// What to do next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    /// What makes sense now, of this kind.
    Choice(Choice),
    /// The leader appends so many.
    Append(u64),
}

impl From<Kind> for Plan {
    fn from(kind: Kind) -> Self {
        Self::Choice(kind.choice())
    }
}

impl Plan {
    /// The steps that it comes to now.
    pub(crate) fn steps(self, model: &Model) -> Vec<Step> {
        match self {
            Self::Choice(choice) => history::steps(model, choice),
            Self::Append(count) => {
                let leader = model.log.vote.map_or((0, 1), |vote| (vote.term, vote.node));
                let next = model.log.next_index();
                vec![Step::Append(story::entries(leader.0, leader.1, next, next + count))]
            }
        }
    }
}

/// Every kind of step, those of the log above all, with entries for more than a page.
pub(crate) fn of_the_log() -> Vec<Plan> {
    vec![
        Kind::Vote.into(),
        Kind::Elect.into(),
        Plan::Append(1),
        Plan::Append(9),
        Plan::Append(70),
        Kind::Commit.into(),
        Kind::Overwrite.into(),
        Plan::Append(2),
        Kind::ApplyAll.into(),
        Kind::Build.into(),
        Kind::Purge.into(),
        Plan::Append(3),
        Kind::Restart.into(),
        Kind::Members.into(),
        Kind::Truncate.into(),
        Kind::Elect.into(),
        Plan::Append(5),
        Kind::Install.into(),
        Plan::Append(2),
        Kind::PurgeAll.into(),
        Kind::Vote.into(),
    ]
}

/// Every kind of step, those of the state machine above all.
pub(crate) fn of_the_machine() -> Vec<Plan> {
    vec![
        Kind::Elect.into(),
        Plan::Append(20),
        Kind::Commit.into(),
        Kind::Apply.into(),
        Kind::ApplyAll.into(),
        Kind::Build.into(),
        Plan::Append(9),
        Kind::ApplyAll.into(),
        Kind::Build.into(),
        Kind::Purge.into(),
        Kind::InstallOnly.into(),
        Kind::Restart.into(),
        Plan::Append(9),
        Kind::InstallOwn.into(),
        Kind::ApplyAll.into(),
        Kind::Build.into(),
        Kind::PurgeAll.into(),
        Kind::Install.into(),
        Kind::Restart.into(),
    ]
}

const ANY: [Kind; 16] = [
    Kind::Vote,
    Kind::Append,
    Kind::Append,
    Kind::Overwrite,
    Kind::Members,
    Kind::Truncate,
    Kind::Commit,
    Kind::Apply,
    Kind::ApplyAll,
    Kind::Purge,
    Kind::PurgeAll,
    Kind::Build,
    Kind::Install,
    Kind::InstallOwn,
    Kind::InstallOnly,
    Kind::Restart,
];

/// The fixed one, and as many at random as the budget has.
pub(crate) fn plans(lab: &Lab, fixed: Vec<Plan>) -> Vec<Vec<Plan>> {
    let more = (0..lab.budget.pick(0, 3, 60)).map(|number| {
        let length = lab.budget.pick(0, 16, 40);
        let seed = lab.seed.wrapping_shl(16).wrapping_add(number);
        history::random(seed, &ANY, length).into_iter().map(Plan::Choice).collect()
    });
    std::iter::once(fixed).chain(more).collect()
}
