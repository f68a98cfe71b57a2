//! What the log says when it can't: an error for each operation, with both sides.

use std::fmt;

use crate::types::LogId;

/// Why entries can't be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The entry would leave a hole, or overlap one that exists or was purged.
    #[error("entry {got} does not continue the log, which ends with {}: expected index {expected}", OrNothing(.last))]
    NotConsecutive {
        /// The entry's id.
        got: LogId,
        /// The index it should have.
        expected: u64,
        /// The entry before it.
        last: Option<LogId>,
    },
    /// The entry's leader is older than that of the entry before.
    #[error("entry {got} has an older leader than the entry before it, {last}")]
    LeaderDescends {
        /// The entry's id.
        got: LogId,
        /// The entry before it.
        last: LogId,
    },
}

struct OrNothing<'a>(&'a Option<LogId>);

impl fmt::Display for OrNothing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => id.fmt(f),
            None => f.write_str("nothing"),
        }
    }
}

/// A log with a history can't begin elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log can't begin at index {got}: it already reaches {last}")]
pub struct BeginError {
    /// Where it should begin.
    pub got: u64,
    /// Its last entry, or the last one purged.
    pub last: LogId,
}

/// A purged entry can't be truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("can't truncate since index {got}: the log is purged up to {purged}")]
pub struct TruncateError {
    /// Where truncation should start.
    pub got: u64,
    /// The purge marker.
    pub purged: LogId,
}

/// The purge marker moves forward only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("can't purge up to {got}: it contradicts the log, which is purged up to {purged}")]
pub struct PurgeError {
    /// Up to where to purge.
    pub got: LogId,
    /// The purge marker.
    pub purged: LogId,
}
