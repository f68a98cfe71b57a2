//! [`Failure`]: how a promise was broken, so that a person can see it and run it again.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is said of a call that was given up.
const LATE: &str = " did not return in time";
/// What stands before the call that a check was stuck in.
pub(crate) const UNDER_WAY: &str = ", in ";

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, in a sentence.
    pub what: String,
    /// What the contract asks for; empty where `what` says it all.
    pub expected: String,
    /// What the store did instead.
    pub got: String,
    /// The calls that led there, oldest first, in the language that `replay` reads.
    pub steps: Vec<String>,
    /// The shortest history that shows it, as `replay` reads it, where there is one.
    pub history: Option<String>,
    /// How it ended.
    pub kind: Kind,
    /// The call that the store was asked last before it was seen, by name: the wrong answer is
    /// its answer. `None` where no call had been made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// What was on the disk, where it was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wreck: Option<Box<Wreck>>,
    /// The file that holds all of it, where a report shows it shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<PathBuf>,
}

/// What was on the disk when a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wreck {
    /// The model of persistence, what of the unsynced survived, and after which call; `None` where
    /// the power was not cut.
    pub cut: Option<String>,
    /// What was not on the disk, and which sync of what is missing.
    pub missing: Vec<String>,
    /// The calls that the store made since the disk was whole, and whether what each did is on it.
    pub calls: Vec<String>,
    /// The directory that the store was opened in, as it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PathBuf>,
}

impl Wreck {
    /// What it has to tell, each with a label.
    pub(crate) fn parts(&self) -> [(&'static str, Vec<&str>); 3] {
        let calls = self.calls.iter().map(String::as_str).collect();
        let cut = self.cut.as_deref().unwrap_or("none: the process was killed, or the disk failed");
        let missing = match self.missing.is_empty() {
            true => vec!["nothing: all was synced"],
            false => self.missing.iter().map(String::as_str).collect(),
        };
        [("power cut", vec![cut]), ("not on disk", missing), ("calls", calls)]
    }
}

/// How a check that failed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The store did something else than it must.
    Broken,
    /// The store reported an error where none is due.
    Error,
    /// The store panicked.
    Panic,
    /// A call did not return in time.
    Hang,
    /// The process ended.
    Abort,
    /// Nothing could be tried: a fault of the kit or of its surroundings.
    Hollow,
    /// On the list of known failures, and it passed.
    Stale,
    /// The kit itself is wrong: it made a call that openraft can't make.
    Kit,
    /// No failure: what ended the check says nothing of its promise.
    Untold,
    /// What the promise rests on is broken already, so the promise itself was not tried. Blames
    /// nobody: another check's failure is the cause.
    NotTried,
}

impl Kind {
    /// Whether it is no fault of the store, so that neither a check's level nor a list of known
    /// failures excuses it.
    pub fn is_beside_the_store(self) -> bool {
        matches!(self, Self::Hollow | Self::Stale | Self::Kit)
    }
}

impl Failure {
    /// The store did something else than it must.
    pub fn broken(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Broken, what, expected, got)
    }

    /// A call failed that had to work.
    pub fn error(call: impl Into<String>, error: impl std::fmt::Display) -> Self {
        let what = format!("{} failed", call.into());
        Self::new(Kind::Error, what, "success", error.to_string())
    }

    /// A call did not return while it was waited for.
    pub(crate) fn late(call: &str, waited: Duration) -> Self {
        let more = (10.0 * waited.as_secs_f64()).ceil();
        let expected = format!(
            "an answer within {waited:.1?}; `--patience {more}` tells a slow one from none"
        );
        Self::new(Kind::Hang, format!("{call}{LATE}"), expected, "nothing")
    }

    /// What ended a check without telling anything of its promise.
    pub(crate) fn untold(why: impl Into<String>) -> Self {
        Self::new(Kind::Untold, why, "", "")
    }

    /// What other checks have found out about a call ends this one.
    pub(crate) fn known_to_hang(call: &str) -> Self {
        let what = format!("not tried: {call} hangs, as other checks found");
        Self::new(Kind::NotTried, what, "", "")
    }

    /// The call that never returned, if that is what went wrong.
    pub(crate) fn hanging(&self) -> Option<&str> {
        let blocked = || self.got.rsplit_once(UNDER_WAY).map(|(_, call)| call);
        (self.kind == Kind::Hang).then(|| self.what.strip_suffix(LATE).or_else(blocked))?
    }

    /// What a check met before it came to its own promise.
    pub(crate) fn beforehand(self) -> Self {
        match self.kind {
            Kind::Hollow | Kind::Kit | Kind::NotTried | Kind::Untold => self,
            _ => Self {
                what: format!("not tried, for what it rests on is broken: {}", self.what),
                kind: Kind::NotTried,
                ..self
            },
        }
    }

    pub(crate) fn new(
        kind: Kind,
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            expected: expected.into(),
            got: got.into(),
            steps: Vec::new(),
            history: None,
            kind,
            asked: None,
            wreck: None,
            whole: None,
        }
    }
}
