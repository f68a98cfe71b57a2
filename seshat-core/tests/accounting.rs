//! What is in a leader's log without openraft's answer counts for the queue, whoever waits for it, and
//! counts no more once openraft has answered, or never will.
//!
//! Time is paused: it passes only when nothing else is left to do.

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
use futures::poll_once;
use load::{OVERHEAD, QUEUE_BYTES, assert_nothing_is_taken, propose, small_queue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use seshat_core::config::{NodeConfigBuilder, SnapshotConfig};
use seshat_core::error::ProposeError;
use seshat_core::node::RaftNode;
use seshat_core::types::{LeaderId, LogId, RaftMetrics, Vote, VoteRequest};
use stalled::set;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Less than an election takes: whoever is cut off for so long leads still.
const SHORT: Duration = Duration::from_millis(200);

/// A small queue, and not much time.
fn hasty(builder: NodeConfigBuilder) -> NodeConfigBuilder {
    small_queue(builder).propose_timeout(SHORT)
}

/// What node `id` has in its log and hasn't committed, as the queue counts it.
async fn unanswered(cluster: &Cluster, id: u64) -> usize {
    let batches = cluster.batches(id).await;
    let raft = cluster.nodes[&id].raft();
    let committed = raft.with_raft_state(|state| state.committed).await.unwrap();
    let open = batches.iter().filter(|it| Some(it.index) > committed.map(|id| id.index));
    open.map(|batch| batch.bytes + OVERHEAD * batch.operations).sum()
}

/// Makes `node` the leader of all, whoever is it now.
async fn lead(cluster: &Cluster, node: &RaftNode) {
    let timeout = node.config().election_timeout_max();
    let until = Instant::now() + 10 * PATIENCE;
    // It may have been alone until just now, or others lead again before it knows that it does.
    loop {
        while cluster.leader().await.id() != node.id() {
            assert!(Instant::now() < until, "it isn't elected");
            let leader = cluster.leader().await.id();
            cluster.switchboard.isolate(&leader);
            tokio::time::sleep(timeout + Duration::from_millis(100)).await;
            node.trigger_election().await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            cluster.switchboard.heal();
        }
        let Err(error) = node.set("leads", "v").await else { return };
        assert!(Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Who gave up the entry that is in the log.
#[derive(Debug, Clone, Copy)]
enum GivenUp {
    /// Its proposer, which was alone.
    Alone,
    /// Time.
    Late,
    /// A proposer that was alone, and was no more.
    Left,
    /// Those for whom the driver proposed it.
    Driven,
}

/// Gives up proposals that take all of the queue but 5000 bytes, and are in the log.
async fn give_up(leader: &RaftNode, how: GivenUp) {
    let mut first = Box::pin(propose(leader, "first", QUEUE_BYTES - 6000));
    match how {
        GivenUp::Alone => assert!(poll_once(&mut first).await.is_pending()),
        GivenUp::Late => {
            let late = Err(ProposeError::NoQuorum { waited: SHORT });
            assert_eq!(first.await, (late, SHORT));
        }
        GivenUp::Left => {
            let behind = tokio::time::timeout(SHORT / 2, propose(leader, "behind", 1000));
            let both = async { tokio::join!(biased; &mut first, behind) };
            assert!(tokio::time::timeout(SHORT / 2, both).await.is_err());
        }
        GivenUp::Driven => {
            // A lone proposer that isn't polled loses its turn.
            let mut asleep = Box::pin(propose(leader, "asleep", 1000));
            assert!(poll_once(&mut asleep).await.is_pending());
            assert!(poll_once(&mut first).await.is_pending());
            tokio::time::sleep(SHORT / 2).await;
        }
    }
}

#[rstest::rstest]
#[case::by_a_proposer_that_was_alone(GivenUp::Alone)]
#[case::by_one_whose_time_was_up(GivenUp::Late)]
#[case::by_one_that_was_no_longer_alone(GivenUp::Left)]
#[case::by_those_that_the_driver_proposed(GivenUp::Driven)]
#[tokio::test(start_paused = true)]
async fn what_is_given_up_in_the_log_keeps_its_place_until_it_is_answered(#[case] how: GivenUp) {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, hasty).await;
    let leader = cluster.leader().await;
    cluster.switchboard.isolate(&leader.id());
    give_up(&leader, how).await;
    let full = ProposeError::QueueFull { waited: SHORT, queue_bytes: QUEUE_BYTES };
    assert_eq!(propose(&leader, "next", 6001).await, (Err(full), SHORT));
    assert!(unanswered(&cluster, leader.id()).await >= QUEUE_BYTES - 6000);

    cluster.switchboard.heal();
    assert_eq!(leader.set("after", "2").await, set(None));
    assert!(leader.read(b"first").await.unwrap().is_some(), "it was in the log");
    assert_nothing_is_taken(cluster, &leader).await;
}

#[tokio::test(start_paused = true)]
async fn a_former_leader_refuses_at_once_however_much_its_log_holds() {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, small_queue).await;
    let former = cluster.leader().await;
    cluster.switchboard.isolate(&former.id());
    give_up(&former, GivenUp::Alone).await;
    // It votes for another node, and doesn't hear of it again.
    tokio::time::sleep(2 * former.config().election_timeout_max()).await;
    let (term, other) =
        (former.metrics().borrow().current_term + 1, cluster.others(former.id())[0]);
    let longer = LogId::new(LeaderId::new(term, other), 100);
    let vote = VoteRequest::new(Vote::new(term, other), Some(longer));
    assert!(former.raft().vote(vote).await.unwrap().vote_granted);
    former.wait_until(PATIENCE, "to follow", |now| !now.state.is_leader()).await.unwrap();

    let (refused, after) = propose(&former, "next", 6001).await;
    assert!(matches!(refused, Err(ProposeError::NotLeader(_))), "{refused:?}");
    assert_eq!(after, Duration::ZERO);
    cluster.switchboard.heal();
    lead(&cluster, &former).await;
    assert_nothing_is_taken(cluster, &former).await;
}

/// openraft forgets whom to answer when a snapshot takes the place of an entry. The driver finds out; a
/// proposer that is alone waits for its time, since nobody minds.
#[rstest::rstest]
#[case::whose_proposer_is_alone(false)]
#[case::that_was_left_to_the_driver(true)]
#[tokio::test(start_paused = true)]
async fn an_entry_that_a_snapshot_covers_gives_its_place_back(#[case] left: bool) {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, |builder| {
        let snapshot = SnapshotConfig {
            min_log_bytes: 20_000,
            growth_percent: 1,
            log_bytes_to_keep: 1,
            ..SnapshotConfig::default()
        };
        small_queue(builder).snapshot(snapshot)
    })
    .await;
    let deposed = cluster.leader().await;
    cluster.switchboard.isolate(&deposed.id());
    let mut covered = Box::pin(propose(&deposed, "covered", 30_000));
    assert!(poll_once(&mut covered).await.is_pending());
    if left {
        let behind = propose(&deposed, "behind", 1000);
        let both = async { tokio::join!(biased; &mut covered, behind) };
        assert!(tokio::time::timeout(SHORT, both).await.is_err());
    }

    let new = cluster.leader_among(&cluster.others(deposed.id())).await;
    for i in 0..100 {
        propose(&new, &format!("{i}"), 2000).await.0.unwrap();
    }
    let last = deposed.metrics().borrow().last_log_index;
    let purged = |now: &RaftMetrics| now.purged.map(|id| id.index) > last;
    new.wait_until(PATIENCE, "a purge", purged).await.unwrap();
    cluster.switchboard.heal();
    let (covered, after) = covered.await;
    let timeout = deposed.config().propose_timeout();
    if left {
        assert!(matches!(covered, Err(ProposeError::Deposed { .. })), "{covered:?}");
        assert!(after < timeout, "it waited for its time: {after:?}");
    } else {
        assert_eq!(covered, Err(ProposeError::NoQuorum { waited: timeout }));
    }
    assert!(!cluster.snapshots.begun(deposed.id()).is_empty(), "it got no snapshot");
    lead(&cluster, &deposed).await;
    assert_nothing_is_taken(cluster, &deposed).await;
}

#[derive(Debug, Clone)]
enum Step {
    /// Of so much weight.
    Propose(usize),
    /// One of those that were proposed.
    GiveUp(Index),
    GiveUpAll,
    Wait(Duration),
    Isolate,
    Heal,
    /// Another node leads, and then all hear each other.
    Depose,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (300..QUEUE_BYTES / 2).prop_map(Step::Propose),
        3 => any::<Index>().prop_map(Step::GiveUp),
        5 => Just(Step::GiveUpAll),
        4 => (0..70_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        1 => (200..1500_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        4 => Just(Step::Isolate),
        1 => Just(Step::Heal),
        1 => Just(Step::Depose),
    ]
}

/// Does all that to one node, and looks after each step what its log holds.
async fn walk(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let cluster = Cluster::start_with(&[1, 2, 3], 7, small_queue).await;
    let node = cluster.leader().await;
    let mut proposals: Vec<JoinHandle<()>> = Vec::new();
    for step in steps {
        match step {
            Step::Propose(weight) => {
                let node = node.clone();
                proposals
                    .push(tokio::spawn(async move { drop(propose(&node, "k", weight).await) }));
            }
            Step::GiveUp(which) if !proposals.is_empty() => {
                proposals.swap_remove(which.index(proposals.len())).abort();
            }
            Step::GiveUp(_) => {}
            Step::GiveUpAll => proposals.drain(..).for_each(|proposal| proposal.abort()),
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Isolate => cluster.switchboard.isolate(&node.id()),
            Step::Heal => cluster.switchboard.heal(),
            Step::Depose => {
                cluster.switchboard.isolate(&node.id());
                cluster.leader_among(&cluster.others(node.id())).await;
                cluster.switchboard.heal();
            }
        }
        tokio::task::yield_now().await;
        let held = unanswered(&cluster, node.id()).await;
        prop_assert!(held <= QUEUE_BYTES, "{held} bytes are in the log");
    }
    cluster.switchboard.heal();
    for proposal in proposals {
        // It may have been given up.
        let _ = proposal.await;
    }
    lead(&cluster, &node).await;
    assert_nothing_is_taken(cluster, &node).await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_in_the_log_is_counted_until_it_is_answered(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(walk(steps))?;
    }
}
