//! [`Report`]: what is read of the kit's report for programs.

use serde::Deserialize;

/// One run. Fields that aren't needed here are skipped, those of later kits too.
#[derive(Debug, Deserialize)]
pub struct Report {
    pub causes: Vec<Cause>,
    pub checks: Vec<Check>,
}

/// What the kit names as one thing that is wrong.
#[derive(Debug, Deserialize)]
pub struct Cause {
    /// The id of the check that names it.
    pub check: String,
    pub what: String,
    /// The ids of checks that fail of it, too.
    pub explains: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Check {
    pub id: String,
    pub outcome: String,
    /// A Must that failed, among others.
    pub fails_run: bool,
    /// Why it was skipped or inconclusive.
    pub reason: Option<String>,
    pub failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
pub struct Failure {
    pub what: String,
}

impl Report {
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
