//! The report for programs.
//!
//! One object. `schema_version` grows when a field changes its meaning or goes; a field that is
//! added leaves it as it is, so readers must bear fields that they don't know.
//!
//! | field | what |
//! |---|---|
//! | `schema_version` | 1 |
//! | `kit` | version of this crate |
//! | `backend`, `edition`, `budget` | of the run |
//! | `seed` | of the run; a string, since it may exceed what JSON readers take for a number |
//! | `conclusion` | `conforms`, `fails` or `interrupted` |
//! | `exit_code` | what the command line exits with |
//! | `elapsed_seconds` | wall time |
//! | `counts` | checks by outcome; `failed` fails the run; `warnings` are failures that don't: Should, May, or newer than the edition; `cases` is assertions; `not_run` is what an interruption, or a failure that ended the run, kept from running |
//! | `causes` | one object each, what a cluster loses most by first: `check`, `level`, `what`, and `explains`, the ids of checks that fail where this is broken |
//! | `checks` | one object each, in the registry's order; see below |
//! | `notes` | sentences for people |
//! | `unknown_known_failures` | what the list of known failures names and the kit doesn't have |
//!
//! A check:
//!
//! | field | what |
//! |---|---|
//! | `id`, `family`, `level`, `since`, `promise`, `consequence` | what is known of it |
//! | `requirements` | objects with `number`, `place` and `method` |
//! | `outcome` | `passed`, `failed`, `skipped`, `inconclusive` or `known_failure` |
//! | `fails_run` | whether it makes the run fail |
//! | `elapsed_seconds` | wall time |
//! | `cases` | assertions made; only if passed |
//! | `reason` | why it was skipped or inconclusive; only then |
//! | `failure` | `kind` (`broken`, `error`, `panic`, `hang`, `abort`, `hollow`, `stale`, `kit`, `not_tried`), `what`, `expected`, `got`, `steps`, `history`, `asked` (the call that was made last), `wreck` (what was on the disk: `cut`, `missing`, `calls`, `image`), `whole` (the file that holds what is left out here); only if it failed |
//! | `run_again` | the command that runs it again |

use serde::Serialize;

use super::view::{self, Tally};
use super::{CheckResult, Conclusion, Report, short};
use crate::causes::Cause;
use crate::failure::Failure;
use crate::outcome::Outcome;
use crate::requirement::requirement;

/// Of the format.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    kit: &'a str,
    backend: String,
    edition: u16,
    seed: String,
    budget: String,
    conclusion: Conclusion,
    exit_code: u8,
    elapsed_seconds: f64,
    counts: Counts,
    causes: Vec<CauseObject<'a>>,
    checks: Vec<CheckObject<'a>>,
    notes: Vec<String>,
    unknown_known_failures: Vec<String>,
}

#[derive(Serialize)]
struct Counts {
    passed: u64,
    cases: u64,
    failed: u64,
    warnings: u64,
    known_failures: u64,
    skipped: u64,
    inconclusive: u64,
    not_run: usize,
}

#[derive(Serialize)]
struct CheckObject<'a> {
    id: &'a str,
    family: &'a str,
    level: String,
    since: u16,
    requirements: Vec<RequirementObject>,
    promise: &'a str,
    consequence: &'a str,
    outcome: &'a str,
    fails_run: bool,
    elapsed_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    run_again: String,
}

#[derive(Serialize)]
struct CauseObject<'a> {
    check: &'a str,
    level: String,
    what: String,
    explains: Vec<&'a str>,
}

#[derive(Serialize)]
struct RequirementObject {
    number: u8,
    place: &'static str,
    method: &'static str,
}

/// The report as a JSON object.
pub fn json(report: &Report) -> String {
    let conclusion = report.conclusion();
    let strangers = report.unknown_known_failures.iter();
    let document = Document {
        schema_version: SCHEMA_VERSION,
        kit: env!("CARGO_PKG_VERSION"),
        backend: short::sentence(&report.backend),
        edition: report.edition.0,
        seed: report.seed.to_string(),
        budget: report.budget.to_string(),
        conclusion,
        exit_code: conclusion.exit_code(),
        elapsed_seconds: report.elapsed.as_secs_f64(),
        counts: counts(report),
        causes: view::causes(report).iter().map(cause).collect(),
        checks: report.results.iter().map(|result| check(report, result)).collect(),
        notes: view::warnings(report),
        unknown_known_failures: strangers.map(|id| short::sentence(id)).collect(),
    };
    // Only maps with keys that are no strings, and types that refuse, can't be written: there are
    // none in `Document`.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn counts(report: &Report) -> Counts {
    let Tally { passed, cases, failed, warned, known, skipped, inconclusive } =
        Tally::of(&report.results, report.edition);
    Counts {
        passed,
        cases,
        failed,
        warnings: warned,
        known_failures: known,
        skipped,
        inconclusive,
        not_run: report.not_run,
    }
}

fn cause<'a>(cause: &Cause<'a>) -> CauseObject<'a> {
    let spec = &cause.result.spec;
    CauseObject {
        check: spec.id,
        level: spec.level.to_string(),
        what: view::failure(cause.result).map(|failure| failure.what).unwrap_or_default(),
        explains: cause.explains.iter().map(|result| result.spec.id).collect(),
    }
}

fn check<'a>(report: &Report, result: &'a CheckResult) -> CheckObject<'a> {
    let spec = &result.spec;
    let (outcome, cases, reason) = match &result.outcome {
        Outcome::Passed { cases } => ("passed", Some(*cases), None),
        Outcome::Failed(_) => ("failed", None, None),
        Outcome::Skipped { reason } => ("skipped", None, Some(short::sentence(reason))),
        Outcome::Inconclusive { reason } => ("inconclusive", None, Some(short::sentence(reason))),
        Outcome::KnownFailure(_) => ("known_failure", None, None),
    };
    let requirements = spec.requirements.iter().filter_map(|number| requirement(*number));
    CheckObject {
        id: spec.id,
        family: spec.family(),
        level: spec.level.to_string(),
        since: spec.since.0,
        requirements: requirements
            .map(|r| RequirementObject { number: r.number, place: r.place, method: r.method })
            .collect(),
        promise: spec.promise,
        consequence: spec.consequence,
        outcome,
        fails_run: result.fails_run(report.edition),
        elapsed_seconds: result.elapsed.as_secs_f64(),
        cases,
        reason,
        failure: view::failure(result),
        run_again: report.again(spec.id),
    }
}
