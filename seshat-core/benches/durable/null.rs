//! A state machine that keeps nothing but what openraft asks it for.

use std::convert::Infallible;

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{OptionalSend, RaftSnapshotBuilder};
use seshat_core::machine::{Page, Scan, TooLong};
use seshat_core::operation::{EntryResponse, Response};
use seshat_core::snapshot::SnapshotData;
use seshat_core::storage::StateReader;
use seshat_core::types::{
    Entry, EntryPayload, LogId, Snapshot, SnapshotMeta, StorageError, StoredMembership, TypeConfig,
};

#[derive(Debug, Clone, Default)]
pub(crate) struct NullMachine {
    applied: Option<LogId>,
    membership: StoredMembership,
}

impl RaftStateMachine<TypeConfig> for NullMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<EntryResponse>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let apply = |entry: Entry| {
            self.applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => EntryResponse::Blank,
                EntryPayload::Normal(batch) => {
                    let each = batch.operations().iter().map(|_| Response::Set { previous: None });
                    EntryResponse::Batch(each.collect())
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    EntryResponse::Membership
                }
            }
        };
        Ok(entries.into_iter().map(apply).collect())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        unreachable!("nobody builds one")
    }

    async fn install_snapshot(
        &mut self,
        _: &SnapshotMeta,
        _: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        unreachable!("nobody builds one")
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(None)
    }
}

impl RaftSnapshotBuilder<TypeConfig> for NullMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        unreachable!("no policy asks for it")
    }
}

impl StateReader for NullMachine {
    type Error = Infallible;

    async fn get(&self, _: &[u8]) -> Result<Option<Bytes>, Infallible> {
        Ok(None)
    }

    async fn get_many(
        &self,
        keys: &[Bytes],
        _: usize,
    ) -> Result<Result<Vec<Option<Bytes>>, TooLong>, Infallible> {
        Ok(Ok(vec![None; keys.len()]))
    }

    async fn scan(&self, _: Scan) -> Result<Page, Infallible> {
        Ok(Page::default())
    }
}
