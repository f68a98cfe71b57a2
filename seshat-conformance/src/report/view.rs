//! What several formats say of a report in the same words.

use super::{CheckResult, Report, short};
use crate::causes::{self, Cause};
use crate::failure::{Failure, Kind};
use crate::outcome::Outcome;
use crate::spec::Edition;

/// How many checks ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) cases: u64,
    /// Those that make the run fail.
    pub(super) failed: u64,
    /// Those that failed and don't: Should, May, or newer than the edition.
    pub(super) warned: u64,
    pub(super) known: u64,
    pub(super) skipped: u64,
    pub(super) inconclusive: u64,
}

impl Tally {
    pub(super) fn of<'a>(
        results: impl IntoIterator<Item = &'a CheckResult>,
        edition: Edition,
    ) -> Self {
        let mut tally = Self::default();
        for result in results {
            match &result.outcome {
                Outcome::Passed { cases } => {
                    tally.passed += 1;
                    tally.cases += cases;
                }
                Outcome::Failed(_) if result.fails_run(edition) => tally.failed += 1,
                Outcome::Failed(_) => tally.warned += 1,
                Outcome::KnownFailure(_) => tally.known += 1,
                Outcome::Skipped { .. } => tally.skipped += 1,
                Outcome::Inconclusive { .. } => tally.inconclusive += 1,
            }
        }
        tally
    }

    pub(super) fn answered(&self) -> u64 {
        self.passed + self.failed + self.warned + self.known
    }

    /// Every number that isn't zero.
    pub(super) fn words(&self) -> Vec<String> {
        let told = |count: u64, word: String| (count > 0).then_some(word);
        [
            told(self.passed, format!("{} passed ({})", self.passed, many(self.cases, "case"))),
            told(self.failed, format!("{} failed", self.failed)),
            told(self.warned, many(self.warned, "warning")),
            told(self.known, many(self.known, "known failure")),
            told(self.skipped, format!("{} skipped", self.skipped)),
            told(self.inconclusive, format!("{} inconclusive", self.inconclusive)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Every number, zero or not.
    pub(super) fn summary(&self) -> String {
        let Self { passed, cases, failed, warned, known, skipped, inconclusive } = self;
        format!(
            "{passed} passed ({}), {failed} failed, {}, {skipped} skipped, {inconclusive} \
             inconclusive, {}",
            many(*cases, "case"),
            many(*warned, "warning"),
            many(*known, "known failure"),
        )
    }
}

fn many(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// Why a check that failed doesn't fail the run; `None` for one that does, or that didn't fail.
pub(crate) fn excuse(result: &CheckResult, edition: Edition) -> Option<String> {
    let what = failure(result)?.what;
    match &result.outcome {
        _ if result.fails_run(edition) => None,
        Outcome::KnownFailure(_) => Some(format!("known failure: {what}")),
        _ if result.spec.since > edition => Some(format!("newer than edition {edition}: {what}")),
        _ => Some(format!("only a {}: {what}", result.spec.level)),
    }
}

/// What went wrong, if something did, as far as it is shown.
pub(super) fn failure(result: &CheckResult) -> Option<Failure> {
    whole(result).map(short::failure)
}

/// All of it.
pub(super) fn whole(result: &CheckResult) -> Option<&Failure> {
    match &result.outcome {
        Outcome::Failed(failure) | Outcome::KnownFailure(failure) => Some(failure),
        _ => None,
    }
}

/// What is wrong with the store, what a cluster loses most by first.
pub(super) fn causes(report: &Report) -> Vec<Cause<'_>> {
    causes::causes(&report.results)
}

/// How many causes of how many failures.
pub(super) fn causes_of(causes: &[Cause<'_>]) -> String {
    let failures = causes.iter().map(|cause| 1 + cause.explains.len()).sum::<usize>();
    let failures = many(failures as u64, "failure");
    format!("{} of {failures}", many(causes.len() as u64, "cause"))
}

/// What a cause explains, on a line: by id, or by family where there are many.
pub(super) fn explained(cause: &Cause<'_>) -> String {
    const BY_ID: usize = 8;
    let count = cause.explains.len();
    if count <= BY_ID {
        let ids: Vec<_> = cause.explains.iter().map(|result| result.spec.id).collect();
        return ids.join(", ");
    }
    let mut families: Vec<(&str, usize)> = Vec::new();
    for result in &cause.explains {
        match families.last_mut() {
            Some((family, count)) if *family == result.spec.family() => *count += 1,
            _ => families.push((result.spec.family(), 1)),
        }
    }
    let families: Vec<_> = families.iter().map(|(name, count)| format!("{count} {name}")).collect();
    format!("{count} more: {}", families.join(", "))
}

/// Failures that are none of the store's: each is shown by itself.
pub(super) fn beside_the_store(report: &Report) -> impl Iterator<Item = &CheckResult> {
    report.results.iter().filter(|result| {
        matches!(&result.outcome, Outcome::Failed(failure) if failure.kind.is_beside_the_store())
    })
}

/// Reasons in order of appearance, each with the checks that it keeps from running.
pub(super) fn skipped(report: &Report) -> Vec<(String, Vec<&'static str>)> {
    grouped(report, |outcome| match outcome {
        Outcome::Skipped { reason } => Some(reason),
        _ => None,
    })
}

/// Likewise for checks that learnt nothing.
pub(super) fn inconclusive(report: &Report) -> Vec<(String, Vec<&'static str>)> {
    grouped(report, |outcome| match outcome {
        Outcome::Inconclusive { reason } => Some(reason),
        _ => None,
    })
}

fn grouped(
    report: &Report,
    reason: impl Fn(&Outcome) -> Option<&String>,
) -> Vec<(String, Vec<&'static str>)> {
    let mut groups: Vec<(String, Vec<&'static str>)> = Vec::new();
    for result in &report.results {
        let Some(reason) = reason(&result.outcome) else { continue };
        let reason = short::sentence(reason);
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, ids)) => ids.push(result.spec.id),
            None => groups.push((reason, vec![result.spec.id])),
        }
    }
    groups
}

/// What a reader must know beside the results.
/// So many notes of checks are shown.
const NOTES: usize = 4;

pub(super) fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    for id in &report.unknown_known_failures {
        let id = short::sentence(id);
        warnings.push(format!("the list of known failures names {id}, which is no check"));
    }
    for result in &report.results {
        let spec = &result.spec;
        match whole(result).map(|failure| failure.kind) {
            Some(Kind::Hollow) => {
                warnings.push(format!("{} could not be tried, which fails the run", spec.id));
            }
            Some(Kind::Kit) => warnings
                .push(format!("{} fails through a fault of the kit, please report it", spec.id)),
            _ => {}
        }
    }
    let (shown, rest) = report.notes.split_at(report.notes.len().min(NOTES));
    warnings.extend(shown.iter().cloned());
    if !rest.is_empty() {
        warnings.push(format!("{} more such notes", rest.len()));
    }
    let newer = report.results.iter().filter(|result| result.spec.since > report.edition).count();
    if newer > 0 {
        let (checks, edition) = (many(newer as u64, "check"), report.edition);
        warnings.push(format!("{checks} came after edition {edition}, and fail no run yet"));
    }
    let hollow = report.hollow_families();
    for family in report.idle_families() {
        warnings.push(if hollow.contains(&family) {
            format!("the family {family} was tried and learnt nothing, which fails the run")
        } else {
            format!("nothing is known of the family {family}: none of its checks ran")
        });
    }
    if report.is_hollow() && report.not_run == 0 {
        warnings.push("not a single check was answered, which fails the run".to_owned());
    }
    if report.not_run > 0 {
        let checks = many(report.not_run as u64, "check");
        let why = if report.failed_fast { "ended by a failure, as asked" } else { "interrupted" };
        warnings.push(format!("{why}: {checks} did not run"));
    }
    warnings
}
