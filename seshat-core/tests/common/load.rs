//! A small queue, and proposals that take so much of it.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use seshat_core::config::{BatchConfig, NodeConfigBuilder};
use seshat_core::error::{ProposeError, Stopped};
use seshat_core::node::RaftNode;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::futures::in_order;
use super::stalled::Proposed;

pub(crate) const QUEUE_BYTES: usize = 64 << 10;

/// What the queue counts for an operation beside its payload.
pub(crate) const OVERHEAD: usize = 256;

pub(crate) fn small_queue(builder: NodeConfigBuilder) -> NodeConfigBuilder {
    let (max_bytes, queue_bytes) = (QUEUE_BYTES, QUEUE_BYTES);
    builder.batch(BatchConfig { max_bytes, queue_bytes, ..BatchConfig::default() })
}

/// The value with which SET takes so much of the queue.
pub(crate) fn value_for(key: &str, weight: usize) -> Vec<u8> {
    vec![b'v'; weight - OVERHEAD - key.len()]
}

/// Proposes an operation that takes `weight` of the queue, and says when it was answered.
pub(crate) async fn propose(node: &RaftNode, key: &str, weight: usize) -> (Proposed, Duration) {
    let started = Instant::now();
    (node.set(key.to_owned(), value_for(key, weight)).await, started.elapsed())
}

/// Asserts that the queue takes a full load: none of it waits for a place.
///
/// A node that shuts down refuses at once what waits for a place, and goes on with what is in
/// the queue until time is up.
pub(crate) async fn assert_nothing_is_taken(cluster: Cluster, leader: &RaftNode) {
    cluster.switchboard.isolate(&leader.id());
    // One goes into an entry; then sixteen that leave less than 1000 bytes; then one that is too much.
    let load = std::iter::repeat_n((QUEUE_BYTES - 900) / 16, 16);
    let weights = std::iter::once(300).chain(load).chain([1000]);
    let proposals = weights.map(|weight| propose(leader, "load", weight));
    let (mut ends, _) = tokio::join!(in_order(proposals), leader.shutdown());

    let timeout = leader.config().propose_timeout();
    let too_much = ends.pop().unwrap();
    let refused = (Err(ProposeError::Stopped(Stopped::ShutDown)), Duration::ZERO);
    assert_eq!(too_much, refused, "the load was not full");
    let in_the_queue = (Err(ProposeError::NoQuorum { waited: timeout }), timeout);
    assert!(ends.iter().all(|end| *end == in_the_queue), "a place is still taken: {ends:?}");
    cluster.shutdown().await;
}
