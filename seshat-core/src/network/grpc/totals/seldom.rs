//! [`Seldom`]: an event that others can cause as often as they like, told now and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use crate::network::grpc::error::Refusal;

/// Between two events of a kind.
const PAUSE: Duration = Duration::from_secs(1);

/// Pure.
#[derive(Debug, Default)]
struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It happens. How many weren't told since the last one that was; `None` if this one isn't.
    fn happens(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now.duration_since(told) < PAUSE) {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// Calls that were refused: a kind of event each. Clones are the same.
#[derive(Clone, Default)]
pub(in crate::network::grpc) struct Refusals(Arc<Mutex<[Seldom; Refusal::ALL.len()]>>);

impl Refusals {
    /// Tells of a call that ended so, if it was refused.
    pub(in crate::network::grpc) fn tell(&self, status: &Status) {
        let Some(refusal) = Refusal::of(status) else { return };
        let kind = Refusal::ALL.iter().position(|kind| *kind == refusal);
        // Every change under the lock is of numbers.
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = kind.and_then(|kind| kinds.get_mut(kind)?.happens(Instant::now()));
        drop(kinds);
        if let Some(untold) = told {
            tracing::warn!(%refusal, reason = status.message(), untold, "call refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_second_and_how_many_others() {
        let (mut seldom, start) = (Seldom::default(), Instant::now());
        let told: Vec<_> =
            (0..30).map(|n| seldom.happens(start + Duration::from_millis(n * 100))).collect();
        let some: Vec<_> = told.iter().enumerate().filter(|(_, told)| told.is_some()).collect();
        assert_eq!(some, [(0, &Some(0)), (10, &Some(9)), (20, &Some(9))]);
    }
}
