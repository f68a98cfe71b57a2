//! Snapshots.

use super::Addresses;
use super::bincode::{BincodeError, Image, read_image};
use super::configuration::{Configuration, ConfigurationError, MembershipUnsaid, UnknownAddress};
use super::state::log_id;
use crate::codec::DecodeError;
use crate::machine::{KeySpace, Machine};
use crate::proto::eraftpb;
use crate::types::{LogId, SnapshotMeta, StoredMembership};

/// A snapshot of raft-rs's, read to the ground.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacySnapshot {
    /// The last entry that it covers.
    pub last: LogId,
    /// The configuration as of that entry.
    pub configuration: Configuration,
    /// The state as of that entry.
    pub image: Image,
}

impl LegacySnapshot {
    /// Reads a snapshot; `None` for the empty one, which raft-rs uses for none.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn read(snapshot: &eraftpb::Snapshot) -> Result<Option<Self>, SnapshotError> {
        let metadata = snapshot.metadata.clone().unwrap_or_default();
        if metadata.index == 0 {
            let empty = snapshot.data.is_empty() && metadata == Default::default();
            return if empty { Ok(None) } else { Err(SnapshotError::NothingCovered) };
        }
        let last = log_id(metadata.term, metadata.index, "eraftpb.SnapshotMetadata")?;
        let configuration = (&metadata.conf_state.unwrap_or_default()).try_into()?;
        let image = read_image(&snapshot.data)?;
        match image.last_applied {
            Some(got) if got > last.index => Err(SnapshotError::Ahead { got, last: last.index }),
            _ => Ok(Some(Self { last, configuration, image })),
        }
    }

    /// The state machine as of the last entry covered. Which entry brought the membership isn't
    /// known, so it counts as brought by that one.
    ///
    /// # Errors
    /// A member without an address.
    pub fn into_machine(self, addresses: &Addresses<'_>) -> Result<Machine, UnknownAddress> {
        let membership = self.configuration.to_membership(addresses)?;
        let mut keys = KeySpace::with_capacity(self.image.data.len());
        for (key, value) in &self.image.data {
            let record = keys.record(key, value);
            keys.insert_new(std::iter::once(record));
        }
        let membership = StoredMembership::new(Some(self.last), membership);
        Ok(Machine { keys, last_applied: Some(self.last), membership, ..Machine::default() })
    }
}

impl TryFrom<&SnapshotMeta> for eraftpb::SnapshotMetadata {
    type Error = MembershipUnsaid;

    /// Dropped are the snapshot's id, which entry brought the membership, addresses, and the node
    /// id of the last entry. The state itself isn't written: nothing reads it any more.
    fn try_from(meta: &SnapshotMeta) -> Result<Self, MembershipUnsaid> {
        let configuration = Configuration::try_from(meta.last_membership.membership())?;
        let last = meta.last_log_id.unwrap_or_default();
        Ok(Self {
            conf_state: Some((&configuration).into()),
            index: last.index,
            term: last.leader_id.term,
        })
    }
}

/// A snapshot that can't be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// Term or index beyond what openraft counts.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It covers nothing, and yet there is something in it.
    #[error("a snapshot up to index 0 that is not empty")]
    NothingCovered,
    /// No configuration.
    #[error("conf_state can't be restored")]
    Configuration(#[from] ConfigurationError),
    /// No state machine.
    #[error("no image of the state machine")]
    Image(#[from] BincodeError),
    /// The state machine has applied what the snapshot doesn't cover.
    #[error("an image up to index {got} in a snapshot up to {last}")]
    Ahead {
        /// What the image says.
        got: u64,
        /// What the snapshot says.
        last: u64,
    },
}
