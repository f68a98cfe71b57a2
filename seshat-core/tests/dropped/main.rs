//! What a node promises about futures that are dropped: each of its own is polled once, twice, and so on
//! until it ends by itself, and dropped then. Afterwards the cluster serves, its membership is not joint,
//! what was asked for can be asked for again, and whatever ran for it ends.
//!
//! Time is paused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/futures.rs"]
mod futures;

mod beginnings;
#[cfg(feature = "grpc")]
mod grpc;

use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use futures::{Boxed, give_up_after};
use rstest::rstest;
use seshat_core::node::RaftNode;
use seshat_core::operation::Operation;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// What is asked of a leader, and of its nodes 4, which is no member, and 5, which is a learner. Panics
/// if it fails though nobody else asks for anything.
type Ask = fn(RaftNode) -> Boxed<()>;

/// More polls than any future takes here.
const MANY: usize = 100;

/// Three voters, and what [`Ask`] says.
async fn start() -> (Cluster, RaftNode) {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    leader.set("before", "v").await.unwrap();
    for id in [4, 5] {
        cluster.start_node(id).await;
    }
    leader.add_learner(5, "node-5").await.unwrap();
    // With all of its budget, what comes next isn't made to wait by tokio at its first poll.
    tokio::task::yield_now().await;
    (cluster, leader)
}

