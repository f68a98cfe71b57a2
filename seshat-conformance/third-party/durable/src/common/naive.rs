//! A type configuration with openraft's feature `serde`, which hiqlite-wal turns on.

use std::io::Cursor;

openraft::declare_raft_types!(
    /// For hiqlite-wal.
    pub(crate) NaiveConfig: D = Set, R = ()
);

/// One `SET`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Set {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}
