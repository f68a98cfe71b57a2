//! The log: append, read, truncate, purge, and readers beside a writer.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use seshat_core::log::{Log, LogStore};
use seshat_core::types::Entry;

use crate::common::data::{KEY_LEN, Make, VALUE_LEN, batches, log_id};
use crate::common::measure::{Scale, Stopwatch, block_on, now};
use crate::common::naive::{self, NaiveConfig};

type NaiveEntry = openraft::Entry<NaiveConfig>;
type NaiveLog = naive::LogStore<NaiveConfig>;

const RANGE: u64 = 300;
const PURGE: u64 = 1024;
/// Entries that are made, then appended.
const MADE_AT_ONCE: u64 = 1024;
/// Entries in a log that is purged as it goes.
const KEPT: u64 = 32 << 10;

/// Times `append` on batches that are made just before, some thousand entries at once, so that
/// they are as warm as what openraft hands over.
fn append<E: Make>(scale: Scale, batch: u64, mut append: impl FnMut(Vec<Vec<E>>)) -> Vec<f64> {
    let mut watch = Stopwatch::new();
    for start in (0..scale.keys).step_by(MADE_AT_ONCE as usize) {
        let made = batches(start..scale.keys.min(start + MADE_AT_ONCE), batch);
        watch.time(|| append(made));
    }
    vec![watch.ns_per(scale.keys)]
}

pub(crate) fn append_naive<const BATCH: u64>(scale: Scale) -> Vec<f64> {
    let log = tokio::sync::RwLock::new(BTreeMap::new());
    append::<NaiveEntry>(scale, BATCH, |batches| {
        for batch in batches {
            now(log.write()).extend(batch.into_iter().map(|e| (e.log_id.index, e)));
        }
    })
}

pub(crate) fn append_ours<const BATCH: u64>(scale: Scale) -> Vec<f64> {
    let log = Mutex::new(Log::default());
    append(scale, BATCH, |batches| {
        for batch in batches {
            log.lock().unwrap().append(batch).unwrap();
        }
    })
}

pub(crate) fn append_limit<const BATCH: u64>(scale: Scale) -> Vec<f64> {
    let mut log: Vec<Entry> = Vec::new();
    append(scale, BATCH, |batches| {
        for batch in batches {
            for entry in batch {
                log.push(entry);
            }
        }
    })
}

pub(crate) fn store_append_naive<const BATCH: u64>(scale: Scale) -> Vec<f64> {
    store_append::<NaiveConfig, _, BATCH>(scale, NaiveLog::default())
}

pub(crate) fn store_append_ours<const BATCH: u64>(scale: Scale) -> Vec<f64> {
    store_append::<_, _, BATCH>(scale, LogStore::default())
}

/// Only openraft can make the callback that `append` takes; its own helper does, and waits.
fn store_append<C, S, const BATCH: u64>(scale: Scale, mut store: S) -> Vec<f64>
where
    C: openraft::RaftTypeConfig<Entry: Make>,
    S: RaftLogStorage<C>,
{
    append(scale, BATCH, |batches| {
        for batch in batches {
            now(store.blocking_append(batch)).unwrap();
        }
    })
}

pub(crate) fn steady_naive<const BATCH: u64>(scale: Scale) -> Vec<f64> {
    let log = tokio::sync::RwLock::new(BTreeMap::new());
    steady::<NaiveEntry>(
        scale,
        BATCH,
        |batch| now(log.write()).extend(batch.into_iter().map(|e| (e.log_id.index, e))),
        |upto| {
            let mut log = now(log.write());
            *log = log.split_off(&(upto + 1));
        },
    )
}

pub(crate) fn steady_ours<const BATCH: u64>(scale: Scale) -> Vec<f64> {
    let log = Mutex::new(Log::default());
    steady(
        scale,
        BATCH,
        |batch| log.lock().unwrap().append(batch).unwrap(),
        |upto| log.lock().unwrap().purge(log_id(upto)).map(drop).unwrap(),
    )
}

pub(crate) fn steady_limit<const BATCH: u64>(scale: Scale) -> Vec<f64> {
    let log = RefCell::new(VecDeque::<Entry>::new());
    steady(
        scale,
        BATCH,
        |batch| batch.into_iter().for_each(|entry| log.borrow_mut().push_back(entry)),
        |_| drop(log.borrow_mut().drain(..MADE_AT_ONCE as usize)),
    )
}

/// Times appends, and purges of 1024 entries, on a log that keeps its last 32 Ki.
fn steady<E: Make>(
    scale: Scale,
    batch: u64,
    mut append: impl FnMut(Vec<E>),
    mut purge: impl FnMut(u64),
) -> Vec<f64> {
    let (mut appends, mut purges) = (Stopwatch::new(), Stopwatch::new());
    let (mut appended, mut purged) = (0, 0);
    for start in (0..scale.keys).step_by(MADE_AT_ONCE as usize) {
        if start >= KEPT {
            purges.time(|| purge(start - KEPT + MADE_AT_ONCE - 1));
            purged += MADE_AT_ONCE;
        }
        let made = batches(start..start + MADE_AT_ONCE, batch);
        appends.time(|| made.into_iter().for_each(&mut append));
        appended += MADE_AT_ONCE;
    }
    vec![appends.ns_per(appended), purges.ns_per(purged)]
}

