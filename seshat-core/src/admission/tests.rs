//! Every rule by itself, and all that can happen by them together.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod actions;
mod rules;
mod search;
mod stories;
mod world;

use rstest::rstest;

use super::*;
use search::{Found, transcript};
use world::{Budget, Fault, Mistake, Set, World};

/// How often each of these may happen.
fn budget(crashes: u8, campaigns: u8, writes: u8, changes: u8) -> Budget {
    Budget { crashes, restarts: 0, campaigns, writes, changes }
}

/// And so many restarts, of nodes that keep what a disk does.
fn restarts(restarts: u8, budget: Budget) -> Budget {
    Budget { restarts, ..budget }
}

/// Logs are sent whole, and only these nodes ask any more.
fn narrowed(mut world: World, askers: impl IntoIterator<Item = u8>) -> World {
    (world.askers, world.piecemeal) = (Set::of(askers), false);
    world
}

/// No two leaders by one vote, and nothing lost that was acknowledged, whatever happens in whatever
/// order: three nodes from the start and from when they are a cluster; five from where the faults of
/// the past began, as all that five can do is too much to go through.
#[rstest]
#[case::three_form(World::fresh(3, budget(0, 1, 0, 0)))]
#[case::three_change(World::formed(3, budget(1, 1, 0, 3)))]
#[case::three_elect_and_change(World::formed(3, budget(1, 2, 0, 2)))]
#[case::three_write(World::formed(3, budget(1, 1, 1, 1)))]
#[case::three_forget_twice(World::formed(3, budget(2, 1, 0, 2)))]
#[case::three_paused(World::paused_and_removed(budget(1, 1, 0, 1)))]
#[case::five_removed(narrowed(World::removed_behind_its_back(budget(0, 1, 0, 0)), 1..=5))]
#[case::five_added(narrowed(World::added_behind_the_leaders_back(budget(0, 1, 0, 0)), 1..=5))]
#[case::five_met(narrowed(World::met_by_those_who_wait(budget(0, 1, 0, 0)), [3]))]
#[case::five_late(narrowed(World::late_behind_their_backs(budget(0, 2, 0, 0)), 1..=5))]
#[case::three_paused_and_restart(World::paused_and_removed(restarts(1, budget(0, 1, 0, 1))))]
#[case::three_restart(World::formed(3, restarts(2, budget(0, 1, 1, 1))))]
#[case::three_forget_and_restart(World::formed(3, restarts(2, budget(1, 1, 0, 1))))]
#[case::three_write_and_restart(World::formed(3, restarts(1, budget(1, 1, 1, 1))))]
#[case::five_removed_restart(
    narrowed(World::removed_behind_its_back(restarts(1, budget(0, 1, 0, 0))), [3])
)]
#[case::five_late_restart(
    narrowed(World::late_behind_their_backs(restarts(1, budget(0, 1, 0, 0))), 1..=5)
)]
fn nothing_that_can_happen_is_a_fault(#[case] world: World) {
    let Found { states, fault } = world.search();
    println!("{states} states");
    let fault = fault.map(|(fault, path)| format!("{fault:?}\n{}", transcript(&path)));
    assert_eq!(fault.as_deref(), None);
    assert!(states > 100, "{states} states: there was nothing to search");
}

/// Each rule, broken: the search sees what comes of it, and how.
#[rstest]
#[case::votes(Mistake::VotesEarly, World::formed(3, budget(1, 1, 0, 1)))]
#[case::campaigns(Mistake::CampaignsEarly, World::formed(3, budget(1, 1, 0, 2)))]
#[case::old_membership(Mistake::EndsAsVoter, World::formed(3, budget(1, 1, 0, 2)))]
#[case::stale_leader(Mistake::ForgetsLeader, World::formed(3, budget(1, 1, 1, 1)))]
#[case::memory(Mistake::TakesBackTheForgetful, World::formed(3, budget(1, 1, 1, 0)))]
#[case::unconfirmed(
    Mistake::Unconfirmed,
    narrowed(World::added_behind_the_leaders_back(budget(0, 1, 0, 1)), [5])
)]
#[case::once(
    Mistake::HeardOnce,
    narrowed(World::met_by_those_who_wait(budget(0, 0, 0, 0)), [])
)]
#[case::late(
    Mistake::LateIsTrusted,
    narrowed(World::late_behind_their_backs(budget(0, 2, 0, 0)), 1..=5)
)]
#[case::restart(Mistake::ForgetsProbation, World::formed(3, restarts(1, budget(1, 1, 0, 1))))]
fn the_search_finds_what_a_rule_is_for(#[case] mistake: Mistake, #[case] mut world: World) {
    world.mistake = Some(mistake);
    let Found { states, fault } = world.search();
    let (fault, path) = fault.unwrap();
    println!("{mistake:?}: {fault:?}, after {states} states:\n{}", transcript(&path));
    assert_ne!(fault, Fault::TwoLeaders, "in these stories, something is lost");
}

/// What the rules have beyond that is for those who operate a cluster: it does no harm without.
#[rstest]
#[case::effective_only(Mistake::EffectiveOnly, World::formed(3, budget(1, 1, 1, 1)))]
#[case::together_first(Mistake::TogetherFirst, World::paused_and_removed(budget(1, 1, 0, 1)))]
fn what_is_not_for_safety(#[case] mistake: Mistake, #[case] mut world: World) {
    world.mistake = Some(mistake);
    let Found { states, fault } = world.search();
    println!("{mistake:?}: {states} states");
    let fault = fault.map(|(fault, path)| format!("{fault:?}\n{}", transcript(&path)));
    assert_eq!(fault.as_deref(), None);
}

/// How the fault of the past went, in full: two of three are removed, one of them starts again, and
/// the other, which doesn't know, asks it for its vote.
#[test]
fn the_shortest_way_to_a_stale_leader() {
    let mut world = World::formed(3, budget(1, 1, 0, 1));
    world.mistake = Some(Mistake::VotesEarly);
    let (fault, path) = world.search().fault.unwrap();
    assert_eq!(fault, Fault::Lost { index: 2 });
    insta::assert_snapshot!(transcript(&path), @"
    node 1 changes the members to {1, 2, 3} and {1}
    node 1 sends node 2 its log, 1 more
    node 2 starts again, with nothing
    node 2 asks node 1, is answered
    node 2 concludes
    node 3 campaigns
    node 3 asks 2 for its vote
    node 3 leads
    ");
}
