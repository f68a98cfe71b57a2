//! [`Told`]: of calls that fail and succeed, what is worth a line in the log.
//!
//! Guarantees: that they fail is told at once, unless it was within the last minute; then when they have failed for two
//! seconds on end. That they succeed again is told whenever the former was, at once. So lines come in pairs, one for
//! each time that a node is gone, and two a minute where calls fail by turns, as they do where a link loses some or a
//! machine is overloaded.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines of failures that are over soon.
const PAUSE: Duration = Duration::from_secs(60);
/// What lasts as long isn't.
const LASTS: Duration = Duration::from_secs(2);

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// That they fail.
    fail: bool,
    /// When that was.
    at: Option<Instant>,
    /// Since when they fail, told or not.
    since: Option<Instant>,
}

impl Told {
    /// A call failed: whether to tell.
    pub(super) fn fails(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let soon = self.at.is_some_and(|at| now.duration_since(at) < PAUSE);
        if self.fail || (soon && now.duration_since(since) < LASTS) {
            return false;
        }
        (self.fail, self.at) = (true, Some(now));
        true
    }

    /// A call succeeded, and the one before didn't: whether to tell.
    pub(super) fn succeeds(&mut self) -> bool {
        self.since = None;
        std::mem::take(&mut self.fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_by_turns_is_told_once_a_minute_and_what_lasts_at_once() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(told.fails(at(0)) && !told.fails(at(1)) && told.succeeds() && !told.succeeds());
        for second in 2..60 {
            assert!(!told.fails(at(second)) && !told.succeeds(), "{second}");
        }
        assert!(told.fails(at(60)) && !told.fails(at(61)) && !told.fails(at(1000)));
        assert!(told.succeeds());
        // Within a minute of no line, and of one.
        assert!(told.fails(at(1001)) && told.succeeds());
        assert!(!told.fails(at(1002)) && !told.fails(at(1003)) && told.fails(at(1004)));
        assert!(!told.fails(at(1005)) && told.succeeds());
    }
}
