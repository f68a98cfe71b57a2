//! [`Findings`]: what is known to be wrong with a store, by cause.
//!
//! ```text
//! # From here to the end of the line is for people.
//! log/truncate/inclusive  `truncate` begins behind the entry that it is given
//!     log/truncate/again
//!     maybe concurrency/readers-beside-truncate
//! ```
//!
//! A line that isn't indented is a cause: the check that says it best, and why it fails. Those
//! below fail of it, too. What is marked with `maybe` fails at times: it takes a race to be lost, or
//! a machine that is fast enough to come to the case that fails.

use std::str::FromStr;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub causes: Vec<Cause>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    pub why: String,
    /// The first says it best; it is never empty.
    pub found_by: Vec<Finding>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// A check's id.
    pub id: String,
    /// Whether it fails at times only.
    pub maybe: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("line {line}: a cause is the id of a check and why it fails, got {got:?}")]
    NoReason { line: usize, got: String },
    #[error("line {line}: {got:?} is indented, but below no cause")]
    NoCause { line: usize, got: String },
    #[error("line {line}: below a cause are ids alone, got {got:?}")]
    NoId { line: usize, got: String },
    #[error("line {line}: {id} is there twice")]
    Twice { line: usize, id: String },
}

impl FromStr for Findings {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut findings = Self::default();
        for (number, whole) in (1..).zip(text.lines()) {
            let line = whole.split('#').next().unwrap_or_default().trim_end();
            if !line.is_empty() {
                findings.read(number, line)?;
            }
        }
        Ok(findings)
    }
}

impl Findings {
    fn read(&mut self, line: usize, text: &str) -> Result<(), ParseError> {
        let got = text.trim_start();
        let (maybe, said) = match got.strip_prefix("maybe ") {
            Some(said) => (true, said),
            None => (false, got),
        };
        let (id, why) = said.split_once(' ').unwrap_or((said, ""));
        if self.all().any(|known| known.id == id) {
            return Err(ParseError::Twice { line, id: id.into() });
        }
        let finding = Finding { id: id.into(), maybe };
        let indented = got.len() < text.len();
        match (indented, why.trim(), self.causes.last_mut()) {
            (true, "", Some(cause)) => cause.found_by.push(finding),
            (true, "", None) => return Err(ParseError::NoCause { line, got: got.into() }),
            (true, ..) => return Err(ParseError::NoId { line, got: got.into() }),
            (false, "", _) => return Err(ParseError::NoReason { line, got: got.into() }),
            (false, why, _) => {
                self.causes.push(Cause { why: why.into(), found_by: vec![finding] });
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &Finding> {
        self.causes.iter().flat_map(|cause| &cause.found_by)
    }

    /// The checks that must fail.
    pub fn failing(&self) -> impl Iterator<Item = &str> {
        self.all().filter(|finding| !finding.maybe).map(|finding| finding.id.as_str())
    }

    /// Whether a check may fail, and of what.
    pub fn cause(&self, id: &str) -> Option<&Cause> {
        let finds = |cause: &&Cause| cause.found_by.iter().any(|finding| finding.id == id);
        self.causes.iter().find(finds)
    }

    /// For people.
    pub fn summary(&self) -> String {
        match self.causes.len() {
            0 => "conforms".to_owned(),
            causes => format!("failing checks: {}, known causes: {causes}", self.failing().count()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_what_fails_of_them() {
        let text = "# A store.\n\nlog/fresh  invents a log # README.md, 1\n    log/isolated\n\n    \
                    maybe model/log\nmaybe vote/save forgets at times\n";
        let findings: Findings = text.parse().unwrap();
        let finding = |id: &str, maybe| Finding { id: id.into(), maybe };
        let invents = vec![
            finding("log/fresh", false),
            finding("log/isolated", false),
            finding("model/log", true),
        ];
        let forgets = vec![finding("vote/save", true)];
        let cause = |why: &str, found_by| Cause { why: why.into(), found_by };
        let expected = [cause("invents a log", invents), cause("forgets at times", forgets)];
        assert_eq!(findings.causes, expected);
        assert_eq!(Vec::from_iter(findings.failing()), ["log/fresh", "log/isolated"]);
        assert_eq!(findings.cause("model/log"), expected.first());
        assert_eq!(findings.cause("model"), None);
        assert_eq!(findings.summary(), "failing checks: 2, known causes: 2");
    }

    #[test]
    fn a_store_without_findings_conforms() {
        let findings: Findings = "# Nothing fails.\n".parse().unwrap();
        assert_eq!(findings, Findings::default());
        assert_eq!(findings.summary(), "conforms");
    }

    #[test]
    fn nonsense_is_named_with_its_line() {
        let error = |text: &str| text.parse::<Findings>().unwrap_err();
        let got = |text: &str| text.to_owned();
        assert_eq!(error("\nlog/fresh"), ParseError::NoReason { line: 2, got: got("log/fresh") });
        assert_eq!(error("  log/fresh"), ParseError::NoCause { line: 1, got: got("log/fresh") });
        let two = "log/fresh why\n  log/isolated too";
        assert_eq!(error(two), ParseError::NoId { line: 2, got: got("log/isolated too") });
        let twice = "log/fresh why\n  vote/save\n  maybe log/fresh";
        assert_eq!(error(twice), ParseError::Twice { line: 3, id: got("log/fresh") });
    }
}
