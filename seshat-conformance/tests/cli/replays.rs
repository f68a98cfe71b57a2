//! Histories that are run again: from files and from standard input, as they are printed, and edited.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::{HARNESS, code, json, store, text};

const HISTORY: &str =
    "# a note\n\nappend t0.n0.i0 members 1,2,3 all 1,2,3\nvote t1.n1 committed\nrestart\n";

fn replay_in(dir: &Path, fault: &str, history: &str) -> Output {
    let path = dir.join("history");
    std::fs::write(&path, history).unwrap();
    let path = path.to_str().unwrap();
    store(fault, &["replay", path, "--patience", "0.2"]).output().unwrap()
}

fn replay(fault: &str, history: &str) -> Output {
    replay_in(tempfile::tempdir().unwrap().path(), fault, history)
}

pub(crate) fn a_history_is_replayed() {
    assert_eq!(code(&replay("well", HISTORY)), 0);
    for fault in ["abort", "panic", "hang", "error"] {
        let output = replay(fault, HISTORY);
        assert_eq!(code(&output), 1, "{fault}: {output:?}");
        assert!(text(&output.stdout).contains("replay"), "{output:?}");
        assert!(text(&output.stdout).contains("vote t1.n1 committed"), "{output:?}");
        assert!(text(&output.stdout).contains("history --patience 0.2"), "{output:?}");
    }
    let mut child = store("well", &["replay", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(HISTORY.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
}

/// With its label and its indentation, as it is copied from a report.
pub(crate) fn what_a_failure_prints_is_replayed() {
    let output = store("error", &["model/log", "--quick"]).output().unwrap();
    let report = text(&output.stdout);
    let from = report.find("  shortest ").unwrap();
    let to = report[from..].find("  replay ").unwrap();
    let printed = &report[from..from + to];
    assert!(printed.contains("vote"), "{report}");
    assert_eq!(code(&replay("well", printed)), 0, "{printed}");
    assert_eq!(code(&replay("error", printed)), 1, "{printed}");
    let (_, report) = json("error", &["model/log"]);
    let history = report["checks"][0]["failure"]["history"].as_str().unwrap();
    assert_eq!(code(&replay("error", history)), 1, "{history}");
}

pub(crate) fn what_is_wrong_with_a_history_is_told_by_line() {
    // openraft appends where the log ends, and truncates what is there.
    for (history, line) in [
        ("append t1.n1.i7 blank\n", "line 1: append t1.n1.i7 blank"),
        ("# edited\nvote t1.n1 committed\nrestart\ntruncate 3\n", "line 4: truncate 3"),
        ("vote t1.n1 committed\ntruncat 3\n", "line 2: \"truncat 3\""),
    ] {
        let output = replay("well", history);
        assert_eq!(code(&output), 2, "{output:?}");
        let told = text(&output.stderr);
        assert!(told.contains(line), "{told}");
        assert!(!told.contains("the kit"), "{told}");
    }
}

pub(crate) fn a_test_target_replays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let tests = |fault, history: &str, arguments: &[&str]| {
        std::fs::write(&path, history).unwrap();
        let mut target = store(fault, arguments);
        target.env(HARNESS, "1").env("SESHAT_CONFORMANCE_REPLAY", &path).output().unwrap()
    };
    let well = tests("well", HISTORY, &["vote/"]);
    assert_eq!(code(&well), 0, "{well:?}");
    assert!(text(&well.stdout).contains("test replay ... ok"), "{well:?}");
    let failed = tests("panic", HISTORY, &[]);
    assert_ne!(code(&failed), 0);
    let out = text(&failed.stdout);
    assert!(out.contains("save_vote panicked"), "{out}");
    assert!(out.contains("SESHAT_CONFORMANCE_REPLAY="), "{out}");
    let illegal = tests("well", "truncate 3", &[]);
    assert!(text(&illegal.stdout).contains("line 1: truncate 3"), "{illegal:?}");
    assert_ne!(code(&illegal), 0);
    assert_eq!(code(&tests("well", "truncat 3", &[])), 2);
    // A failure tells how.
    let random = store("error", &["--exact", "model/log"]).env(HARNESS, "1").output().unwrap();
    assert!(text(&random.stdout).contains("SESHAT_CONFORMANCE_REPLAY=/path/of/FILE"), "{random:?}");
}
