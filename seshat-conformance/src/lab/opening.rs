//! [`Lab::open`]: opens a store, and tries again for a while where its directory may still be held.

use std::path::Path;
use std::time::Instant;

use super::Lab;
use crate::driver::Opened;
use crate::driver::held::PAUSE;
use crate::failure::{Failure, Kind};

/// An author's error can be as long as it likes.
const SHOWN: usize = 200;

impl Lab {
    /// Opens the store in `dir`; a directory that was open before is tried again for as long as
    /// [`Holding`](crate::driver::held::Holding) says, and that it had to be is noted.
    ///
    /// # Errors
    /// It failed to the end, or hung.
    pub(crate) async fn open(&self, dir: &Path) -> Result<Opened, Failure> {
        let holding = self.driver.holding();
        let wait = holding.wait(dir, self.patience());
        let began = Instant::now();
        let panics = self.record.panics().len();
        let mut first: Option<String> = None;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.open_once(dir).await {
                Ok(opened) => {
                    if let Some(error) = first {
                        holding.waited(true);
                        // A store may find the lock by a panic in a task of its own.
                        self.record.forgive_panics_since(panics);
                        self.record.note(waited(&error, tries, began));
                    }
                    return Ok(opened);
                }
                Err(failure) if failure.kind == Kind::Error && began.elapsed() < wait => {
                    first.get_or_insert_with(|| shown(&failure.got));
                    tokio::time::sleep(PAUSE).await;
                }
                Err(failure) if first.is_some() => {
                    holding.waited(false);
                    return Err(held(failure, tries, began));
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Opens the store in `dir`, where an error is an answer like any other.
    ///
    /// # Errors
    /// It failed or hung.
    pub(crate) async fn open_once(&self, dir: &Path) -> Result<Opened, Failure> {
        let opened = self.call("open", self.driver.open(dir)).await?;
        self.driver.holding().opened(dir);
        Ok(opened)
    }
}

fn waited(error: &str, tries: u32, began: Instant) -> String {
    let waited = began.elapsed().as_millis();
    format!(
        "open failed ({error}) and worked {waited} ms later, at try {tries}: the directory was held"
    )
}

fn held(mut failure: Failure, tries: u32, began: Instant) -> Failure {
    let waited = began.elapsed().as_millis();
    failure.got.push_str(&format!(
        "\nthe directory had been open in this process; this was try {tries}, {waited} ms after the \
         first: if it is still held, whatever holds it (a lock, a task, a thread) must let go \
         when both halves are dropped, or when `Backend::close` returns"
    ));
    failure
}

/// On one line.
fn shown(error: &str) -> String {
    let line = error.lines().collect::<Vec<_>>().join("; ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
