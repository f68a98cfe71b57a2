//! Proposals that can't go on: they wait for a place, are given up, or are answered all the same
//! when their time, their node's leadership or their node ends.
//!
//! Time is paused: it passes only when nothing else is left to do, so what a test waits for
//! doesn't depend on the machine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/futures.rs"]
mod futures;
#[path = "common/load.rs"]
mod load;
#[path = "common/stalled.rs"]
mod stalled;

use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use futures::{in_order, poll_once};
use futures_util::future::join_all;
use load::{QUEUE_BYTES, assert_nothing_is_taken, propose, small_queue, value_for};
use seshat_core::config::NodeConfigBuilder;
use seshat_core::error::{HandoverError, ProposeError, Stopped};
use seshat_core::node::Handover;
use seshat_core::operation::Limits;
use stalled::{Stalled, set, set_get};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_proposal_that_finds_no_place_in_time_was_not_proposed() {
    let stalled = Stalled::start(small_queue).await;
    let (leader, timeout) = (&stalled.leader, stalled.leader.config().propose_timeout());
    let before = leader.metrics().borrow().last_log_index;

    // One fills the queue. Each of the others needs most of it: as time is up for all at once,
    // one at most can still get a place.
    let keys: Vec<String> = (0..10).map(|i| format!("key-{i}")).collect();
    let proposals = keys.iter().map(|key| propose(leader, key, QUEUE_BYTES - 1000));
    let ends = in_order(proposals).await;

    let full = ProposeError::QueueFull { waited: timeout, queue_bytes: QUEUE_BYTES };
    let late = ProposeError::NoQuorum { waited: timeout };
    assert_eq!(ends[0], (Err(late.clone()), timeout));
    for end in &ends[2..] {
        assert_eq!(*end, (Err(full.clone()), timeout));
    }
    assert!(ends[1].0 == Err(full.clone()) || ends[1].0 == Err(late.clone()), "{:?}", ends[1]);
    assert!(full.to_string().contains(&format!("{QUEUE_BYTES} bytes")), "{full}");
    assert_eq!(stalled.first.await.unwrap(), Err(late));
    assert_eq!(leader.metrics().borrow().last_log_index, before);
    stalled.cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn proposals_that_wait_for_a_place_get_it_in_turn() {
    const LONGEST: usize = QUEUE_BYTES / 17;
    let stalled = Stalled::start(|builder| {
        let limits = Limits { max_value_bytes: LONGEST, ..Limits::default() };
        small_queue(builder).limits(limits)
    })
    .await;
    let node = stalled.leader.clone();
    let proposing = tokio::spawn(async move {
        // Eight fit into the queue, with the answers that they ask for.
        let node = &node;
        let value = |i| String::from_utf8(value_for("k", LONGEST - i)).unwrap();
        let proposals = (0..100).map(|i| async move { set_get(node, "k", &value(i)).await });
        in_order(proposals).await
    });
    let (cluster, _) = stalled.go_on().await;
    let answers = proposing.await.unwrap();
    let previous = |i: usize| String::from_utf8(value_for("k", LONGEST - i)).unwrap();
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, set(i.checked_sub(1).map(previous).as_deref()), "{i}");
    }
    cluster.shutdown().await;
}

