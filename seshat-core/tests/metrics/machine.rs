//! A state machine that waits before it applies anything, for as long as a test says.

use openraft::OptionalSend;
use openraft::storage::RaftStateMachine;
use seshat_core::log::LogStore;
use seshat_core::machine::{MachineReader, MachineSnapshotBuilder, MachineStore};
use seshat_core::openraft;
use seshat_core::operation::EntryResponse;
use seshat_core::snapshot::SnapshotData;
use seshat_core::storage::{MemStorage, Storage};
use seshat_core::types::{
    Entry, LogId, Snapshot, SnapshotMeta, StorageError, StoredMembership, TypeConfig,
};
use tokio::sync::watch;

/// In memory. Applies while the switch is on.
pub(crate) struct Waits {
    inner: MachineStore,
    goes: watch::Receiver<bool>,
}

pub(crate) fn storage(goes: watch::Receiver<bool>) -> impl Storage<Reader = MachineReader> {
    let (log, inner, reader): (LogStore, _, _) = MemStorage::new().into_parts();
    (log, Waits { inner, goes }, reader)
}

impl RaftStateMachine<TypeConfig> for Waits {
    type SnapshotBuilder = MachineSnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        self.inner.applied_state().await
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<EntryResponse>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        // A test that is over lets it go.
        let _ = self.goes.wait_for(|goes| *goes).await;
        self.inner.apply(entries).await
    }

    async fn get_snapshot_builder(&mut self) -> MachineSnapshotBuilder {
        self.inner.get_snapshot_builder().await
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        self.inner.begin_receiving_snapshot().await
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        data: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        self.inner.install_snapshot(meta, data).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        self.inner.get_current_snapshot().await
    }
}
