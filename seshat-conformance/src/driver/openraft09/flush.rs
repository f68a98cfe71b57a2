//! [`flush`]: a callback in the kit's own hands, so that "returned" is told from "flushed".
//!
//! openraft keeps the callback's constructor to itself. Its `blocking_append` makes one for any
//! log store; the log store here hands it on to whoever asked.

use std::fmt::Debug;
use std::ops::RangeBounds;

use openraft::storage::{LogFlushed, RaftLogStorage, RaftLogStorageExt};
use openraft::{LogId, LogState, OptionalSend, RaftLogReader, RaftTypeConfig, StorageError, Vote};
use tokio::sync::oneshot;

use crate::driver::{Callback, Flushed};
use crate::words::BoxError;

/// A callback, and how to learn of it. Nothing happens before the second is polled once, so the
/// first comes with it.
pub(super) async fn flush<C: RaftTypeConfig>() -> Result<(Callback, Flushed), BoxError> {
    let (hand_out, handed) = oneshot::channel();
    let mut source = Source::<C> { hand_out: Some(hand_out) };
    let mut flushed: Flushed =
        Box::pin(async move { Ok(source.blocking_append(std::iter::empty()).await?) });
    tokio::select! {
        biased;
        _ = &mut flushed => Err(Withheld.into()),
        callback = handed => Ok((Box::new(callback?), flushed)),
    }
}

/// openraft appended without a callback.
#[derive(Debug, thiserror::Error)]
#[error("openraft made no callback")]
struct Withheld;

/// A log store that can only be appended to, and gives the callback away.
struct Source<C: RaftTypeConfig> {
    hand_out: Option<oneshot::Sender<LogFlushed<C>>>,
}

impl<C: RaftTypeConfig> RaftLogReader<C> for Source<C> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        _: RB,
    ) -> Result<Vec<C::Entry>, StorageError<C::NodeId>> {
        Ok(Vec::new())
    }
}

impl<C: RaftTypeConfig> RaftLogStorage<C> for Source<C> {
    type LogReader = Self;

    async fn append<I>(
        &mut self,
        _: I,
        callback: LogFlushed<C>,
    ) -> Result<(), StorageError<C::NodeId>>
    where
        I: IntoIterator<Item = C::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        if let Some(hand_out) = self.hand_out.take() {
            // Whoever asked waits for it.
            let _ = hand_out.send(callback);
        }
        Ok(())
    }

    async fn get_log_state(&mut self) -> Result<LogState<C>, StorageError<C::NodeId>> {
        Ok(LogState::default())
    }

    async fn get_log_reader(&mut self) -> Self {
        Self { hand_out: None }
    }

    async fn save_vote(&mut self, _: &Vote<C::NodeId>) -> Result<(), StorageError<C::NodeId>> {
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<C::NodeId>>, StorageError<C::NodeId>> {
        Ok(None)
    }

    async fn truncate(&mut self, _: LogId<C::NodeId>) -> Result<(), StorageError<C::NodeId>> {
        Ok(())
    }

    async fn purge(&mut self, _: LogId<C::NodeId>) -> Result<(), StorageError<C::NodeId>> {
        Ok(())
    }
}
