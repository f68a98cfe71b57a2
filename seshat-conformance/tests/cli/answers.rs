//! Back ends that answer uselessly, that say too little, and tests that are asked for what isn't.

use crate::{HARNESS, check, code, json, store, tests, text};

pub(crate) fn nothing_runs_on_useless_answers() {
    let dir = tempfile::tempdir().unwrap();
    let history = dir.path().join("history");
    std::fs::write(&history, "vote t1.n1 committed").unwrap();
    let history = history.to_str().unwrap();
    for (fault, method) in [
        ("useless", "Backend::fingerprint"),
        ("one-node", "Backend::node_id"),
        ("no-command", "Backend::command"),
        ("panics-at-reply", "Backend::expected_reply"),
    ] {
        for arguments in [&["vote", "--quick"][..], &["replay", history]] {
            let output = store(fault, arguments).output().unwrap();
            assert_eq!(code(&output), 2, "{output:?}");
            assert!(text(&output.stderr).contains(method), "{output:?}");
            assert!(output.stdout.is_empty(), "{output:?}");
        }
        // Whatever was asked for: a run of one test alone must not be green.
        for arguments in [&[][..], &["vote/"], &["--exact", "vote/again"], &["--ignored"]] {
            let output = tests(fault, arguments);
            assert_ne!(code(&output), 0, "{output:?}");
            let out = text(&output.stdout);
            assert!(out.contains("test backend ... FAILED"), "{out}");
            assert!(out.contains(method), "{out}");
            assert!(out.contains("0 passed; 1 failed"), "{out}");
        }
        let listed = text(&tests(fault, &["--list", "--format", "terse"]).stdout);
        assert_eq!(listed, "backend: test\n");
    }
    let well = tests("well", &["--exact", "backend"]);
    assert!(text(&well.stdout).contains("test backend ... ok"), "{well:?}");
}

/// By the program and by tests; under nextest by the process that lists them, and by one test.
pub(crate) fn answers_are_tried_on_the_store() {
    let fault = "other-words";
    let method = "Backend::expected_reply";
    let output = store(fault, &["vote", "--quick"]).output().unwrap();
    assert_eq!(code(&output), 2, "{output:?}");
    assert!(text(&output.stderr).contains(method), "{output:?}");
    let tests = |arguments: &[&str], nextest: bool| {
        let mut target = store(fault, arguments);
        target.env(HARNESS, "1").env_remove("NEXTEST");
        if nextest {
            target.env("NEXTEST", "1");
        }
        text(&target.output().unwrap().stdout)
    };
    for nextest in [false, true] {
        let listed = tests(&["--list", "--format", "terse"], nextest);
        assert_eq!(listed, "backend: test\n", "nextest: {nextest}");
        let out = tests(&["--exact", "backend"], nextest);
        assert!(out.contains("test backend ... FAILED") && out.contains(method), "{out}");
    }
    let out = tests(&["--exact", "vote/again"], false);
    assert!(out.contains("test backend ... FAILED"), "{out}");
    let out = tests(&["--exact", "vote/again"], true);
    assert!(out.contains("test vote/again ... ok"), "{out}");
}

pub(crate) fn what_tests_can_not_run_with() {
    for (variable, value) in [
        ("SEED", "x"),
        ("BUDGET", "short"),
        ("EDITION", "0"),
        ("EDITION", "99"),
        ("LIMIT_SCALE", "0"),
        ("PATIENCE", "0"),
        ("REPLAY", "/no/such/history"),
    ] {
        let variable = format!("SESHAT_CONFORMANCE_{variable}");
        let mut target = store("well", &["--exact", "vote/again"]);
        let output = target.env(HARNESS, "1").env(&variable, value).output().unwrap();
        assert_eq!(code(&output), 2, "{variable}={value}: {output:?}");
    }
    let unknown = tests("well", &["--exact", "vote/agian"]);
    assert_eq!(code(&unknown), 2, "{unknown:?}");
    // `cargo test -- --exact some_test` reaches every target.
    for other in ["some_test", "some::test", "some/test"] {
        assert_eq!(code(&tests("well", &["--exact", other])), 0, "{other}");
    }
}

pub(crate) fn a_store_that_forgets_is_told_to_say_so() {
    let told = |fault| {
        let (_, report) = json(fault, &["reopen/vote"]);
        check(&report, "reopen/vote")["failure"]["got"].as_str().unwrap().to_owned()
    };
    assert!(told("forgets").contains("Backend::capabilities"), "{}", told("forgets"));
    assert!(!told("error").contains("Backend::capabilities"), "{}", told("error"));
}
