//! The command line and the test harness, tried as processes on stores that misbehave.
//!
//! This program is the store's command line, or its test target, when the environment says so;
//! otherwise it is the tests, which start it again as that.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests, and stores that are meant to misbehave; clippy knows them by the usual harness"
)]

mod answers;
mod replays;
mod signals;
mod store;

use std::process::{Command, ExitCode, Output};

use answers::{
    a_store_that_forgets_is_told_to_say_so, answers_are_tried_on_the_store,
    nothing_runs_on_useless_answers, what_tests_can_not_run_with,
};
use libtest_mimic::{Arguments, Trial};
use replays::{
    a_history_is_replayed, a_test_target_replays, what_a_failure_prints_is_replayed,
    what_is_wrong_with_a_history_is_told_by_line,
};
use serde_json::Value;
use seshat_conformance::{cli, harness};
use signals::{
    a_parent_that_is_killed_leaves_no_orphan, ctrl_c_ends_a_test_target_and_leaves_nothing,
    ctrl_c_ends_the_run_with_a_partial_report,
};
use store::{Faulty, KNOWN, STORE};

/// Set where this program is to be the store's test target.
const HARNESS: &str = "SESHAT_TEST_HARNESS";

fn main() -> ExitCode {
    match Faulty::from_environment() {
        Some(store) if std::env::var_os(HARNESS).is_some() => harness::main(store),
        Some(store) => cli::main(store),
        None => {
            let trial = |(name, test): &(&str, fn())| {
                let test = *test;
                Trial::test(*name, move || {
                    test();
                    Ok(())
                })
            };
            let trials = TESTS.iter().map(trial).collect();
            libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
        }
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        const TESTS: &[(&str, fn())] = &[$((stringify!($name), $name),)*];
    };
}

tests! {
    a_store_that_conforms_exits_with_0
    what_can_not_run_exits_with_2
    near_ids_are_suggested
    an_abort_fails_one_check_and_the_next_one_runs
    an_exit_is_no_success
    a_stack_overflow_is_named
    a_panic_is_named
    a_panic_in_a_task_is_named
    an_error_is_named
    a_hang_is_named
    what_a_store_prints_disturbs_nothing
    missing_gifts_are_skipped_with_the_reason
    known_failures_must_fail
    every_format_is_written_to_a_file
    a_history_is_replayed
    what_a_failure_prints_is_replayed
    what_is_wrong_with_a_history_is_told_by_line
    a_test_target_replays
    nothing_runs_on_useless_answers
    what_tests_can_not_run_with
    a_store_that_forgets_is_told_to_say_so
    ctrl_c_ends_the_run_with_a_partial_report
    ctrl_c_ends_a_test_target_and_leaves_nothing
    a_parent_that_is_killed_leaves_no_orphan
    each_check_is_a_test
    a_test_that_fails_prints_what_the_report_does
    nextest_sees_skips_as_ignored
    answers_are_tried_on_the_store
}

fn store(fault: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(STORE, fault).env_remove("NEXTEST").args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn json(fault: &str, checks: &[&str]) -> (i32, Value) {
    let output = store(fault, checks).args(["--quick", "--format", "json"]).output().unwrap();
    (code(&output), serde_json::from_slice(&output.stdout).unwrap())
}

fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap()
}

fn a_store_that_conforms_exits_with_0() {
    for arguments in [&["suite/save_vote", "vote"][..], &["run", "vote", "--exclude", "vote/terms"]]
    {
        let output = store("well", arguments).arg("--quick").output().unwrap();
        assert_eq!(code(&output), 0, "{output:?}");
        assert!(text(&output.stdout).contains("CONFORMS"));
        assert!(!text(&output.stdout).contains('\u{1b}'), "colours without a terminal");
        assert!(output.stderr.is_empty(), "progress without a terminal: {output:?}");
    }
    let painted = store("well", &["suite/save_vote", "--color"]).output().unwrap();
    assert!(text(&painted.stdout).contains('\u{1b}'));
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["--version"],
        &["list"],
        &["list", "vote"],
        &["explain", "suite/save_vote"],
    ] {
        let output = store("abort", arguments).output().unwrap();
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert!(output.stdout.len() > 20, "{arguments:?}");
    }
}

