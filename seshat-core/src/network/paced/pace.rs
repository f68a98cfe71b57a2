//! [`Pace`]: what went through to a node, and how much to send it next.
//!
//! Pure. Nothing is assumed of a link but that heartbeats cross it. What a call may carry is what
//! crosses in a good part of a heartbeat interval, so that a proposal doesn't wait long behind others;
//! it begins small, and shrinks and doubles by what calls took, never by what was configured. How long
//! a call is waited for follows from that, and doubles with each that was given up in vain: whatever the
//! link, the same bytes pass at last.

use std::time::Duration;

use crate::log::REPLICATION_BYTES;

/// The least that a call carries, if there is so much: headers and answers cost as much.
const LEAST: usize = 4 << 10;

/// What the first call carries: little enough that a slow link is no surprise, enough to double in a few
/// calls to all that there may be.
const FIRST: usize = 64 << 10;

/// What may be on its way without a sign that it moves: windows and buffers hold no more.
const UNSEEN: usize = 8 << 20;

/// Longer than this no call is waited for.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How much longer than it should take a call is waited for.
const LENIENCE: u32 = 8;

/// See the [module](self).
#[derive(Debug, Clone)]
pub(super) struct Pace {
    heartbeat: Duration,
    budget: usize,
    /// What a call without entries takes at best, of late; 0 before there was one.
    round_trip: Duration,
    /// What the last call carried, and how long it took.
    last: Option<(usize, Duration)>,
    /// Calls in a row that were waited for in vain.
    misses: u32,
}

impl Pace {
    /// Before anything was sent.
    pub(super) fn new(heartbeat: Duration) -> Self {
        Self { heartbeat, budget: FIRST, round_trip: Duration::ZERO, last: None, misses: 0 }
    }

    #[cfg(test)]
    pub(super) fn set(&mut self, budget: usize) {
        self.budget = budget;
    }

    /// Bytes of entries that one call should carry at most, if it carries more than one.
    pub(super) fn budget(&self) -> usize {
        self.budget
    }

    /// What a call should take at most. Where the way itself is long, several times that, as most of
    /// the time would pass in waiting.
    fn aim(&self) -> Duration {
        (self.heartbeat / 2).max(self.round_trip.saturating_mul(4))
    }

    /// How long to wait for a call that carries `bytes`, while nothing is seen to move.
    pub(super) fn patience(&self, bytes: usize) -> Duration {
        // At most 2048, which can't overflow a duration.
        let share = bytes.min(UNSEEN) as f64 / self.budget as f64;
        let transfer = self.aim().min(LONGEST).mul_f64(share).saturating_mul(LENIENCE);
        let round_trip = self.heartbeat.max(self.round_trip.saturating_mul(4));
        let doubled = 1 << self.misses.min(16);
        round_trip.saturating_add(transfer).saturating_mul(doubled).min(LONGEST)
    }

    /// A call without entries was answered, with nothing else under way.
    pub(super) fn echoed(&mut self, took: Duration) {
        if took < self.round_trip || self.round_trip.is_zero() {
            self.round_trip = took;
        } else {
            self.round_trip += (took - self.round_trip) / 8;
        }
    }

    /// A call that carried `bytes` was answered.
    pub(super) fn carried(&mut self, bytes: usize, took: Duration) {
        self.misses = 0;
        if bytes < LEAST {
            return self.echoed(took);
        }
        if let Some(round_trip) = self.last.and_then(|last| between(last, (bytes, took))) {
            self.round_trip = round_trip;
        }
        self.last = Some((bytes, took));
        let aim = self.aim();
        if took > aim {
            let crossed = (bytes as f64 * (aim.as_secs_f64() / took.as_secs_f64())) as usize;
            // One that was held up by something else costs no more than three quarters.
            self.budget = crossed.clamp(self.budget / 4, self.budget).max(LEAST);
        } else if took <= aim / 2 && bytes >= self.budget / 2 {
            self.budget = self.budget.saturating_mul(2).min(REPLICATION_BYTES);
        }
    }

    /// A call wasn't answered for as long as it was waited for.
    pub(super) fn missed(&mut self) {
        self.misses = self.misses.saturating_add(1);
        self.budget = (self.budget / 2).max(LEAST);
    }
}

