//! What becomes of each way in which a check can end.

use std::time::Duration;

use super::*;
use crate::budget::Budget;
use crate::check::Running;
use crate::embedded::InMemory;
use crate::failure::{Failure, Kind};
use crate::spec::{Edition, Level};

const SPEC: Spec = Spec {
    id: "a/b",
    level: Level::Must,
    past: None,
    requirements: &[],
    promise: "Something.",
    consequence: "Something.",
    relies: &[],
    reason: "",
    needs: &[],
    limit: Duration::from_millis(300),
    since: Edition(1),
};

type Lab = crate::lab::Lab;

fn outcome(run: impl for<'a> Fn(&'a mut Lab) -> Running<'a> + Send + Sync + 'static) -> Outcome {
    let checks = vec![crate::check::Check { spec: SPEC, run: Box::new(run) }];
    let bench = Bench::new(driver::of(InMemory::default()), Arc::new(checks), Options::default());
    in_process(&bench, "a/b")
}

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

#[test]
fn a_check_that_asserts_passes() {
    let outcome = outcome(|lab| Box::pin(async { lab.equal("one", &1, &1) }));
    assert_eq!(outcome, Outcome::Passed { cases: 1 });
}

#[test]
fn a_check_that_asserts_nothing_is_hollow() {
    let Outcome::Inconclusive { reason } = outcome(|_| Box::pin(async { Ok(()) })) else {
        panic!()
    };
    assert!(reason.starts_with("hollow"), "{reason}");
}

#[test]
fn what_is_inconclusive_is_not_passed() {
    let outcome = outcome(|lab| {
        Box::pin(async {
            lab.inconclusive("because");
            Ok(())
        })
    });
    assert_eq!(outcome, Outcome::Inconclusive { reason: "because".to_owned() });
}

#[test]
fn a_panic_is_a_failure_that_says_where() {
    let failure = failure(outcome(|lab| {
        Box::pin(async {
            lab.record.step("vote t1.n1");
            panic!("oh no {}", 7)
        })
    }));
    assert_eq!(failure.kind, Kind::Panic);
    assert!(failure.got.contains("oh no 7"), "{failure:?}");
    assert!(failure.got.contains(file!()), "{failure:?}");
    assert_eq!(failure.steps, ["vote t1.n1"]);
}

#[test]
fn a_panic_names_the_call_that_was_under_way() {
    let failure = failure(outcome(|lab| {
        Box::pin(async {
            lab.call("purge", async { Ok::<_, String>(()) }).await?;
            let panicking = async { panic!("oh no") };
            lab.call::<(), String>("read(2..1)", panicking).await
        })
    }));
    assert_eq!(failure.what, "read(2..1) panicked");
    assert!(failure.got.contains("oh no"), "{failure:?}");
    assert!(failure.got.contains("during read(2..1)"), "{failure:?}");
}

#[test]
fn a_panic_between_two_calls_names_none() {
    let failure = failure(outcome(|lab| {
        Box::pin(async {
            lab.call("purge", async { Ok::<_, String>(()) }).await?;
            panic!("oh no")
        })
    }));
    assert_eq!(failure.what, "the check ended in a panic");
    assert!(!failure.got.contains("purge"), "{failure:?}");
}

#[test]
fn a_panic_that_a_task_swallows_is_a_failure() {
    let failure = failure(outcome(|lab| {
        Box::pin(async {
            lab.record.case();
            drop(tokio::spawn(async { panic!("in a task") }).await);
            drop(tokio::task::spawn_blocking(|| panic!("in a thread")).await);
            Ok(())
        })
    }));
    assert_eq!(failure.kind, Kind::Panic);
    assert!(failure.got.contains("in a task"), "{failure:?}");
    assert!(failure.got.contains("in a thread"), "{failure:?}");
}

#[test]
fn a_failure_tells_of_panics_beside_it() {
    let failure = failure(outcome(|_| {
        Box::pin(async {
            drop(tokio::spawn(async { panic!("the cause") }).await);
            Err(Failure::error("append", "the channel is closed"))
        })
    }));
    assert_eq!(failure.kind, Kind::Error);
    assert!(failure.got.contains("the cause"), "{failure:?}");
}

#[test]
fn a_forgiven_panic_is_none() {
    let outcome = outcome(|lab| {
        Box::pin(async {
            drop(tokio::spawn(async { panic!("as it should") }).await);
            lab.record.forgive_panics();
            lab.equal("one", &1, &1)
        })
    });
    assert_eq!(outcome, Outcome::Passed { cases: 1 });
}

#[test]
fn a_hang_names_the_step_and_leaves_no_directory() {
    let dir = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&dir);
    let failure = failure(outcome(move |lab| {
        let seen = Arc::clone(&seen);
        Box::pin(async move {
            *seen.lock().unwrap() = lab.directory().ok();
            for n in 0..50 {
                lab.record.step(format!("truncate {n}"));
            }
            std::future::pending().await
        })
    }));
    assert_eq!(failure.kind, Kind::Hang);
    assert!(failure.got.contains("truncate 49"), "{failure:?}");
    assert_eq!(failure.steps.len(), 50);
    let dir = dir.lock().unwrap().take().unwrap();
    assert!(!dir.exists());
}

#[test]
fn a_thread_that_never_yields_is_left_behind() {
    let failure = failure(outcome(|_| {
        Box::pin(async {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        })
    }));
    assert_eq!(failure.kind, Kind::Hang);
}

#[test]
fn the_embedded_store_passes_openrafts_suite_side_by_side() {
    let options = Options { filter: Filter::only(["suite"]), jobs: 4, ..Options::default() };
    let mut seen = 0;
    let report = run(InMemory::default(), &options, &mut |progress| {
        seen += usize::from(matches!(progress, Progress::Finished { .. }));
    });
    assert_eq!(report.results.len(), 35);
    assert_eq!(seen, 35);
    assert_eq!(report.conclusion(), crate::outcome::Conclusion::Conforms);
    let ids: Vec<_> = report.results.iter().map(|result| result.spec.id).collect();
    let order: Vec<_> = registry().iter().map(|check| check.spec.id).collect();
    assert!(order.starts_with(&ids));
    assert!(run_one(InMemory::default(), &options, "no/such").is_none());
}

/// What takes longer than seconds with the long budget, and makes its steps as it goes: those of
/// `model` are legal by construction, the others' are the same in every round.
const LONG: &[&str] = &[
    "suite",
    "model",
    "cluster",
    "concurrency/readers",
    "log/append/batch-sizes",
    "log/append/many-rounds",
    "machine/batches/large",
    "reopen/many-times",
];

#[test]
fn the_long_budget_makes_only_calls_that_openraft_makes() {
    let exclude = LONG.iter().map(|word| (*word).to_owned()).collect();
    let filter = Filter { exclude, ..Filter::all() };
    let options = Options { budget: Budget::Long, filter, ..Options::default() };
    let report = run(InMemory::default(), &options, &mut |_| {});
    let failed = report.results.iter().filter(|r| matches!(r.outcome, Outcome::Failed(_)));
    assert!(failed.clone().next().is_none(), "{:#?}", failed.collect::<Vec<_>>());
}

#[test]
fn nothing_chosen_is_a_hollow_run() {
    let options = Options { filter: Filter::only(["nothing"]), ..Options::default() };
    let report = run(InMemory::default(), &options, &mut |_| {});
    assert!(report.is_hollow());
    assert_eq!(report.conclusion(), crate::outcome::Conclusion::Fails);
}
