//! Made-up failures, as stores with one fault or two show them.

use std::time::Duration;

use super::*;
use crate::failure::Failure;
use crate::spec::{Edition, Spec};

fn failed(id: &'static str, kind: Kind, asked: &str, steps: &[&str]) -> CheckResult {
    let mut failure = Failure::new(kind, "what", "expected", "got");
    failure.asked = Some(asked.to_owned());
    failure.steps = steps.iter().map(|step| (*step).to_owned()).collect();
    CheckResult {
        spec: spec(id, Level::Must),
        outcome: Outcome::Failed(failure),
        elapsed: Duration::ZERO,
    }
}

fn spec(id: &'static str, level: Level) -> Spec {
    Spec {
        past: None,
        relies: &[],
        reason: "",
        id,
        level,
        requirements: &[],
        promise: "",
        consequence: "",
        needs: &[],
        limit: Duration::from_secs(1),
        since: Edition(1),
    }
}

fn named(results: &[CheckResult]) -> Vec<(&'static str, Vec<&'static str>)> {
    let ids = |cause: &Cause<'_>| cause.explains.iter().map(|result| result.spec.id).collect();
    causes(results).iter().map(|cause| (cause.result.spec.id, ids(cause))).collect()
}

const BUILD: &[&str] = &["vote t1.n1", "append", "commit 3", "apply 4", "build"];

#[test]
fn a_builder_that_keeps_nothing_is_not_a_fault_of_votes() {
    let purged = [BUILD, &["purge t1.n1.i2", "vote t2.n1"]].concat();
    let results = [
        failed("vote/beside-the-log", Kind::Broken, "get_current_snapshot", &purged),
        failed("machine/isolated", Kind::Broken, "get_current_snapshot", BUILD),
        failed("snapshot/build/current", Kind::Broken, "get_current_snapshot", BUILD),
        failed("snapshot/handle/stays", Kind::NotTried, "get_current_snapshot", BUILD),
        failed("model/log", Kind::Broken, "get_current_snapshot", &["build"]),
    ];
    let others =
        vec!["vote/beside-the-log", "machine/isolated", "snapshot/handle/stays", "model/log"];
    assert_eq!(named(&results), [("snapshot/build/current", others)]);
}

#[test]
fn two_faults_are_two_causes_and_what_is_lost_unseen_comes_first() {
    let purge = &["vote t1.n1", "append", "purge t1.n1.i2"];
    let results = [
        failed("log/purge/inclusive", Kind::Error, "purge", purge),
        failed("vote/last-saved", Kind::Broken, "read_vote", &["vote t1.n1"]),
        failed("reopen/purge", Kind::Error, "purge", purge),
        failed("reopen/vote", Kind::Broken, "read_vote", &["vote t1.n1", "restart"]),
    ];
    let votes = ("vote/last-saved", vec!["reopen/vote"]);
    assert_eq!(named(&results), [votes, ("log/purge/inclusive", vec!["reopen/purge"])]);
}

#[test]
fn what_is_wrong_after_a_restart_alone_is_of_restarting() {
    let steps = &["vote t1.n1", "append", "restart"];
    let results = [
        failed("log/state/all-purged", Kind::Broken, "get_log_state", steps),
        failed("reopen/append", Kind::Broken, "get_log_state", steps),
    ];
    assert_eq!(named(&results), [("reopen/append", vec!["log/state/all-purged"])]);
}

#[test]
fn a_must_is_not_explained_by_a_may() {
    let mut advice = failed("log/append/empty-batch", Kind::Broken, "get_log_state", &["append"]);
    advice.spec.level = Level::May;
    let must = failed("log/purge/again", Kind::Broken, "get_log_state", &["append", "purge 1"]);
    let named = named(&[advice, must]);
    assert_eq!(named[0], ("log/purge/again", vec![]));
}

#[test]
fn a_must_that_is_at_home_nowhere_goes_with_a_must() {
    let mut advice = failed("log/range/inverted", Kind::Panic, "try_get_log_entries(3..1)", &[]);
    advice.spec.level = Level::May;
    let must =
        failed("log/truncate/inclusive", Kind::Broken, "get_log_state", &["append", "truncate 1"]);
    let id = "cluster/caught-up-by-snapshot";
    let cluster = failed(id, Kind::Broken, "Raft::new", &["start node 2"]);
    let expected = [("log/truncate/inclusive", vec![id]), ("log/range/inverted", vec![])];
    assert_eq!(named(&[advice, must, cluster]), expected);
}

#[test]
fn where_nothing_was_tried_the_first_is_shown() {
    let results = [
        failed("log/isolated", Kind::NotTried, "open", &[]),
        failed("log/range/long", Kind::NotTried, "open", &[]),
    ];
    assert_eq!(named(&results), [("log/isolated", vec!["log/range/long"])]);
    assert!(named(&[]).is_empty());
}
