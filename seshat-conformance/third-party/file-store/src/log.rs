//! [`Log`]: entries in a journal, vote and committed id each in a file.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::durable;
use crate::journal::Journal;
use crate::types::{Entry, Failed, LogId, StorageError, TypeConfig, Vote, decode, encode};

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";

/// Clones are the same log.
#[derive(Clone)]
pub struct Log(Arc<Mutex<State>>);

struct State {
    dir: PathBuf,
    /// The purged id first, then an entry a record.
    journal: Journal,
    purged: Option<LogId>,
    /// With the place of each in the journal.
    entries: BTreeMap<u64, (u64, Entry)>,
}

impl Log {
    pub fn open(dir: &Path) -> io::Result<Self> {
        for name in [VOTE, COMMITTED] {
            durable::settle(&dir.join(name))?;
        }
        let nothing = encode(&None::<LogId>)?;
        let (journal, records) = Journal::open(dir, nothing)?;
        let mut records = records.into_iter();
        let purged = match records.next() {
            Some((_, body)) => decode(&body)?,
            None => return Err(io::Error::other("the log has lost its beginning")),
        };
        let entry = |(place, body): (u64, Vec<u8>)| {
            let entry: Entry = decode(&body)?;
            Ok((entry.log_id.index, (place, entry)))
        };
        let entries = records.map(entry).collect::<io::Result<_>>()?;
        Ok(Self(Arc::new(Mutex::new(State { dir: dir.to_owned(), journal, purged, entries }))))
    }

    // Memory is changed after the file, in one go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        let bodies = entries.iter().map(encode).collect::<io::Result<Vec<_>>>()?;
        let places = self.journal.append(&bodies)?;
        let placed = entries.into_iter().zip(places);
        self.entries.extend(placed.map(|(entry, place)| (entry.log_id.index, (place, entry))));
        Ok(())
    }

    fn truncate(&mut self, since: u64) -> io::Result<()> {
        if let Some((_, (place, _))) = self.entries.range(since..).next() {
            self.journal.cut(*place)?;
            self.entries.split_off(&since);
        }
        Ok(())
    }

    fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let purged = self.purged.max(Some(upto));
        let rest = self.entries.values().map(|(_, entry)| entry);
        let rest: Vec<Entry> = rest.filter(|e| e.log_id.index > upto.index).cloned().collect();
        let bodies = rest.iter().map(encode).collect::<io::Result<Vec<_>>>()?;
        let all = [vec![encode(&purged)?], bodies].concat();
        let places = self.journal.rewrite(&all)?;
        let placed = rest.into_iter().zip(places.into_iter().skip(1));
        self.entries = placed.map(|(entry, place)| (entry.log_id.index, (place, entry))).collect();
        self.purged = purged;
        Ok(())
    }

    fn save<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        durable::replace(&self.dir.join(name), &durable::seal(&encode(value)?))
    }

    fn load<T: DeserializeOwned + Default>(&self, name: &str) -> io::Result<T> {
        match durable::read(&self.dir.join(name))? {
            Some(bytes) => decode(durable::unseal(&bytes)?),
            None => Ok(T::default()),
        }
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let state = self.lock();
        let found = state.entries.iter().filter(|(index, _)| range.contains(*index));
        Ok(found.map(|(_, (_, entry))| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let state = self.lock();
        let last = state.entries.last_key_value().map(|(_, (_, entry))| entry.log_id);
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: last.or(state.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.lock().save(VOTE, &Some(vote)).when(ErrorVerb::Write, ErrorSubject::Vote)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.lock().load(VOTE).when(ErrorVerb::Read, ErrorSubject::Vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.lock().save(COMMITTED, &committed).when(ErrorVerb::Write, ErrorSubject::Store)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        self.lock().load(COMMITTED).when(ErrorVerb::Read, ErrorSubject::Store)
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
        let entries = entries.into_iter().collect();
        self.lock().append(entries).when(ErrorVerb::Write, ErrorSubject::Logs)?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        self.lock().truncate(since.index).when(ErrorVerb::Write, ErrorSubject::Logs)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        self.lock().purge(upto).when(ErrorVerb::Write, ErrorSubject::Logs)
    }
}
