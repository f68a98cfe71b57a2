//! [`Difference`]: where a report and what is written of a store disagree.
//!
//! The causes that a report names are those that are written down, and every Must that fails does so
//! of one of them.

use crate::findings::Findings;
use crate::report::{Check, Report};

/// Ids of checks, and what the report says of each.
type Said = Vec<(String, String)>;

#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Causes that are named, and aren't written down.
    named: Said,
    /// Causes that are written down, and aren't named.
    unnamed: Said,
    /// Checks that are written down below a cause, and don't fail.
    pass: Said,
    /// Checks that fail the run for no cause that is written down.
    unexplained: Said,
}

impl Difference {
    pub fn between(findings: &Findings, report: &Report) -> Option<Self> {
        let unknown = report.causes.iter().filter(|cause| findings.cause(&cause.check).is_none());
        let named: Said =
            unknown.map(|cause| (cause.check.clone(), one_line(&cause.what))).collect();

        let is_named = |id: &str| report.causes.iter().any(|cause| cause.check == id);
        let gone = findings.causes.iter().filter(|cause| !cause.maybe && !is_named(&cause.id));
        let unnamed: Said =
            gone.map(|cause| (cause.id.clone(), became(report, &cause.id))).collect();

        let fails = |id: &&String| {
            report.checks.iter().any(|check| check.id == **id && check.outcome == "failed")
        };
        let others = findings.causes.iter().flat_map(|cause| &cause.others);
        let pass = others.filter(|id| !fails(id)).map(|id| (id.clone(), became(report, id)));
        let pass: Said = pass.collect();

        // What an unknown cause explains is told by that cause.
        let explained = |id: &String| {
            report.causes.iter().any(|cause| cause.check == *id || cause.explains.contains(id))
        };
        let failed = report.checks.iter().filter(|check| check.fails_run);
        let unexplained =
            failed.filter(|check| !findings.knows(&check.id) && !explained(&check.id));
        let unexplained: Said =
            unexplained.map(|check| (check.id.clone(), outcome(check))).collect();

        let differ = [&named, &unnamed, &pass, &unexplained].iter().any(|said| !said.is_empty());
        differ.then_some(Self { named, unnamed, pass, unexplained })
    }

    /// For people, who are told what to do.
    pub fn of(&self, store: &str) -> String {
        let list = format!("{store}/findings.txt");
        let mut text = String::new();
        let mut tell = |said: &Said, how: &str, then: &str| {
            for (id, what) in said {
                text += &format!("{store}: {id} {how}: {what}\n");
            }
            if !said.is_empty() {
                text += &format!("  {then}\n");
            }
        };
        tell(
            &self.named,
            &format!("is named as a cause, which {list} doesn't say"),
            &format!(
                "Read the store's source. Where it is wrong, write the cause in {list}, and why in \
                 README.md. Where it is right, the kit accuses it wrongly: mend the check."
            ),
        );
        tell(
            &self.unnamed,
            &format!("isn't named as a cause, as {list} says"),
            &format!(
                "The store's version is locked, so the kit has changed. Where the check no longer \
                 asks for what the store breaks, take it out of {list} and README.md. Where it \
                 does, it has gone blind, or another is named in its place: mend that."
            ),
        );
        tell(
            &self.pass,
            &format!("doesn't fail, as {list} says"),
            "It has gone blind, or no longer asks for what the store breaks: as above.",
        );
        tell(
            &self.unexplained,
            &format!("fails, which neither a cause nor {list} explains"),
            &format!("Write it below a cause in {list}, or mend the check."),
        );
        text + &format!(
            "  Run again: cargo run --manifest-path \
             seshat-conformance/third-party/{store}/Cargo.toml -- CHECK --quick"
        )
    }
}

/// What became of a check, and what explains it, in one line.
fn became(report: &Report, id: &str) -> String {
    let Some(check) = report.checks.iter().find(|check| check.id == id) else {
        return "there is no such check".to_owned();
    };
    let by = report.causes.iter().find(|cause| cause.explains.iter().any(|other| other == id));
    match by {
        Some(cause) => format!("{}, explained by {}", outcome(check), cause.check),
        None => outcome(check),
    }
}

