//! [`Pace`]: how much of the machine is left for a store, so that a call is waited for by what the
//! machine gives, and not by the clock alone.
//!
//! Guarantees: never below 1, and [`MOST`] at most; an idle machine is at 1, whatever it is and
//! however the kit was compiled, as work is compared with itself. The thread that measures ends
//! with the last check that asks.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{iter, thread};

/// Slower than that is taken for that: a wait must end.
pub(crate) const MOST: f64 = 20.0;
/// Between two measurements.
const REST: Duration = Duration::from_millis(20);
/// Measurements that the slowness is taken from: the last second or so.
const KEPT: usize = 32;
/// Hashed each time: some hundred microseconds of work, of which a busy machine takes some away. Without
/// optimisation as much takes four times as long, and would take a tenth of a core.
const WORK: u64 = if cfg!(debug_assertions) { 10_000 } else { 40_000 };

/// How slow the machine is beside the checks of this process.
#[derive(Debug)]
pub(crate) struct Pace {
    /// An `f32`'s bits.
    slowness: AtomicU32,
}

/// The one of this process, while somebody holds it.
static BESIDE: Mutex<Weak<Pace>> = Mutex::new(Weak::new());

impl Pace {
    /// What measures beside the checks of this process.
    pub(crate) fn beside() -> Arc<Self> {
        let mut beside = BESIDE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = beside.upgrade() {
            return pace;
        }
        let pace = Arc::new(Self { slowness: AtomicU32::new(1_f32.to_bits()) });
        *beside = Arc::downgrade(&pace);
        let told = Arc::downgrade(&pace);
        // Without the thread the machine counts as idle, as it did before there was one.
        drop(thread::Builder::new().name("pace".to_owned()).spawn(move || measure(&told)));
        pace
    }

    /// How many times as long as on an idle machine things take now.
    pub(crate) fn slowness(&self) -> f64 {
        f32::from_bits(self.slowness.load(Ordering::Relaxed)).into()
    }

    /// What takes `usual` on an idle machine.
    pub(crate) fn stretch(&self, usual: Duration) -> Duration {
        Duration::try_from_secs_f64(usual.as_secs_f64() * self.slowness()).unwrap_or(Duration::MAX)
    }
}

fn measure(told: &Weak<Pace>) {
    let mut beats = Beats::default();
    while let Some(pace) = told.upgrade() {
        let began = Instant::now();
        thread::sleep(REST);
        let slept = began.elapsed();
        let began = Instant::now();
        work();
        let slowness = beats.beat(slept, began.elapsed());
        pace.slowness.store((slowness as f32).to_bits(), Ordering::Relaxed);
    }
}

fn work() {
    let mut hasher = std::hash::DefaultHasher::new();
    iter::successors(Some(1_u64), |n| Some(n + 1))
        .take(WORK as usize)
        .for_each(|n| hasher.write_u64(n));
    std::hint::black_box(hasher.finish());
}

/// The measurements, as numbers.
#[derive(Debug, Default)]
struct Beats {
    best: Option<Duration>,
    /// The newest last: what the work took, and what the sleep took too long.
    last: std::collections::VecDeque<Duration>,
}

impl Beats {
    /// Another measurement; gives how many times as slow as at its best the machine is.
    fn beat(&mut self, slept: Duration, worked: Duration) -> f64 {
        let best = self.best.map_or(worked, |best| best.min(worked));
        self.best = Some(best);
        self.last.push_back(worked);
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
        let mean = self.last.iter().sum::<Duration>().as_secs_f64() / self.last.len() as f64;
        let works = mean / best.as_secs_f64().max(f64::MIN_POSITIVE);
        // A machine that stood still shows in the sleep alone.
        let sleeps = slept.as_secs_f64() / (2.0 * REST.as_secs_f64());
        works.max(sleeps).clamp(1.0, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_idle_machine_is_at_one() {
        let mut beats = Beats::default();
        for _ in 0..100 {
            assert!((beats.beat(REST, MS) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn what_takes_longer_than_at_its_best_is_slow() {
        let mut beats = Beats::default();
        beats.beat(REST, MS);
        let slow = (0..KEPT).map(|_| beats.beat(REST, 4 * MS)).last();
        assert!((slow.unwrap() - 4.0).abs() < 1e-9, "{slow:?}");
        // A process that began on a busy machine learns it from the first good moment.
        let mut beats = Beats::default();
        (0..KEPT).map(|_| beats.beat(REST, 6 * MS)).for_each(|slow| assert!(slow < 1.1));
        assert!(beats.beat(REST, 2 * MS) > 2.5);
    }

    #[test]
    fn it_is_bounded_and_forgets() {
        let mut beats = Beats::default();
        beats.beat(REST, MS);
        assert!((beats.beat(Duration::from_secs(60), MS) - MOST).abs() < 1e-9);
        let late = (0..2 * KEPT).map(|_| beats.beat(REST, MS)).last();
        assert!((late.unwrap() - 1.0).abs() < 1e-9, "{late:?}");
        assert!(beats.beat(REST, Duration::ZERO).is_finite());
    }

    #[test]
    fn the_thread_ends_with_the_last_who_asks() {
        let pace = Pace::beside();
        assert!(Arc::ptr_eq(&pace, &Pace::beside()));
        assert!((1.0..=MOST).contains(&pace.slowness()));
        assert!(pace.stretch(MS) >= MS);
    }
}
