//! Changes of the membership that are asked for at once, given up, or overtaken by events: each goes to
//! its end, and no cluster stays joint.
//!
//! Time is paused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/futures.rs"]
mod futures;

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use futures::{give_up_after, poll_once};
use rstest::rstest;
use seshat_core::error::{HandoverError, MembershipError};
use seshat_core::network::switchboard::Faults;
use seshat_core::node::{Handover, RaftNode};
use seshat_core::types::RaftMetrics;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Less than the others wait before they elect somebody.
const PROMPT: Duration = Duration::from_millis(400);

/// The only voters of a configuration that isn't joint.
fn uniform(now: &RaftMetrics) -> Option<BTreeSet<u64>> {
    match &now.membership_config.membership().get_joint_config()[..] {
        [voters] => Some(voters.clone()),
        _ => None,
    }
}

/// Waits until node `id` knows `voters` to be the voters, in a configuration that isn't joint.
async fn wait_for_voters(cluster: &Cluster, id: u64, voters: &BTreeSet<u64>) {
    let known = |now: &RaftMetrics| uniform(now).as_ref() == Some(voters);
    cluster.nodes[&id].wait_until(PATIENCE, "those voters", known).await.unwrap();
}

fn members(node: &RaftNode) -> BTreeSet<u64> {
    node.metrics().borrow().membership_config.nodes().map(|(id, _)| *id).collect()
}

/// Three voters, and learners.
async fn with_learners(learners: impl IntoIterator<Item = u64>) -> (Cluster, RaftNode) {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for id in learners {
        cluster.start_node(id).await;
        leader.add_learner(id, format!("node-{id}")).await.unwrap();
    }
    (cluster, leader)
}

