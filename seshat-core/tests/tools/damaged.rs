//! Damage at every kind of place: it is found, all of it, and says what it costs.

use std::fs;
use std::path::Path;

use rstest::rstest;
use seshat_core::disk::{DiskStorage, OpenError};

use crate::directory::{LAST, flip, frame_of, made, options, segments};
use crate::program::{masked, on};

/// Where harm is done, each by its name in the snapshots of what is said.
fn harm(dir: &Path, place: &str) {
    let segment = |number: usize| segments(dir)[number].clone();
    match place {
        "identity" => flip(&dir.join("IDENTITY"), 30),
        "identity_missing" => fs::remove_file(dir.join("IDENTITY")).unwrap(),
        "header" => flip(&segment(1), 20),
        "header_of_the_last" => flip(&segments(dir).pop().unwrap(), 20),
        "checkpoint" => flip(&segment(1), 4096 + 60),
        "frame_head" => {
            let (file, at, _) = frame_of(dir, 30);
            flip(&file, at + 24);
        }
        "frame_body" => {
            let (file, at, len) = frame_of(dir, 30);
            flip(&file, at + len / 2);
        }
        "two_frames_and_a_header" => {
            let (first, other) = (frame_of(dir, 28), frame_of(dir, 33));
            flip(&first.0, first.1 + 60);
            flip(&other.0, other.1 + 4);
            flip(&dir.join("snap/000000000001.snap"), 9);
        }
        "segment_cut" => {
            let file = fs::OpenOptions::new().write(true).open(segment(1)).unwrap();
            file.set_len(6000).unwrap();
        }
        "segment_missing" => fs::remove_file(segment(1)).unwrap(),
        "first_segment_missing" => fs::remove_file(segment(0)).unwrap(),
        "snapshot_header" => flip(&dir.join("snap/000000000002.snap"), 4),
        "snapshot_record" => flip(&dir.join("snap/000000000002.snap"), 400),
        "snapshot_footer" => {
            let file = dir.join("snap/000000000002.snap");
            let len = fs::metadata(&file).unwrap().len() as usize;
            flip(&file, len - 3);
        }
        "snapshot_missing" => fs::remove_file(dir.join("snap/000000000002.snap")).unwrap(),
        "both_snapshots_missing" => fs::remove_dir_all(dir.join("snap")).unwrap(),
        other => panic!("{other}"),
    }
}

#[rstest]
#[tokio::test]
async fn damage_is_told(
    #[values(
        "identity",
        "identity_missing",
        "header",
        "header_of_the_last",
        "checkpoint",
        "frame_head",
        "frame_body",
        "two_frames_and_a_header",
        "segment_cut",
        "segment_missing",
        "first_segment_missing",
        "snapshot_header",
        "snapshot_record",
        "snapshot_footer",
        "snapshot_missing",
        "both_snapshots_missing"
    )]
    place: &str,
) {
    let dir = made().await;
    harm(dir.path(), place);
    let said = on(dir.path(), &["verify"]);
    assert_eq!((said.code, said.error.as_str()), (2, ""), "{said:?}");
    insta::with_settings!({ snapshot_suffix => place }, {
        insta::assert_snapshot!("damage", masked(&said.out, dir.path()));
    });
    // What a node says of it, which is not less.
    match DiskStorage::open(dir.path(), options()) {
        Ok(_) => assert!(said.out.contains("nothing is lost"), "{said:?}"),
        Err(OpenError::Log(_) | OpenError::NoSnapshot(_)) => {
            assert!(said.out.contains("the node must not go on"), "{said:?}");
        }
        Err(other) => panic!("{other}"),
    }
}

/// Every frame with an entry, in turn: it is found, and named.
#[tokio::test]
async fn each_entry_that_is_damaged_is_named() {
    let dir = made().await;
    for index in (14..LAST).step_by(3) {
        let (file, at, len) = frame_of(dir.path(), index);
        for place in [at + 4, at + 24, at + 48, at + len - 16] {
            flip(&file, place);
            let said = on(dir.path(), &["verify"]);
            assert_eq!(said.code, 2, "entry {index}, byte {place}: {said:?}");
            let one = format!("affected: entry {index} of group 0\n");
            let open = format!("affected: entries of group 0 from {index} on\n");
            let some = format!("affected: entries {index} to ");
            let named = [one, open, some].iter().any(|words| said.out.contains(words));
            assert!(named, "entry {index}, byte {place}: {}", said.out);
            flip(&file, place);
        }
    }
    assert_eq!(on(dir.path(), &["verify"]).code, 0);
}
