//! The `import-legacy` example, run as a program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn program() -> PathBuf {
    // target/<profile>/deps/this-test
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let name = format!("import-legacy{}", std::env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build -p seshat-core --example import-legacy --features legacy` \
         first",
        program.display()
    );
    program
}

fn run(path: &Path, keys: &[&str]) -> Output {
    Command::new(program()).arg(path).args(keys).output().unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/legacy/prost").join(name)
}

#[test]
fn it_says_what_was_taken_over_and_serves_it() {
    let directory = run(&fixture("node"), &["key-0", "uncommitted"]);
    let out = String::from_utf8(directory.stdout).unwrap();
    insta::assert_snapshot!(out, @r"
    vote           term 2, node 2
    state          6 keys of 73 bytes, as of index 12
    log            6 entries up to index 18: operations 5, changes of members 1, blank 0
    committed      up to index 17
    members        joint, voters {1, 2, 4}, outgoing {1, 2, 3}, learners {5}, learners to be {3}
    left behind    6
      entries, byte 0: entry 11: the snapshot covers it
      entries, byte 24: entry 12: the snapshot covers it
      entries, byte 128: context of entry 15, 6 bytes: entries have none any more
      entries, byte 128: learners_next [3]: voters until the change is ended
      entries, byte 157: context of entry 16, 6 bytes: entries have none any more
      messages, byte 0: message from node 1 to node 2: it was under way

    node 1 serves 7 keys of 113 bytes
    key-0 = overwritten
    uncommitted is not there
    ");
    assert!(directory.status.success() && directory.stderr.is_empty());
    let stream = run(&fixture("node.stream"), &[]);
    let out = String::from_utf8(stream.stdout).unwrap();
    assert!(out.ends_with("\nnode 1 serves 7 keys of 113 bytes\n"), "{out}");
}

#[test]
fn damage_stops_it() {
    let cut = tempfile::NamedTempFile::new().unwrap();
    let whole = std::fs::read(fixture("node.stream")).unwrap();
    std::fs::write(cut.path(), whole.split_at(300).0).unwrap();
    let ended = run(cut.path(), &[]);
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0));
    let error = String::from_utf8(ended.stderr).unwrap();
    insta::assert_snapshot!(error, @"import-legacy: stream, byte 295: a message of 43 bytes, 3 are left");
}
