//! [`Told`]: of calls that fail and succeed, what is worth a line in the log.
//!
//! Guarantees: that they fail is told at most once a minute, within a minute of when they began to; that they succeed
//! again is told whenever the former was, at once. So lines come in pairs, however often calls fail by turns, as they
//! do where a link loses some or a machine is overloaded.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines of failures.
const PAUSE: Duration = Duration::from_secs(60);

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// That they fail.
    fail: bool,
    /// When that was.
    at: Option<Instant>,
}

impl Told {
    /// A call failed: whether to tell.
    pub(super) fn fails(&mut self, now: Instant) -> bool {
        if self.fail || self.at.is_some_and(|at| now.duration_since(at) < PAUSE) {
            return false;
        }
        *self = Self { fail: true, at: Some(now) };
        true
    }

    /// A call succeeded, and the one before didn't: whether to tell.
    pub(super) fn succeeds(&mut self) -> bool {
        std::mem::take(&mut self.fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_by_turns_is_told_once_a_minute_and_what_goes_on_failing_within_one() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(told.fails(at(0)) && !told.fails(at(1)) && told.succeeds() && !told.succeeds());
        for second in 2..60 {
            assert!(!told.fails(at(second)) && !told.succeeds(), "{second}");
        }
        // From here on all fail.
        assert!(!told.fails(at(59)));
        assert!(told.fails(at(60)) && !told.fails(at(61)) && !told.fails(at(1000)));
        assert!(told.succeeds());
        assert!(told.fails(at(1001)));
    }
}
