//! A leader that shuts down while clients keep it busy, on several threads and in real time: what
//! openraft reports of itself lags behind what it has answered.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/cluster.rs"]
mod cluster;

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use seshat_core::node::{Handover, RaftNode};
use tokio::sync::watch;
use tokio::task::JoinSet;

const ROUNDS: usize = 20;
const CLIENTS: usize = 8;
/// What is acknowledged, all clients together, before the leader goes, and after.
const WRITES: usize = 100;

/// Proposes one write after the other to one node after the other until `nodes` is closed, and
/// reports each that is acknowledged.
async fn write(
    client: usize,
    mut nodes: watch::Receiver<Vec<RaftNode>>,
    acknowledged: watch::Sender<BTreeMap<usize, usize>>,
) {
    let mut at = 0;
    for i in 0.. {
        loop {
            if nodes.has_changed().is_err() {
                return;
            }
            let node = {
                let nodes = nodes.borrow_and_update();
                nodes[at % nodes.len()].clone()
            };
            if node.set(format!("{client}/{i}"), "v").await.is_ok() {
                break;
            }
            at += 1;
            tokio::task::yield_now().await;
        }
        acknowledged.send_modify(|counts| *counts.entry(client).or_default() = i + 1);
    }
}

/// Waits until so many more writes are acknowledged.
async fn wait_for_writes(acknowledged: &watch::Sender<BTreeMap<usize, usize>>) {
    let total = |counts: &BTreeMap<usize, usize>| counts.values().sum::<usize>();
    let mut acknowledged = acknowledged.subscribe();
    let enough = total(&acknowledged.borrow()) + WRITES;
    let waited = acknowledged.wait_for(|counts| total(counts) >= enough);
    tokio::time::timeout(PATIENCE, waited).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_leader_hands_over_every_time_and_nothing_is_lost() {
    // Nobody is elected because a busy machine delays a heartbeat.
    let mut cluster = Cluster::start_with(&[1, 2, 3], 7, |builder| {
        builder
            .election_timeout_min(Duration::from_secs(10))
            .election_timeout_max(Duration::from_secs(20))
    })
    .await;
    let (nodes, current) = watch::channel(Vec::from_iter(cluster.nodes.values().cloned()));
    let acknowledged = watch::Sender::new(BTreeMap::new());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(write(client, current.clone(), acknowledged.clone()));
    }
    drop(current);
    for round in 0..ROUNDS {
        wait_for_writes(&acknowledged).await;
        let leader = cluster.leader().await;
        let handover = leader.shutdown().await;
        assert!(matches!(handover, Handover::To(_)), "round {round}: {handover:?}");
        cluster.kill(leader.id()).await;
        wait_for_writes(&acknowledged).await;
        cluster.start_node(leader.id()).await;
        nodes.send_replace(cluster.nodes.values().cloned().collect());
    }
    drop(nodes);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    cluster.assert_equal_digests().await;
    let leader = cluster.leader().await;
    for (client, count) in &*acknowledged.borrow() {
        for i in 0..*count {
            let key = format!("{client}/{i}");
            assert!(leader.reader().get(key.as_bytes()).is_some(), "{key} is lost");
        }
    }
    cluster.shutdown().await;
}