/// Waits until no more tasks are there than `before`.
async fn nothing_left(before: usize) {
    let started = Instant::now();
    while Handle::current().metrics().num_alive_tasks() > before {
        assert!(started.elapsed() < PATIENCE, "tasks are left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Somebody leads, and the membership is as it was or as it was to be, on all members.
async fn serves(cluster: &Cluster, voters: &[u64]) -> RaftNode {
    let leader = cluster.leader_among(voters).await;
    leader.set("after", "v").await.unwrap();
    assert!(leader.read_linearizable(b"before").await.unwrap().is_some());
    let is_uniform = |now: &seshat_core::types::RaftMetrics| {
        now.membership_config.membership().get_joint_config().len() == 1
    };
    for id in voters {
        cluster.nodes[id].wait_until(PATIENCE, "an end", is_uniform).await.unwrap();
    }
    leader
}

/// Drops `ask` after each number of polls that it takes; `voters` says who votes in any case.
async fn dropped_at_each_await(ask: Ask, voters: fn(&RaftNode) -> Vec<u64>) {
    for polls in 1..MANY {
        let tasks = Handle::current().metrics().num_alive_tasks();
        let (cluster, leader) = start().await;
        let ended = give_up_after(polls, &mut ask(leader.clone())).await.is_some();
        let leads = serves(&cluster, &voters(&leader)).await;
        if leads.id() == leader.id() && !ended {
            let again = tokio::time::timeout(PATIENCE, ask(leads.clone())).await;
            again.unwrap_or_else(|_| panic!("after {polls} polls it can't be asked for again"));
            serves(&cluster, &voters(&leader)).await;
        }
        drop((leads, leader));
        cluster.shutdown().await;
        nothing_left(tasks).await;
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

fn all(_: &RaftNode) -> Vec<u64> {
    vec![1, 2, 3]
}

fn others(leader: &RaftNode) -> Vec<u64> {
    [1, 2, 3].into_iter().filter(|id| *id != leader.id()).collect()
}

fn all_but_a_follower(leader: &RaftNode) -> Vec<u64> {
    others(leader)[1..].iter().copied().chain([leader.id()]).collect()
}

const PROPOSE: Ask = |node| {
    Box::pin(async move {
        let operation = Operation::set("k", "v", node.limits()).unwrap();
        node.propose(operation).await.map(drop).unwrap();
    })
};
const SET: Ask = |node| Box::pin(async move { node.set("k", "v").await.map(drop).unwrap() });
const DEL: Ask = |node| Box::pin(async move { node.del(["k"]).await.map(drop).unwrap() });
const READ: Ask = |node| Box::pin(async move { node.read(b"k").await.map(drop).unwrap() });
const READ_LINEARIZABLE: Ask =
    |node| Box::pin(async move { node.read_linearizable(b"k").await.map(drop).unwrap() });
const SNAPSHOT: Ask = |node| Box::pin(async move { node.trigger_snapshot().await.unwrap() });
const PURGE: Ask = |node| Box::pin(async move { node.trigger_purge(1).await.unwrap() });
const ELECTION: Ask = |node| Box::pin(async move { node.trigger_election().await.unwrap() });
const WAIT_UNTIL: Ask = |node| {
    Box::pin(async move {
        let later = node.last_applied().unwrap().index + 2;
        let applied = node.wait_until(Duration::from_secs(1), "it", |now| {
            now.last_applied.is_some_and(|last| last.index >= later)
        });
        drop(applied.await);
    })
};
const WAIT_FOR_LEADER: Ask =
    |node| Box::pin(async move { node.wait_for_leader(PATIENCE).await.map(drop).unwrap() });
const WAIT_FOR_APPLIED: Ask =
    |node| Box::pin(async move { drop(node.wait_for_applied(Duration::from_secs(1), 1000).await) });
const ADD_LEARNER: Ask =
    |node| Box::pin(async move { node.add_learner(4, "node-4").await.unwrap() });
const ADD_VOTERS: Ask = |node| Box::pin(async move { node.add_voters([5].into()).await.unwrap() });
const REMOVE_LEARNERS: Ask =
    |node| Box::pin(async move { node.remove_learners([5].into()).await.unwrap() });
const REMOVE_A_FOLLOWER: Ask = |node| {
    Box::pin(async move { node.remove_voters([others(&node)[0]].into(), false).await.unwrap() })
};
/// A follower goes, the learner comes.
const CHANGE: Ask = |node| {
    Box::pin(async move {
        let voters = all_but_a_follower(&node).into_iter().chain([5]).collect();
        // Asked for again, it may be there already, whose learner is no member any more.
        node.change_membership(voters, false).await.unwrap();
    })
};
const REMOVE_THE_LEADER: Ask =
    |node| Box::pin(async move { node.remove_voters([node.id()].into(), false).await.unwrap() });
const RETAIN_THE_LEADER: Ask =
    |node| Box::pin(async move { node.remove_voters([node.id()].into(), true).await.unwrap() });

#[rstest]
#[case::propose(PROPOSE, all)]
#[case::set(SET, all)]
#[case::del(DEL, all)]
#[case::read(READ, all)]
#[case::read_linearizable(READ_LINEARIZABLE, all)]
#[case::trigger_snapshot(SNAPSHOT, all)]
#[case::trigger_purge(PURGE, all)]
#[case::trigger_election(ELECTION, all)]
#[case::wait_until(WAIT_UNTIL, all)]
#[case::wait_for_leader(WAIT_FOR_LEADER, all)]
#[case::wait_for_applied(WAIT_FOR_APPLIED, all)]
#[case::add_learner(ADD_LEARNER, all)]
#[case::add_voters(ADD_VOTERS, all)]
#[case::change_membership(CHANGE, all_but_a_follower)]
#[case::remove_voters(REMOVE_A_FOLLOWER, all_but_a_follower)]
#[case::remove_the_leader(REMOVE_THE_LEADER, others)]
#[case::retain_the_leader(RETAIN_THE_LEADER, others)]
#[case::remove_learners(REMOVE_LEARNERS, all)]
#[tokio::test(start_paused = true)]
async fn the_node_goes_on(#[case] ask: Ask, #[case] voters: fn(&RaftNode) -> Vec<u64>) {
    dropped_at_each_await(ask, voters).await;
}

const SHUTDOWN: Ask = |node| {
    Box::pin(async move {
        let _ = node.shutdown().await;
    })
};
const STOP: Ask = |node| Box::pin(async move { node.stop().await });

#[rstest]
#[case::shutdown(SHUTDOWN)]
#[case::stop(STOP)]
#[tokio::test(start_paused = true)]
async fn the_node_stops(#[case] ask: Ask) {
    for polls in 1..MANY {
        let tasks = Handle::current().metrics().num_alive_tasks();
        let (cluster, leader) = start().await;
        let ended = give_up_after(polls, &mut ask(leader.clone())).await.is_some();
        let never = leader.wait_until(PATIENCE, "nothing", |_| false).await.unwrap_err();
        assert!(matches!(never, seshat_core::error::WaitError::Stopped(_)), "{never}");
        assert!(!leader.is_leader());
        let new = serves(&cluster, &others(&leader)).await;
        ask(leader.clone()).await;
        drop((leader, new));
        cluster.shutdown().await;
        nothing_left(tasks).await;
        if ended {
            return;
        }
    }
    panic!("it never ended");
}
