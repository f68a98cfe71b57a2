//! The report for continuous integration: a suite for each family, a case for each check.
//!
//! JUnit knows no warnings: what failed without failing the run is `skipped`, with a message that
//! says so and the failure as the case's output.

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use super::{CheckResult, Report, failure_text, short, view};
use crate::causes::Cause;
use crate::failure::Kind;
use crate::outcome::Outcome;

/// The report as a JUnit document.
pub fn junit(report: &Report) -> String {
    let mut document = quick_junit::Report::new(short::sentence(&report.backend));
    document.set_time(report.elapsed);
    let causes = view::causes(report);
    for family in report.families() {
        let mut suite = TestSuite::new(family);
        suite.set_time(report.family(family).map(|result| result.elapsed).sum());
        suite.add_property(Property::new("seed", report.seed.to_string()));
        suite.add_property(Property::new("edition", report.edition.to_string()));
        suite.add_test_cases(report.family(family).map(|result| case(report, &causes, result)));
        document.add_test_suite(suite);
    }
    let run = run_cases(report);
    if !run.is_empty() {
        let mut suite = TestSuite::new("run");
        suite.add_test_cases(run);
        document.add_test_suite(suite);
    }
    // Writing to memory fails only for text that isn't UTF-8, of which there is none.
    let mut text = document.to_string().unwrap_or_default();
    text.push('\n');
    text
}

/// Where a failure stands among the others.
fn told(causes: &[Cause<'_>], result: &CheckResult) -> String {
    let is = |other: &CheckResult| other.spec.id == result.spec.id;
    let explained = |cause: &&Cause<'_>| cause.explains.iter().any(|other| is(other));
    if let Some(cause) = causes.iter().find(|cause| is(cause.result)) {
        return format!("A cause, of {} failures.\n", 1 + cause.explains.len());
    }
    let cause = causes.iter().find(explained);
    cause.map(|cause| format!("See first: {}\n", cause.result.spec.id)).unwrap_or_default()
}

fn case(report: &Report, causes: &[Cause<'_>], result: &CheckResult) -> TestCase {
    let skipped = |message: &str| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(message);
        status
    };
    let mut output = String::new();
    let text = || told(causes, result) + &failure_text(report, result, false);
    let status = match &result.outcome {
        Outcome::Passed { .. } => TestCaseStatus::success(),
        Outcome::Failed(_) if result.fails_run(report.edition) => failed(result, &text()),
        Outcome::Failed(_) | Outcome::KnownFailure(_) => {
            output = text();
            skipped(&view::excuse(result, report.edition).unwrap_or_default())
        }
        Outcome::Skipped { reason } => skipped(&short::sentence(reason)),
        Outcome::Inconclusive { reason } => {
            skipped(&short::sentence(&format!("inconclusive: {reason}")))
        }
    };
    let mut case = TestCase::new(result.spec.id, status);
    case.set_classname(result.spec.family()).set_time(result.elapsed);
    if let Outcome::Passed { cases } = result.outcome {
        case.set_assertions(usize::try_from(cases).unwrap_or(usize::MAX));
    }
    if !output.is_empty() {
        case.set_system_out(output);
    }
    case
}

fn failed(result: &CheckResult, text: &str) -> TestCaseStatus {
    let Some(failure) = view::failure(result) else { return TestCaseStatus::success() };
    let kind = match failure.kind {
        Kind::Hollow | Kind::Kit => NonSuccessKind::Error,
        _ => NonSuccessKind::Failure,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(&*failure.what).set_type(format!("{:?}", failure.kind).to_lowercase());
    status.set_description(text);
    status
}

/// What fails a run and belongs to no check.
fn run_cases(report: &Report) -> Vec<TestCase> {
    let mut faults = Vec::new();
    if !report.unknown_known_failures.is_empty() {
        faults.push(("known failures", "the list of known failures names what is no check"));
    }
    if report.is_hollow() {
        faults.push(("hollow", "not a single check was answered"));
    } else if !report.hollow_families().is_empty() {
        faults.push(("hollow", "a family was tried and learnt nothing"));
    }
    if report.not_run > 0 && !report.failed_fast {
        faults.push(("interrupted", "checks were kept from running"));
    }
    let notes = view::warnings(report).join("\n");
    let case = |(name, message): (&str, &str)| {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(message).set_description(notes.as_str());
        TestCase::new(name, status)
    };
    faults.into_iter().map(case).collect()
}
