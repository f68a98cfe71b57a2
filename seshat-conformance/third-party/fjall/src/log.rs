//! [`Log`]: entries by index, vote, committed and purged id.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};

use fjall::{Readable, SingleWriterWriteTx};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader};

use crate::database::{Database, Error, Failed, Single};
use crate::types::{Entry, LogId, StorageError, TypeConfig, Vote, decode, encode};

/// Clones are the same log.
#[derive(Clone)]
pub struct Log(pub Database);

/// In the order of the indices.
type Key = [u8; 8];

impl Log {
    fn state(&self) -> Result<LogState<TypeConfig>, Error> {
        let view = self.0.view();
        let purged = self.0.get(&view, Single::Purged)?;
        let last = match view.last_key_value(&self.0.entries) {
            Some(last) => Some(decode::<Entry>(&last.value()?)?.log_id),
            None => purged,
        };
        Ok(LogState { last_purged_log_id: purged, last_log_id: last })
    }

    fn read(&self, range: (Bound<Key>, Bound<Key>)) -> Result<Vec<Entry>, Error> {
        let found = self.0.view().range(&self.0.entries, range);
        found.map(|entry| Ok(decode(&entry.value()?)?)).collect()
    }

    fn remove(
        &self,
        transaction: &mut SingleWriterWriteTx<'_>,
        range: impl RangeBounds<Key>,
    ) -> Result<(), Error> {
        let found = transaction.range(&self.0.entries, range);
        let keys = found.map(|entry| entry.key()).collect::<Result<Vec<_>, _>>()?;
        for key in keys {
            transaction.remove(&self.0.entries, key);
        }
        Ok(())
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        use Bound::{Excluded, Included, Unbounded};
        let none = match (range.start_bound(), range.end_bound()) {
            (Included(start), Included(end)) => start > end,
            (Included(start) | Excluded(start), Included(end) | Excluded(end)) => start >= end,
            (Unbounded, _) | (_, Unbounded) => false,
        };
        if none {
            return Ok(Vec::new());
        }
        let key = |bound: Bound<&u64>| bound.map(|index| index.to_be_bytes());
        let range = (key(range.start_bound()), key(range.end_bound()));
        self.read(range).when(ErrorVerb::Read, ErrorSubject::Logs)
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        self.state().when(ErrorVerb::Read, ErrorSubject::Logs)
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let Self(db) = self;
        let saved = db.durably(|transaction| db.put(transaction, Single::Vote, vote));
        saved.when(ErrorVerb::Write, ErrorSubject::Vote)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.0.get(&self.0.view(), Single::Vote).when(ErrorVerb::Read, ErrorSubject::Vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let Self(db) = self;
        let saved = db.durably(|transaction| db.put(transaction, Single::Committed, &committed));
        saved.when(ErrorVerb::Write, ErrorSubject::Store)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let committed = self.0.get::<Option<LogId>>(&self.0.view(), Single::Committed);
        Ok(committed.when(ErrorVerb::Read, ErrorSubject::Store)?.flatten())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let Self(db) = self;
        let appended = db.durably(|transaction| {
            for entry in entries {
                let key = entry.log_id.index.to_be_bytes();
                transaction.insert(&db.entries, key, encode(&entry)?);
            }
            Ok(())
        });
        appended.when(ErrorVerb::Write, ErrorSubject::Logs)?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        let since = since.index.to_be_bytes();
        let truncated = self.0.durably(|transaction| self.remove(transaction, since..));
        truncated.when(ErrorVerb::Write, ErrorSubject::Logs)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        let Self(db) = &*self;
        let purged = db.durably(|transaction| {
            let before = db.get(transaction, Single::Purged)?;
            let purged = before.map_or(upto, |before: LogId| before.max(upto));
            db.put(transaction, Single::Purged, &purged)?;
            self.remove(transaction, ..=upto.index.to_be_bytes())
        });
        purged.when(ErrorVerb::Write, ErrorSubject::Logs)
    }
}