/// Who gets in when nothing else is under way proposes alone, and keeps its place for as long as that takes.
#[tokio::test(start_paused = true)]
async fn who_proposes_alone_keeps_nobody_at_the_door() {
    const LONGEST: usize = QUEUE_BYTES / 17;
    let stalled = Stalled::start(|builder| {
        let limits = Limits { max_value_bytes: LONGEST, ..Limits::default() };
        small_queue(builder).limits(limits)
    })
    .await;
    // Fifteen fit into the queue, for the answers that they ask for. Nobody looks after the others until
    // those are done.
    let node = stalled.leader.clone();
    let ask = async |n| set_get(&node, &format!("key-{n}"), "v").await;
    let mut asked: Vec<_> = (0..30).map(|n| Box::pin(ask(n))).collect();
    for proposal in &mut asked {
        assert!(poll_once(proposal).await.is_pending());
    }
    let (cluster, leader) = stalled.go_on().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(join_all(asked).await.iter().all(Result::is_ok));
    let batches = cluster.batches(leader.id()).await;
    let asked: Vec<_> = batches.iter().map(|batch| batch.operations).collect();
    assert_eq!(asked, [1, 15, 1, 14], "by entry");
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn time_that_is_up_is_told_to_each_proposal_whether_its_entry_is_under_way_or_not() {
    let stalled = Stalled::start(|builder| builder).await;
    let timeout = stalled.leader.config().propose_timeout();
    let delayed = async |by: u64| {
        tokio::time::sleep(Duration::from_millis(by)).await;
        propose(&stalled.leader, "k", 1000).await
    };
    for end in in_order([0, 0, 3, 300, 700].map(delayed)).await {
        assert_eq!(end, (Err(ProposeError::NoQuorum { waited: timeout }), timeout));
    }
    stalled.cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_behind_an_entry_that_nobody_waits_for_has_its_time_all_the_same() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.switchboard.isolate(&leader.id());
    let mut given_up = Box::pin(leader.set("given-up", "1"));
    assert!(poll_once(&mut given_up).await.is_pending());
    drop(given_up);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let timeout = leader.config().propose_timeout();
    let late = (Err(ProposeError::NoQuorum { waited: timeout }), timeout);
    let behind = tokio::time::timeout(PATIENCE, propose(&leader, "k", 1000)).await;
    assert_eq!(behind.expect("nobody minds its time"), late);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_proposal_alone_waits_no_longer_than_its_time_however_short() {
    let hasty = |builder: NodeConfigBuilder| builder.propose_timeout(Duration::from_millis(5));
    let cluster = Cluster::start_with(&[1, 2, 3], 7, hasty).await;
    let leader = cluster.leader().await;
    cluster.switchboard.isolate(&leader.id());
    let timeout = leader.config().propose_timeout();
    let late = (Err(ProposeError::NoQuorum { waited: timeout }), timeout);
    assert_eq!(propose(&leader, "k", 1000).await, late);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_proposal_that_is_not_polled_holds_nobody_up() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let mut asleep = Box::pin(leader.set("asleep", "1"));
    assert!(poll_once(&mut asleep).await.is_pending());
    for i in 0..10 {
        let awake = tokio::time::timeout(PATIENCE, leader.set(format!("awake-{i}"), "2"));
        assert_eq!(awake.await.expect("it is held up"), set(None));
    }
    assert_eq!(asleep.await, set(None));
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn proposals_given_up_in_the_queue_leave_nothing() {
    let stalled = Stalled::start(small_queue).await;
    for i in 0..10_000 {
        let proposal = stalled.leader.set(format!("dropped-{i}"), "v");
        // The queue takes some two hundred of them; the rest waits for a place.
        assert!(poll_once(&mut Box::pin(proposal)).await.is_pending());
    }
    let (cluster, leader) = stalled.go_on().await;
    assert_eq!(leader.set("after", "2").await, set(None));
    cluster.assert_equal_digests().await;
    assert_eq!(leader.reader().size().keys, 2, "a proposal that was given up was applied");
    assert_nothing_is_taken(cluster, &leader).await;
}

#[tokio::test(start_paused = true)]
async fn proposals_given_up_while_they_wait_for_a_place_leave_nothing() {
    let stalled = Stalled::start(small_queue).await;
    let leader = stalled.leader.clone();
    let filling = propose(&leader, "filling", QUEUE_BYTES - 1000);
    let waiting = (0..1000).map(|_| Box::pin(propose(&leader, "dropped", 20_000)));
    let mut filling = Box::pin(filling);
    assert!(poll_once(&mut filling).await.is_pending());
    let mut waiting: Vec<_> = waiting.collect();
    for proposal in &mut waiting {
        assert!(poll_once(proposal).await.is_pending());
    }
    drop(waiting);
    let (cluster, leader) = stalled.go_on().await;
    assert_eq!(filling.await.0, set(None));
    assert_eq!(leader.read(b"dropped").await.unwrap(), None);
    assert_nothing_is_taken(cluster, &leader).await;
}

#[tokio::test(start_paused = true)]
async fn expired_answered_and_overwritten_proposals_give_their_place_back() {
    let stalled = Stalled::start(small_queue).await;
    let leader = stalled.leader.clone();
    // Expired, in the queue and in an entry, which is overwritten by the blank entry of the others'
    // leader.
    let timeout = leader.config().propose_timeout();
    for end in in_order((0..8).map(|_| propose(&leader, "expired", 6000))).await {
        assert_eq!(end.0, Err(ProposeError::NoQuorum { waited: timeout }));
    }
    let cluster = stalled.cluster;
    cluster.leader_among(&cluster.others(leader.id())).await;
    cluster.switchboard.heal();
    cluster.leader().await;
    // Refused, by a node that doesn't lead.
    for _ in 0..100 {
        let refused = propose(&leader, "refused", 6000).await;
        assert!(matches!(refused.0, Err(ProposeError::NotLeader(_))), "{refused:?}");
    }
    // Answered, by one that does again.
    let new = cluster.leader().await;
    assert!(matches!(new.shutdown().await, Handover::To(_)));
    cluster.switchboard.unplug(&new.id());
    let new = cluster.leader_among(&cluster.others(new.id())).await;
    for _ in 0..100 {
        propose(&new, "answered", 6000).await.0.unwrap();
    }
    assert_nothing_is_taken(cluster, &new).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_shuts_down_answers_what_it_took_before() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let keys: Vec<String> = (0..100).map(|i| format!("key-{i}")).collect();
    let proposals = keys.iter().map(|key| leader.set(key.clone(), "v"));
    let (answers, handover) = tokio::join!(in_order(proposals), leader.shutdown());
    assert!(answers.iter().all(|answer| *answer == set(None)), "{answers:?}");
    assert_eq!(leader.set("k", "v").await, Err(ProposeError::Stopped(Stopped::ShutDown)));

    let Handover::To(successor) = handover else { panic!("not handed over: {handover:?}") };
    let successor = &cluster.nodes[&successor];
    for key in &keys {
        assert!(successor.read_linearizable(key.as_bytes()).await.unwrap().is_some());
    }
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_shuts_down_without_a_quorum_answers_in_time() {
    let stalled = Stalled::start(|builder| builder).await;
    let leader = &stalled.leader;
    let timeout = leader.config().propose_timeout();
    let started = Instant::now();
    let keys: Vec<String> = (0..100).map(|i| format!("key-{i}")).collect();
    let proposals = keys.iter().map(|key| propose(leader, key, 1000));
    let (ends, handover) = tokio::join!(in_order(proposals), leader.shutdown());
    for (answer, after) in ends {
        assert_eq!(answer, Err(ProposeError::NoQuorum { waited: timeout }));
        assert_eq!(after, timeout);
    }
    let waited = leader.config().election_timeout_max();
    assert_eq!(handover, Handover::Failed(HandoverError::NoneCaughtUp { waited }));
    assert_eq!(started.elapsed(), timeout + waited);
    stalled.cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_answers_everyone_at_once() {
    let stalled = Stalled::start(small_queue).await;
    let leader = &stalled.leader;
    // Under way, in the queue, and waiting for a place.
    let keys: Vec<String> = (0..100).map(|i| format!("key-{i}")).collect();
    let proposals = keys.iter().map(|key| propose(leader, key, 6000));
    let (ends, ()) = tokio::join!(in_order(proposals), leader.stop());
    let stopped = (Err(ProposeError::Stopped(Stopped::ShutDown)), Duration::ZERO);
    assert!(ends.iter().all(|end| *end == stopped), "{ends:?}");
    assert_eq!(stalled.first.await.unwrap(), stopped.0);
    stalled.cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn proposals_on_a_deposed_leader_are_refused_as_soon_as_it_knows() {
    let patient = |builder: NodeConfigBuilder| builder.propose_timeout(Duration::from_secs(60));
    let stalled = Stalled::start(patient).await;
    let Stalled { cluster, leader: deposed, first } = stalled;
    let keys: Vec<String> = (0..100).map(|i| format!("key-{i}")).collect();
    let proposals = in_order(keys.iter().map(|key| propose(&deposed, key, 1000)));
    let elsewhere = async {
        let new = cluster.leader_among(&cluster.others(deposed.id())).await;
        cluster.switchboard.heal();
        deposed
            .wait_until(PATIENCE, "it", |now| now.current_leader == Some(new.id()))
            .await
            .unwrap();
        (new.id(), Instant::now())
    };
    let started = Instant::now();
    let (ends, (new, known)) = tokio::join!(proposals, elsewhere);
    for (answer, after) in ends {
        let Err(ProposeError::NotLeader(refused)) = answer else { panic!("{answer:?}") };
        // Whoever voted for the new leader before it heard of it can't name it yet.
        let named = refused.leader.map(|leader| leader.id);
        assert!(named.is_none_or(|named| named == new), "{named:?}");
        assert!(started + after <= known + Duration::from_millis(500), "{after:?}");
    }
    // The entry that was under way was overwritten, which its proposer hears, too.
    first.await.unwrap().unwrap_err();
    assert!(known.elapsed() < Duration::from_millis(500));

    cluster.assert_equal_digests().await;
    assert_eq!(deposed.reader().size().keys, 0);
    cluster.shutdown().await;
}
