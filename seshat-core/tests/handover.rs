//! A leader that shuts down: who takes over, how soon, and what happens if nobody can.
//!
//! Time is paused: it passes only when nothing else is left to do. A handover that takes none
//! waited for no timer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/futures.rs"]
mod futures;
#[path = "common/stalled.rs"]
mod stalled;

use std::collections::BTreeSet;
use std::task::Poll;
use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use futures::{after_the_others, in_order, poll_once};
use seshat_core::error::HandoverError;
use seshat_core::network::switchboard::Faults;
use seshat_core::node::{Handover, RaftNode};
use seshat_core::operation::{Batch, Operation};
use stalled::{Stalled, set};
use tokio::task::JoinSet;
use tokio::time::Instant;

fn term(node: &RaftNode) -> u64 {
    node.metrics().borrow().current_term
}

/// Shuts the leader down and unplugs it.
async fn shut_down(cluster: &mut Cluster, leader: &RaftNode) -> Handover {
    let handover = leader.shutdown().await;
    cluster.switchboard.unplug(&leader.id());
    cluster.nodes.remove(&leader.id());
    handover
}

/// Asserts that the successor leads in the next term, that everybody left follows it, and that
/// it has what was acknowledged before.
async fn assert_succeeded(cluster: &Cluster, handover: &Handover, term_before: u64) {
    let Handover::To(successor) = handover else { panic!("not handed over: {handover:?}") };
    let new = &cluster.nodes[successor];
    assert!(new.is_leader(), "node {successor} doesn't lead");
    assert_eq!(term(new), term_before + 1);
    assert_eq!(new.read_linearizable(b"before").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(new.set("after", "2").await, set(None));
    assert_eq!(cluster.leader().await.id(), *successor);
    assert_eq!(term(new), term_before + 1, "there was an election after all");
}

async fn cluster_of(size: u64) -> (Cluster, RaftNode) {
    let cluster = Cluster::start(size).await;
    let leader = cluster.leader().await;
    assert_eq!(leader.set("before", "1").await, set(None));
    cluster.assert_equal_digests().await;
    (cluster, leader)
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_over_without_waiting_for_any_timer() {
    for size in [3, 5, 7] {
        let (mut cluster, leader) = cluster_of(size).await;
        let (started, before) = (Instant::now(), term(&leader));
        let handover = shut_down(&mut cluster, &leader).await;
        assert_eq!(started.elapsed(), Duration::ZERO, "{size} nodes");
        assert_succeeded(&cluster, &handover, before).await;
        cluster.assert_equal_digests().await;
        cluster.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handover_goes_through_though_messages_are_delayed() {
    let (mut cluster, leader) = cluster_of(5).await;
    let (min, max) = (Duration::from_millis(20), Duration::from_millis(40));
    for from in 1..=5 {
        for to in 1..=5 {
            let faults = Faults { delay_min: min, delay_max: max, ..Faults::default() };
            cluster.switchboard.set_faults(from, to, faults);
        }
    }
    let (started, before) = (Instant::now(), term(&leader));
    let handover = shut_down(&mut cluster, &leader).await;
    // Four round trips, and one more message until the leader hears of its successor.
    assert!(started.elapsed() <= max * 9 + Duration::from_millis(20), "{:?}", started.elapsed());
    assert_succeeded(&cluster, &handover, before).await;
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_is_cut_off_is_passed_over() {
    for size in [3, 5] {
        for nth in 0..size as usize - 1 {
            let (mut cluster, leader) = cluster_of(size).await;
            let cut_off = cluster.others(leader.id())[nth];
            // It has the whole log: nothing tells it from the others but that it doesn't answer.
            cluster.switchboard.isolate(&cut_off);
            let before = term(&leader);
            let handover = shut_down(&mut cluster, &leader).await;
            assert_ne!(handover, Handover::To(cut_off));
            cluster.switchboard.heal();
            assert_succeeded(&cluster, &handover, before).await;
            cluster.shutdown().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_lags_is_passed_over() {
    for size in [3, 5] {
        let (mut cluster, leader) = cluster_of(size).await;
        // The one that would be taken if all were equal, whichever that is, lags in one round.
        let rounds = cluster.others(leader.id()).len();
        let lagging = cluster.others(leader.id())[rounds - 1];
        cluster.switchboard.isolate(&lagging);
        leader.set("more", "1").await.unwrap();
        let before = term(&leader);
        let handover = shut_down(&mut cluster, &leader).await;
        assert_ne!(handover, Handover::To(lagging));
        cluster.switchboard.heal();
        assert_succeeded(&cluster, &handover, before).await;
        cluster.assert_equal_digests().await;
        cluster.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_learner_is_never_the_successor() {
    let (mut cluster, leader) = cluster_of(3).await;
    for id in [4, 5] {
        cluster.start_node(id).await;
        leader.add_learner(id, format!("node-{id}")).await.unwrap();
    }
    cluster.assert_equal_digests().await;
    let before = term(&leader);
    let handover = shut_down(&mut cluster, &leader).await;
    assert!(!matches!(handover, Handover::To(4 | 5)), "{handover:?}");
    assert_succeeded(&cluster, &handover, before).await;
    cluster.shutdown().await;
}

/// Sends the leader an entry, past its queue and whether it shuts down or not.
async fn append(leader: &RaftNode, key: &str) {
    let operation = Operation::set(key.to_owned(), vec![b'v'; 1000], leader.limits()).unwrap();
    leader.raft().client_write_ff(Batch::from(operation)).await.unwrap();
}

async fn wait_for_log(leader: &RaftNode, index: u64) {
    let appended = leader.wait_until(PATIENCE, "it", |now| now.last_log_index >= Some(index));
    appended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn followers_that_are_far_behind_catch_up_first() {
    let (mut cluster, leader) = cluster_of(3).await;
    cluster.switchboard.isolate(&leader.id());
    for i in 0..500 {
        append(&leader, &format!("key-{i}")).await;
    }
    wait_for_log(&leader, leader.last_applied().unwrap().index + 500).await;
    let switchboard = cluster.switchboard.clone();
    let pause = Duration::from_millis(300);
    let healing = tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        switchboard.heal();
    });
    let (started, before) = (Instant::now(), term(&leader));
    let handover = shut_down(&mut cluster, &leader).await;
    healing.await.unwrap();
    assert!(started.elapsed() >= pause);
    assert_succeeded(&cluster, &handover, before).await;
    cluster.assert_equal_digests().await;
    assert_eq!(cluster.leader().await.reader().size().keys, 502);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_log_nobody_has_gives_up_after_an_election_timeout() {
    for size in [3, 5] {
        let (mut cluster, leader) = cluster_of(size).await;
        cluster.switchboard.isolate(&leader.id());
        append(&leader, "nobody else has it").await;
        wait_for_log(&leader, leader.last_applied().unwrap().index + 1).await;
        let waited = leader.config().election_timeout_max();
        let started = Instant::now();
        let handover = shut_down(&mut cluster, &leader).await;
        assert_eq!(handover, Handover::Failed(HandoverError::NoneCaughtUp { waited }));
        assert_eq!(started.elapsed(), waited);
        assert_elected(&cluster).await;
        cluster.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_reaches_nobody_gives_up_within_an_election_timeout() {
    for size in [3, 5] {
        let (mut cluster, leader) = cluster_of(size).await;
        cluster.switchboard.isolate(&leader.id());
        let started = Instant::now();
        let handover = shut_down(&mut cluster, &leader).await;
        let Handover::Failed(_) = handover else { panic!("reached somebody: {handover:?}") };
        assert!(started.elapsed() <= leader.config().election_timeout_max());
        assert_elected(&cluster).await;
        cluster.shutdown().await;
    }
}

/// Asserts that the nodes that are left elect a leader by themselves, and that it has what was
/// acknowledged before.
async fn assert_elected(cluster: &Cluster) {
    let new = cluster.leader().await;
    assert_eq!(new.read_linearizable(b"before").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(new.set("after", "2").await, set(None));
    cluster.assert_equal_digests().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_over_without_a_quorum() {
    let (mut cluster, leader) = cluster_of(5).await;
    // One voter is within reach and has everything; the grants of two are not enough.
    let [successor, others @ ..] = &cluster.others(leader.id())[..] else { unreachable!() };
    let here = [leader.id(), *successor];
    cluster.switchboard.partition(&[&here, others]);
    let before = term(&leader);
    let handover = shut_down(&mut cluster, &leader).await;
    let Handover::Failed(HandoverError::NotConfirmed { .. }) = handover else {
        panic!("{handover:?}")
    };
    assert!(!cluster.nodes[successor].is_leader());
    cluster.switchboard.heal();
    assert_elected(&cluster).await;
    assert!(term(&cluster.leader().await) > before);
    cluster.shutdown().await;
}

/// An entry gets into the leader's log past its queue, at one moment of the handover after the
/// other: either the successor has it, or there is none.
#[tokio::test(start_paused = true)]
async fn nobody_takes_over_if_the_log_went_on() {
    // As one task among the others: many of theirs are polled before the test's own future is.
    tokio::spawn(an_entry_at_each_moment()).await.unwrap();
}

async fn an_entry_at_each_moment() {
    let mut failed = 0;
    for moment in 0.. {
        let (mut cluster, leader) = cluster_of(3).await;
        let before = term(&leader);
        let mut shutdown = Box::pin(leader.shutdown());
        if ends_within(&mut shutdown, moment).await {
            break;
        }
        let operation = Operation::set("late", "1", leader.limits()).unwrap();
        let mut append = Box::pin(leader.raft().client_write_ff(Batch::from(operation)));
        let Poll::Ready(Ok(mut answer)) = poll_once(&mut append).await else {
            break; // The leader has stopped.
        };
        let handover = shutdown.await;
        cluster.switchboard.unplug(&leader.id());
        cluster.nodes.remove(&leader.id());
        if handover == Handover::Failed(HandoverError::LogMoved) {
            failed += 1;
            assert_elected(&cluster).await;
        } else {
            assert_succeeded(&cluster, &handover, before).await;
        }
        if let Ok(Ok(_)) = answer.try_recv() {
            let new = cluster.leader().await;
            assert!(new.read_linearizable(b"late").await.unwrap().is_some(), "moment {moment}");
        }
        cluster.shutdown().await;
    }
    assert!(failed > 0, "the log never went on at a wrong moment");
}

/// Whether the shutdown ends when it is polled so many times, and everybody else in between.
async fn ends_within(shutdown: &mut (impl Future + Unpin), polls: usize) -> bool {
    for _ in 0..polls {
        if poll_once(shutdown).await.is_ready() {
            return true;
        }
        after_the_others().await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn shutting_down_twice_at_once_is_shutting_down_once() {
    let stalled = Stalled::start(|builder| builder).await;
    let leader = stalled.leader.clone();
    let keys: Vec<String> = (0..100).map(|i| format!("key-{i}")).collect();
    let proposals = keys.iter().map(|key| leader.set(key.clone(), "v"));
    let (answers, first, again, (cluster, _)) =
        tokio::join!(in_order(proposals), leader.shutdown(), leader.shutdown(), stalled.go_on());
    assert!(answers.iter().all(|answer| *answer == set(None)), "{answers:?}");
    let ends = [first, again, leader.shutdown().await];
    assert!(ends.iter().any(|end| matches!(end, Handover::To(_))), "{ends:?}");
    assert!(!ends.iter().any(|end| matches!(end, Handover::Failed(_))), "{ends:?}");
    cluster.shutdown().await;
}

/// Writes until it is told to stop; returns what was acknowledged.
async fn write(
    nodes: Vec<RaftNode>,
    writer: usize,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for i in 0.. {
        let key = format!("{writer}/{i}");
        for node in &nodes {
            if node.set(key.clone(), "v").await.is_ok() {
                acknowledged.push(key);
                break;
            }
        }
        let pause = tokio::time::timeout(Duration::from_millis(1), stop.wait_for(|stop| *stop));
        if pause.await.is_ok() {
            break;
        }
    }
    acknowledged
}

#[tokio::test(start_paused = true)]
async fn leadership_passes_on_and_on_while_clients_write_and_nothing_is_lost() {
    let mut cluster = Cluster::start(5).await;
    let mut passed_by = BTreeSet::new();
    let mut acknowledged = Vec::new();
    let first_term = term(&cluster.leader().await);
    for round in 0..10 {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut writers = JoinSet::new();
        for writer in 0..5 {
            let nodes = cluster.nodes.values().cloned().collect();
            writers.spawn(write(nodes, 10 * round + writer, stopped.clone()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let leader = cluster.leader().await;
        let handover = leader.shutdown().await;
        let Handover::To(successor) = handover else { panic!("round {round}: {handover:?}") };
        assert_eq!(term(&cluster.nodes[&successor]), first_term + round as u64 + 1);
        passed_by.insert(successor);
        cluster.kill(leader.id()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        stop.send(true).unwrap();
        acknowledged.extend(writers.join_all().await.into_iter().flatten());
        cluster.start_node(leader.id()).await;
        cluster.assert_equal_digests().await;
    }
    assert!(acknowledged.len() > 100, "{} writes", acknowledged.len());
    let leader = cluster.leader().await;
    for key in &acknowledged {
        assert!(leader.read(key.as_bytes()).await.unwrap().is_some(), "{key} is lost");
    }
    assert!(passed_by.len() > 1, "{passed_by:?}");
    cluster.shutdown().await;
}