/// Every message takes so long.
fn slow(cluster: &Cluster, delay: Duration) {
    let faults = Faults { delay_min: delay, delay_max: delay, ..Faults::default() };
    for from in cluster.ids() {
        for to in cluster.ids() {
            cluster.switchboard.set_faults(from, to, faults);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_changes_at_once_none_is_lost() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let mut changes = JoinSet::new();
    for id in 4..=8 {
        cluster.start_node(id).await;
        let leader = leader.clone();
        changes.spawn(async move {
            leader.add_learner(id, format!("node-{id}")).await.unwrap();
            leader.add_voters([id].into()).await.unwrap();
        });
    }
    changes.join_all().await;
    wait_for_voters(&cluster, leader.id(), &(1..=8).collect()).await;

    let mut changes = JoinSet::new();
    let others = cluster.others(leader.id());
    for (id, retain) in others.iter().take(4).copied().zip([true, false, true, false]) {
        let leader = leader.clone();
        changes.spawn(async move { leader.remove_voters([id].into(), retain).await.unwrap() });
    }
    changes.join_all().await;
    let left: BTreeSet<u64> = others[4..].iter().copied().chain([leader.id()]).collect();
    wait_for_voters(&cluster, leader.id(), &left).await;
    let retained = [others[0], others[2]];
    assert_eq!(members(&leader), left.iter().copied().chain(retained).collect());
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_is_no_member_whatever_was_done_before() {
    let (cluster, leader) = with_learners([4]).await;
    let voter = cluster.follower_of(&leader).id();
    leader.remove_voters([voter].into(), true).await.unwrap();
    assert!(members(&leader).contains(&voter));
    // A learner, one that was one before, and one that never was any.
    leader.remove_voters([4, voter, 99].into(), false).await.unwrap();
    assert_eq!(members(&leader).len(), 2);
    leader.remove_voters([4, voter].into(), false).await.unwrap();
    assert_eq!(members(&leader).len(), 2);

    let all = members(&leader);
    let refused = leader.remove_voters(all.clone(), false).await.unwrap_err();
    assert!(matches!(refused, MembershipError::Refused(_)), "{refused}");
    let refused = leader.add_voters([99].into()).await.unwrap_err();
    assert!(matches!(refused, MembershipError::Refused(_)), "{refused}");
    assert_eq!(members(&leader), all);
    leader.set("k", "v").await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_waits_for_the_one_before_but_not_for_ever() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let timeout = leader.config().propose_timeout();
    cluster.switchboard.isolate(&leader.id());
    let [one, another] = cluster.others(leader.id())[..] else { unreachable!() };
    let stuck = leader.remove_voters([one].into(), false);
    let behind = leader.remove_voters([another].into(), false);
    let started = Instant::now();
    let (stuck, behind) = tokio::join!(stuck, behind);
    assert_eq!(stuck, Err(MembershipError::NoQuorum { waited: timeout }));
    assert_eq!(behind, Err(MembershipError::Busy { waited: timeout }));
    assert_eq!(started.elapsed(), timeout);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_before_the_turn_has_changed_nothing() {
    let (cluster, leader) = with_learners([4, 5]).await;
    slow(&cluster, Duration::from_millis(5));
    let mut first = Box::pin(leader.add_voters([4].into()));
    let mut second = Box::pin(leader.add_voters([5].into()));
    let appended = leader.metrics().borrow().last_log_index;
    tokio::select! {
        biased;
        _ = &mut first => panic!("it takes a while"),
        _ = &mut second => panic!("it waits"),
        joint = leader.wait_until(PATIENCE, "it", |now| now.last_log_index > appended) => drop(joint),
    }
    drop(second);
    first.await.unwrap();
    leader.add_voters([4].into()).await.unwrap();
    assert_eq!(uniform(&leader.metrics().borrow()), Some([1, 2, 3, 4].into()));
    cluster.shutdown().await;
}

/// With nobody left joint, and none who was to go left as a learner: it takes three entries to remove one
/// who votes and one who learns.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_given_up_is_made_whole_or_not_at_all() {
    let (mut made, mut not_made) = (0, 0);
    for polls in 1..=4 {
        let (cluster, leader) = with_learners([4]).await;
        slow(&cluster, Duration::from_millis(5));
        let voter = cluster.follower_of(&leader).id();
        let gone = BTreeSet::from([4, voter]);
        let mut change = Box::pin(leader.remove_voters(gone.clone(), false));
        assert_ne!(give_up_after(polls, &mut change).await, Some(Ok(())), "it was to take a while");
        drop(change);
        // Behind it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        leader.add_voters([leader.id()].into()).await.unwrap();
        let left = members(&leader);
        assert_eq!(uniform(&leader.metrics().borrow()).unwrap().len(), left.len().min(3));
        match left.len() {
            4 => not_made += 1,
            2 => made += 1,
            _ => panic!("after {polls} polls {left:?} are left"),
        }
        cluster.shutdown().await;
        if made > 0 {
            break;
        }
    }
    assert!(made > 0, "not made at all {not_made} times");
}

/// By a caller of openraft itself.
#[tokio::test(start_paused = true)]
async fn what_somebody_left_joint_is_ended() {
    let (cluster, leader) = with_learners([4]).await;
    slow(&cluster, Duration::from_millis(5));
    let gone = cluster.follower_of(&leader).id();
    let voters: BTreeSet<u64> = (1..=4).filter(|id| *id != gone).collect();
    let mut change = Box::pin(leader.raft().change_membership(voters.clone(), false));
    assert!(poll_once(&mut change).await.is_pending());
    drop(change);
    for id in cluster.ids() {
        wait_for_voters(&cluster, id, &voters).await;
    }
    assert!(members(&leader).contains(&gone), "retained");
    leader.remove_voters([gone].into(), false).await.unwrap();
    assert_eq!(members(&leader), voters);
    cluster.shutdown().await;
}

/// Between any two messages of a change, so also between its two entries.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_leaves_no_joint_configuration(
    #[values(1, 15, 25, 35, 45, 55, 65, 75)] moment: u64,
) {
    let (mut cluster, leader) = with_learners([4, 5]).await;
    slow(&cluster, Duration::from_millis(10));
    let before: BTreeSet<u64> = [1, 2, 3].into();
    let after: BTreeSet<u64> = (2..=5).chain([leader.id()]).collect();
    let changing = (leader.clone(), after.clone());
    let change = tokio::spawn(async move { changing.0.change_membership(changing.1, true).await });
    tokio::time::sleep(Duration::from_millis(moment)).await;
    cluster.kill(leader.id()).await;
    let answered = change.await.unwrap();

    let new = cluster.leader().await;
    let settled = new.wait_until(PATIENCE, "an end", |now| uniform(now).is_some()).await.unwrap();
    let voters = uniform(&settled).unwrap();
    assert!(voters == before || voters == after, "{voters:?}");
    if answered.is_ok() {
        assert_eq!(voters, after);
    }
    for id in cluster.ids() {
        wait_for_voters(&cluster, id, &voters).await;
    }
    new.set("k", "v").await.unwrap();
    cluster.shutdown().await;
}

/// The entry of a deposed leader that gets no answer: a snapshot took its place.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_never_answered_holds_nothing_up() {
    let (cluster, old) = with_learners([4]).await;
    cluster.switchboard.isolate(&old.id());
    let others: Vec<u64> = [1, 2, 3].into_iter().filter(|id| *id != old.id()).collect();
    let (changing, lost) = (old.clone(), others[0]);
    let lost = tokio::spawn(async move { changing.remove_voters([lost].into(), false).await });
    let new = cluster.leader_among(&others).await;
    for i in 0..50 {
        new.set(format!("{i}"), "v").await.unwrap();
    }
    let last = new.last_applied().unwrap();
    new.trigger_snapshot().await.unwrap();
    new.wait_until(PATIENCE, "it", |now| now.snapshot >= Some(last)).await.unwrap();
    new.trigger_purge(last.index).await.unwrap();
    new.wait_until(PATIENCE, "a purge", |now| now.purged == Some(last)).await.unwrap();
    cluster.switchboard.heal();
    old.wait_until(PATIENCE, "it", |now| now.snapshot >= Some(last)).await.unwrap();
    match lost.await.unwrap() {
        Err(MembershipError::Deposed { leader }) => assert_eq!(leader.unwrap().id, new.id()),
        other => panic!("{other:?}"),
    }

    // It leads again, and has its turn.
    cluster.switchboard.isolate(&new.id());
    let may_lead: Vec<u64> = others.into_iter().chain([old.id()]).collect();
    while !old.is_leader() {
        old.trigger_election().await.unwrap();
        tokio::time::sleep(old.config().election_timeout_max()).await;
    }
    cluster.switchboard.heal();
    assert_eq!(cluster.leader_among(&may_lead).await.id(), old.id());
    old.add_voters([4].into()).await.unwrap();
    assert_eq!(uniform(&old.metrics().borrow()), Some((1..=4).collect()));
    cluster.shutdown().await;
}

/// How a leader loses its vote.
type Loses = fn(RaftNode, BTreeSet<u64>) -> futures::Boxed<Result<(), MembershipError>>;

const REMOVED: Loses =
    |leader, _| Box::pin(async move { leader.remove_voters([leader.id()].into(), false).await });
const LEFT_OUT: Loses =
    |leader, others| Box::pin(async move { leader.change_membership(others, false).await });
const RETAINED: Loses =
    |leader, others| Box::pin(async move { leader.change_membership(others, true).await });

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_leader_that_loses_its_vote_hands_over_at_once(
    #[values(REMOVED, LEFT_OUT, RETAINED)] loses: Loses,
    #[values(true, false)] shuts_down: bool,
    #[values(3, 5)] size: u64,
) {
    let cluster = Cluster::start(size).await;
    let leader = cluster.leader().await;
    let term = leader.metrics().borrow().current_term;
    leader.set("before", "1").await.unwrap();
    let others = cluster.others(leader.id());
    let started = Instant::now();
    loses(leader.clone(), others.iter().copied().collect()).await.unwrap();
    if shuts_down {
        assert_eq!(leader.shutdown().await, Handover::NotLeading);
    }
    let new = cluster.leader_among(&others).await;
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    assert_eq!(new.metrics().borrow().current_term, term + 1, "nobody campaigned");
    assert!(!leader.is_leader());
    assert_eq!(new.read_linearizable(b"before").await.unwrap().as_deref(), Some(&b"1"[..]));
    new.set("after", "2").await.unwrap();
    if !shuts_down {
        assert_eq!(leader.shutdown().await, Handover::NotLeading);
    }
    cluster.shutdown().await;
}

/// It is no member when it shuts down, though it leads: nobody tells it that another does.
#[tokio::test(start_paused = true)]
async fn a_leader_that_was_removed_behind_its_back_hands_over_as_any() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let others = cluster.others(leader.id());
    let voters: BTreeSet<u64> = others.iter().copied().collect();
    leader.raft().change_membership(voters, false).await.unwrap();
    let started = Instant::now();
    let Handover::To(successor) = leader.shutdown().await else { panic!("nobody took over") };
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    assert_eq!(cluster.leader_among(&others).await.id(), successor);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_is_removed_under_load_and_nothing_is_lost() {
    let cluster = Cluster::start(3).await;
    slow(&cluster, Duration::from_millis(3));
    let leader = cluster.leader().await;
    let others = cluster.others(leader.id());
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let leader = leader.clone();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for i in 0.. {
                let key = format!("{writer}/{i}");
                match leader.set(key.clone(), "v").await {
                    Ok(_) => acknowledged.push(key),
                    Err(_) => break,
                }
            }
            acknowledged
        });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    leader.remove_voters([leader.id()].into(), false).await.unwrap();
    let started = Instant::now();
    let new = cluster.leader_among(&others).await;
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    let acknowledged: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    assert!(acknowledged.len() > 8, "{}", acknowledged.len());
    for key in &acknowledged {
        assert!(new.read_linearizable(key.as_bytes()).await.unwrap().is_some(), "{key} is lost");
    }
    cluster.shutdown().await;
}

/// The change isn't taken back, and the leader stops all the same.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_the_change_under_way() {
    let (cluster, leader) = with_learners([4]).await;
    slow(&cluster, Duration::from_millis(20));
    let mut change = Box::pin(leader.add_voters([4].into()));
    assert!(give_up_after(3, &mut change).await.is_none());
    let (changed, handover) = tokio::join!(change, leader.shutdown());
    changed.unwrap();
    assert!(matches!(handover, Handover::To(_)), "{handover:?}");
    let late = leader.add_voters([4].into()).await.unwrap_err();
    assert!(matches!(late, MembershipError::Stopped(_)), "{late}");
    let others = cluster.others(leader.id());
    let new = cluster.leader_among(&others).await;
    assert_eq!(uniform(&new.metrics().borrow()), Some((1..=4).collect()));
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_only_voter_has_nobody_to_hand_over_to() {
    let cluster = Cluster::start(1).await;
    let leader = cluster.leader().await;
    let refused = leader.remove_voters([1].into(), false).await.unwrap_err();
    assert!(matches!(refused, MembershipError::Refused(_)), "{refused}");
    leader.set("k", "v").await.unwrap();
    assert_eq!(leader.shutdown().await, Handover::Failed(HandoverError::Alone));
}
