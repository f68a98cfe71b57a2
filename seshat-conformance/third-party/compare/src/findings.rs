//! [`Findings`]: what is known to be wrong with a store, by cause.
//!
//! ```text
//! # From here to the end of the line is for people.
//! log/truncate/inclusive  `truncate` begins behind the entry that it is given
//!     log/truncate/again
//! maybe concurrency/readers-beside-truncate  `truncate` lets go of its lock in the middle
//! ```
//!
//! A line that isn't indented is a cause: the check by which a report names it, and why it fails.
//! What is marked with `maybe` is named at times: it takes a race to be lost. Those below fail as
//! well, of something else that a report doesn't tell from it: README.md says of what.

use std::str::FromStr;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub causes: Vec<Cause>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// Of the check by which it is named.
    pub id: String,
    pub why: String,
    /// Whether it is named at times only.
    pub maybe: bool,
    /// The ids of checks that fail as well.
    pub others: Vec<String>,
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
        if self.knows(id) {
            return Err(ParseError::Twice { line, id: id.into() });
        }
        let indented = got.len() < text.len();
        match (indented, why.trim(), self.causes.last_mut()) {
            (true, "", Some(cause)) if !maybe => cause.others.push(id.into()),
            (true, "", None) => return Err(ParseError::NoCause { line, got: got.into() }),
            (true, ..) => return Err(ParseError::NoId { line, got: got.into() }),
            (false, "", _) => return Err(ParseError::NoReason { line, got: got.into() }),
            (false, why, _) => {
                let (id, why) = (id.into(), why.into());
                self.causes.push(Cause { id, why, maybe, others: Vec::new() });
            }
        }
        Ok(())
    }

    /// Whether a check is written down, as a cause or below one.
    pub fn knows(&self, id: &str) -> bool {
        let is_it = |other: &String| other == id;
        self.causes.iter().any(|cause| cause.id == id || cause.others.iter().any(is_it))
    }

    /// The cause that is named by a check.
    pub fn cause(&self, id: &str) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.id == id)
    }

    /// For people.
    pub fn summary(&self) -> String {
        match self.causes.len() {
            0 => "conforms".to_owned(),
            1 => "1 cause, a known one".to_owned(),
            causes => format!("{causes} causes, all known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_what_fails_of_them() {
        let text = "# A store.\n\nlog/fresh  invents a log # README.md, 1\n    log/isolated\n\n    \
                    model/log\nmaybe vote/save forgets at times\n";
        let findings: Findings = text.parse().unwrap();
        let cause = |id: &str, why: &str, maybe, others: &[&str]| Cause {
            id: id.into(),
            why: why.into(),
            maybe,
            others: others.iter().map(|&id| id.into()).collect(),
        };
        let invents = cause("log/fresh", "invents a log", false, &["log/isolated", "model/log"]);
        let forgets = cause("vote/save", "forgets at times", true, &[]);
        assert_eq!(findings.causes, [invents, forgets]);
        assert_eq!(findings.cause("log/fresh"), findings.causes.first());
        assert_eq!(findings.cause("model/log"), None);
        assert!(findings.knows("model/log") && !findings.knows("model"));
        assert_eq!(findings.summary(), "2 causes, all known");
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
        for more in ["log/isolated too", "maybe log/isolated"] {
            let two = format!("log/fresh why\n  {more}");
            assert_eq!(error(&two), ParseError::NoId { line: 2, got: got(more) });
        }
        let twice = "log/fresh why\n  vote/save\nmaybe vote/save why";
        assert_eq!(error(twice), ParseError::Twice { line: 3, id: got("vote/save") });
    }
}
