//! How proposals become entries: packed, in order, each with its own answer, within bounds.
//!
//! Time is paused: it passes only when nothing else is left to do, so what a test waits for
//! doesn't depend on the machine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/futures.rs"]
mod futures;
#[path = "common/stalled.rs"]
mod stalled;

use std::time::Duration;

use cluster::{Batched, Cluster, PATIENCE, config};
use futures::in_order;
use seshat_core::config::{BatchConfig, NodeConfigBuilder};
use seshat_core::error::ProposeError;
use seshat_core::network::StubNetwork;
use seshat_core::node::RaftNode;
use seshat_core::operation::{LimitError, Response};
use seshat_core::storage::MemStorage;
use stalled::{Stalled, set, set_get};
use tokio::task::JoinSet;
use tokio::time::Instant;

fn operations(batches: &[Batched]) -> Vec<usize> {
    batches.iter().map(|batch| batch.operations).collect()
}

/// Proposes on a key of its own and checks each answer: it is this operation's, and this
/// proposer's operations were applied in order.
async fn propose_ten(node: RaftNode, id: usize) {
    let key = format!("key-{id}");
    let mut previous = None;
    for i in 0..8 {
        let value = format!("{id}/{i}");
        let answer = set_get(&node, &key, &value).await;
        assert_eq!(answer, set(previous.as_deref()));
        previous = Some(value);
    }
    let deleted = node.del([key.clone(), format!("absent-{id}"), key.clone()]).await;
    assert_eq!(deleted, Ok(Response::Del { deleted: 1 }));
    assert_eq!(node.set(key, id.to_string()).await, set(None));
}

#[tokio::test(start_paused = true)]
async fn many_proposers_share_few_entries_and_each_gets_its_own_answers() {
    let stalled = Stalled::start(|builder| builder).await;
    let mut proposers = JoinSet::new();
    for id in 0..200 {
        proposers.spawn(propose_ten(stalled.leader.clone(), id));
    }
    let (cluster, leader) = stalled.go_on().await;
    while let Some(proposer) = proposers.join_next().await {
        proposer.unwrap();
    }
    let batches = operations(&cluster.batches(leader.id()).await);
    assert_eq!(batches.iter().sum::<usize>(), 2001);
    assert!(batches.len() < 2000 / 4, "{} entries: {batches:?}", batches.len());
    cluster.assert_equal_digests().await;
    assert_eq!(leader.reader().size().keys, 201);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn proposers_on_several_threads_get_their_own_answers_in_their_own_order() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let mut proposers = JoinSet::new();
    for id in 0..100 {
        proposers.spawn(propose_ten(leader.clone(), id));
    }
    while let Some(proposer) = proposers.join_next().await {
        proposer.unwrap();
    }
    cluster.assert_equal_digests().await;
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn proposals_that_are_polled_in_order_are_applied_in_order() {
    let stalled = Stalled::start(|builder| builder).await;
    let mut proposers = JoinSet::new();
    for id in 0..20 {
        let node = stalled.leader.clone();
        proposers.spawn(async move {
            let (node, key) = (&node, format!("key-{id}"));
            let proposals = (0..50).map(|i: u32| {
                let key = key.clone();
                async move { set_get(node, &key, &i.to_string()).await }
            });
            let expected =
                (0..50).map(|i: u32| set(i.checked_sub(1).map(|i| i.to_string()).as_deref()));
            assert_eq!(in_order(proposals).await, expected.collect::<Vec<_>>());
        });
    }
    let (cluster, _) = stalled.go_on().await;
    while let Some(proposer) = proposers.join_next().await {
        proposer.unwrap();
    }
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_lone_proposers_operation_goes_out_alone_and_at_once() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let single = RaftNode::start(config(9, &[9]), MemStorage::new(), StubNetwork).await.unwrap();
    single.initialize().await.unwrap();
    single.wait_for_leader(PATIENCE).await.unwrap();

    // Whatever waits for a timer takes paused time; what doesn't takes none.
    let started = Instant::now();
    for node in [&leader, &single] {
        let before = node.metrics().borrow().last_log_index.unwrap();
        for i in 0..20 {
            node.set("k", i.to_string()).await.unwrap();
        }
        node.wait_for_applied(PATIENCE, before + 20).await.unwrap();
        assert_eq!(node.metrics().borrow().last_log_index, Some(before + 20));
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(operations(&cluster.batches(leader.id()).await), [1; 20]);
    single.stop().await;
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_carries_at_most_the_configured_number_of_operations() {
    let ten = |builder: NodeConfigBuilder| {
        builder.batch(BatchConfig { max_operations: 10, ..BatchConfig::default() })
    };
    let stalled = Stalled::start(ten).await;
    let node = stalled.leader.clone();
    let proposing =
        tokio::spawn(async move { in_order((0..95).map(|i| node.set("k", i.to_string()))).await });
    let (cluster, leader) = stalled.go_on().await;
    assert!(proposing.await.unwrap().iter().all(Result::is_ok));
    let batches = operations(&cluster.batches(leader.id()).await);
    assert_eq!(batches, [1, 10, 10, 10, 10, 10, 10, 10, 10, 10, 5]);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_carries_at_most_the_configured_bytes_or_one_operation() {
    let thousand = |builder: NodeConfigBuilder| {
        let (max_bytes, queue_bytes) = (1000, 4000);
        builder.batch(BatchConfig { max_bytes, queue_bytes, ..BatchConfig::default() })
    };
    let stalled = Stalled::start(thousand).await;
    let node = stalled.leader.clone();
    // With the key: three of 300 fit; one of 5000 fits neither an entry nor the queue, and goes
    // alone; two of 500 fill an entry to the byte, two of 501 don't fit.
    let sizes = vec![300, 300, 300, 300, 5000, 300, 500, 500, 501, 501];
    let total: usize = sizes.iter().sum();
    let proposing = tokio::spawn(async move {
        let proposals = sizes.into_iter().map(|size| node.set("k", vec![b'v'; size - 1]));
        in_order(proposals).await
    });
    let (cluster, leader) = stalled.go_on().await;
    assert!(proposing.await.unwrap().iter().all(Result::is_ok));
    let batches = cluster.batches(leader.id()).await;
    for batch in &batches {
        assert!(batch.bytes <= 1000 || batch.operations == 1, "{batches:?}");
    }
    let bytes: Vec<usize> = batches.iter().skip(1).map(|batch| batch.bytes).collect();
    assert_eq!(bytes.iter().sum::<usize>(), total);
    assert_eq!(bytes[..3], [900, 300, 5000], "{bytes:?}");
    assert!(bytes.ends_with(&[501, 501]), "{bytes:?}");
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_refused_operation_harms_no_neighbour() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let max = leader.limits().max_value_bytes;
    let none: [&str; 0] = [];
    let (before, long, between, empty, nothing, after) = tokio::join!(
        leader.set("k", "1"),
        leader.set("k", vec![b'v'; max + 1]),
        set_get(&leader, "k", "2"),
        set_get(&leader, "", "v"),
        leader.del(none),
        leader.del(["k"]),
    );
    assert_eq!((before, between, empty), (set(None), set(Some("1")), set(None)));
    assert_eq!(after, Ok(Response::Del { deleted: 1 }));
    let refused = |error| Err(ProposeError::Limit(error));
    assert_eq!(long, refused(LimitError::ValueTooLong { got: max + 1, max }));
    assert_eq!(nothing, refused(LimitError::NoKey));
    cluster.shutdown().await;
}
