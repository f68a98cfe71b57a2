//! [`MachineStore`] used from several tasks at once, as openraft does: one applies and installs,
//! builders build, readers read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "common/entries.rs"]
mod entries;
#[path = "common/machine_oracle.rs"]
mod machine_oracle;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use entries::{del, id, normal, set, soon};
use machine_oracle::Oracle;
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use prost::Message as _;
use seshat_core::machine::{MachineReader, MachineSnapshotBuilder, MachineStore};
use seshat_core::proto::v1::SnapshotHeader;
use seshat_core::snapshot::{self, SnapshotData};
use seshat_core::types::{Entry, SnapshotMeta};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Keys are written in turn, so that the last few entries are enough to know the whole state.
const KEYS: u64 = 12;

fn entry(index: u64) -> Entry {
    let key = |n: u64| format!("key-{}", n % KEYS);
    let operations = [
        set("last", index.to_be_bytes().to_vec()),
        set(key(index), index.to_string()),
        del([key(index + 5)]),
    ];
    normal(id(1, index), operations)
}

/// The state after `index`, whatever way led there.
fn state_at(index: u64) -> Oracle {
    let mut oracle = Oracle::default();
    let first = index.saturating_sub(2 * KEYS).max(1);
    oracle.apply(&(first..=index).map(entry).collect::<Vec<_>>());
    oracle
}

fn meta_at(index: u64) -> SnapshotMeta {
    SnapshotMeta { snapshot_id: format!("of the leader at {index}"), ..state_at(index).meta() }
}

/// Which entry a snapshot ends at, by its own account; and it is that state, whole.
fn check_snapshot(bytes: &Bytes) -> u64 {
    let header = SnapshotHeader::decode_length_delimited(&bytes[..]).unwrap();
    let index = header.last_log_id.map_or(0, |last| last.index);
    assert!(*bytes == state_at(index).snapshot(), "not the state after entry {index}");
    index
}

async fn build_and_check(mut builder: MachineSnapshotBuilder, made_at: u64) {
    let built = soon(builder.build_snapshot()).await.unwrap();
    assert_eq!(built.meta.last_log_id, Some(id(1, made_at)));
    assert_eq!(check_snapshot(&built.snapshot.into_bytes().unwrap()), made_at);
}

/// Reads never go back, whatever kind they are; and a view is one moment.
async fn read_on(reader: MachineReader, done: Arc<AtomicBool>, start: Arc<Barrier>) {
    let mut seen = 0;
    let mut see = |index: u64| {
        assert!(index >= seen, "{index} read after {seen}");
        seen = index;
    };
    start.wait().await;
    let mut last_round = false;
    while !last_round {
        last_round = done.load(Ordering::SeqCst);
        see(reader.last_applied().map_or(0, |last| last.index));
        let last = reader.get(b"last").unwrap_or_default();
        see(u64::from_be_bytes(last[..].try_into().unwrap_or_default()));
        see(check_snapshot(&snapshot::write(&reader.freeze())));
        tokio::task::yield_now().await;
    }
}

/// The current snapshot never goes back either.
async fn check_current(store: &mut MachineStore, at_least: &mut u64) {
    if let Some(current) = soon(store.get_current_snapshot()).await.unwrap() {
        let index = check_snapshot(&current.snapshot.into_bytes().unwrap());
        assert_eq!(current.meta.last_log_id, Some(id(1, index)));
        assert!(index >= *at_least, "current at {index} after one at {at_least}");
        *at_least = index;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 5)]
async fn apply_build_install_and_read_do_not_disturb_each_other() {
    const READERS: usize = 2;
    const ROUNDS: u64 = 3_000;
    let mut store = MachineStore::default();
    let done = Arc::new(AtomicBool::new(false));
    let applied = Arc::new(AtomicU64::new(0));
    let overlapped = Arc::new(AtomicU64::new(0));
    let start = Arc::new(Barrier::new(READERS + 1));
    let mut tasks = JoinSet::new();
    for _ in 0..READERS {
        tasks.spawn(read_on(store.reader(), Arc::clone(&done), Arc::clone(&start)));
    }

    start.wait().await;
    let (mut next, mut current) = (1, 0);
    for round in 0..ROUNDS {
        let batch = next..next + 1 + round % 4;
        next = batch.end;
        let replies = soon(store.apply(batch.clone().map(entry))).await.unwrap();
        assert_eq!(replies.len() as u64, batch.end - batch.start);
        applied.store(next, Ordering::SeqCst);
        if round % 10 == 0 {
            let (builder, made_at) = (soon(store.get_snapshot_builder()).await, next - 1);
            let (applied, overlapped) = (Arc::clone(&applied), Arc::clone(&overlapped));
            tasks.spawn(async move {
                build_and_check(builder, made_at).await;
                let later = applied.load(Ordering::SeqCst) > made_at + 1;
                overlapped.fetch_add(u64::from(later), Ordering::SeqCst);
            });
        }
        if round % 97 == 0 {
            let at = next + 20;
            let data = Box::new(SnapshotData::from(state_at(at).snapshot()));
            soon(store.install_snapshot(&meta_at(at), data)).await.unwrap();
            (next, current) = (at + 1, at);
        }
        if round % 13 == 0 {
            check_current(&mut store, &mut current).await;
        }
    }
    done.store(true, Ordering::SeqCst);
    while let Some(task) = soon(tasks.join_next()).await {
        task.unwrap();
    }
    check_current(&mut store, &mut current).await;
    assert!(overlapped.load(Ordering::SeqCst) > 0, "no build overlapped with an apply");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_dropped_midway_does_no_harm() {
    let mut store = MachineStore::default();
    for index in 1..=100 {
        soon(store.apply([entry(index)])).await.unwrap();
        let mut builder = soon(store.get_snapshot_builder()).await;
        tokio::select! {
            biased;
            _ = builder.build_snapshot() => {}
            () = std::future::ready(()) => {}
        }
        // The builder is as good as new; nobody else noticed.
        match index % 3 {
            0 => build_and_check(builder, index).await,
            1 => build_and_check(soon(store.get_snapshot_builder()).await, index).await,
            _ => {}
        }
        let view = snapshot::write(&store.reader().freeze());
        assert_eq!(check_snapshot(&view), index);
        check_current(&mut store, &mut 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_that_is_dropped_midway_happens_whole() {
    let mut store = MachineStore::default();
    for at in (10..1_000).step_by(10) {
        let data = Box::new(SnapshotData::from(state_at(at).snapshot()));
        let meta = meta_at(at);
        tokio::select! {
            biased;
            _ = store.install_snapshot(&meta, data) => {}
            () = std::future::ready(()) => {}
        }
        let reader = store.reader();
        let installed = async {
            while check_snapshot(&snapshot::write(&reader.freeze())) != at {
                tokio::task::yield_now().await;
            }
        };
        soon(installed).await;
        let current = soon(store.get_current_snapshot()).await.unwrap().unwrap();
        assert_eq!(current.meta, meta);
    }
}
