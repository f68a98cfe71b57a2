//! A member's directory of a new cluster.

use std::fs;
use std::path::{Path, PathBuf};

use openraft::storage::{RaftLogStorage, RaftStateMachine};
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::types::{LeaderId, Vote};

use crate::directory::{everything, flip, made};
use crate::entries::id;
use crate::program::{Said, seshat};

const MEMBERS: [&str; 6] = ["--member", "7=seven:1", "--member", "8=eight", "--member", "9=nine"];

fn restore(file: &Path, dir: &Path, more: &[&str]) -> Said {
    let mut arguments = vec!["restore".into(), file.as_os_str().to_owned(), dir.into()];
    arguments.extend(more.iter().map(Into::into));
    seshat(arguments)
}

/// A snapshot's file is what a backup is.
async fn backup() -> (tempfile::TempDir, PathBuf) {
    let dir = made().await;
    let file = dir.path().join("snap/000000000002.snap");
    (dir, file)
}

#[tokio::test]
async fn it_has_the_state_and_the_new_members() {
    let (_old, file) = backup().await;
    for node in [7, 8] {
        let dir = tempfile::tempdir().unwrap();
        let node_id = node.to_string();
        let more = [&["--cluster", "new", "--node", &node_id][..], &MEMBERS].concat();
        let said = restore(&file, dir.path(), &more);
        assert_eq!((said.code, said.error.as_str()), (0, ""), "{said:?}");
        assert!(
            said.out.contains("members: 7 at seven:1, 8 at eight:7379, 9 at nine:7379\n"),
            "{said:?}"
        );

        let options = DiskOptions::new("new", node);
        let mut storage = DiskStorage::open(dir.path(), options).unwrap();
        let last = id(2, 24);
        let state = storage.log.get_log_state().await.unwrap();
        assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(last), Some(last)));
        assert_eq!(storage.log.read_committed().await.unwrap(), Some(last));
        // Nobody leads by what it remembers, and whoever is elected does so in a later term.
        let vote = Vote { leader_id: LeaderId::new(2, 1), committed: false };
        assert_eq!(storage.log.read_vote().await.unwrap(), Some(vote));
        let (applied, membership) = storage.machine.applied_state().await.unwrap();
        assert_eq!((applied, *membership.log_id()), (Some(last), Some(last)));
        assert_eq!(Vec::from_iter(membership.voter_ids()), [7, 8, 9]);
        let current = storage.machine.get_current_snapshot().await.unwrap().unwrap();
        assert_eq!(current.meta.last_membership, membership);
        assert_eq!(storage.machine.reader().size().keys, 23);
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let (_old, file) = backup().await;
    let len = fs::metadata(&file).unwrap().len() as usize;
    for at in [2, len / 2, len - 1] {
        flip(&file, at);
        let dir = tempfile::tempdir().unwrap();
        let more = [&["--cluster", "new", "--node", "7"][..], &MEMBERS].concat();
        let said = restore(&file, dir.path(), &more);
        assert_eq!((said.code, said.out.as_str()), (3, ""), "byte {at}: {said:?}");
        assert!(said.error.contains(&format!("{} can't be used", file.display())), "{said:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        flip(&file, at);
    }
    let more = [&["--cluster", "new", "--node", "7"][..], &MEMBERS].concat();
    let dir = tempfile::tempdir().unwrap();
    let said = restore(Path::new("/no/such/file"), dir.path(), &more);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.error.contains("could not open \"/no/such/file\""), "{said:?}");
}

#[tokio::test]
async fn only_an_empty_directory_is_written_to() {
    let (old, file) = backup().await;
    let before = everything(old.path());
    let more = [&["--cluster", "new", "--node", "7"][..], &MEMBERS].concat();
    let said = restore(&file, old.path(), &more);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.error.contains("is not empty"), "{said:?}");
    assert!(everything(old.path()) == before);
}

/// What a crash left of an earlier one is no reason to refuse.
#[tokio::test]
async fn it_begins_anew_where_one_was_not_finished() {
    let (_old, file) = backup().await;
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join("UNFINISHED/wal");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("000000000001.seg"), "half").unwrap();
    let more = [&["--cluster", "new", "--node", "7"][..], &MEMBERS].concat();
    assert_eq!(restore(&file, dir.path(), &more).code, 0);
    let names = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["IDENTITY", "snap", "wal"]);
}

#[tokio::test]
async fn members_are_checked_as_a_configuration_is() {
    let (_old, file) = backup().await;
    let dir = tempfile::tempdir().unwrap();
    for (more, words) in [
        (
            [&["--cluster", "new", "--node", "6"][..], &MEMBERS].concat(),
            "node_id: 6: one of members",
        ),
        ([&["--cluster", "", "--node", "7"][..], &MEMBERS].concat(), "cluster_name"),
        (
            [&["--cluster", "new", "--node", "7", "--member", "0=zero"][..], &MEMBERS].concat(),
            "members",
        ),
        (
            [&["--cluster", "new", "--node", "7", "--member", "7=other"][..], &MEMBERS].concat(),
            "7: an id that no other member has",
        ),
    ] {
        let said = restore(&file, dir.path(), &more);
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{said:?}");
        assert!(said.error.contains(words), "{words}: {said:?}");
    }
}
