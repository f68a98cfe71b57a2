//! [`Budget`]: how much a run tries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much a run tries. The checks are the same; the number of cases isn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Every check, few cases: while editing. Under 10 s for a store in memory.
    Quick,
    /// For continuous integration. Under 60 s for a store in memory.
    #[default]
    Default,
    /// For the night.
    Long,
}

impl Budget {
    /// One of three numbers.
    pub fn pick<T>(self, quick: T, default: T, long: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Default => default,
            Self::Long => long,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick("quick", "default", "long"))
    }
}

/// What is no budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a budget is `quick`, `default` or `long`")]
pub struct NoBudget;

impl FromStr for Budget {
    type Err = NoBudget;

    fn from_str(text: &str) -> Result<Self, NoBudget> {
        match text {
            "quick" => Ok(Self::Quick),
            "default" => Ok(Self::Default),
            "long" => Ok(Self::Long),
            _ => Err(NoBudget),
        }
    }
}
