//! Who asks for a digest shares it with those who ask meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/entries.rs"]
mod entries;

use entries::{id, normal, set};
use futures_util::future::join_all;
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use seshat_core::machine::{MachineReader, MachineStore};

/// Many keys, up to entry `last`.
async fn store(last: u64) -> MachineStore {
    let mut store = MachineStore::default();
    let entry = |index: u64| {
        let sets = (0..1000).map(|n| set(format!("{index}-{n}"), n.to_string()));
        normal(id(1, index), sets.collect::<Vec<_>>())
    };
    store.apply((1..=last).map(entry)).await.unwrap();
    store
}

async fn asked(reader: &MachineReader, times: usize) -> Vec<u128> {
    let asked = join_all((0..times).map(|_| reader.shared_digest())).await;
    asked.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_ask_at_once_cost_one() {
    let store = store(20).await;
    let reader = store.reader();
    let whole = reader.digest();
    assert_eq!(asked(&reader, 1000).await, vec![whole; 1000]);
    assert_eq!(reader.digests_computed(), 1);
    // Nothing was applied since.
    assert_eq!(asked(&reader, 1000).await, vec![whole; 1000]);
    assert_eq!(reader.digests_computed(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_is_no_older_than_the_question() {
    let mut store = store(20).await;
    let reader = store.reader();
    for index in 21..=40 {
        let earlier = tokio::spawn({
            let reader = reader.clone();
            async move { asked(&reader, 100).await }
        });
        store.apply([normal(id(1, index), [set("key", index.to_string())])]).await.unwrap();
        let now = reader.digest();
        assert_eq!(asked(&reader, 100).await, vec![now; 100]);
        earlier.await.unwrap();
    }
    let computed = reader.digests_computed();
    assert!(computed <= 2 * 20 + 1, "{computed} for 4000 questions between 20 entries");
}

/// Whoever gives up, even while its digest is computed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_up_leaves_the_others_alone() {
    let store = store(20).await;
    for dropped in 0..4 {
        let ask = || {
            let reader = store.reader();
            tokio::spawn(async move { reader.shared_digest().await })
        };
        let mut all: Vec<_> = (0..4).map(|_| ask()).collect();
        tokio::task::yield_now().await;
        for one in all.drain(..dropped) {
            one.abort();
        }
        for end in join_all(all).await {
            assert_eq!(end.unwrap().unwrap(), store.reader().digest());
        }
    }
}

/// A snapshot may take the state back, where none that leads would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_installed_is_another_state() {
    let mut old = store(10).await;
    let built = old.get_snapshot_builder().await.build_snapshot().await.unwrap();
    let mut store = store(20).await;
    let reader = store.reader();
    let before = reader.shared_digest().await.unwrap();
    store.install_snapshot(&built.meta, built.snapshot).await.unwrap();
    let after = reader.shared_digest().await.unwrap();
    assert_eq!(after, old.reader().digest());
    assert_ne!(after, before);
}
