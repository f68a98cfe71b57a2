//! What is in memory, and what is read from the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt};
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::log::LogStore;

use crate::entries::id;
use crate::run::{Op, Run, entry, open, options};
use crate::sim::Sim;

/// A follower that was away for so many entries costs none of them in memory, and neither does a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_take_no_more_memory_than_they_may() {
    let dir = tempfile::tempdir().unwrap();
    let bound = 100_000;
    let options = || DiskOptions { hot_bytes: bound, ..DiskOptions::new("cluster", 1) };
    let DiskStorage { mut log, machine } = DiskStorage::open(dir.path(), options()).unwrap();
    for batch in 0..40 {
        let entries = (0..50).map(|n| entry(1, batch * 50 + n, 100));
        log.blocking_append(entries.collect::<Vec<_>>()).await.unwrap();
        assert!(log.hot_bytes() <= bound, "{}", log.hot_bytes());
    }
    assert!(log.hot_bytes() > bound / 2, "what may be in memory is: {}", log.hot_bytes());
    drop((log, machine));
    let DiskStorage { mut log, machine: _machine } =
        DiskStorage::open(dir.path(), options()).unwrap();
    assert!((bound / 2..=bound).contains(&log.hot_bytes()), "{}", log.hot_bytes());
    let mut next = 0;
    while next < 2000 {
        let read = log.limited_get_log_entries(next, 2000).await.unwrap();
        assert!(read.iter().enumerate().all(|(n, it)| *it == entry(1, next + n as u64, 100)));
        next += read.len() as u64;
    }
    assert!(log.hot_bytes() <= bound, "reading warms nothing: {}", log.hot_bytes());
}

/// A limited read stops where the one in memory does, in either part and across both.
#[tokio::test]
async fn a_limited_read_weighs_the_same_wherever_the_entries_are() {
    let sim = Sim::new(4096);
    let mut options = options();
    options.hot_bytes = 900_000;
    let DiskStorage { mut log, machine: _machine } = DiskStorage::open_on(sim, options).unwrap();
    let mut memory = LogStore::default();
    for index in 0..8 {
        let one = vec![entry(1, index, 300_000)];
        log.blocking_append(one.clone()).await.unwrap();
        memory.blocking_append(one).await.unwrap();
    }
    for start in 0..8 {
        let expected = memory.limited_get_log_entries(start, 8).await.unwrap();
        assert_eq!(log.limited_get_log_entries(start, 8).await.unwrap(), expected, "{start}");
        assert_eq!(expected.len() as u64, 3.min(8 - start));
    }
}

/// An entry at the last index there is.
#[tokio::test]
async fn the_last_index_is_an_index() {
    let sim = Sim::new(512);
    let (mut log, machine) = open(sim.clone()).unwrap();
    let last = vec![entry(1, u64::MAX - 1, 400)];
    log.blocking_append(last.clone()).await.unwrap();
    assert_eq!(log.try_get_log_entries(..).await.unwrap(), last);
    drop((log, machine));
    let (mut log, _machine) = open(sim).unwrap();
    assert_eq!(log.try_get_log_entries(..).await.unwrap(), last);
}

/// Damage to what is read back is told, and is no entry.
#[tokio::test]
async fn a_damaged_entry_is_not_read() {
    let mut run = Run::on(Sim::new(512));
    run.run(&[Op::Append(2, 20), Op::Append(2, 700)]).await;
    let at = {
        let world = run.sim.world();
        let bytes = world.files()["wal/000000000001.seg"].clone();
        bytes.windows(9).position(|some| some == b"xxxxxxxxx").unwrap()
    };
    run.sim.world().damage("wal/000000000001.seg", at, 1);
    let (log, _) = &mut run.storage;
    let error = log.try_get_log_entries(0..2).await.unwrap_err().to_string();
    assert!(error.contains("entries 0 to 1 of group 0 are damaged"), "{error}");
    assert_eq!(log.try_get_log_entries(2..4).await.unwrap().len(), 2, "the others are there");
}

/// A purge lets the segments go that nothing is left in, and nudges whoever does that.
#[tokio::test]
async fn what_is_purged_leaves_the_disk() {
    let mut run = Run::on(Sim::new(512));
    for _ in 0..20 {
        run.run(&[Op::Append(2, 3000), Op::Build, Op::Purge(0)]).await;
    }
    let segments = |run: &Run| {
        let files = run.sim.world().files();
        files.keys().filter(|name| name.ends_with(".seg")).count()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while segments(&run) > 2 {
        assert!(std::time::Instant::now() < deadline, "{} segments stay", segments(&run));
        tokio::task::yield_now().await;
    }
    let (log, _) = &mut run.storage;
    log.purge(id(1, 39)).await.unwrap();
}

/// Readers go on while entries come, go cold, are truncated and purged: what they get is consecutive, and no
/// error.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_beside_a_writer_see_no_hole_and_no_error() {
    let (mut log, _machine) = open(Sim::new(512)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3_u64)
        .map(|reader| {
            let (mut log, done) = (log.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) || reads == 0 {
                    // From the first on, which is what is purged under way.
                    let read = match reader {
                        0 => log.limited_get_log_entries(0, u64::MAX).await.unwrap(),
                        _ => log.try_get_log_entries(..).await.unwrap(),
                    };
                    let holes =
                        read.windows(2).filter(|w| w[0].log_id.index + 1 != w[1].log_id.index);
                    assert_eq!(holes.count(), 0);
                    reads += read.len();
                }
            })
        })
        .collect();
    let mut next = 0;
    for round in 0..600_u64 {
        let term = round + 1;
        log.blocking_append((0..4).map(|n| entry(term, next + n, 200)).collect::<Vec<_>>())
            .await
            .unwrap();
        next += 4;
        if round % 3 == 2 {
            next -= 2;
            log.truncate(id(term, next)).await.unwrap();
        }
        if round % 2 == 1 {
            let there = log.try_get_log_entries(next - 3..next - 2).await.unwrap();
            log.purge(there[0].log_id).await.unwrap();
        }
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}
