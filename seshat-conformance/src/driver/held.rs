//! [`Holding`]: how long a directory that doesn't open may still be held by who had it before.
//!
//! A store that locks its directory (redb, sled, RocksDB) holds it until its last handle is gone,
//! and that may be in a task of openraft's or a thread of its own, a moment after the store was
//! closed. An author's error doesn't say whether it is that. So any error of a directory that was
//! open before is worth a wait, as long as waits aren't in vain: each that is halves the next, and
//! one that isn't restores it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two tries; no wait is shorter.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// What was learnt of a back end's directories in this process.
#[derive(Debug, Default)]
pub(crate) struct Holding(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    opened: HashSet<PathBuf>,
    in_vain: u32,
}

impl Holding {
    fn known(&self) -> MutexGuard<'_, Known> {
        // No code but this file's runs while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to go on trying: `patience` at most, and not at all for a directory that was never
    /// open, which nobody can hold.
    pub(crate) fn wait(&self, dir: &Path, patience: Duration) -> Duration {
        let known = self.known();
        if !known.opened.contains(dir) {
            return Duration::ZERO;
        }
        let halved = 1_u32.checked_shl(known.in_vain).map_or(Duration::ZERO, |by| patience / by);
        halved.max(PAUSE)
    }

    pub(crate) fn opened(&self, dir: &Path) {
        self.known().opened.insert(dir.to_owned());
    }

    /// A wait ended, with the store open or not.
    pub(crate) fn waited(&self, open: bool) {
        let mut known = self.known();
        known.in_vain = if open { 0 } else { known.in_vain.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[test]
    fn only_a_directory_that_was_open_is_waited_for() {
        let holding = Holding::default();
        holding.opened(Path::new("a"));
        assert_eq!(holding.wait(Path::new("a"), PATIENCE), PATIENCE);
        assert_eq!(holding.wait(Path::new("b"), PATIENCE), Duration::ZERO);
    }

    #[test]
    fn waits_in_vain_grow_short_and_one_that_is_not_restores_them() {
        let holding = Holding::default();
        let dir = Path::new("a");
        holding.opened(dir);
        holding.waited(false);
        assert_eq!(holding.wait(dir, PATIENCE), PATIENCE / 2);
        holding.waited(false);
        assert_eq!(holding.wait(dir, PATIENCE), PATIENCE / 4);
        (0..100).for_each(|_| holding.waited(false));
        assert_eq!(holding.wait(dir, PATIENCE), PAUSE);
        holding.waited(true);
        assert_eq!(holding.wait(dir, PATIENCE), PATIENCE);
    }
}
