//! Starting on what is there: a log of 1 GiB, and a snapshot of a million keys.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use openraft::StoredMembership;
use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::machine::MachineStore;
use seshat_core::snapshot::SnapshotData;
use seshat_core::storage::Storage;
use seshat_core::types::{Entry, SnapshotMeta};
use seshat_core::wal::fs::File as _;
use seshat_core::wal::{Disk, Keeper, Options, Wal};
use twox_hash::XxHash3_64;

use crate::commits::records;
use crate::common::data::{Make, log_id, packed};
use crate::common::measure::{Scale, Stopwatch, block_on, median, medians};
use crate::common::table::{self, Aim, Row};

/// Operations in an entry of a node with many clients, and of one with one.
const PACKED: [u64; 2] = [256, 1];

fn options() -> Options {
    Options::new("bench", 1)
}

pub(crate) fn print(scale: Scale, dir: &Path) {
    let mut rows = Vec::new();
    for operations in PACKED {
        let mib = if scale.rounds == 1 { 32 } else { 1024 };
        let log = dir.join("log");
        write_log(&log, operations, mib << 20);
        rows.extend(log_rows(scale, &log, &format!("{mib} MiB of log, {operations} in an entry")));
        fs::remove_dir_all(&log).unwrap();
    }
    medians(Scale { rounds: 1, ..scale }, ["snapshot/write"]);
    let [opened, installed] = medians(scale, ["snapshot/open", "snapshot/install"]);
    fs::remove_dir_all(snapshot_dir(std::process::id())).unwrap();
    rows.push(Row {
        what: format!("snapshot of {} keys (limit: installed from memory)", scale.keys),
        naive: None,
        ours: opened[0],
        limit: Some(installed[0]),
        aim: Aim::WithinLimit(1.3),
    });
    table::print("To start, ms (limit: as many bytes read, with one checksum)", &rows);
}

/// A log that was closed, of entries of so many `SET`s, each in a frame of its own.
fn write_log(dir: &Path, operations: u64, bytes: u64) {
    let (wal, _) = Wal::open(Disk::at(dir).unwrap(), options()).unwrap();
    let keeper = Keeper::start(wal.clone()).unwrap();
    let entry = |index: u64| match operations {
        1 => Entry::make(index, index),
        _ => packed(index, &(index * operations..(index + 1) * operations).collect::<Vec<_>>()),
    };
    let (mut index, mut written) = (0, 0);
    while written < bytes {
        let entries = (index..index + 4096 / operations).map(|index| vec![entry(index)]);
        for record in records(entries.collect()) {
            wal.submit(0, record).unwrap();
        }
        index += 4096 / operations;
        wal.settle().unwrap();
        written = segments(dir).iter().rev().skip(1).map(|path| len(path)).sum();
    }
    drop(keeper);
    wal.close().unwrap();
}

fn len(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("wal")).unwrap().map(|file| file.unwrap().path());
    let mut segments: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|it| it == "seg")).collect();
    segments.sort();
    segments
}

/// By turns: read raw, the log opened, a node's storage opened. All from the disk.
fn log_rows(scale: Scale, dir: &Path, what: &str) -> [Row; 2] {
    let mut taken: [Vec<f64>; 3] = Default::default();
    for _ in 0..scale.rounds {
        taken[0].push(ms(|| segments(dir).iter().for_each(|path| read_raw(path))));
        taken[1].push(ms(|| drop(Wal::open(Disk::at(dir).unwrap(), options()).unwrap())));
        let mut storage = None;
        taken[2].push(ms(|| storage = Some(open(dir))));
    }
    let [limit, wal, storage] = taken.map(median);
    let aim = Aim::ShareOfLimit(0.5);
    let row = |how, ours| Row {
        what: format!("{what}: {how}"),
        naive: None,
        ours,
        limit: Some(limit),
        aim,
    };
    [row("the log", wal), row("a node's storage", storage)]
}

fn ms(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e3
}

/// As the log does before it reads, what is cached is dropped first.
fn read_raw(path: &Path) {
    let file = File::open(path).unwrap();
    file.drop_cache().unwrap();
    let mut bytes = vec![0; 1 << 20];
    for at in (0..len(path)).step_by(bytes.len()) {
        let some = (len(path) - at).min(bytes.len() as u64) as usize;
        file.read_exact_at(&mut bytes[..some], at).unwrap();
        std::hint::black_box(XxHash3_64::oneshot(&bytes[..some]));
    }
}

/// Where the snapshot is; `run` is the process that started the measurements.
fn snapshot_dir(run: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{run}-durable"))
}

fn open(dir: &Path) -> DiskStorage {
    DiskStorage::open(dir, DiskOptions::new("bench", 1)).unwrap()
}

/// A node's directory that has a snapshot, and a log without entries.
pub(crate) fn write_snapshot(scale: Scale) -> Vec<f64> {
    let (_log, mut machine, _) = open(&snapshot_dir(parent_id())).into_parts();
    block_on(async {
        for index in 0..scale.keys {
            machine.apply([packed(index, &[index])]).await.unwrap();
        }
        machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    });
    Vec::new()
}

pub(crate) fn open_snapshot(scale: Scale) -> Vec<f64> {
    let mut watch = Stopwatch::new();
    let storage = watch.time(|| open(&snapshot_dir(parent_id())));
    assert_eq!(storage.into_parts().2.size().keys, scale.keys);
    vec![watch.total_ms()]
}

/// The same bytes, in memory before the clock runs.
pub(crate) fn install_snapshot(scale: Scale) -> Vec<f64> {
    let folder = snapshot_dir(parent_id()).join("snap");
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let data = Box::new(SnapshotData::from(Bytes::from(fs::read(file).unwrap())));
    let meta = SnapshotMeta {
        last_log_id: Some(log_id(scale.keys - 1)),
        last_membership: StoredMembership::default(),
        snapshot_id: "bench".to_owned(),
    };
    let mut machine = MachineStore::default();
    let started = Instant::now();
    block_on(machine.install_snapshot(&meta, data)).unwrap();
    let taken = started.elapsed().as_secs_f64() * 1e3;
    assert_eq!(machine.reader().size().keys, scale.keys);
    vec![taken]
}
