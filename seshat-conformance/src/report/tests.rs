//! Every format of a made-up report that holds every outcome.

use std::time::Duration;

use super::*;
use crate::budget::Budget;
use crate::failure::{Failure, Kind, Wreck};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::requirement::place::APPEND;
use crate::spec::{Edition, Level, Spec};

fn spec(id: &'static str, level: Level, requirements: &'static [u8], since: u16) -> Spec {
    Spec {
        id,
        level,
        past: None,
        requirements,
        promise: "The promise of this check, in a sentence.",
        consequence: "What a cluster suffers where it is broken.",
        relies: &[],
        reason: "",
        needs: &[],
        limit: Duration::from_secs(10),
        since: Edition(since),
    }
}

fn failure(kind: Kind, what: &str, got: &str) -> Failure {
    Failure {
        steps: vec!["vote t1.n1 committed".to_owned(), "append t1.n1.i0 blank".to_owned()],
        ..Failure::new(kind, what, "what the contract asks for", got)
    }
}

fn wreck() -> Wreck {
    let missing = "log: bytes 13..86 are not on the disk: no fsync of the file after call 2";
    Wreck {
        cut: Some("ext4: nothing that was not synced survives, after call 2".to_owned()),
        missing: vec![missing.to_owned()],
        calls: vec![
            "   1 T7 openat +log (synced by 2)".to_owned(),
            "   2 T7 write log 13..86 (not synced)".to_owned(),
        ],
        image: Some("/tmp/images/image-1".into()),
    }
}

fn result(millis: u64, spec: Spec, outcome: Outcome) -> CheckResult {
    CheckResult { spec, outcome, elapsed: Duration::from_millis(millis) }
}

fn every_outcome() -> Report {
    let must = |id| spec(id, Level::Must, &[15, 47], 1);
    let mut shrunk = failure(Kind::Broken, "entry 0 is still there", "Some(\"<a & b>\")");
    shrunk.history = Some("vote t1.n1 committed\nappend t1.n1.i0 blank\ntruncate 0\n".to_owned());
    let mut silent = failure(Kind::Hang, "did not end within 10s", "still under way: truncate 5");
    silent.expected.clear();
    let abort =
        "the process ended: signal: 6 (SIGABRT)\nits last words: ```\u{1b}[31mno\u{0} more```";
    let cut = || Outcome::Skipped { reason: "no hook `cut_power`".to_owned() };
    let unsure = Outcome::Inconclusive { reason: "read_committed gives None".to_owned() };
    shrunk.wreck = Some(Box::new(wreck()));
    let results = vec![
        result(12, must("suite/save_vote"), Outcome::Passed { cases: 1 }),
        result(340, must("log/append/gap"), Outcome::Passed { cases: 1234 }),
        result(5, must("log/truncate/inclusive"), Outcome::Failed(shrunk)),
        result(10_000, must("log/truncate/again"), Outcome::Failed(silent)),
        result(
            7,
            must("log/purge/twice"),
            Outcome::KnownFailure(failure(Kind::Error, "purge failed", "disk | full")),
        ),
        result(
            1,
            spec("log/purge/hint", Level::Should, &[], 1),
            Outcome::Failed(failure(Kind::Panic, "panicked", "panic: \"oh\" at a.rs:1")),
        ),
        result(
            2,
            spec("log/newer", Level::Must, &[], Edition::LATEST.0 + 1),
            Outcome::Failed(failure(Kind::Abort, "ended the process", abort)),
        ),
        result(
            3,
            must("vote/empty"),
            Outcome::Failed(Failure::new(
                Kind::Hollow,
                "hollow: the check ended without a single assertion",
                "",
                "",
            )),
        ),
        result(
            3,
            must("vote/kit"),
            Outcome::Failed(Failure::new(Kind::Kit, "closing a closed store", "", "")),
        ),
        result(
            0,
            must("vote/stale"),
            crate::baseline::judge(
                &["vote/stale".to_owned()],
                "vote/stale",
                Outcome::Passed { cases: 2 },
            ),
        ),
        result(4, must("committed/order"), unsure),
        result(0, must("crash/append"), cut()),
        result(0, must("crash/vote"), cut()),
    ];
    Report {
        results,
        elapsed: Duration::from_millis(10_400),
        not_run: 0,
        rerun: Rerun::Program("target/release/mine".to_owned()),
        unknown_known_failures: vec!["log/no-such".to_owned()],
        seed: 42,
        ..Report::empty("a <store> of `mine`", &Options::default())
    }
}

