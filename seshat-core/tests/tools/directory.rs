//! Directories of nodes, and harm done to them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use openraft::RaftSnapshotBuilder;
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::types::{Entry, Membership, Node, Vote};
use seshat_core::wal;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::entries::{del, id, membership, normal, set};

pub(crate) const CLUSTER: &str = "seshat";

/// Segments of four blocks, so that there are some.
pub(crate) fn options() -> DiskOptions {
    let wal = wal::Options {
        first_segment_bytes: 16 << 10,
        segment_bytes: 16 << 10,
        reserve_bytes: 256,
        spares: 1,
        ..wal::Options::new(CLUSTER, 1)
    };
    DiskOptions { wal, hot_bytes: 1 << 20 }
}

/// Members 1, 2 and 3.
pub(crate) fn members() -> Membership {
    let nodes = (1..=3).map(|id| (id, Node::new(format!("node-{id}:7379"))));
    Membership::new(vec![(1..=3).collect()], nodes.collect::<BTreeMap<_, _>>())
}

/// Entry `index`, of term 1 up to 19 and of term 2 after it.
pub(crate) fn entry(index: u64) -> Entry {
    let log_id = id(if index < 20 { 1 } else { 2 }, index);
    match index {
        0 => membership(log_id, members()),
        1 => normal(log_id, [set("text", "a \"value\"\n"), set(vec![0xff, 0], vec![0xfe; 3])]),
        2 => normal(log_id, [del(["text", "absent"])]),
        _ => normal(log_id, [set(format!("key-{index}"), value(index))]),
    }
}

/// Of so many bytes that a segment has a few of them, and found in no other place.
pub(crate) fn value(index: u64) -> String {
    format!("value-{index:04}-").repeat(70)
}

/// The last entry of a [`made`] directory.
pub(crate) const LAST: u64 = 45;
/// What its snapshots end with; the log is purged up to [`PURGED`].
pub(crate) const SNAPSHOTS: [u64; 2] = [14, 24];
pub(crate) const PURGED: u64 = 12;

/// A directory that was closed: several segments, two snapshots, and a log that reaches back to both. A copy
/// of one that is made once.
pub(crate) async fn made() -> TempDir {
    static MADE: OnceCell<TempDir> = OnceCell::const_new();
    let made = MADE.get_or_init(make).await;
    let copy = tempfile::tempdir().unwrap();
    copy_files(made.path(), copy.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy_files(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

async fn make() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let DiskStorage { mut log, mut machine } = DiskStorage::open(dir.path(), options()).unwrap();
    log.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    for index in 0..=LAST {
        if index == 20 {
            log.save_vote(&Vote::new_committed(2, 1)).await.unwrap();
        }
        log.blocking_append([entry(index)]).await.unwrap();
        log.save_committed(Some(entry(index).log_id)).await.unwrap();
        machine.apply([entry(index)]).await.unwrap();
        if SNAPSHOTS.contains(&index) {
            machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
        }
        if index == SNAPSHOTS[1] {
            log.purge(entry(PURGED).log_id).await.unwrap();
        }
    }
    dir
}

/// The entries that a directory has, and the value of each key of theirs.
pub(crate) async fn opened(dir: &Path, cluster: &str) -> (Vec<Entry>, BTreeMap<u64, String>) {
    let options =
        DiskOptions { wal: wal::Options { cluster: cluster.into(), ..options().wal }, ..options() };
    let DiskStorage { mut log, mut machine } = DiskStorage::open(dir, options).unwrap();
    let entries = log.try_get_log_entries(..).await.unwrap();
    let applied = machine.applied_state().await.unwrap().0;
    let due = entries.iter().filter(|entry| Some(entry.log_id) > applied).cloned();
    machine.apply(due).await.unwrap();
    let reader = machine.reader();
    let value = |index: u64| {
        let value = reader.get(format!("key-{index}").as_bytes())?;
        Some((index, String::from_utf8(value.to_vec()).unwrap()))
    };
    let values = (0..=LAST + 10).filter_map(value).collect();
    (entries, values)
}

pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("wal")).unwrap().map(|it| it.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "seg"));
    files.sort();
    files
}

/// The frame of an entry: its segment's file, where it begins, and its length.
pub(crate) fn frame_of(dir: &Path, index: u64) -> (PathBuf, usize, usize) {
    let number =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    for file in segments(dir) {
        let bytes = fs::read(&file).unwrap();
        let mut at = 4096;
        while bytes.get(at..at + 8).is_some_and(|it| it != [0; 8]) {
            let len = 48 + (number(&bytes, at + 4) as usize).next_multiple_of(8);
            let first = u64::from_le_bytes(bytes[at + 24..at + 32].try_into().unwrap());
            if bytes[at + 8] == 1 && first == index {
                return (file, at, len);
            }
            at += len;
        }
    }
    panic!("no frame has entry {index}");
}

pub(crate) fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x20;
    fs::write(file, bytes).unwrap();
}

/// Everything that can be told of a directory: names, contents, and when they were changed.
pub(crate) fn everything(dir: &Path) -> BTreeMap<PathBuf, (i64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut paths = vec![dir.to_owned()];
    while let Some(path) = paths.pop() {
        let meta = fs::metadata(&path).unwrap();
        let content = if meta.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        all.insert(path, (meta.mtime(), meta.mtime_nsec(), content));
    }
    all
}
