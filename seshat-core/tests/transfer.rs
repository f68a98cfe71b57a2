//! Leadership is transferred to a node that was named: what the nodes, and those who propose, see of it.
//!
//! Time is paused, but where clients keep the leader busy: it passes only when nothing else is left to do. A
//! transfer that takes none waited for no timer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/futures.rs"]
mod futures;
#[path = "common/stalled.rs"]
mod stalled;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cluster::{Adjust, Cluster, PATIENCE};
use futures::{after_the_others, poll_once};
use rstest::rstest;
use seshat_core::error::{NotLeader, ProposeError, TransferError};
use seshat_core::node::{Handover, RaftNode};
use seshat_core::operation::{Batch, Operation};
use stalled::{Stalled, set};
use tokio::task::JoinSet;
use tokio::time::Instant;

fn term(node: &RaftNode) -> u64 {
    node.metrics().borrow().current_term
}

async fn cluster_of(size: u64) -> (Cluster, RaftNode) {
    let cluster = Cluster::start(size).await;
    let leader = cluster.leader().await;
    assert_eq!(leader.set("before", "1").await, set(None));
    cluster.assert_equal_digests().await;
    (cluster, leader)
}

/// Asserts that `leader` leads still, by the same election, and takes proposals.
async fn assert_leads_still(leader: &RaftNode, term_before: u64) {
    assert_eq!(leader.set("after", "1").await, set(None));
    assert_eq!(term(leader), term_before);
    assert!(leader.is_leader());
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn whoever_votes_leads_when_it_is_named_and_no_timer_is_waited_for(
    #[values(3, 5)] size: u64,
) {
    let (cluster, _) = cluster_of(size).await;
    // Twice round: who has led before leads again.
    for to in (1..=size).chain(1..=size) {
        let leader = cluster.leader().await;
        let (started, before) = (Instant::now(), term(&leader));
        leader.transfer_leadership(to).await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
        let new = &cluster.nodes[&to];
        assert!(new.is_leader());
        assert_eq!(term(new), before + u64::from(to != leader.id()));
        assert_eq!(new.read_linearizable(b"before").await.unwrap().as_deref(), Some(&b"1"[..]));
        new.set("last", to.to_string()).await.unwrap();
        // Who led follows, and names its successor.
        if to != leader.id() {
            let refused = leader.set("late", "1").await.unwrap_err();
            let ProposeError::NotLeader(NotLeader { leader: Some(told) }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(told.id, to);
        }
        cluster.assert_equal_digests().await;
    }
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_leads_already_is_asked_for_nothing() {
    let (cluster, leader) = cluster_of(3).await;
    let before = term(&leader);
    leader.transfer_leadership(leader.id()).await.unwrap();
    assert_leads_still(&leader, before).await;
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_gives_leadership_away_and_only_to_a_voter() {
    let (mut cluster, leader) = cluster_of(3).await;
    cluster.start_node(4).await;
    leader.add_learner(4, "node-4").await.unwrap();
    let before = term(&leader);

    let refused = cluster.follower_of(&leader).transfer_leadership(leader.id()).await.unwrap_err();
    let TransferError::NotLeader(NotLeader { leader: Some(told) }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(told.id, leader.id());
    for node_id in [4, 9] {
        let refused = leader.transfer_leadership(node_id).await.unwrap_err();
        assert_eq!(refused, TransferError::NotAVoter { node_id, voters: vec![1, 2, 3] });
        assert_eq!(
            refused.to_string(),
            format!(
                "node {node_id} is not a voter, and only a voter can lead: nodes 1, 2 and 3 are. Name one of \
                 them, or make node {node_id} one first"
            )
        );
    }
    assert_leads_still(&leader, before).await;
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_reached_does_not_take_over_and_the_leader_goes_on() {
    let (cluster, leader) = cluster_of(3).await;
    let [silent, _] = cluster.others(leader.id())[..] else { unreachable!() };
    let before = term(&leader);
    cluster.switchboard.isolate(&silent);

    // It has all of the log, as far as anybody knows.
    let waited = leader.config().election_timeout_min();
    let refused = leader.transfer_leadership(silent).await.unwrap_err();
    assert_eq!(refused, TransferError::NotTaken { node_id: silent, waited });
    assert_leads_still(&leader, before).await;

    // And now it lacks something.
    let refused = leader.transfer_leadership(silent).await.unwrap_err();
    let TransferError::NotCaughtUp { node_id, got, expected, waited } = refused else {
        panic!("{refused:?}")
    };
    let last = leader.metrics().borrow().last_log_index.unwrap();
    assert_eq!((node_id, got, expected), (silent, Some(last - 1), last));
    assert!(waited >= leader.config().propose_timeout());
    // It may stand for election when it is back.
    cluster.switchboard.heal();
    cluster.leader().await.transfer_leadership(silent).await.unwrap();
    assert!(cluster.nodes[&silent].is_leader());
    cluster.assert_equal_digests().await;
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_lags_catches_up_first_and_proposals_are_taken_meanwhile() {
    let (cluster, leader) = cluster_of(3).await;
    let [lagging, other] = cluster.others(leader.id())[..] else { unreachable!() };
    cluster.switchboard.isolate(&lagging);
    for i in 0..50 {
        leader.set(format!("key-{i}"), "v").await.unwrap();
    }
    let transferring = tokio::spawn({
        let leader = leader.clone();
        async move { leader.transfer_leadership(lagging).await }
    });
    after_the_others().await;
    // It has begun, and goes on: another has to wait for its turn until time is up.
    let other = tokio::time::timeout(Duration::from_millis(1), leader.transfer_leadership(other));
    assert!(other.await.is_err(), "nothing is being transferred");
    assert_eq!(leader.set("meanwhile", "1").await, set(None));
    assert!(!transferring.is_finished());
    cluster.switchboard.heal();
    transferring.await.unwrap().unwrap();
    let new = &cluster.nodes[&lagging];
    assert!(new.is_leader());
    assert!(new.read_linearizable(b"meanwhile").await.unwrap().is_some());
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_nobody_takes_over_and_nothing_is_given_away() {
    let (cluster, leader) = cluster_of(5).await;
    let [within_reach, others @ ..] = &cluster.others(leader.id())[..] else { unreachable!() };
    cluster.switchboard.partition(&[&[leader.id(), *within_reach], others]);
    let (before, waited) = (term(&leader), leader.config().election_timeout_max());
    let refused = leader.transfer_leadership(*within_reach).await.unwrap_err();
    assert_eq!(refused, TransferError::NoQuorum { waited });
    assert_eq!(term(&leader), before);
    cluster.switchboard.heal();
    cluster.leader().await.set("after", "1").await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_answered_before_and_what_comes_meanwhile_certainly_not_proposed() {
    let (cluster, leader) = cluster_of(3).await;
    let [to, other] = cluster.others(leader.id())[..] else { unreachable!() };
    let transferring = tokio::spawn({
        let leader = leader.clone();
        async move { leader.transfer_leadership(to).await }
    });
    let proposing = tokio::spawn({
        let leader = leader.clone();
        async move {
            let mut answers = Vec::new();
            for i in 0..100 {
                answers.push(leader.set(format!("key-{i}"), "v").await);
            }
            answers
        }
    });
    transferring.await.unwrap().unwrap();
    for answer in proposing.await.unwrap() {
        assert!(matches!(answer, Ok(_) | Err(ProposeError::NotLeader(_))), "{answer:?}");
    }
    assert!(cluster.nodes[&to].is_leader() && !cluster.nodes[&other].is_leader());
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_transfer_at_a_time_and_who_comes_second_finds_another_leader() {
    let (cluster, leader) = cluster_of(3).await;
    let [first, second] = cluster.others(leader.id())[..] else { unreachable!() };
    let (one, two) =
        tokio::join!(leader.transfer_leadership(first), leader.transfer_leadership(second));
    one.unwrap();
    let TransferError::NotLeader(NotLeader { leader: Some(told) }) = two.unwrap_err() else {
        panic!("two transfers at once")
    };
    assert_eq!(told.id, first);
    assert_eq!(cluster.leader().await.id(), first);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_membership_that_does_not_end_keeps_leadership_where_it_is() {
    let (cluster, leader) = cluster_of(3).await;
    let [to, other] = cluster.others(leader.id())[..] else { unreachable!() };
    cluster.switchboard.isolate(&leader.id());
    let mut change = Box::pin(leader.remove_voters([other].into(), false));
    assert!(poll_once(&mut change).await.is_pending());
    let waited = leader.config().propose_timeout();
    let refused = leader.transfer_leadership(to).await.unwrap_err();
    assert_eq!(refused, TransferError::Busy { waited });
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_nobody_waits_for_goes_on_to_its_end() {
    let (cluster, leader) = cluster_of(3).await;
    let [to, _] = cluster.others(leader.id())[..] else { unreachable!() };
    let mut transfer = Box::pin(leader.transfer_leadership(to));
    assert!(poll_once(&mut transfer).await.is_pending());
    drop(transfer);
    let new = &cluster.nodes[&to];
    new.wait_until(PATIENCE, "it leads", |now| now.state.is_leader()).await.unwrap();
    assert_eq!(cluster.leader().await.id(), to);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_shuts_down_ends_a_transfer_first() {
    let (cluster, leader) = cluster_of(3).await;
    let [to, _] = cluster.others(leader.id())[..] else { unreachable!() };
    let mut transfer = Box::pin(leader.transfer_leadership(to));
    assert!(poll_once(&mut transfer).await.is_pending());
    assert_eq!(leader.shutdown().await, Handover::NotLeading);
    transfer.await.unwrap();
    assert!(cluster.nodes[&to].is_leader());
    assert!(matches!(leader.transfer_leadership(to).await, Err(TransferError::Stopped(_))));
    cluster.shutdown().await;
}

/// Who was named falls silent, at one moment of the transfer after the other.
#[tokio::test(start_paused = true)]
async fn whenever_the_successor_falls_silent_somebody_leads_at_once_and_nothing_is_lost() {
    // As one task among the others: many of theirs are polled before the test's own future is.
    tokio::spawn(silent_at_each_moment()).await.unwrap();
}

async fn silent_at_each_moment() {
    let (mut kept, mut given, mut taken) = (0, 0, 0);
    for moment in 0.. {
        let (cluster, leader) = cluster_of(3).await;
        let [to, _] = cluster.others(leader.id())[..] else { unreachable!() };
        let mut transfer = Box::pin(leader.transfer_leadership(to));
        let mut ended = None;
        for _ in 0..moment {
            if let std::task::Poll::Ready(end) = poll_once(&mut transfer).await {
                ended = Some(end);
                break;
            }
            after_the_others().await;
        }
        if let Some(end) = ended {
            end.unwrap();
            cluster.shutdown().await;
            break;
        }
        cluster.switchboard.isolate(&to);
        let waited = leader.config().election_timeout_min();
        match transfer.await {
            Ok(()) => taken += 1,
            Err(TransferError::NotTaken { .. } | TransferError::NotCaughtUp { .. }) => {
                kept += 1;
                assert!(leader.is_leader(), "moment {moment}");
            }
            Err(error @ TransferError::NotConfirmed { .. }) => {
                assert_eq!(error, TransferError::NotConfirmed { node_id: to, waited });
                given += 1;
                // At once, without another election timeout.
                let since = Instant::now();
                leader.wait_until(PATIENCE, "it", |now| now.state.is_leader()).await.unwrap();
                let took = since.elapsed();
                assert!(took < leader.config().heartbeat_interval(), "moment {moment}: {took:?}");
            }
            Err(error) => panic!("moment {moment}: {error}"),
        }
        cluster.switchboard.heal();
        let new = cluster.leader().await;
        assert!(new.read_linearizable(b"before").await.unwrap().is_some());
        new.set("after", "1").await.unwrap();
        cluster.shutdown().await;
    }
    assert!(kept > 0 && given > 0, "kept {kept}, given away {given}, taken {taken}");
}

/// An entry gets into the log past the queue, at one moment after the other: whoever leads then has it, if it
/// was acknowledged.
#[tokio::test(start_paused = true)]
async fn what_gets_into_the_log_past_the_queue_is_not_lost() {
    tokio::spawn(an_entry_at_each_moment()).await.unwrap();
}

async fn an_entry_at_each_moment() {
    for moment in 0.. {
        let (cluster, leader) = cluster_of(3).await;
        let [to, _] = cluster.others(leader.id())[..] else { unreachable!() };
        let mut transfer = Box::pin(leader.transfer_leadership(to));
        let mut ended = false;
        for _ in 0..moment {
            ended = poll_once(&mut transfer).await.is_ready();
            if ended {
                break;
            }
            after_the_others().await;
        }
        if ended {
            cluster.shutdown().await;
            break;
        }
        let operation = Operation::set("late", "1", leader.limits()).unwrap();
        let appended = leader.raft().client_write_ff(Batch::from(operation)).await.unwrap();
        let end = transfer.await;
        let new = cluster.leader().await;
        match &end {
            Ok(()) => assert_eq!(new.id(), to),
            Err(TransferError::NotConfirmed { .. }) => {}
            Err(error) => panic!("moment {moment}: {error}"),
        }
        let acknowledged = tokio::time::timeout(PATIENCE, appended).await;
        if let Ok(Ok(Ok(_))) = acknowledged {
            assert!(new.read_linearizable(b"late").await.unwrap().is_some(), "moment {moment}");
        }
        new.set("after", "1").await.unwrap();
        cluster.assert_equal_digests().await;
        cluster.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_waits_for_what_is_under_way_and_gives_up_with_it() {
    let stalled = Stalled::start(|builder| builder).await;
    let (leader, before) = (stalled.leader.clone(), term(&stalled.leader));
    let [to, _] = stalled.cluster.others(leader.id())[..] else { unreachable!() };
    let transferring = tokio::spawn({
        let leader = leader.clone();
        async move { leader.transfer_leadership(to).await }
    });
    let (cluster, leader) = stalled.go_on().await;
    transferring.await.unwrap().unwrap();
    assert_eq!(cluster.leader().await.id(), to);
    assert_eq!(term(&cluster.nodes[&to]), before + 1);
    drop(leader);
    cluster.shutdown().await;
}

const CLIENTS: usize = 8;
const ROUNDS: u64 = 20;

/// Nobody is elected because a busy machine delays a heartbeat.
const PATIENT: Adjust = |builder| {
    builder
        .election_timeout_min(Duration::from_secs(10))
        .election_timeout_max(Duration::from_secs(20))
};

/// Writes one key after the other, to whoever leads, until it is told to stop. Returns what was acknowledged.
async fn write(
    client: usize,
    nodes: Vec<RaftNode>,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
) -> Vec<String> {
    let (mut acknowledged, mut at) = (Vec::new(), client);
    while !stop.load(Ordering::Relaxed) {
        let key = format!("{client}/{}", acknowledged.len());
        match nodes[at % nodes.len()].set(key.clone(), "v").await {
            Ok(_) => {
                acknowledged.push(key);
                written.fetch_add(1, Ordering::Relaxed);
            }
            // Nothing else: what was not done is known not to have been.
            Err(ProposeError::NotLeader(NotLeader { leader: Some(leader) })) => {
                at = nodes.iter().position(|node| node.id() == leader.id).unwrap();
                tokio::task::yield_now().await;
            }
            Err(ProposeError::NotLeader(NotLeader { leader: None })) => {
                at += 1;
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("client {client}: {error}"),
        }
    }
    acknowledged
}

/// In real time, on several threads: what openraft reports of itself lags behind what it has answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_leader_transfers_every_time_and_nobody_is_left_in_doubt() {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, PATIENT).await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let nodes = cluster.nodes.values().cloned().collect();
        clients.spawn(write(client, nodes, Arc::clone(&stop), Arc::clone(&written)));
    }
    let mut led = BTreeSet::new();
    for round in 0..ROUNDS {
        let enough = written.load(Ordering::Relaxed) + 50;
        let busy = async {
            while written.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, busy).await.expect("writes are acknowledged");
        let leader = cluster.leader().await;
        let to = leader.id() % 3 + 1;
        leader.transfer_leadership(to).await.unwrap_or_else(|error| panic!("{round}: {error}"));
        led.insert(to);
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    assert_eq!(led.len(), 3);
    cluster.assert_equal_digests().await;
    let reader = cluster.leader().await.reader().clone();
    let lost: Vec<_> =
        acknowledged.iter().filter(|key| reader.get(key.as_bytes()).is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}");
    cluster.shutdown().await;
}