/// Versions change; what is said of them doesn't.
fn stable(text: &str) -> String {
    text.replace(env!("CARGO_PKG_VERSION"), "0.0.0")
}

#[test]
fn text_of_every_outcome() {
    insta::assert_snapshot!(stable(&text(&every_outcome(), false)));
}

#[test]
fn json_of_every_outcome() {
    insta::assert_snapshot!(stable(&json(&every_outcome())));
}

#[test]
fn junit_of_every_outcome() {
    insta::assert_snapshot!(stable(&junit(&every_outcome())));
}

#[test]
fn markdown_of_every_outcome() {
    insta::assert_snapshot!(stable(&markdown(&every_outcome())));
}

#[test]
fn colours_are_all_that_a_terminal_adds() {
    let (plain, painted) = (text(&every_outcome(), false), text(&every_outcome(), true));
    let mut parts = painted.split("\u{1b}[");
    let mut bare = parts.next().unwrap().to_owned();
    parts.for_each(|part| bare.push_str(part.split_once('m').unwrap().1));
    assert_eq!(bare, plain);
    assert_ne!(painted, plain);
}

#[test]
fn an_interrupted_run_neither_conforms_nor_fails() {
    let report = Report { not_run: 3, ..every_outcome() };
    assert_eq!(report.conclusion(), Conclusion::Interrupted);
    assert!(text(&report, false).contains("interrupted: 3 checks did not run"));
    assert!(junit(&report).contains("kept from running"));
}

#[test]
fn what_fails_a_run() {
    let only = |keep: &str| {
        let mut report = every_outcome();
        report.unknown_known_failures.clear();
        report.results.retain(|result| result.spec.id.starts_with(keep));
        report
    };
    for id in [
        "log/truncate/inclusive",
        "vote/empty",
        "vote/kit",
        "vote/stale",
        "crash",
        "committed",
        "none",
    ] {
        assert_eq!(only(id).conclusion(), Conclusion::Fails, "{id}");
    }
    for id in ["suite", "log/purge/twice", "log/purge/hint", "log/newer"] {
        assert_eq!(only(id).conclusion(), Conclusion::Conforms, "{id}");
    }
    let listed = Report { unknown_known_failures: vec!["x".to_owned()], ..only("suite") };
    assert_eq!(listed.conclusion(), Conclusion::Fails);
}

#[test]
fn a_family_that_ran_and_learnt_nothing_fails_the_run() {
    assert_eq!(every_outcome().idle_families(), ["committed", "crash"]);
    assert_eq!(every_outcome().hollow_families(), ["committed"]);
    let with = |family: &str| {
        let mut report = every_outcome();
        report.unknown_known_failures.clear();
        let kept = |id: &str| id.starts_with("suite") || id.starts_with(family);
        report.results.retain(|result| kept(result.spec.id));
        report
    };
    assert_eq!(with("crash").conclusion(), Conclusion::Conforms);
    assert_eq!(with("committed").conclusion(), Conclusion::Fails);
    assert!(junit(&with("committed")).contains("a family was tried and learnt nothing"));
}

#[test]
fn the_command_that_runs_a_check_again() {
    let again = |rerun| Report { rerun, budget: Budget::Quick, ..every_outcome() }.again("a/b");
    assert_eq!(again(Rerun::Program("p".to_owned())), "p run a/b --seed 42 --quick");
    assert_eq!(
        again(Rerun::Test("conformance".to_owned())),
        "SESHAT_CONFORMANCE_SEED=42 SESHAT_CONFORMANCE_BUDGET=quick \
         cargo test --test conformance -- --exact a/b  # with the same flags for cargo"
    );
    assert_eq!(
        again(Rerun::Library),
        "run_one(backend, &Options { seed: 42, budget: Budget::Quick, ..Options::default() }, \"a/b\")"
    );
}

#[test]
fn what_was_asked_for_is_asked_for_again() {
    let again = |rerun| {
        let patience = Duration::from_millis(2_500);
        let odd = Report { patience, limit_scale: 3, edition: Edition(7), ..every_outcome() };
        Report { rerun, ..odd }.again("a/b")
    };
    assert_eq!(
        again(Rerun::Program("p".to_owned())),
        "p run a/b --seed 42 --edition 7 --patience 2.5 --limit-scale 3"
    );
    let test = again(Rerun::Test("t".to_owned()));
    let variables = "SESHAT_CONFORMANCE_EDITION=7 SESHAT_CONFORMANCE_PATIENCE=2.5 \
                     SESHAT_CONFORMANCE_LIMIT_SCALE=3 cargo test";
    assert!(test.contains(variables), "{test}");
    let call = again(Rerun::Library);
    let options =
        "edition: Edition(7), patience: Duration::from_secs_f64(2.5_f64), limit_scale: 3, ..";
    assert!(call.contains(options), "{call}");
}

