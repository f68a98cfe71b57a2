//! A frozen machine to bytes and back.
//!
//! Guarantees: equal states give equal bytes, on every node and in every run, whether they are written at once
//! or a piece at a time; [`read`] returns a machine only if every byte was checked (format, length, checksum,
//! metadata, order), so that whoever installs it can't be left with half of one. A snapshot in a file is
//! never in memory as a whole. The layout is in `proto/seshat/v1/snapshot.proto`.

mod data;
mod error;
mod read;
mod sort;
mod write;

use twox_hash::XxHash3_128;

pub use self::data::SnapshotData;
pub(crate) use self::data::{Source, Stored};
pub use self::error::{ReadError, SnapshotError};
pub use self::read::read;
#[cfg(feature = "grpc")]
pub(crate) use self::read::sum;
pub(crate) use self::read::{format, load};
pub(crate) use self::write::stream;
pub use self::write::write;
pub use crate::codec::snapshot::Header;
use crate::machine::{FrozenMachine, Machine};
use crate::types::SnapshotMeta;

/// The first format with a record of the empty key.
const HOLDS_EMPTY_KEY: u32 = 2;
/// Length of the trailer with the varint before it: one field of 8 bytes and its key.
const TRAILER_LEN: usize = 10;
/// Records that are looked at together, so that their cache misses overlap.
const GROUP: usize = 64;

/// 128 bits over keys and values: equal on two machines that hold the same. What was applied,
/// and when, doesn't count.
pub fn digest(machine: &FrozenMachine) -> u128 {
    let mut hasher = XxHash3_128::new();
    for record in sort::by_key(machine.keys.records()) {
        let (key, value) = record.split();
        hasher.write(&(key.len() as u64).to_le_bytes());
        hasher.write(key);
        hasher.write(&(value.len() as u64).to_le_bytes());
        hasher.write(value);
    }
    hasher.finish_128()
}

/// What a [`SnapshotData`] carries once it was read.
struct Checked {
    by: SnapshotMeta,
    machine: Machine,
}

impl SnapshotData {
    /// The same snapshot, read, if it is the one that `meta` names. Takes a while: call it off the
    /// runtime's worker threads. What was written to it must be flushed.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn checked(mut self, meta: &SnapshotMeta) -> Result<Self, ReadError> {
        let source = self.source();
        let machine = load(&source, Some(meta))?;
        Ok(Self::carrying(source, Checked { by: meta.clone(), machine }))
    }

    /// The bytes, and the machine that they hold, read now unless it was read before.
    pub(crate) fn into_machine(self, meta: &SnapshotMeta) -> Result<(Source, Machine), ReadError> {
        match self.into_parts::<Checked>() {
            (source, Some(checked)) if checked.by == *meta => Ok((source, checked.machine)),
            (source, _) => load(&source, Some(meta)).map(|machine| (source, machine)),
        }
    }
}
