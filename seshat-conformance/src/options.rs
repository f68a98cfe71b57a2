//! [`Options`]: how to run, and which checks.

mod filter;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

pub use self::filter::Filter;
use crate::budget::Budget;
use crate::spec::Edition;

/// How to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How much to try.
    pub budget: Budget,
    /// What random choices come from. The same seed tries the same.
    pub seed: u64,
    /// Checks of later editions only warn.
    pub edition: Edition,
    /// Which checks to run.
    pub filter: Filter,
    /// A single call of the store that takes longer hangs: on an idle machine, and where it isn't
    /// about many entries.
    pub patience: Duration,
    /// How many checks run side by side.
    pub jobs: usize,
    /// Time limits are this many times as long: for slow machines and instrumented builds.
    pub limit_scale: u32,
    /// Whether the first failure that fails the run ends it: checks that are under way still end.
    pub fail_fast: bool,
    /// Where the directory is kept that a power cut left to a check that failed, in one of its own;
    /// `None`: nowhere.
    pub images: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            budget: Budget::Default,
            seed: 1,
            edition: Edition::LATEST,
            filter: Filter::all(),
            patience: Duration::from_secs(2),
            // Checks wait as often as they work: for elections, callbacks, and openraft's suite.
            jobs: 2 * thread::available_parallelism().map_or(1, usize::from),
            limit_scale: 1,
            fail_fast: false,
            images: None,
        }
    }
}

/// Where images are kept, unless somebody says otherwise: in a folder of this process's own, which is
/// made with the first.
pub(crate) fn images() -> PathBuf {
    std::env::temp_dir().join(format!("seshat-images-{}", std::process::id()))
}

impl Options {
    /// The limit of a check that declares `limit`.
    pub(crate) fn limit(&self, limit: Duration) -> Duration {
        limit.saturating_mul(self.limit_scale.max(1)).saturating_mul(self.budget.pick(1, 1, 10))
    }
}