#[test]
fn a_failure_says_who_relies_on_the_promise() {
    let spec = Spec { relies: &[APPEND], ..spec("log/append", Level::Must, &[12], 1) };
    let failed = Outcome::Failed(failure(Kind::Broken, "an entry is gone", "nothing"));
    let text = text::failure(&every_outcome(), &result(1, spec, failed), false);
    let line = format!("  relied on by {APPEND}\n");
    assert!(text.contains(&line), "{text}");
}

/// A failure of a store that makes everything long, with what no format may pass on as it is.
fn endless() -> Report {
    let long = "\u{1b}<\"&'\\\n\u{7}é ".repeat(2_000);
    let flat = "x".repeat(100_000);
    let failed = || {
        let mut failure = failure(Kind::Broken, &long, &flat);
        failure.expected = flat.clone();
        failure.asked = Some(long.clone());
        failure.steps = vec![format!("append {}", "y".repeat(3_000)); 500];
        failure.history = Some(failure.steps.join("\n"));
        Outcome::Failed(failure)
    };
    let mut report = every_outcome();
    report.backend = long.clone();
    report.unknown_known_failures = vec![flat.clone()];
    for id in ["vote/last-saved", "log/purge/again", "model/log"] {
        report.results.push(result(1, spec(id, Level::Must, &[15], 1), failed()));
    }
    let reasons = [
        Outcome::Skipped { reason: long.clone() },
        Outcome::Inconclusive { reason: flat.clone() },
        Outcome::KnownFailure(failure(Kind::Error, &long, &flat)),
    ];
    for outcome in reasons {
        report.results.push(result(1, spec("crash/order", Level::May, &[], 1), outcome));
    }
    for _ in 0..300 {
        report.results.push(result(
            0,
            spec("snapshot/refuse/contradicting", Level::Must, &[], 1),
            Outcome::Skipped { reason: "none".to_owned() },
        ));
    }
    report
}

#[test]
fn no_line_of_any_format_is_over_two_thousand_characters() {
    let report = endless();
    let formats = [
        ("text", text(&report, true)),
        ("json", json(&report)),
        ("junit", junit(&report)),
        ("markdown", markdown(&report)),
    ];
    for (format, text) in formats {
        let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        let length = longest.chars().count();
        assert!(length <= 2_000, "{format}, {length} characters: {}", &longest[..400]);
        assert!(text.len() < 400_000, "{format} has {} bytes", text.len());
    }
}

#[test]
fn what_is_left_out_is_in_a_file_that_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = every_outcome();
    let steps: Vec<String> = (1..=300).map(|term| format!("vote t{term}.n1")).collect();
    let mut long = failure(Kind::Broken, "read_vote is wrong", "first\nsecond");
    long.history = Some(steps.join("\n"));
    long.steps = steps;
    report.results = vec![result(1, spec("model/log", Level::Must, &[], 1), Outcome::Failed(long))];
    keep(&mut report, Some(&folder.path().join("report.txt")));
    let file = folder.path().join("report.txt.whole").join("model-log.txt");
    let shown = text(&report, false);
    assert!(shown.contains(&format!("replay {}", file.display())), "{shown}");
    assert!(json(&report).contains("model-log.txt"));
    let whole = std::fs::read_to_string(&file).unwrap();
    assert_eq!(crate::model::Step::parse_history(&whole).unwrap().len(), 300);
    assert!(whole.contains("# got       first\n# got       second"), "{whole}");
    let kept = std::fs::read_dir(file.parent().unwrap()).unwrap().count();
    assert_eq!(kept, 1, "what is shown whole needs no file");
}

#[test]
fn every_format_begins_with_the_causes() {
    let report = every_outcome();
    let before = |text: &str, first: &str, then: &str| {
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in {text}"));
        assert!(at(first) < at(then), "{text}");
    };
    before(&text(&report, false), "1 cause of", "  ok  suite");
    before(&markdown(&report), "1 cause of", "| family |");
    before(&json(&report), "\"causes\"", "\"checks\"");
    assert!(junit(&report).contains("See first: log/truncate/inclusive"));
}
