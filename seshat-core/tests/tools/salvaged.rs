//! What is whole, in a directory that opens.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use rstest::rstest;
use seshat_core::config::NodeConfig;
use seshat_core::disk::{DiskOptions, DiskStorage, OpenError};
use seshat_core::network::StubNetwork;
use seshat_core::node::RaftNode;
use seshat_core::types::{Entry, LeaderId, LogId, Membership, Node, Vote};
use seshat_core::wal;

use crate::directory::{
    LAST, PURGED, SNAPSHOTS, entry, everything, flip, frame_of, made, opened, options, segments,
    value,
};
use crate::entries::{del, id, membership, normal, set};
use crate::program::{Said, masked, on};

const PATIENCE: Duration = Duration::from_secs(60);

fn salvage(dir: &Path, out: &Path, more: &[&str]) -> Said {
    let mut arguments = vec!["salvage", out.to_str().unwrap()];
    arguments.extend(more);
    on(dir, &arguments)
}

/// The entry that is added behind that one: node 1 is the only member.
fn alone(after: u64) -> Entry {
    let nodes = BTreeMap::from([(1, Node::new("node-1:7379"))]);
    let members = Membership::new(vec![[1].into()], nodes);
    let LogId { leader_id, index } = entry(after).log_id;
    membership(LogId::new(leader_id, index + 1), members)
}

/// Started, the node leads itself, has everything, and takes writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_the_seed_of_a_new_cluster() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    let (file, at, _) = frame_of(dir.path(), 40);
    flip(&file, at + 60);
    assert_eq!(salvage(dir.path(), out.path(), &["--cluster", "new"]).code, 2);
    let wal = wal::Options { cluster: "new".into(), ..options().wal };
    let storage = DiskStorage::open(out.path(), DiskOptions { wal, ..options() }).unwrap();
    let config = NodeConfig::builder(1).cluster_name("new").member(1, "node-1").single_node();
    let node = RaftNode::start(config.build().unwrap(), storage, StubNetwork).await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    node.set("new", "write").await.unwrap();
    for index in 3..40 {
        let read = node.read_linearizable(format!("key-{index}").as_bytes()).await.unwrap();
        assert_eq!(read.as_deref(), Some(value(index).as_bytes()), "key-{index}");
    }
    assert_eq!(node.read_linearizable(b"key-40").await.unwrap(), None, "it is lost");
    node.shutdown().await;
}

/// Entries 3 and 4 are of node 1 in term 1; what is lost took them back and has others in their place, or it
/// doesn't: that shows by who made entry 5.
#[rstest]
#[case::of_a_later_term(id(2, 5), false)]
#[case::of_another_leader_in_the_term(LogId::new(LeaderId::new(1, 2), 5), false)]
#[case::not_taken_back(id(1, 5), true)]
#[tokio::test]
async fn what_may_have_been_taken_back_is_left_out(#[case] fifth: LogId, #[case] certain: bool) {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut log = DiskStorage::open(dir.path(), options()).unwrap().log;
    log.blocking_append((0..3).map(entry)).await.unwrap();
    log.save_committed(Some(id(1, 2))).await.unwrap();
    log.blocking_append((3..5).map(|index| normal(id(1, index), [set("old", "x")]))).await.unwrap();
    let lost = segments(dir.path())[0].clone();
    let begin = end_of_frames(&lost);
    if certain {
        log.save_vote(&Vote::new(1, 1)).await.unwrap();
    } else {
        log.truncate(id(1, 3)).await.unwrap();
        let others = (3..5).map(|index| normal(LogId::new(fifth.leader_id, index), [del(["a"])]));
        log.blocking_append(others).await.unwrap();
    }
    let end = end_of_frames(&lost);
    log.blocking_append([normal(fifth, [set("new", "x")])]).await.unwrap();
    drop(log);
    let mut bytes = fs::read(&lost).unwrap();
    bytes[begin..end].fill(0x55);
    fs::write(&lost, bytes).unwrap();

    let dumped = on(dir.path(), &["dump", "--from", "3", "--to", "4"]);
    assert_eq!(dumped.out.contains(r#""certain":false"#), !certain, "{dumped:?}");
    let said = salvage(dir.path(), out.path(), &[]);
    assert_eq!(said.code, if certain { 0 } else { 2 }, "{said:?}");
    let kept = if certain { "entries: 0 to 5\n" } else { "entries: 0 to 2\n" };
    assert!(said.out.contains(kept), "{said:?}");
}

/// Where the next frame would begin.
fn end_of_frames(file: &Path) -> usize {
    let bytes = fs::read(file).unwrap();
    let mut at = 4096;
    while bytes[at..at + 8] != [0; 8] {
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        at += 48 + len.next_multiple_of(8);
    }
    at
}

#[tokio::test]
async fn where_the_node_is_has_to_be_known() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    let said = salvage(dir.path(), out.path(), &["--node", "9"]);
    assert_eq!((said.code, said.out.as_str()), (64, ""), "{said:?}");
    assert!(said.error.contains("doesn't say where node 9 is"), "{said:?}");
    assert!(said.error.contains("with --address HOST:PORT"), "{said:?}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing is left behind");
    let said = salvage(dir.path(), out.path(), &["--node", "9", "--address", "nine:1"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("its only member: 9 at nine:1"), "{said:?}");
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
    assert_eq!(entries, Vec::from_iter((SNAPSHOTS[1] + 1..=LAST).map(entry).chain([alone(LAST)])));
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
    assert_eq!(entries, Vec::from_iter((SNAPSHOTS[1] + 1..30).map(entry).chain([alone(29)])));
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
    assert_eq!(entries.len() as u64, LAST - SNAPSHOTS[0] + 1);
    assert_eq!(values, (3..=LAST).map(|index| (index, value(index))).collect());
}

#[tokio::test]
async fn without_a_log() {
    let (dir, out) = (made().await, tempfile::tempdir().unwrap());
    segments(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    let said = salvage(dir.path(), out.path(), &[]);
    assert!(said.out.contains("snapshot: snap/000000000002.snap, up to entry 24"), "{said:?}");
    let (entries, values) = opened(out.path(), "seshat-salvaged").await;
    assert_eq!((entries, values.len()), (vec![alone(SNAPSHOTS[1])], 22));
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