/// How long the way is, by two calls that carried different amounts. Heartbeats don't tell where it is
/// longer than openraft waits for them. `None` if they carried too much the same.
fn between(one: (usize, Duration), other: (usize, Duration)) -> Option<Duration> {
    let ((less, quick), (more, slow)) = if one.0 <= other.0 { (one, other) } else { (other, one) };
    let more_by = more - less;
    if more_by < more / 4 {
        return None;
    }
    // What `less` bytes took, less what that many bytes more would have taken longer.
    let transfer = slow.saturating_sub(quick).mul_f64(less as f64 / more_by as f64);
    Some(quick.saturating_sub(transfer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_millis(100);

    /// A link that delays by `delay` each way, and carries so many bytes a second.
    struct Link {
        delay: Duration,
        rate: f64,
    }

    impl Link {
        fn takes(&self, bytes: usize) -> Duration {
            2 * self.delay + Duration::from_secs_f64(bytes as f64 / self.rate)
        }

        /// A pace that found this link, after another.
        fn found_after(&self, mut pace: Pace) -> Pace {
            for _ in 0..64 {
                if self.takes(0) < HEARTBEAT {
                    pace.echoed(self.takes(0));
                }
                pace.carried(pace.budget(), self.takes(pace.budget()));
            }
            pace
        }

        fn found(&self) -> Pace {
            self.found_after(Pace::new(HEARTBEAT))
        }
    }

    #[rstest::rstest]
    #[case::lan(0, 1e9, REPLICATION_BYTES, REPLICATION_BYTES)]
    #[case::metro_64_mbit(1, 8e6, 100 << 10, 400 << 10)]
    #[case::slow_1_mbit(1, 125e3, LEAST, 6250)]
    #[case::far_and_fast(150, 100e6, REPLICATION_BYTES, REPLICATION_BYTES)]
    #[case::far_and_slow(150, 1e6, 300 << 10, REPLICATION_BYTES)]
    #[case::a_modem(100, 5e3, LEAST, LEAST)]
    fn the_budget_finds_what_crosses_in_time(
        #[case] delay_ms: u64,
        #[case] rate: f64,
        #[case] least: usize,
        #[case] most: usize,
    ) {
        let link = Link { delay: Duration::from_millis(delay_ms), rate };
        let fast = Link { delay: Duration::ZERO, rate: 1e9 };
        for found in [link.found(), link.found_after(fast.found())] {
            assert!((least..=most).contains(&found.budget()), "{found:?}");
        }
    }

    #[test]
    fn it_recovers_from_a_slow_hour_within_a_few_calls() {
        let mut pace = Link { delay: Duration::ZERO, rate: 1e4 }.found();
        assert_eq!(pace.budget(), LEAST);
        for _ in 0..8 {
            pace.carried(pace.budget(), Duration::from_millis(1));
        }
        assert_eq!(pace.budget(), REPLICATION_BYTES);
    }

    #[test]
    fn a_call_that_was_held_up_is_not_believed_all_it_says() {
        let mut pace = Pace::new(HEARTBEAT);
        pace.echoed(Duration::from_millis(1));
        pace.carried(100, Duration::from_secs(9));
        assert_eq!(pace.budget(), FIRST, "a small one says nothing of the link");
        pace.carried(LEAST, Duration::from_secs(9));
        assert_eq!(pace.budget(), FIRST / 4);
    }

    proptest::proptest! {
        /// Whatever the link and the message: sent again and again, it is waited for long enough.
        #[test]
        fn whatever_crosses_at_all_is_waited_for(
            delay_ms in 0_u64..2_000,
            rate in 1e4_f64..1e10,
            bytes in 1_usize..UNSEEN,
        ) {
            let link = Link { delay: Duration::from_millis(delay_ms), rate };
            let takes = link.takes(bytes);
            proptest::prop_assume!(takes < LONGEST);
            let mut pace = Pace::new(HEARTBEAT);
            let tries = (1..).find(|_| {
                let arrives = pace.patience(bytes) >= takes;
                pace.missed();
                arrives
            });
            proptest::prop_assert!(tries.is_some_and(|tries| tries <= 16), "{tries:?}");
        }

        /// A call that is as long as it should be is waited for at the first attempt.
        #[test]
        fn who_knows_the_link_waits_once(delay_ms in 0_u64..500, rate in 2e4_f64..1e9) {
            let link = Link { delay: Duration::from_millis(delay_ms), rate };
            let pace = link.found();
            for bytes in [1, pace.budget(), UNSEEN] {
                proptest::prop_assert!(pace.patience(bytes) >= link.takes(bytes), "{bytes}: {pace:?}");
            }
        }
    }
}
