//! A log store and its readers.

use std::ops::Range;

use openraft::RaftLogReader;
#[cfg(feature = "storage-v2")]
use openraft::storage::LogFlushed;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};

#[cfg(feature = "storage-v2")]
use super::Foreign;
use super::words;
use crate::backend::Backend;
#[cfg(feature = "storage-v2")]
use crate::driver::Callback;
use crate::driver::Doing;
use crate::driver::seen::{Entry, LogId, LogState, Vote};
use crate::driver::store::{Bounds, Log, Reader};

pub(super) struct OpenLog<B: Backend>(pub(super) B::Log);

struct OpenReader<B: Backend>(<B::Log as RaftLogStorage<B::C>>::LogReader);

/// Both read alike.
macro_rules! reader {
    ($($store:ident)*) => {$(
        impl<B: Backend> Reader for $store<B> {
            fn read(&mut self, range: Range<u64>) -> Doing<'_, Vec<Entry>> {
                seen::<B, _>(self.0.try_get_log_entries(range))
            }

            fn read_bounds(&mut self, bounds: Bounds) -> Doing<'_, Vec<Entry>> {
                seen::<B, _>(self.0.try_get_log_entries(bounds))
            }

            fn read_limited(&mut self, start: u64, end: u64) -> Doing<'_, Vec<Entry>> {
                seen::<B, _>(self.0.limited_get_log_entries(start, end))
            }
        }
    )*};
}
reader!(OpenLog OpenReader);

type Read<B> = Result<Vec<words::Entry<B>>, openraft::StorageError<words::Nid<B>>>;

fn seen<'a, B, F>(read: F) -> Doing<'a, Vec<Entry>>
where
    B: Backend,
    F: Future<Output = Read<B>> + Send + 'a,
{
    Box::pin(async move { Ok(words::seen_entries::<B>(read.await?)) })
}

impl<B: Backend> Log for OpenLog<B> {
    fn state(&mut self) -> Doing<'_, LogState> {
        Box::pin(async move {
            let state = self.0.get_log_state().await?;
            Ok(LogState {
                purged: state.last_purged_log_id.map(words::seen_id),
                last: state.last_log_id.map(words::seen_id),
            })
        })
    }

    fn reader(&mut self) -> Doing<'_, Box<dyn Reader>> {
        Box::pin(async move {
            let reader: Box<dyn Reader> = Box::new(OpenReader::<B>(self.0.get_log_reader().await));
            Ok(reader)
        })
    }

    fn vote(&mut self) -> Doing<'_, Option<Vote>> {
        Box::pin(async move { Ok(self.0.read_vote().await?.map(words::seen_vote)) })
    }

    fn save_vote(&mut self, vote: Vote) -> Doing<'_, ()> {
        Box::pin(async move {
            let vote = words::vote_of::<B>(&vote)?;
            Ok(self.0.save_vote(&vote).await?)
        })
    }

    fn committed(&mut self) -> Doing<'_, Option<LogId>> {
        Box::pin(async move { Ok(self.0.read_committed().await?.map(words::seen_id)) })
    }

    fn save_committed(&mut self, id: Option<LogId>) -> Doing<'_, ()> {
        Box::pin(async move {
            let id = id.as_ref().map(words::id_of::<B>).transpose()?;
            Ok(self.0.save_committed(id).await?)
        })
    }

    fn append(&mut self, entries: Vec<Entry>) -> Doing<'_, ()> {
        Box::pin(async move {
            let entries = words::entries_of::<B>(entries)?;
            Ok(self.0.blocking_append(entries).await?)
        })
    }

    #[cfg(feature = "storage-v2")]
    fn append_with(&mut self, entries: Vec<Entry>, callback: Callback) -> Doing<'_, ()> {
        Box::pin(async move {
            let callback = callback.downcast::<LogFlushed<B::C>>().map_err(|_| Foreign)?;
            let entries = words::entries_of::<B>(entries)?;
            Ok(self.0.append(entries, *callback).await?)
        })
    }

    fn truncate(&mut self, from: LogId) -> Doing<'_, ()> {
        Box::pin(async move { Ok(self.0.truncate(words::id_of::<B>(&from)?).await?) })
    }

    fn purge(&mut self, upto: LogId) -> Doing<'_, ()> {
        Box::pin(async move { Ok(self.0.purge(words::id_of::<B>(&upto)?).await?) })
    }
}
