//! `look`: what a store shows that is opened in a copy of a directory, such as the image of a power
//! cut.

use std::fmt::{Debug, Write};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seshat_powercut::Picture;
use tokio::time::timeout;

use crate::driver::seen::{Entry, LogState};
use crate::driver::{Doing, Driver, Opened};
use crate::words::BoxError;

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error("can't copy {}: {error}", dir.display())]
    Copy { dir: PathBuf, error: io::Error },
    #[error("can't start: {0}")]
    Start(io::Error),
    #[error("the store doesn't open in a copy of {}: {error}", dir.display())]
    Open { dir: PathBuf, error: BoxError },
}

/// A call that is waited for no longer.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct Late(Duration);

/// What the store shows in a copy of `dir`, which stays as it is. An answer is waited for as long
/// as `patience`; one that is an error is shown as that.
pub(super) fn look(
    driver: &dyn Driver,
    dir: &Path,
    patience: Duration,
) -> Result<String, LookError> {
    let not_copied = |error| LookError::Copy { dir: dir.to_owned(), error };
    let copy = tempfile::tempdir().map_err(not_copied)?;
    let picture = Picture::read(dir).map_err(not_copied)?;
    picture.write_to(copy.path()).map_err(not_copied)?;
    let runtime = tokio::runtime::Runtime::new().map_err(LookError::Start)?;
    let shown = runtime.block_on(async {
        let opened = answer(patience, driver.open(copy.path())).await;
        let opened = opened.map_err(|error| LookError::Open { dir: dir.to_owned(), error })?;
        let mut shown = Shown { out: String::new(), patience };
        shown.all(opened).await;
        Ok(shown.out)
    });
    runtime.shutdown_timeout(patience);
    shown
}

async fn answer<T>(patience: Duration, call: Doing<'_, T>) -> Result<T, BoxError> {
    timeout(patience, call).await.map_err(|_| Late(patience))?
}

/// Lines, each an answer.
struct Shown {
    out: String,
    patience: Duration,
}

impl Shown {
    async fn all(&mut self, (mut log, mut machine): Opened) {
        self.line("vote", log.vote(), |vote| or_none(vote.as_ref())).await;
        let state = self.line("log", log.state(), ends).await;
        if let Some(LogState { purged, last: Some(last) }) = state {
            let first = purged.map_or(0, |id| id.index + 1);
            if first <= last.index {
                self.line("entries", log.read(first..last.index + 1), |entries| ids(entries)).await;
            }
        }
        self.line("committed", log.committed(), |id| or_none(id.as_ref())).await;
        let applied =
            |(id, membership): &(_, _)| format!("{}, {membership:?}", or_none(Option::as_ref(id)));
        self.line("applied", machine.applied(), applied).await;
        let snapshot = machine.current();
        self.line("snapshot", snapshot, |it| or_none(it.as_ref().map(|it| &it.meta))).await;
    }

    async fn line<T>(
        &mut self,
        label: &str,
        call: Doing<'_, T>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let answer = answer(self.patience, call).await;
        let shown = match &answer {
            Ok(answer) => show(answer),
            Err(error) => format!("error: {error}"),
        };
        // Writing to a string never fails.
        let _ = writeln!(self.out, "{label:<10}  {shown}");
        answer.ok()
    }
}

fn or_none(value: Option<impl Debug>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("{value:?}"))
}

fn ends(state: &LogState) -> String {
    let LogState { purged, last } = state;
    format!("purged {}, last {}", or_none(purged.as_ref()), or_none(last.as_ref()))
}

fn ids(entries: &[Entry]) -> String {
    entries.iter().map(|entry| entry.id().to_string()).collect::<Vec<_>>().join(" ")
}
