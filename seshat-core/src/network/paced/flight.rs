//! [`Flight`]: an AppendEntries that outlived the call of openraft's that began it.
//!
//! Guarantees: it goes on while anybody holds it, and ends when nobody does; its end is told to all
//! who wait, and to who asks later.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::RpcError;
use crate::types::{AppendEntriesResponse, LogId, Vote};

/// What a call carries, as far as it tells calls apart: a leader never changes its own log, so the
/// same leader's entries behind the same one are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cargo {
    pub(super) vote: Vote,
    pub(super) prev: Option<LogId>,
    pub(super) last: LogId,
    pub(super) bytes: usize,
}

impl Cargo {
    /// Whether an answer to this call answers one by `vote` that goes on behind `prev`.
    pub(super) fn serves(&self, vote: &Vote, prev: Option<LogId>) -> bool {
        self.vote == *vote && self.prev == prev
    }

    /// What an answer to this call says of one that asks for everything up to `asked`.
    pub(super) fn conclude(&self, answer: AppendEntriesResponse, asked: LogId) -> Answer {
        let upto = match answer {
            AppendEntriesResponse::Success => self.last,
            AppendEntriesResponse::PartialSuccess(Some(upto)) => upto,
            other => return other,
        };
        if upto < asked {
            AppendEntriesResponse::PartialSuccess(Some(upto))
        } else {
            AppendEntriesResponse::Success
        }
    }
}

type Answer = AppendEntriesResponse;

/// How a call ended.
pub(super) type End = Result<Answer, RpcError>;

/// The same for more than one who waits.
type Told = watch::Receiver<Option<Arc<End>>>;

/// See the [module](self). Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) cargo: Cargo,
    told: Told,
    task: Arc<Task>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Flight {
    /// Goes on with `call` in a task of its own.
    pub(super) fn of(cargo: Cargo, call: impl Future<Output = End> + Send + 'static) -> Self {
        let (tell, told) = watch::channel(None);
        let task = tokio::spawn(async move {
            let end = call.await;
            tell.send_replace(Some(Arc::new(end)));
        });
        Self { cargo, told, task: Arc::new(Task(task)) }
    }

    /// Whether it ended without an answer: there is nothing to wait for.
    pub(super) fn failed(&self) -> bool {
        match &*self.told.borrow() {
            Some(end) => end.is_err(),
            // Ended without a word: its runtime is going down.
            None => self.told.has_changed().is_err(),
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.task, &other.task)
    }

    /// Waits for the end; what it says to who asked for everything up to `asked`.
    pub(super) async fn landed(&mut self, asked: LogId) -> End {
        let end = match self.told.wait_for(Option::is_some).await {
            Ok(end) => end.clone(),
            Err(_) => None,
        };
        match end.as_deref() {
            Some(Ok(answer)) => Ok(self.cargo.conclude(copy(answer), asked)),
            Some(Err(error)) => Err(error.clone()),
            // Its runtime is going down, and so is whoever asks.
            None => std::future::pending().await,
        }
    }
}

/// openraft's answer can't be cloned.
fn copy(answer: &Answer) -> Answer {
    match answer {
        Answer::Success => Answer::Success,
        Answer::PartialSuccess(upto) => Answer::PartialSuccess(*upto),
        Answer::Conflict => Answer::Conflict,
        Answer::HigherVote(vote) => Answer::HigherVote(*vote),
    }
}
