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
//! below are what else fails of it, at times if marked with `maybe`.

use std::str::FromStr;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub causes: Vec<Cause>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// The id of the check that says it best.
    pub named_by: String,
    pub why: String,
    /// Ids of those that fail of it, too.
    pub also: Vec<String>,
    /// Ids of those that may: they take a race to be lost.
    pub maybe: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("line {line}: a cause is the id of a check and why it fails, got {got:?}")]
    NoReason { line: usize, got: String },
    #[error("line {line}: {got:?} is indented, but below no cause")]
    NoCause { line: usize, got: String },
    #[error("line {line}: an id, or `maybe` and an id, was expected, got {got:?}")]
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
        let (first, rest) = got.split_once(' ').unwrap_or((got, ""));
        let indented = got.len() < text.len();
        let (id, maybe) = match (indented, first, rest) {
            (false, _, "") => return Err(ParseError::NoReason { line, got: got.into() }),
            (false, id, _) | (true, id, "") => (id, false),
            (true, "maybe", id) if !id.contains(' ') => (id, true),
            (true, ..) => return Err(ParseError::NoId { line, got: got.into() }),
        };
        if self.knows(id) {
            return Err(ParseError::Twice { line, id: id.into() });
        }
        match (indented, self.causes.last_mut()) {
            (false, _) => self.causes.push(Cause {
                named_by: id.into(),
                why: rest.trim().into(),
                also: Vec::new(),
                maybe: Vec::new(),
            }),
            (true, None) => return Err(ParseError::NoCause { line, got: got.into() }),
            (true, Some(cause)) if maybe => cause.maybe.push(id.into()),
            (true, Some(cause)) => cause.also.push(id.into()),
        }
        Ok(())
    }

    /// The checks that must fail.
    pub fn failing<'a>(&'a self) -> impl Iterator<Item = &'a str> {
        let each = |cause: &'a Cause| std::iter::once(&cause.named_by).chain(&cause.also);
        self.causes.iter().flat_map(each).map(String::as_str)
    }

    /// Whether a check may fail.
    pub fn knows(&self, id: &str) -> bool {
        self.failing().any(|known| known == id)
            || self.causes.iter().flat_map(|cause| &cause.maybe).any(|known| known == id)
    }

    /// For people.
    pub fn summary(&self) -> String {
        match self.causes.len() {
            0 => "conforms".to_owned(),
            causes => format!("{} checks fail, of {causes} known causes", self.failing().count()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_what_fails_of_them() {
        let text = "# A store.\n\nlog/fresh  invents a log # README.md, 1\n    log/isolated\n\n    \
                    maybe model/log\nvote/save forgets\n";
        let findings: Findings = text.parse().unwrap();
        let cause = |named_by: &str, why: &str, also: &[&str], maybe: &[&str]| Cause {
            named_by: named_by.into(),
            why: why.into(),
            also: also.iter().map(|id| (*id).into()).collect(),
            maybe: maybe.iter().map(|id| (*id).into()).collect(),
        };
        let invents = cause("log/fresh", "invents a log", &["log/isolated"], &["model/log"]);
        let forgets = cause("vote/save", "forgets", &[], &[]);
        assert_eq!(findings.causes, [invents, forgets]);
        assert_eq!(Vec::from_iter(findings.failing()), ["log/fresh", "log/isolated", "vote/save"]);
        assert!(findings.knows("model/log") && !findings.knows("model"));
        assert_eq!(findings.summary(), "3 checks fail, of 2 known causes");
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
