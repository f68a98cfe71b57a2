//! [`Pages`]: each key is looked at once for all who wait for a page.
//!
//! Guarantees: one look at a time, for those who asked first, up to [`TOGETHER`] of them: so whoever asks waits for no
//! more looks than there are such crowds before it, and what is chosen and not sent yet is bounded. A page that nobody
//! waits for any more isn't chosen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::task::JoinError;

use super::super::{FrozenMachine, Page, Scan};

/// Pages of one look.
const TOGETHER: usize = 16;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Whoever asked first is in front.
    asked: Mutex<VecDeque<Asked>>,
    /// Whoever looks has it.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A page that is asked for, and who waits for it.
type Asked = (Scan, Sender<Page>);

impl Pages {
    /// A page of a state that `freeze` gives after the call. It is called on a thread that may block, and so is the
    /// page chosen.
    ///
    /// # Errors
    /// The runtime stops.
    pub(super) async fn page(
        self: &Arc<Self>,
        scan: Scan,
        freeze: impl Fn() -> FrozenMachine + Clone + Send + 'static,
    ) -> Result<Page, JoinError> {
        let mut asked = self.ask(scan.clone());
        loop {
            let turn = tokio::select! {
                biased;
                page = &mut asked => match page {
                    Ok(page) => return Ok(page),
                    // Whoever looked for it panicked.
                    Err(_) => {
                        asked = self.ask(scan.clone());
                        continue;
                    }
                },
                turn = Arc::clone(&self.turn).lock_owned() => turn,
            };
            let (pages, freeze) = (Arc::clone(self), freeze.clone());
            let look = move || {
                let _turn = turn;
                pages.look(freeze);
            };
            tokio::task::spawn_blocking(look).await?;
        }
    }

    // Every change under the lock is a single step.
    fn asked(&self) -> MutexGuard<'_, VecDeque<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, scan: Scan) -> Receiver<Page> {
        let (asked, page) = oneshot::channel();
        self.asked().push_back((scan, asked));
        page
    }

    fn look(&self, freeze: impl FnOnce() -> FrozenMachine) {
        let (scans, waiting): (Vec<Scan>, Vec<_>) = {
            let mut asked = self.asked();
            asked.retain(|(_, waits)| !waits.is_closed());
            let count = asked.len().min(TOGETHER);
            asked.drain(..count).unzip()
        };
        // Not before: none of them may miss what was applied before it asked.
        let pages = freeze().scan_each(&scans);
        for (waits, page) in waiting.into_iter().zip(pages) {
            // Whoever gave it up meanwhile doesn't want it.
            let _ = waits.send(page);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::FutureExt;
    use futures_util::future::{BoxFuture, join_all};

    use super::{Arc, JoinError, Mutex, Page, Pages, Scan, TOGETHER};
    use crate::machine::Machine;

    type Asked = Result<Page, JoinError>;

    /// One page is being chosen, and stays so until the test has sent; and what looks are counted in.
    struct Held {
        pages: Arc<Pages>,
        looks: Arc<AtomicUsize>,
        first: tokio::task::JoinHandle<Asked>,
        goes: mpsc::Sender<()>,
    }

    impl Held {
        async fn new() -> Self {
            let (pages, looks) = (Arc::<Pages>::default(), Arc::<AtomicUsize>::default());
            let (goes, waits) = mpsc::channel();
            let (waits, counted) = (Arc::new(Mutex::new(waits)), Arc::clone(&looks));
            let first = tokio::spawn({
                let pages = Arc::clone(&pages);
                async move {
                    let freeze = move || {
                        counted.fetch_add(1, Ordering::SeqCst);
                        waits.lock().unwrap().recv().unwrap();
                        Machine::default().freeze()
                    };
                    pages.page(Scan::default(), freeze).await
                }
            });
            while looks.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            Self { pages, looks, first, goes }
        }

        /// As many more that wait; each look goes through `before`.
        fn more(&self, count: usize, before: fn(usize)) -> Vec<BoxFuture<'static, Asked>> {
            let one = || {
                let (pages, looks) = (Arc::clone(&self.pages), Arc::clone(&self.looks));
                let freeze = move || {
                    before(looks.fetch_add(1, Ordering::SeqCst));
                    Machine::default().freeze()
                };
                let mut page = async move { pages.page(Scan::default(), freeze).await }.boxed();
                assert!((&mut page).now_or_never().is_none(), "it waits for the first");
                page
            };
            (0..count).map(|_| one()).collect()
        }

        /// How many of these have their page, and looks in all.
        async fn ends(self, more: Vec<BoxFuture<'static, Asked>>) -> (usize, usize) {
            self.goes.send(()).unwrap();
            self.first.await.unwrap().unwrap();
            let pages = join_all(more).await;
            (pages.iter().filter(|page| page.is_ok()).count(), self.looks.load(Ordering::SeqCst))
        }
    }

    #[tokio::test]
    async fn who_waits_shares_a_look() {
        let held = Held::new().await;
        let more = held.more(2 * TOGETHER + 1, |_| ());
        assert_eq!(held.ends(more).await, (2 * TOGETHER + 1, 1 + 3));
    }

    #[tokio::test]
    async fn nothing_is_looked_for_that_was_given_up() {
        let held = Held::new().await;
        let mut more = held.more(3 * TOGETHER, |_| ());
        more.truncate(TOGETHER / 2);
        assert_eq!(held.ends(more).await, (TOGETHER / 2, 1 + 1));
    }

    /// They are not lost with it.
    #[tokio::test]
    async fn who_shares_a_look_that_panics_has_another() {
        let held = Held::new().await;
        let more = held.more(3, |look| assert_ne!(look, 1, "a bug"));
        assert_eq!(held.ends(more).await, (2, 1 + 2));
    }
}
