//! Futures that begin something, dropped.

use rstest::rstest;
use seshat_core::error::InitializeError;
use seshat_core::network::StubNetwork;
use seshat_core::node::RaftNode;
use seshat_core::storage::MemStorage;
use tokio::runtime::Handle;

use super::cluster::{PATIENCE, config};
use super::futures::give_up_after;
use super::{MANY, nothing_left};

async fn start(storage: MemStorage) -> RaftNode {
    RaftNode::start(config(1, &[1]), storage, StubNetwork).await.unwrap()
}

/// It can be started again on what it stored, so that nobody else writes to it.
#[tokio::test(start_paused = true)]
async fn a_start_that_is_dropped_starts_nothing() {
    for polls in 1..MANY {
        let tasks = Handle::current().metrics().num_alive_tasks();
        let storage = MemStorage::new();
        let mut started = Box::pin(start(storage.clone()));
        let ended = give_up_after(polls, &mut started).await.is_some();
        drop(started);
        nothing_left(tasks).await;
        let node = start(storage).await;
        node.initialize().await.unwrap();
        node.wait_for_leader(PATIENCE).await.unwrap();
        node.set("k", "v").await.unwrap();
        drop(node);
        nothing_left(tasks).await;
        if ended {
            return;
        }
    }
    panic!("it never started");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_initialized_or_not_says_so() {
    for polls in 1..MANY {
        let node = start(MemStorage::new()).await;
        let ended = give_up_after(polls, &mut Box::pin(node.initialize())).await.is_some();
        match node.initialize().await {
            Ok(()) | Err(InitializeError::AlreadyInitialized { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        node.wait_for_leader(PATIENCE).await.unwrap();
        node.set("k", "v").await.unwrap();
        node.stop().await;
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

/// Whoever holds openraft's handle, which everything of a node's does.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_node_whose_last_clone_is_dropped_stops(#[values(false, true)] uses: bool) {
    let node = start(MemStorage::new()).await;
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    let (raft, mut metrics) = (node.raft().clone(), node.metrics());
    let clone = node.clone();
    if uses {
        // An entry under way, whose answer nobody waits for.
        assert!(give_up_after(1, &mut Box::pin(node.set("k", "v"))).await.is_none());
    }
    drop(node);
    assert!(clone.is_leader());
    drop(clone);
    let stopped = metrics.wait_for(|now| now.running_state.is_err());
    tokio::time::timeout(PATIENCE, stopped).await.unwrap().unwrap();
    assert!(raft.with_raft_state(|_| ()).await.is_err());
}

/// Its runtime is gone: nothing runs, and nothing panics.
#[test]
fn a_node_outlives_its_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let node = runtime.block_on(async {
        let node = start(MemStorage::new()).await;
        node.initialize().await.unwrap();
        node.wait_for_leader(PATIENCE).await.unwrap();
        node
    });
    drop(runtime);
    assert!(!node.is_leader());
    drop(node);
}
