//! How long a call of a store is waited for: by what it is about, by what the machine gives, and
//! by what the store was seen to take.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Lab;
use crate::failure::Failure;

/// What an entry may take beyond what the call itself may.
const ENTRY: Duration = Duration::from_micros(200);
/// A call may take so many times what smaller ones took for each entry.
const MARGIN: u32 = 4;
/// A call that hung in other checks gets this part of its patience.
const KNOWN: u32 = 10;

/// For each call, what the one about the most entries took.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<BTreeMap<String, (usize, Duration)>>);

impl Rates {
    fn note(&self, call: &str, entries: usize, took: Duration) {
        if entries >= self.most(call).max(1) {
            let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            rates.insert(call.to_owned(), (entries, took));
        }
    }

    /// The most entries that such a call was about.
    fn most(&self, call: &str) -> usize {
        let rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rates.get(call).map_or(0, |(most, _)| *most)
    }

    /// What so many entries will take, if they take what the most so far took for each.
    fn expected(&self, call: &str, entries: usize) -> Duration {
        let rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rates.get(call).map_or(Duration::ZERO, |(most, took)| scale(*took, entries, *most))
    }
}

/// What takes `took` for `most` takes this for `many`.
fn scale(took: Duration, many: usize, most: usize) -> Duration {
    let ratio = many as f64 / most.max(1) as f64;
    Duration::try_from_secs_f64(took.as_secs_f64() * ratio).unwrap_or(Duration::MAX)
}

/// A call that was given up.
#[derive(Debug)]
pub(crate) struct Late {
    /// After so long.
    pub(crate) waited: Duration,
}

impl Lab {
    /// Waits for a call of the store, but not for ever.
    ///
    /// # Errors
    /// It failed or hung.
    pub(crate) async fn call<T, E: std::fmt::Display>(
        &self,
        name: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        self.call_of(0, name, call).await
    }

    /// Waits for a call that is about so many entries.
    ///
    /// # Errors
    /// It failed or hung.
    pub(crate) async fn call_of<T, E: std::fmt::Display>(
        &self,
        entries: usize,
        name: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        let answer = self.wait_of(entries, name, call).await;
        answer.map_err(|late| self.late(name, &late))?.map_err(|error| Failure::error(name, error))
    }

    /// Waits for a call of the store, whatever it answers, but not for ever.
    ///
    /// # Errors
    /// It hung.
    pub(crate) async fn answer<T>(
        &self,
        name: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        self.wait(name, call).await.map_err(|late| self.late(name, &late))
    }

    /// Waits for a call of the store, whatever it answers, and says if it was given up.
    pub(crate) async fn wait<T>(
        &self,
        name: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, Late> {
        self.wait_of(0, name, call).await
    }

    async fn wait_of<T>(
        &self,
        entries: usize,
        name: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, Late> {
        let mut call = pin!(call);
        let began = Instant::now();
        self.record.begin(name);
        let answer = loop {
            // Asked again each time: the machine may have become busy meanwhile.
            let patience = self.patience_of(entries, name);
            let left = patience.saturating_sub(began.elapsed());
            match tokio::time::timeout(left, call.as_mut()).await {
                Ok(answer) => break Ok(answer),
                Err(_) if left.is_zero() => break Err(Late { waited: patience }),
                Err(_) => {}
            }
        };
        self.record.end(name);
        if answer.is_ok() {
            self.rates.note(name, entries, began.elapsed());
        }
        answer
    }

    /// What a call is waited for, on this machine, now.
    pub(crate) fn patience(&self) -> Duration {
        self.stretch(self.patience)
    }

    /// What takes `usual` on an idle machine.
    pub(crate) fn stretch(&self, usual: Duration) -> Duration {
        self.pace.stretch(usual)
    }

    /// Whether it was seen what a call about so many entries takes.
    pub(crate) fn knows(&self, name: &str, entries: usize) -> bool {
        self.rates.most(name) >= entries
    }

    /// What a call about so many entries will take, by what others took.
    pub(crate) fn foreseen(&self, name: &str, entries: usize) -> Duration {
        self.rates.expected(name, entries)
    }

    fn patience_of(&self, entries: usize, name: &str) -> Duration {
        if self.hangs(name) {
            return self.patience() / KNOWN;
        }
        let many = u32::try_from(entries).unwrap_or(u32::MAX);
        let usual = self.stretch(self.patience.saturating_add(ENTRY.saturating_mul(many)));
        let seen = self.rates.expected(name, entries);
        usual.saturating_add(seen.saturating_mul(MARGIN))
    }

    fn hangs(&self, name: &str) -> bool {
        self.hanging.iter().any(|call| call == name)
    }

    /// What is said of a call that was given up. One that is known to hang accuses nobody again.
    pub(crate) fn late(&self, name: &str, late: &Late) -> Failure {
        if self.hangs(name) {
            return Failure::known_to_hang(name);
        }
        Failure::late(name, late.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_the_most_took_says_what_more_will_take() {
        let rates = Rates::default();
        assert_eq!(rates.expected("append", 10), Duration::ZERO);
        rates.note("append", 1, 5 * MS);
        rates.note("append", 100, 20 * MS);
        rates.note("append", 7, 6 * MS);
        assert_eq!(rates.expected("append", 1_000), 200 * MS);
        assert_eq!(rates.expected("apply", 1_000), Duration::ZERO);
        // A call about nothing says nothing of entries.
        rates.note("read_vote", 0, MS);
        assert_eq!(rates.expected("read_vote", 5), Duration::ZERO);
    }

    #[test]
    fn scales() {
        assert_eq!(scale(MS, 10, 2), 5 * MS);
        assert_eq!(scale(MS, 10, 0), 10 * MS);
        assert_eq!(scale(Duration::MAX, 2, 1), Duration::MAX);
    }
}
