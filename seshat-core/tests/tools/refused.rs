//! What is no node's directory.

use std::fs;

use rstest::rstest;

use crate::program::{on, seshat};

const ALL: [&[&str]; 4] = [&["inspect"], &["verify"], &["dump"], &["salvage", "/nowhere/at/all"]];

#[test]
fn an_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in ALL {
        let said = on(dir.path(), arguments);
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
        let words = "it is no node's directory: it has neither IDENTITY nor segments in wal/";
        assert!(said.error.contains(words), "{said:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was left in it");
}

#[test]
fn a_directory_of_something_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("wal")).unwrap();
    fs::write(dir.path().join("wal/0000000000000001.log"), [1; 5000]).unwrap();
    fs::write(dir.path().join("data.mdb"), [1; 5000]).unwrap();
    for arguments in ALL {
        let said = on(dir.path(), arguments);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(said.error.contains("it is no node's directory"), "{said:?}");
    }
}

#[test]
fn a_file_and_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for arguments in ALL {
        let said = on(&file, arguments);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(said.error.contains("is a file: name a node's directory"), "{said:?}");
        let said = on(&dir.path().join("nothing"), arguments);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(said.error.contains("isn't there: name a node's directory"), "{said:?}");
    }
}

#[rstest]
#[case::nothing(&[])]
#[case::no_command(&["look"])]
#[case::no_directory(&["verify"])]
#[case::both(&["dump", "x", "--text", "--json"])]
#[case::no_address(&["backup", "file"])]
#[case::no_member(&["restore", "file", "dir", "--cluster", "c", "--node", "1"])]
#[case::half_a_member(&["restore", "f", "d", "--cluster", "c", "--node", "1", "--member", "1"])]
fn wrong_usage_is_not_damage(#[case] arguments: &[&str]) {
    let said = seshat(arguments);
    assert_eq!((said.code, said.out.as_str()), (64, ""), "{said:?}");
    assert!(said.error.contains("--help"), "{said:?}");
}