fn outcome(check: &Check) -> String {
    let failure = check.failure.as_ref().map(|failure| failure.what.as_str());
    match failure.or(check.reason.as_deref()) {
        Some(said) => format!("{}, {}", check.outcome, one_line(said)),
        None => check.outcome.clone(),
    }
}

fn one_line(said: &str) -> String {
    said.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let checks = r#"{"schema_version": 1, "causes": [
            {"check": "log/isolated", "level": "Must", "what": "two logs\nare one",
             "explains": ["log/fresh", "vote/save"]}
        ], "checks": [
            {"id": "log/fresh", "outcome": "failed", "fails_run": true,
             "failure": {"kind": "broken", "what": "a log"}},
            {"id": "log/isolated", "outcome": "failed", "fails_run": true,
             "failure": {"kind": "broken", "what": "two logs\nare one"}},
            {"id": "log/long", "outcome": "failed", "fails_run": true,
             "failure": {"kind": "stale", "what": "hangs"}},
            {"id": "log/range/inverted", "outcome": "failed", "fails_run": false,
             "failure": {"kind": "panic", "what": "no panic"}},
            {"id": "vote/save", "outcome": "failed", "fails_run": false,
             "failure": {"kind": "broken", "what": "no vote"}},
            {"id": "vote/again", "outcome": "passed", "fails_run": false, "cases": 3},
            {"id": "disk/full", "outcome": "skipped", "fails_run": false, "reason": "no hook"}
        ]}"#;
        Report::parse(checks).unwrap()
    }

    fn difference(findings: &str) -> Option<Difference> {
        Difference::between(&findings.parse().unwrap(), &report())
    }

    fn said(said: &[(&str, &str)]) -> Said {
        said.iter().map(|&(id, what)| (id.to_owned(), what.to_owned())).collect()
    }

    #[test]
    fn the_same_causes_are_no_difference() {
        assert_eq!(difference("log/isolated shares a table\n  log/long"), None);
        assert_eq!(difference("log/isolated w\n  log/long\nmaybe disk/full w"), None);
    }

    #[test]
    fn what_is_written_below_a_cause_must_fail() {
        let written = "log/isolated w\n  log/long\n  vote/save\n  vote/again\n  disk/full";
        let difference = difference(written).unwrap();
        let expected = [("vote/again", "passed"), ("disk/full", "skipped, no hook")];
        assert_eq!(difference.pass, said(&expected));
        let text = difference.of("some-store");
        assert!(text.contains("vote/again doesn't fail, as some-store/findings.txt"), "{text}");
    }

    #[test]
    fn a_cause_that_is_not_written_down_is_named_alone() {
        // That what fails of it is known makes it no known cause.
        let difference = difference("vote/again w\n  log/isolated\n  log/long").unwrap();
        assert_eq!(difference.named, said(&[("log/isolated", "two logs are one")]));
        assert_eq!(difference.unexplained, []);
        let text = difference.of("some-store");
        assert!(text.contains("log/isolated is named as a cause, which some-store"), "{text}");
        assert!(text.contains("mend the check"), "{text}");
    }

    #[test]
    fn a_cause_that_is_no_longer_named_is_told_with_the_reason() {
        let written = "log/isolated w\n  log/long\nvote/again w\ndisk/full w\nlog/range/inverted w\n\
                       log/fresh w\nlog/gone w";
        let difference = difference(written).unwrap();
        let expected = [
            ("vote/again", "passed"),
            ("disk/full", "skipped, no hook"),
            ("log/range/inverted", "failed, no panic"),
            ("log/fresh", "failed, a log, explained by log/isolated"),
            ("log/gone", "there is no such check"),
        ];
        assert_eq!(difference.unnamed, said(&expected));
        assert_eq!((difference.named.len(), difference.unexplained.len()), (0, 0));
        let text = difference.of("some-store");
        assert!(text.contains("vote/again isn't named as a cause, as some-store"), "{text}");
        assert!(text.contains("has gone blind"), "{text}");
    }

    #[test]
    fn a_must_that_fails_for_no_cause_is_told() {
        let difference = difference("log/isolated w").unwrap();
        assert_eq!(difference.unexplained, said(&[("log/long", "failed, hangs")]));
        assert_eq!((difference.named.len(), difference.unnamed.len()), (0, 0));
        let text = difference.of("some-store");
        assert!(text.contains("log/long fails, which neither a cause nor"), "{text}");
    }
}
