//! Entries.

use bytes::Bytes;

use super::bincode::{BincodeError, read_operation, write_operation};
use super::configuration::{ChangeError, Configuration, UnknownAddress};
use super::state::log_id;
use super::{Addresses, parse};
use crate::codec::DecodeError;
use crate::operation::{Batch, Operation};
use crate::proto::eraftpb::{self, ConfChange, ConfChangeV2, EntryType};
use crate::types::{Entry, EntryPayload, LogId};

/// An entry of raft-rs's, read to the ground.
///
/// Dropped are `context`, which never was the state machine's business, and `sync_log`, which is
/// deprecated and has no effect.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyEntry {
    /// Term and index as they were, under the node id 0: see the [module](super).
    pub log_id: LogId,
    /// What it holds.
    pub payload: LegacyPayload,
}

/// What an entry of raft-rs's holds.
#[derive(Debug, Clone, PartialEq)]
pub enum LegacyPayload {
    /// A normal entry without data, as a new leader appends it, or in place of a change of the
    /// configuration that it refused.
    Blank,
    /// A normal entry with data.
    Operation(Operation),
    /// A step from one configuration to the next, of either version.
    Change(ConfChangeV2),
}

impl TryFrom<&eraftpb::Entry> for LegacyEntry {
    type Error = EntryError;

    fn try_from(entry: &eraftpb::Entry) -> Result<Self, EntryError> {
        let log_id = log_id(entry.term, entry.index, "eraftpb.Entry")?;
        let kind = EntryType::try_from(entry.entry_type)
            .map_err(|_| EntryError::Type { got: entry.entry_type })?;
        let data = || Bytes::clone(&entry.data);
        let payload = match kind {
            EntryType::EntryNormal if entry.data.is_empty() => LegacyPayload::Blank,
            EntryType::EntryNormal => LegacyPayload::Operation(read_operation(&entry.data)?),
            EntryType::EntryConfChange => {
                let change: ConfChange = parse("eraftpb.ConfChange", data())?;
                LegacyPayload::Change(change.into())
            }
            EntryType::EntryConfChangeV2 => {
                LegacyPayload::Change(parse("eraftpb.ConfChangeV2", data())?)
            }
        };
        Ok(Self { log_id, payload })
    }
}

impl LegacyEntry {
    /// The entry as openraft has it. A change of the configuration becomes the membership that it
    /// leads to, and `configuration` moves on to that; it stays what it was on error.
    ///
    /// # Errors
    /// A change that can't be applied, or a member without an address.
    pub fn into_entry(
        self,
        configuration: &mut Configuration,
        addresses: &Addresses<'_>,
    ) -> Result<Entry, EntryError> {
        let payload = match self.payload {
            LegacyPayload::Blank => EntryPayload::Blank,
            LegacyPayload::Operation(operation) => EntryPayload::Normal(Batch::from(operation)),
            LegacyPayload::Change(change) => {
                let next = configuration.changed_by(&change)?;
                let membership = next.to_membership(addresses)?;
                *configuration = next;
                EntryPayload::Membership(membership)
            }
        };
        Ok(Entry { log_id: self.log_id, payload })
    }
}

impl TryFrom<&Entry> for eraftpb::Entry {
    type Error = EntryUnsaid;

    /// The node id of the log id is dropped.
    fn try_from(entry: &Entry) -> Result<Self, EntryUnsaid> {
        let data = match &entry.payload {
            EntryPayload::Blank => Bytes::new(),
            EntryPayload::Normal(batch) => match batch.operations() {
                [operation] => write_operation(operation),
                more => return Err(EntryUnsaid::Operations { got: more.len() }),
            },
            EntryPayload::Membership(_) => return Err(EntryUnsaid::Membership),
        };
        let LogId { leader_id, index } = entry.log_id;
        Ok(Self { term: leader_id.term, index, data, ..Self::default() })
    }
}

/// An entry that can't be read, or not be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EntryError {
    /// None that the schema names.
    #[error("entry_type {got}, expected 0 to 2")]
    Type {
        /// The number found.
        got: i32,
    },
    /// Term or index beyond what openraft counts, or a change that is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The data of a normal entry is no operation.
    #[error("data is no operation")]
    Operation(#[from] BincodeError),
    /// raft-rs would not have applied it.
    #[error("a change of the configuration that can't be applied")]
    Change(#[from] ChangeError),
    /// A member without an address.
    #[error(transparent)]
    Address(#[from] UnknownAddress),
}

/// An entry that raft-rs can't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryUnsaid {
    /// Its entries hold one operation each.
    #[error("a batch of {got} operations, expected 1")]
    Operations {
        /// How many there are.
        got: usize,
    },
    /// Its entries hold steps from one configuration to the next, not configurations.
    #[error("a membership, expected a step from one to the next")]
    Membership,
}
