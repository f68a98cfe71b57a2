//! [`Difference`]: where a report and what is written of a store disagree.

use crate::findings::Findings;
use crate::report::{Check, Report};

#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Checks that fail, and aren't written down: their ids, and what they say.
    fail: Vec<(String, String)>,
    /// Checks that are written down, and don't fail: their ids, and what became of them.
    pass: Vec<(String, String)>,
}

impl Difference {
    pub fn between(findings: &Findings, report: &Report) -> Option<Self> {
        let failed = report.checks.iter().filter(|check| check.fails_run);
        let unknown = failed.filter(|check| findings.cause(&check.id).is_none());
        let fail = unknown.map(|check| (check.id.clone(), what(check))).collect::<Vec<_>>();
        let pass = findings.failing().filter_map(|id| {
            let outcome = match report.check(id) {
                None => "there is no such check".to_owned(),
                Some(check) if check.fails_run => return None,
                Some(check) => what(check),
            };
            Some((id.to_owned(), outcome))
        });
        let pass = pass.collect::<Vec<_>>();
        (!fail.is_empty() || !pass.is_empty()).then_some(Self { fail, pass })
    }

    /// For people, who are told what to do.
    pub fn of(&self, store: &str) -> String {
        let list = format!("{store}/findings.txt");
        let mut text = String::new();
        for (id, what) in &self.fail {
            text += &format!("{store}: {id} fails, which {list} doesn't say: {what}\n");
        }
        if !self.fail.is_empty() {
            text += &format!(
                "  Read the store's source. Where it is wrong, write the check below its cause in \
                 {list}, and why in README.md. Where it is right, the kit accuses it wrongly: mend \
                 the check.\n"
            );
        }
        for (id, what) in &self.pass {
            text += &format!("{store}: {id} doesn't fail, as {list} says: {what}\n");
        }
        if !self.pass.is_empty() {
            text += &format!(
                "  The store's version is locked, so the kit has changed. Where the check no longer \
                 asks for what the store breaks, take it out of {list} and README.md. Where it \
                 does, it has gone blind: mend it.\n"
            );
        }
        text + &format!(
            "  Run again: cargo run --manifest-path \
             seshat-conformance/third-party/{store}/Cargo.toml -- CHECK --quick"
        )
    }
}

/// What became of a check, in one line.
fn what(check: &Check) -> String {
    let failure = check.failure.as_ref().map(|failure| failure.what.as_str());
    match failure.or(check.reason.as_deref()) {
        Some(said) => format!("{}, {}", check.outcome, said.replace('\n', " ")),
        None => check.outcome.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let checks = r#"{"schema_version": 1, "checks": [
            {"id": "log/fresh", "outcome": "passed", "fails_run": false, "cases": 3},
            {"id": "log/isolated", "outcome": "failed", "fails_run": true,
             "failure": {"kind": "broken", "what": "two logs\nare one"}},
            {"id": "log/range/inverted", "outcome": "failed", "fails_run": false,
             "failure": {"kind": "panic", "what": "no panic"}},
            {"id": "disk/full", "outcome": "skipped", "fails_run": false, "reason": "no hook"}
        ]}"#;
        Report::parse(checks).unwrap()
    }

    fn difference(findings: &str) -> Option<Difference> {
        Difference::between(&findings.parse().unwrap(), &report())
    }

    #[test]
    fn the_same_set_is_no_difference() {
        assert_eq!(difference("log/isolated shares a table"), None);
        assert_eq!(difference("log/isolated shares a table\n  maybe log/fresh"), None);
    }

    #[test]
    fn a_failure_that_is_not_written_down_is_named() {
        let difference = difference("").unwrap();
        let failed = ("log/isolated".to_owned(), "failed, two logs are one".to_owned());
        assert_eq!(difference.fail, [failed]);
        let text = difference.of("some-store");
        assert!(text.contains("log/isolated fails, which some-store/findings.txt"), "{text}");
        assert!(text.contains("mend the check"), "{text}");
    }

    #[test]
    fn a_finding_that_no_longer_fails_is_named_with_the_reason() {
        let written = "log/isolated w\n  log/fresh\n  disk/full\n  log/range/inverted\n  log/gone";
        let difference = difference(written).unwrap();
        let outcomes: Vec<_> = difference.pass.iter().map(|(_, what)| what.as_str()).collect();
        let expected = ["passed", "skipped, no hook", "failed, no panic", "there is no such check"];
        assert_eq!(outcomes, expected);
        assert!(difference.fail.is_empty());
        let text = difference.of("some-store");
        assert!(text.contains("log/fresh doesn't fail, as some-store/findings.txt"), "{text}");
        assert!(text.contains("has gone blind"), "{text}");
    }
}
