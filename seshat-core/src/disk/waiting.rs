//! Waiting for the disk on a thread of the runtime's.
//!
//! Guarantees: whoever waits long has handed the runtime's other tasks over to another thread before, but for
//! the first who meets a disk that is slow all of a sudden; and that is waited for in one place of several.
//!
//! To hand them over takes another thread that wakes up, and one that finds its way back: with a disk that syncs
//! in a tenth of a millisecond that is a good part of what an entry takes. So where the disk was quick, again and
//! again, appends wait for it as they would for a long computation.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

/// What a task may take of its thread, at most: far less than any timeout between nodes.
const QUICK: Duration = Duration::from_millis(4);

/// How often in a row the disk has to be that quick.
const OFTEN: u32 = 64;

/// How quick a disk was of late.
#[derive(Debug)]
pub(super) struct Quickness {
    /// How many quick calls are lacking.
    lacking: AtomicU32,
}

impl Default for Quickness {
    fn default() -> Self {
        Self { lacking: AtomicU32::new(OFTEN) }
    }
}

impl Quickness {
    fn is_quick(&self) -> bool {
        self.lacking.load(Ordering::Relaxed) == 0
    }

    /// A call took so long. Two threads that say so at once may count for one.
    fn took(&self, elapsed: Duration) {
        let lacking = match elapsed <= QUICK {
            true => self.lacking.load(Ordering::Relaxed).saturating_sub(1),
            false => OFTEN,
        };
        self.lacking.store(lacking, Ordering::Relaxed);
    }

    /// Waits for the disk, on this thread if it was quick of late.
    pub(super) fn wait<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = match Handle::try_current() {
            Ok(runtime) if runtime.metrics().num_workers() > 1 && self.is_quick() => work(),
            _ => on_disk(work),
        };
        self.took(started.elapsed());
        done
    }
}

/// Waits for the disk on this thread, without keeping the runtime's other tasks waiting where it has other
/// threads for them.
pub(super) fn on_disk<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_quick_when_it_often_was_and_slow_at_once() {
        let quickness = Quickness::default();
        for _ in 0..OFTEN {
            assert!(!quickness.is_quick());
            quickness.took(QUICK);
        }
        assert!(quickness.is_quick());
        quickness.took(QUICK);
        assert!(quickness.is_quick());
        quickness.took(QUICK + Duration::from_nanos(1));
        assert!(!quickness.is_quick());
        (1..OFTEN).for_each(|_| quickness.took(Duration::ZERO));
        assert!(!quickness.is_quick(), "one is lacking");
    }
}