fn what_can_not_run_exits_with_2() {
    for arguments in [
        &["no-such-check"][..],
        &["vote", "--exclude", "no-such-check"],
        &["--no-such-option"],
        &["--seed", "minus one"],
        &["vote", "--output", "/no/such/directory/report"],
        &["list", "no-such-check"],
        &["explain", "vote"],
        &["replay", "/no/such/history"],
        &["replay", "Cargo.toml"],
        &["replay", "/dev/null"],
    ] {
        let output = store("well", arguments).output().unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

fn near_ids_are_suggested() {
    for (word, near) in [
        ("suite/save_vot3", "suite/save_vote"),
        ("sweet/save_vote", "suite/save_vote"),
        ("save_vote", "suite/save_vote"),
        ("explian", "explain"),
        ("logs", "near it: log, "),
    ] {
        let output = store("well", &[word]).output().unwrap();
        assert!(text(&output.stderr).contains(near), "{output:?}");
    }
}

/// `suite/save_vote` fails as it must, and the checks around it pass.
fn fails_alone(fault: &str) -> Value {
    let checks = ["suite/initial_logs", "suite/save_vote", "suite/apply_single", "--jobs", "1"];
    let (code, report) = json(fault, &checks);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(report["counts"]["passed"], 2, "{report:#}");
    assert_eq!(report["counts"]["failed"], 1, "{report:#}");
    let failed = check(&report, "suite/save_vote");
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["run_again"].as_str().unwrap().contains("suite/save_vote --seed 1"));
    let steps = failed["failure"]["steps"].as_array().unwrap();
    assert!(!steps.is_empty(), "no steps: {failed:#}");
    failed["failure"].clone()
}

fn got(failure: &Value) -> &str {
    failure["got"].as_str().unwrap()
}

fn an_abort_fails_one_check_and_the_next_one_runs() {
    let failure = fails_alone("abort");
    assert_eq!(failure["kind"], "abort");
    assert!(got(&failure).contains("SIGABRT") || !cfg!(unix), "{failure:#}");
    assert!(got(&failure).contains("what a store says before it goes"), "{failure:#}");
}

fn an_exit_is_no_success() {
    let failure = fails_alone("exit");
    assert_eq!(failure["kind"], "abort");
    assert!(got(&failure).contains("exit status: 0") || !cfg!(unix), "{failure:#}");
}

fn a_stack_overflow_is_named() {
    let failure = fails_alone("overflow");
    assert_eq!(failure["kind"], "abort");
    assert!(got(&failure).contains("overflow"), "{failure:#}");
}

fn a_panic_is_named() {
    let failure = fails_alone("panic");
    assert_eq!(failure["kind"], "panic");
    assert!(got(&failure).contains("a store that panics"), "{failure:#}");
}

fn a_panic_in_a_task_is_named() {
    let failure = fails_alone("task");
    assert_eq!(failure["kind"], "panic");
    assert!(got(&failure).contains("a task that panics"), "{failure:#}");
}

fn an_error_is_named() {
    let failure = fails_alone("error");
    assert_eq!(failure["kind"], "error");
    assert!(got(&failure).contains("disk full"), "{failure:#}");
}

fn a_hang_is_named() {
    let (code, report) = json("hang", &["vote", "suite/initial_logs", "--patience", "0.2"]);
    assert_eq!(code, 1);
    assert_eq!(check(&report, "suite/initial_logs")["outcome"], "passed");
    for hung in report["checks"].as_array().unwrap().iter().filter(|c| c["family"] == "vote") {
        assert_eq!(hung["failure"]["kind"], "hang", "{hung:#}");
        assert!(hung["failure"].to_string().contains("vote"), "{hung:#}");
    }
}

fn what_a_store_prints_disturbs_nothing() {
    let (code, report) = json("chatter", &["vote", "suite/save_vote"]);
    assert_eq!(code, 0, "{report:#}");
    let shown = ["suite/save_vote", "--show-output"];
    let output = store("chatter", &shown).output().unwrap();
    assert!(text(&output.stderr).contains("a store that prints"), "{output:?}");
    assert!(!text(&output.stdout).contains("a store that prints"), "{output:?}");
}

fn missing_gifts_are_skipped_with_the_reason() {
    let (_, report) = json("mute", &["machine"]);
    let checks = report["checks"].as_array().unwrap();
    let reason =
        |check: &&Value| check["reason"].as_str().is_some_and(|r| r.contains("show_reply"));
    assert!(checks.iter().any(|check| reason(&check) && check["outcome"] == "skipped"));
}

fn known_failures_must_fail() {
    let run = |fault, known| {
        let checks = ["suite/save_vote", "suite/initial_logs", "--format", "json"];
        let output = store(fault, &checks).env(KNOWN, known).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (code(&output), report)
    };
    let (code, report) = run("panic", "suite/save_vote");
    assert_eq!((code, &check(&report, "suite/save_vote")["outcome"]), (0, &"known_failure".into()));
    let (code, report) = run("well", "suite/save_vote");
    assert_eq!((code, &check(&report, "suite/save_vote")["failure"]["kind"]), (1, &"stale".into()));
    let (code, report) = run("well", "suite/save_votes");
    assert_eq!((code, &report["unknown_known_failures"][0]), (1, &"suite/save_votes".into()));
}

fn every_format_is_written_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    for (format, begin) in
        [("text", "seshat-conformance"), ("json", "{"), ("junit", "<?xml"), ("markdown", "###")]
    {
        let path = dir.path().join(format);
        let output = store("panic", &["suite/save_vote", "--format", format, "--output"])
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(code(&output), 1, "{output:?}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(begin), "{format}");
        assert!(text(&output.stdout).contains("FAILS"), "{output:?}");
    }
}

fn tests(fault: &str, arguments: &[&str]) -> Output {
    store(fault, arguments)
        .env(HARNESS, "1")
        .env("SESHAT_CONFORMANCE_BUDGET", "quick")
        .output()
        .unwrap()
}

fn each_check_is_a_test() {
    let listed = text(&tests("well", &["--list", "--format", "terse"]).stdout);
    let ids = text(&store("well", &["list"]).output().unwrap().stdout);
    let ids: Vec<_> = ids.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let names: Vec<_> = listed.lines().map(|line| line.strip_suffix(": test").unwrap()).collect();
    assert_eq!(names, [&["backend"], &ids[..]].concat());
    let output = tests("well", &["vote/"]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(!text(&output.stdout).contains("suite/"), "{output:?}");
    let nonsense =
        store("well", &[]).env(HARNESS, "1").env("SESHAT_CONFORMANCE_SEED", "x").output();
    assert_eq!(code(&nonsense.unwrap()), 2);
}

fn a_test_that_fails_prints_what_the_report_does() {
    for (fault, says) in [("abort", "ended the process"), ("panic", "a store that panics")] {
        let output = tests(fault, &["suite/"]);
        assert_ne!(code(&output), 0);
        let out = text(&output.stdout);
        assert!(out.contains("test suite/initial_logs"), "{out}");
        assert!(out.contains(says), "{out}");
        assert!(out.contains("in a cluster"), "{out}");
        assert!(out.contains("-- --exact suite/save_vote"), "{out}");
        let ok = out.lines().filter(|line| line.ends_with("... ok")).count();
        assert!(ok > 10, "{out}");
    }
    let known = store("panic", &["--exact", "suite/save_vote"])
        .env(HARNESS, "1")
        .env(KNOWN, "suite/save_vote,no/such")
        .output()
        .unwrap();
    assert!(text(&known.stdout).contains("ignored (known failure"), "{known:?}");
    let stranger = store("panic", &["--exact", "known_failures"])
        .env(HARNESS, "1")
        .env(KNOWN, "suite/save_vote,no/such")
        .output()
        .unwrap();
    assert!(text(&stranger.stdout).contains("names no check: no/such"), "{stranger:?}");
    assert_ne!(code(&stranger), 0);
}

fn nextest_sees_skips_as_ignored() {
    let listed = text(&tests("mute", &["--list", "--format", "terse", "--ignored"]).stdout);
    assert!(listed.contains("model/power: test"), "{listed}");
    assert!(listed.contains("machine/"), "{listed}");
    assert!(!listed.contains("suite/"), "{listed}");
    let output = tests("mute", &["--exact", "model/power"]);
    assert!(
        text(&output.stdout).contains("ignored (skipped: neither files that can be"),
        "{output:?}"
    );
    // A store whose every call aborts can still be listed.
    assert_eq!(code(&tests("abort", &["--list", "--format", "terse", "--ignored"])), 0);
}
