//! Whoever looks changes nothing, and says so of a whole directory.

use std::fs;

use openraft::storage::RaftLogStorage;
use rstest::rstest;
use seshat_core::disk::DiskStorage;
use seshat_core::types::Vote;

use crate::directory::{everything, flip, frame_of, made, options, segments};
use crate::program::on;

#[rstest]
#[case::inspect(&["inspect"])]
#[case::inspect_json(&["inspect", "--json"])]
#[case::verify(&["verify"])]
#[case::verify_json(&["verify", "--json"])]
#[case::dump(&["dump"])]
#[case::dump_text(&["dump", "--text"])]
#[tokio::test]
async fn nothing_is_changed(#[case] arguments: &[&str], #[values(false, true)] damaged: bool) {
    let dir = made().await;
    if damaged {
        let (file, at, _) = frame_of(dir.path(), 30);
        flip(&file, at + 60);
    }
    let before = everything(dir.path());
    let said = on(dir.path(), arguments);
    assert!(said.code <= 2, "{said:?}");
    assert!(!said.out.is_empty());
    assert!(everything(dir.path()) == before, "{arguments:?} changed the directory");
}

/// Also where nothing can be written.
#[tokio::test]
async fn a_directory_without_a_lock_file_is_read() {
    let dir = made().await;
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    let said = on(dir.path(), &["verify"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!dir.path().join("LOCK").exists());
}

#[tokio::test]
async fn a_whole_directory_is_whole_with_code_0() {
    let dir = made().await;
    let said = on(dir.path(), &["verify"]);
    assert_eq!((said.code, said.error.as_str()), (0, ""), "{said:?}");
    assert!(said.out.contains("is whole"), "{said:?}");
}

/// As a power cut leaves it, while an entry is written.
#[tokio::test]
async fn a_torn_end_is_told_with_code_1_and_the_node_opens() {
    let dir = made().await;
    let last = segments(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    // Past all frames, as the log was closed with some room left.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let at = end.next_multiple_of(8) + 8;
    bytes[at..at + 20].fill(7);
    fs::write(&last, bytes).unwrap();
    let said = on(dir.path(), &["verify"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("the end is torn, as a power cut leaves it"), "{said:?}");
    let said = on(dir.path(), &["inspect"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("the log's end is torn"), "{said:?}");
    drop(DiskStorage::open(dir.path(), options()).unwrap());
    assert_eq!(on(dir.path(), &["verify"]).code, 0, "the node went on in a new segment");
}

/// A node has it: what needs to be certain refuses, and the rest warns.
#[tokio::test]
async fn in_use() {
    let dir = made().await;
    let mut storage = DiskStorage::open(dir.path(), options()).unwrap();
    let pid = std::process::id();
    for refused in [["verify"].as_slice(), &["salvage", "/nowhere/at/all"]] {
        let said = on(dir.path(), refused);
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
        assert!(said.error.contains(&format!("is in use by process {pid}")), "{said:?}");
        assert!(said.error.contains("end that first"), "{said:?}");
    }
    for goes_on in [["inspect"].as_slice(), &["dump", "--from", "40"]] {
        let said = on(dir.path(), goes_on);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.error.contains("what is shown is from different moments"), "{said:?}");
    }
    storage.log.save_vote(&Vote::new(9, 1)).await.expect("the node isn't disturbed");
    drop(storage);
    assert_eq!(on(dir.path(), &["verify"]).code, 0);
}
