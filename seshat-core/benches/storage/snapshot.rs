//! Snapshots: build and install, their time and the memory they need at their highest.

use std::collections::HashMap;
use std::io::Cursor;
use std::os::unix::process::parent_id;
use std::path::PathBuf;

use bytes::{Buf, Bytes};
use openraft::storage::RaftStateMachine;
use openraft::{RaftSnapshotBuilder, StoredMembership};
use seshat_core::machine::MachineStore;
use seshat_core::snapshot::{self, SnapshotData};
use seshat_core::types::SnapshotMeta;

use crate::common::data::{log_id, packed};
use crate::common::measure::{Scale, Stopwatch, block_on, median, now, peak_mib};
use crate::machine::{NaiveMachine, full_machine, full_naive};

/// ms, and bytes a key. The naive build copies the map first; ours freezes it, in no time.
pub(crate) fn build_naive(scale: Scale) -> Vec<f64> {
    let mut store = full_naive(scale.keys);
    let mut watch = Stopwatch::new();
    let snapshot = watch.time(|| now(now(store.get_snapshot_builder()).build_snapshot()).unwrap());
    vec![watch.total_ms(), snapshot.snapshot.get_ref().len() as f64 / scale.keys as f64]
}

/// ms, bytes a key, and ms to copy as many bytes to memory that is new.
pub(crate) fn build_ours(scale: Scale) -> Vec<f64> {
    let mut machine = full_machine(scale.keys);
    let mut watch = Stopwatch::new();
    let bytes = watch.time(|| snapshot::write(&machine.freeze()));
    let copies = std::iter::repeat_with(|| {
        let mut watch = Stopwatch::new();
        watch.time(|| bytes.to_vec());
        watch.total_ms()
    });
    let copy = median(copies.take(5).collect());
    vec![watch.total_ms(), bytes.len() as f64 / scale.keys as f64, copy]
}

/// Where snapshots wait for those that install them. `run` is the id of the process that started
/// the measurements.
fn file(run: u32, whose: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{run}-{whose}.snapshot"))
}

pub(crate) fn write_files(scale: Scale) -> Vec<f64> {
    let ours = snapshot::write(&full_machine(scale.keys).freeze());
    std::fs::write(file(parent_id(), "ours"), ours).unwrap();
    let mut store = full_naive(scale.keys);
    let naive = now(now(store.get_snapshot_builder()).build_snapshot()).unwrap();
    std::fs::write(file(parent_id(), "naive"), naive.snapshot.into_inner()).unwrap();
    Vec::new()
}

pub(crate) fn remove_files() {
    for whose in ["ours", "naive"] {
        std::fs::remove_file(file(std::process::id(), whose)).unwrap();
    }
}

fn read_file(whose: &str) -> Vec<u8> {
    std::fs::read(file(parent_id(), whose)).unwrap()
}

fn meta(scale: Scale) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: Some(log_id(scale.keys - 1)),
        last_membership: StoredMembership::default(),
        snapshot_id: "bench".to_owned(),
    }
}

pub(crate) fn install_naive(scale: Scale) -> Vec<f64> {
    let data = Box::new(Cursor::new(read_file("naive")));
    let mut store = NaiveMachine::default();
    let mut watch = Stopwatch::new();
    watch.time(|| now(store.install_snapshot(&meta(scale), data)).unwrap());
    vec![watch.total_ms()]
}

pub(crate) fn install_ours(scale: Scale) -> Vec<f64> {
    let bytes = Bytes::from(read_file("ours"));
    let mut watch = Stopwatch::new();
    let machine = watch.time(|| snapshot::read(&bytes, &meta(scale)).unwrap());
    assert_eq!(machine.size().keys, scale.keys);
    vec![watch.total_ms()]
}

pub(crate) fn install_limit(scale: Scale) -> Vec<f64> {
    let bytes = Bytes::from(read_file("naive"));
    let mut watch = Stopwatch::new();
    let map = watch.time(|| slices_into_map(bytes, scale.keys));
    assert_eq!(map.len() as u64, scale.keys);
    vec![watch.total_ms()]
}

type Slices = HashMap<Bytes, Bytes, foldhash::fast::RandomState>;

/// The fastest of the ways that were compared: 1024 pairs are decoded, as slices of the whole,
/// then inserted, so that their cache misses overlap. Nothing is checked or copied, and as long
/// as one slice lives the whole does.
fn slices_into_map(mut bytes: Bytes, keys: u64) -> Slices {
    let mut map = Slices::with_capacity_and_hasher(keys as usize, Default::default());
    let mut group = Vec::with_capacity(1024);
    while bytes.has_remaining() {
        while group.len() < 1024 && bytes.has_remaining() {
            let mut next = || {
                let len = bytes.get_u32_le() as usize;
                bytes.split_to(len)
            };
            let pair = (next(), next());
            group.push(pair);
        }
        map.extend(group.drain(..));
    }
    map
}

pub(crate) fn peak_of_build_naive(scale: Scale) -> Vec<f64> {
    let mut store = full_naive(scale.keys);
    vec![peak_mib(|| now(now(store.get_snapshot_builder()).build_snapshot()).unwrap())]
}

pub(crate) fn peak_of_build_ours(scale: Scale) -> Vec<f64> {
    let mut store = MachineStore::default();
    for i in 0..scale.keys {
        now(store.apply([packed(i, &[i])])).unwrap();
    }
    let build =
        || block_on(async { store.get_snapshot_builder().await.build_snapshot().await.unwrap() });
    vec![peak_mib(build)]
}

pub(crate) fn peak_of_install_naive(scale: Scale) -> Vec<f64> {
    let data = Box::new(Cursor::new(read_file("naive")));
    let mut store = NaiveMachine::default();
    vec![peak_mib(|| block_on(store.install_snapshot(&meta(scale), data)).unwrap())]
}

pub(crate) fn peak_of_install_ours(scale: Scale) -> Vec<f64> {
    let data = Box::new(SnapshotData::from(Bytes::from(read_file("ours"))));
    let mut store = MachineStore::default();
    vec![peak_mib(|| block_on(store.install_snapshot(&meta(scale), data)).unwrap())]
}

pub(crate) fn peak_of_install_limit(scale: Scale) -> Vec<f64> {
    let bytes = Bytes::from(read_file("naive"));
    vec![peak_mib(|| slices_into_map(bytes, scale.keys))]
}
