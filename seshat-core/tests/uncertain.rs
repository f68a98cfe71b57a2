//! What an error of a proposal says about what became of the operation.
//!
//! Time is paused: it passes only when nothing else is left to do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;

use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use seshat_core::error::ProposeError;
use seshat_core::network::switchboard::Faults;

/// Figure 8 of the Raft paper: an entry that its leader lost to another leader is committed by a
/// third one all the same, because a follower kept it.
#[tokio::test(start_paused = true)]
async fn what_was_overwritten_here_may_be_applied_later_and_is_not_called_undone() {
    let mut cluster = Cluster::start(5).await;
    let first = cluster.leader().await;
    let [keeper, others @ ..] = &cluster.others(first.id())[..] else { unreachable!() };
    let (keeper, others) = (*keeper, others.to_vec());
    let sb = cluster.switchboard.clone();

    // One follower gets the entry; nobody else does.
    let before = first.metrics().borrow().last_log_index;
    sb.partition(&[&[first.id(), keeper], &others]);
    let proposing = first.clone();
    let proposal = tokio::spawn(async move { proposing.set("k", "v").await });
    let kept = cluster.nodes[&keeper].wait_until(PATIENCE, "it", |now| now.last_log_index > before);
    kept.await.unwrap();

    // The others elect a second leader, which from then on reaches only the first: grants are
    // slow, so there is time to see to it. It campaigns once the lease has run out, before
    // anybody does so unasked.
    let slow = Faults { delay_min: Duration::from_millis(50), ..Faults::default() };
    for from in &others {
        for to in &others {
            sb.set_faults(*from, *to, slow);
        }
    }
    tokio::time::sleep(first.config().election_timeout_max() + Duration::from_millis(100)).await;
    let term = first.metrics().borrow().current_term;
    let second = others[0];
    cluster.nodes[&second].trigger_election().await.unwrap();
    for id in &others {
        let voted = cluster.nodes[id].wait_until(PATIENCE, "a vote", |now| now.current_term > term);
        assert_eq!(voted.await.unwrap().vote.leader_id.node_id, second);
        sb.cut(second, *id);
    }
    sb.set_faults(first.id(), second, Faults::default());
    sb.set_faults(second, first.id(), Faults::default());
    let error = proposal.await.unwrap().unwrap_err();
    assert_eq!(first.metrics().borrow().last_log_index, before.map(|index| index + 1));

    // Both are gone. The follower that kept the entry has the longest log of those left.
    cluster.kill(first.id()).await;
    cluster.kill(second).await;
    sb.heal();
    let third = cluster.leader().await;
    assert_eq!(third.id(), keeper);
    assert_eq!(third.read_linearizable(b"k").await.unwrap().as_deref(), Some(&b"v"[..]));

    assert!(!matches!(error, ProposeError::NotLeader(_)), "said to be undone: {error}");
    cluster.shutdown().await;
}
