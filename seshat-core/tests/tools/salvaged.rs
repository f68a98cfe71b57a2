//! What is whole, in a directory that opens.

use std::fs;

use seshat_core::disk::{DiskStorage, OpenError};
use seshat_core::wal;

use crate::directory::{
    LAST, PURGED, SNAPSHOTS, entry, everything, flip, frame_of, made, opened, options, segments,
    value,
};
use crate::program::{Said, masked, on};

fn salvage(dir: &std::path::Path, out: &std::path::Path, more: &[&str]) -> Said {
    let mut arguments = vec!["salvage", out.to_str().unwrap()];
    arguments.extend(more);
    on(dir, &arguments)
}

#[tokio::test]
async fn a_whole_directory_is_all_there() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    let before = everything(dir.path());
    let said = salvage(dir.path(), out.path(), &[]);
    assert_eq!((said.code, said.error.as_str()), (0, ""), "{said:?}");
    assert!(everything(dir.path()) == before, "the old directory was changed");
    assert_eq!(on(out.path(), &["verify"]).code, 0);
    let (entries, values) = opened(out.path(), "seshat-salvaged").await;
    assert_eq!(entries, Vec::from_iter((SNAPSHOTS[1] + 1..=LAST).map(entry)));
    let all = (3..=LAST).map(|index| (index, value(index)));
    assert_eq!(values, all.collect());
}

/// Up to the hole, from the snapshot before it.
#[tokio::test]
async fn what_is_behind_a_hole_is_left_out() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    let (file, at, _) = frame_of(dir.path(), 30);
    flip(&file, at + 60);
    let said = salvage(dir.path(), out.path(), &["--cluster", "new", "--node", "1"]);
    assert_eq!(said.code, 2, "{said:?}");
    insta::assert_snapshot!(masked(&said.out, out.path()));
    let (entries, values) = opened(out.path(), "new").await;
    assert_eq!(entries, Vec::from_iter((SNAPSHOTS[1] + 1..30).map(entry)));
    assert_eq!(values.len(), 27);
}

/// A hole that a snapshot covers costs nothing.
#[tokio::test]
async fn a_hole_before_the_snapshot_is_none() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    let (file, at, _) = frame_of(dir.path(), 18);
    flip(&file, at + 60);
    let said = salvage(dir.path(), out.path(), &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("damaged: entry 18 of group 0\n"), "{said:?}");
    let (_, values) = opened(out.path(), "seshat-salvaged").await;
    assert_eq!(values, (3..=LAST).map(|index| (index, value(index))).collect());
}

/// The snapshot before will do, where the log reaches back to it.
#[tokio::test]
async fn without_the_newest_snapshot() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    flip(&dir.path().join("snap/000000000002.snap"), 100);
    let said = salvage(dir.path(), out.path(), &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("damaged: snap/000000000002.snap\n"), "{said:?}");
    let (entries, values) = opened(out.path(), "seshat-salvaged").await;
    assert_eq!(entries.len() as u64, LAST - SNAPSHOTS[0]);
    assert_eq!(values, (3..=LAST).map(|index| (index, value(index))).collect());
}

#[tokio::test]
async fn without_a_log() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    segments(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    let said = salvage(dir.path(), out.path(), &[]);
    assert!(said.out.contains("snapshot: snap/000000000002.snap, up to entry 24"), "{said:?}");
    let (entries, values) = opened(out.path(), "seshat-salvaged").await;
    assert_eq!((entries.len(), values.len()), (0, 22));
}

#[tokio::test]
async fn without_a_state_it_is_refused() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    fs::remove_dir_all(dir.path().join("snap")).unwrap();
    let said = salvage(dir.path(), out.path(), &[]);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    let words = format!("no snapshot is whole, and the log is purged up to T1-N1-{PURGED}");
    assert!(said.error.contains(&words), "{said:?}");
    assert!(said.error.contains("`seshat dump` prints the entries that are left"), "{said:?}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Only into a new one.
#[tokio::test]
async fn nothing_is_written_over() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    fs::write(out.path().join("mine"), "x").unwrap();
    let before = everything(out.path());
    let said = salvage(dir.path(), out.path(), &[]);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    assert!(said.error.contains("is not empty: it has \"mine\""), "{said:?}");
    assert!(everything(out.path()) == before);
    let said = salvage(dir.path(), dir.path(), &[]);
    assert!(said.error.contains("is not empty"), "{said:?}");
}

/// The old cluster's node can't be started on it by mistake.
#[tokio::test]
async fn it_belongs_to_another_cluster() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    assert_eq!(salvage(dir.path(), out.path(), &[]).code, 0);
    let error = DiskStorage::open(out.path(), options()).unwrap_err();
    let OpenError::Log(wal::OpenError::OtherCluster { got, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(got, "seshat-salvaged");
}

/// Whose it is has to be said where the directory doesn't any more.
#[tokio::test]
async fn without_an_identity() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    flip(&dir.path().join("IDENTITY"), 30);
    let said = salvage(dir.path(), out.path(), &[]);
    assert_eq!(said.code, 64, "{said:?}");
    assert!(said.error.contains("with --cluster NAME and --node ID"), "{said:?}");
    let said = salvage(dir.path(), out.path(), &["--cluster", "new", "--node", "1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let (_, values) = opened(out.path(), "new").await;
    assert_eq!(values.len() as u64, LAST - 2);
}
