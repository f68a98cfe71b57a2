//! [`Database`]: what fjall keeps of a node.

use std::io;
use std::path::Path;

use fjall::{
    KeyspaceCreateOptions, PersistMode, Readable, SingleWriterTxDatabase, SingleWriterTxKeyspace,
    SingleWriterWriteTx, Snapshot,
};
use openraft::{AnyError, ErrorSubject, ErrorVerb, StorageIOError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{StorageError, decode, encode};

/// Clones are the same.
#[derive(Clone)]
pub struct Database {
    db: SingleWriterTxDatabase,
    /// Entries by index.
    pub entries: SingleWriterTxKeyspace,
    /// One value each.
    pub singles: SingleWriterTxKeyspace,
    /// What the application keeps.
    pub state: SingleWriterTxKeyspace,
}

/// The key of a value that there is one of.
#[derive(Clone, Copy)]
pub enum Single {
    Vote,
    Committed,
    Purged,
    /// Id and membership of what the state machine applied last.
    Applied,
    /// Meta and bytes.
    Snapshot,
}

impl Database {
    pub fn open(dir: &Path) -> fjall::Result<Self> {
        let db = SingleWriterTxDatabase::builder(dir).worker_threads(1).open()?;
        let keyspace = |name| db.keyspace(name, KeyspaceCreateOptions::default);
        let (entries, singles, state) =
            (keyspace("entries")?, keyspace("singles")?, keyspace("state")?);
        Ok(Self { db, entries, singles, state })
    }

    /// Does all of `change` or none of it, and has it on disk.
    pub fn durably<T>(
        &self,
        change: impl FnOnce(&mut SingleWriterWriteTx<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut transaction = self.db.write_tx().durability(Some(PersistMode::SyncAll));
        let done = change(&mut transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// What is there now, whatever is written beside it.
    pub fn view(&self) -> Snapshot {
        self.db.read_tx()
    }

    pub fn get<T: DeserializeOwned>(
        &self,
        view: &impl Readable,
        key: Single,
    ) -> Result<Option<T>, Error> {
        let bytes = view.get(&self.singles, key.bytes())?;
        Ok(bytes.map(|bytes| decode(&bytes)).transpose()?)
    }

    pub fn put<T: Serialize>(
        &self,
        transaction: &mut SingleWriterWriteTx<'_>,
        key: Single,
        value: &T,
    ) -> Result<(), Error> {
        transaction.insert(&self.singles, key.bytes(), encode(value)?);
        Ok(())
    }
}

impl Single {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Vote => b"vote",
            Self::Committed => b"committed",
            Self::Purged => b"purged",
            Self::Applied => b"applied",
            Self::Snapshot => b"snapshot",
        }
    }
}

/// The database's, or that of what is in it.
#[derive(Debug)]
pub struct Error(AnyError);

impl From<fjall::Error> for Error {
    fn from(error: fjall::Error) -> Self {
        Self(AnyError::new(&error))
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self(AnyError::new(&error))
    }
}

/// Tells openraft what failed.
pub trait Failed<T> {
    fn when(self, verb: ErrorVerb, subject: ErrorSubject<u64>) -> Result<T, StorageError>;
}

impl<T> Failed<T> for Result<T, Error> {
    fn when(self, verb: ErrorVerb, subject: ErrorSubject<u64>) -> Result<T, StorageError> {
        self.map_err(|Error(error)| StorageIOError::new(subject, verb, error).into())
    }
}
