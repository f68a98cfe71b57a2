//! [`Outcome`] of a check, and the [`Report`] of a run: what was found, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::failure::Failure;
use crate::options::Options;
use crate::spec::{Edition, Level, Spec};

/// How a check ends, if it does.
pub type Verdict = Result<(), Failure>;

/// How a check of a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The promise held in this many cases, one or more.
    Passed {
        /// Assertions made.
        cases: u64,
    },
    /// The promise was broken.
    Failed(Failure),
    /// Not run, decided beforehand.
    Skipped {
        /// Why not.
        reason: String,
    },
    /// Run, but nothing was learnt of the promise.
    Inconclusive {
        /// Why not.
        reason: String,
    },
    /// Failed, as the back end's list of known failures says.
    KnownFailure(Failure),
}

/// What a run found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The back end's name.
    pub backend: String,
    /// The edition that counts; checks of later ones only warn.
    pub edition: Edition,
    /// What random choices came from.
    pub seed: u64,
    /// How much was tried.
    pub budget: Budget,
    /// How long one call of the store was waited for.
    pub patience: Duration,
    /// How many times as long as usual the checks' time limits were.
    pub limit_scale: u32,
    /// Each check of the registry that the filters let through, in the registry's order.
    pub results: Vec<CheckResult>,
    /// Wall time of the whole run.
    pub elapsed: Duration,
    /// How many checks did not run, as the run ended before.
    pub not_run: usize,
    /// Whether it was a failure that ended it, as was asked.
    pub failed_fast: bool,
    /// What checks noted beside their outcomes, after their ids.
    pub notes: Vec<String>,
    /// How a check of this run is run again.
    pub rerun: Rerun,
    /// Entries of the known-failing list that name no check.
    pub unknown_known_failures: Vec<String>,
}

/// How one check ended.
#[derive(Debug, Clone)]
pub struct CheckResult {
    /// The check.
    pub spec: Spec,
    /// How it ended.
    pub outcome: Outcome,
    /// Wall time.
    pub elapsed: Duration,
}

/// What a run says of a back end, and what the process exits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// No Must check failed, and the run was not hollow. Exit code 0.
    Conforms,
    /// A Must check failed, a known failure no longer fails, or a check or family was hollow.
    /// Exit code 1.
    Fails,
    /// Not every check ran. Exit code 130.
    Interrupted,
}

impl Conclusion {
    /// For scripts.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Conforms => 0,
            Self::Fails => 1,
            Self::Interrupted => 130,
        }
    }
}

impl CheckResult {
    /// Whether this result makes the run fail.
    pub fn fails_run(&self, edition: Edition) -> bool {
        let Outcome::Failed(failure) = &self.outcome else { return false };
        failure.kind.is_beside_the_store()
            || (self.spec.level == Level::Must && self.spec.since <= edition)
    }

    /// Whether the store answered: it kept the promise, or broke it.
    fn answered(&self) -> bool {
        !matches!(self.outcome, Outcome::Skipped { .. } | Outcome::Inconclusive { .. })
    }
}

impl Report {
    /// A report of nothing yet.
    pub(crate) fn empty(backend: &str, options: &Options) -> Self {
        Self {
            backend: backend.to_owned(),
            edition: options.edition,
            seed: options.seed,
            budget: options.budget,
            patience: options.patience,
            limit_scale: options.limit_scale,
            results: Vec::new(),
            elapsed: Duration::ZERO,
            not_run: 0,
            failed_fast: false,
            notes: Vec::new(),
            rerun: Rerun::Library,
            unknown_known_failures: Vec::new(),
        }
    }

    /// The verdict on the back end.
    pub fn conclusion(&self) -> Conclusion {
        let failed = self.results.iter().any(|result| result.fails_run(self.edition));
        if self.not_run > 0 && !self.failed_fast {
            Conclusion::Interrupted
        } else if failed
            || self.is_hollow()
            || !self.hollow_families().is_empty()
            || !self.unknown_known_failures.is_empty()
        {
            Conclusion::Fails
        } else {
            Conclusion::Conforms
        }
    }

    /// Whether not a single check was answered: such a run says nothing, and fails.
    pub fn is_hollow(&self) -> bool {
        !self.results.iter().any(CheckResult::answered)
    }

    /// Families, in the registry's order.
    pub fn families(&self) -> Vec<&'static str> {
        let mut families: Vec<_> = self.results.iter().map(|result| result.spec.family()).collect();
        families.dedup();
        families
    }

    /// The results of a family.
    pub fn family(&self, family: &str) -> impl Iterator<Item = &CheckResult> {
        self.results.iter().filter(move |result| result.spec.family() == family)
    }

    /// Families of which no check was answered: nothing is known of them.
    pub fn idle_families(&self) -> Vec<&'static str> {
        let mut families = self.families();
        families.retain(|family| !self.family(family).any(CheckResult::answered));
        families
    }

    /// Idle families of which a check did run, and learnt nothing: that fails the run. A family
    /// whose every check was skipped does not: the back end lacks what it needs, and says so.
    pub fn hollow_families(&self) -> Vec<&'static str> {
        let ran = |result: &CheckResult| !matches!(result.outcome, Outcome::Skipped { .. });
        let mut families = self.idle_families();
        families.retain(|family| self.family(family).any(ran));
        families
    }
}

/// How a check is run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerun {
    /// With [`run_one`](crate::runner::run_one).
    Library,
    /// With this program's command line.
    Program(String),
    /// As a test of this name.
    Test(String),
    /// With this command, whatever the check.
    Replay(String),
}