pub(crate) fn read_and_remove_naive(scale: Scale) -> Vec<f64> {
    read_and_remove::<NaiveConfig, _>(scale, NaiveLog::default())
}

pub(crate) fn read_and_remove_ours(scale: Scale) -> Vec<f64> {
    read_and_remove(scale, LogStore::default())
}

fn read_and_remove<C, S>(scale: Scale, mut store: S) -> Vec<f64>
where
    C: openraft::RaftTypeConfig<NodeId = u64, Entry: Make>,
    S: RaftLogStorage<C>,
{
    for batch in batches::<C::Entry>(0..scale.keys, 256) {
        now(store.blocking_append(batch)).unwrap();
    }
    let mut reads = Stopwatch::new();
    for start in (0..scale.keys).step_by(RANGE as usize) {
        let end = scale.keys.min(start + RANGE);
        // What was read is freed outside: that is up to who read it.
        let read = reads.time(|| now(store.limited_get_log_entries(start, end)).unwrap());
        assert_eq!(read.len() as u64, end - start);
    }
    let half = scale.keys / 2;
    let mut truncate = Stopwatch::new();
    truncate.time(|| now(store.truncate(log_id(half))).unwrap());
    let mut purge = Stopwatch::new();
    for upto in (PURGE - 1..half).step_by(PURGE as usize) {
        purge.time(|| now(store.purge(log_id(upto))).unwrap());
    }
    let purged = now(store.get_log_state()).unwrap().last_purged_log_id.unwrap().index + 1;
    vec![reads.ns_per(scale.keys), truncate.ns_per(scale.keys - half), purge.ns_per(purged)]
}

pub(crate) fn read_and_remove_limit(scale: Scale) -> Vec<f64> {
    let mut log: Vec<Entry> = batches(0..scale.keys, 256).into_iter().flatten().collect();
    let mut reads = Stopwatch::new();
    for range in log.chunks(RANGE as usize) {
        reads.time(|| range.to_vec());
    }
    let half = log.len() / 2;
    let mut truncate = Stopwatch::new();
    truncate.time(|| log.truncate(half));
    let mut purge = Stopwatch::new();
    while log.len() >= PURGE as usize {
        purge.time(|| log.truncate(log.len() - PURGE as usize));
    }
    let purged = (half - log.len()) as u64;

    let payload = vec![1_u8; RANGE as usize * (KEY_LEN + VALUE_LEN)];
    let mut into = payload.clone();
    let mut copies = Stopwatch::new();
    for _ in 0..1000 {
        copies.time(|| black_box(&mut into).copy_from_slice(black_box(&payload)));
    }
    vec![
        reads.ns_per(scale.keys),
        truncate.ns_per(scale.keys - half as u64),
        purge.ns_per(purged),
        copies.ns_per(1000 * RANGE),
    ]
}

pub(crate) fn readers_naive(scale: Scale) -> Vec<f64> {
    readers::<NaiveConfig, _>(scale, NaiveLog::default())
}

pub(crate) fn readers_ours(scale: Scale) -> Vec<f64> {
    readers(scale, LogStore::default())
}

/// ns an entry appended, and ns an entry read, the two readers together, by the clock.
fn readers<C, S>(scale: Scale, mut store: S) -> Vec<f64>
where
    C: openraft::RaftTypeConfig<NodeId = u64, Entry: Make>,
    S: RaftLogStorage<C>,
{
    let batches = batches::<C::Entry>(0..scale.keys, 16);
    let (written, done, read) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let mut readers = [now(store.get_log_reader()), now(store.get_log_reader())];
    let started = Instant::now();
    std::thread::scope(|scope| {
        for reader in &mut readers {
            scope.spawn(|| {
                let mut count = 0;
                block_on(async {
                    while !done.load(Ordering::Relaxed) {
                        let end = written.load(Ordering::Relaxed);
                        let start = end.saturating_sub(RANGE);
                        let entries = reader.limited_get_log_entries(start, end).await.unwrap();
                        count += entries.len() as u64;
                    }
                });
                read.fetch_add(count, Ordering::Relaxed);
            });
        }
        block_on(async {
            for batch in batches {
                let count = batch.len() as u64;
                store.blocking_append(batch).await.unwrap();
                written.fetch_add(count, Ordering::Relaxed);
            }
        });
        done.store(true, Ordering::Relaxed);
    });
    let nanos = started.elapsed().as_nanos() as f64;
    vec![nanos / scale.keys as f64, nanos / read.load(Ordering::Relaxed) as f64]
}
