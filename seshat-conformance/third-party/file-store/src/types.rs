//! The application: keys and values, with node names of its own kind.

use std::io::{self, Cursor};

use openraft::{AnyError, ErrorSubject, ErrorVerb, StorageIOError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What changes the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Set { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
}

/// The value that was there before, if any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply(pub Option<Vec<u8>>);

/// Where a node is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub rack: u16,
    pub host: String,
}

openraft::declare_raft_types!(
    pub TypeConfig:
        D = Command,
        R = Reply,
        NodeId = u64,
        Node = Place,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
);

pub type Entry = openraft::Entry<TypeConfig>;
pub type LogId = openraft::LogId<u64>;
pub type Vote = openraft::Vote<u64>;
pub type StorageError = openraft::StorageError<u64>;
pub type StoredMembership = openraft::StoredMembership<u64, Place>;
pub type SnapshotMeta = openraft::SnapshotMeta<u64, Place>;

pub fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(io::Error::other)
}

/// Tells openraft what failed.
pub trait Failed<T> {
    fn when(self, verb: ErrorVerb, subject: ErrorSubject<u64>) -> Result<T, StorageError>;
}

impl<T> Failed<T> for io::Result<T> {
    fn when(self, verb: ErrorVerb, subject: ErrorSubject<u64>) -> Result<T, StorageError> {
        self.map_err(|error| StorageIOError::new(subject, verb, AnyError::new(&error)).into())
    }
}
