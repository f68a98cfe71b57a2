//! When to take a snapshot: when the log that was applied since the last one outweighs it.
//!
//! A snapshot costs what the state is big, so a fixed number of entries between two makes a
//! large state pay for ever. Here the log must grow by a share of the last snapshot's size, as
//! in Redis's `auto-aof-rewrite-percentage`: the work per byte written stays the same.
//!
//! [`Metered`] counts what passes through a state machine; [`Policy`] decides, and tells
//! [`Retention`], which decides what of the log a snapshot makes superfluous. [`Formats`] hears of what
//! raises the cluster's format.

use std::any::type_name;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use openraft::storage::RaftStateMachine;
use openraft::{AnyError, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::Notify;

use super::formats::Formats;
use super::retention::Retention;
use crate::config::SnapshotConfig;
use crate::machine::NoRoom;
use crate::metrics::{self, Stopwatch};
use crate::operation::EntryResponse;
use crate::snapshot::{self, SnapshotData};
use crate::types::{
    Entry, EntryPayload, LogId, Raft, Snapshot, SnapshotMeta, StorageError, StoredMembership,
    TypeConfig,
};

/// What an entry takes in the log beside its payload, roughly, in bytes.
const ENTRY_OVERHEAD: u64 = 128;

/// See the [module](self). Shared by a state machine, its builders, and the task that triggers.
#[derive(Debug)]
pub(super) struct Policy {
    min_log_bytes: u64,
    growth_percent: u32,
    /// Applied since the view of the last snapshot was taken.
    log_bytes: AtomicU64,
    snapshot_bytes: AtomicU64,
    building: AtomicBool,
    meters: metrics::Machine,
    due: Notify,
    retention: Arc<Retention>,
    formats: Arc<Formats>,
}

impl Policy {
    pub(super) fn new(
        config: &SnapshotConfig,
        retention: Arc<Retention>,
        formats: Arc<Formats>,
    ) -> Self {
        Self {
            min_log_bytes: config.min_log_bytes,
            growth_percent: config.growth_percent,
            log_bytes: AtomicU64::new(0),
            snapshot_bytes: AtomicU64::new(0),
            building: AtomicBool::new(false),
            meters: metrics::Machine::new(),
            due: Notify::new(),
            retention,
            formats,
        }
    }

    /// Triggers a snapshot whenever one is due, until the node stops.
    pub(super) async fn run(self: Arc<Self>, raft: Raft) {
        loop {
            self.due.notified().await;
            // Told more than once for one snapshot, maybe.
            if !self.is_due() {
                continue;
            }
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
    }

    /// Tells with every entry until a view is taken: openraft ignores what is triggered before
    /// it knows that the last snapshot is finished, which it learns later than this does.
    fn applied(&self, bytes: u64) {
        self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.is_due() {
            self.due.notify_one();
        }
    }

    fn is_due(&self) -> bool {
        let share = self.snapshot_bytes.load(Ordering::Relaxed) / 100;
        let growth = share.saturating_mul(self.growth_percent.into());
        let log = self.log_bytes.load(Ordering::Relaxed);
        log >= self.min_log_bytes.max(growth) && !self.building.load(Ordering::Relaxed)
    }

    /// A snapshot's view was taken: what is applied from now on isn't in it.
    fn viewed(&self) {
        self.building.store(true, Ordering::Relaxed);
        self.log_bytes.store(0, Ordering::Relaxed);
    }

    /// The snapshot is built or installed, or failed, of which `bytes` is `None`.
    fn finished(&self, bytes: Option<usize>) {
        if let Some(bytes) = bytes {
            self.snapshot_bytes.store(bytes as u64, Ordering::Relaxed);
        }
        self.building.store(false, Ordering::Relaxed);
    }
}

fn log_bytes(entry: &Entry) -> u64 {
    match &entry.payload {
        EntryPayload::Normal(batch) => ENTRY_OVERHEAD + batch.payload_bytes() as u64,
        EntryPayload::Blank | EntryPayload::Membership(_) => ENTRY_OVERHEAD,
    }
}

fn raises(entry: &Entry) -> Option<u32> {
    match &entry.payload {
        EntryPayload::Normal(batch) => batch.raises(),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}

/// Any state machine, or snapshot builder, with its traffic counted.
pub(super) struct Metered<T> {
    inner: T,
    policy: Arc<Policy>,
}

impl<T> Metered<T> {
    pub(super) fn new(inner: T, policy: Arc<Policy>) -> Self {
        Self { inner, policy }
    }
}

impl<M: RaftStateMachine<TypeConfig>> RaftStateMachine<TypeConfig> for Metered<M> {
    type SnapshotBuilder = Metered<M::SnapshotBuilder>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let state = self.inner.applied_state().await?;
        self.policy.retention.restart(state.0);
        Ok(state)
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<EntryResponse>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (mut bytes, mut raised) = (0, None);
        // If applying fails, openraft stops.
        let counted = entries.into_iter().inspect(|entry| {
            let size = log_bytes(entry);
            self.policy.retention.apply(entry.log_id.index, size);
            bytes += size;
            raised = raised.max(raises(entry));
        });
        let counted: Vec<Entry> = counted.collect();
        let since = Stopwatch::start();
        let responses = self.inner.apply(counted).await?;
        self.policy.meters.applied(since);
        self.policy.applied(bytes);
        if let Some(format) = raised {
            self.policy.formats.applied(format);
        }
        Ok(responses)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.policy.viewed();
        self.policy.retention.view();
        let builder = self.inner.get_snapshot_builder().await;
        Metered::new(builder, Arc::clone(&self.policy))
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        self.inner.begin_receiving_snapshot().await
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        mut data: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        let (bytes, source) = (data.len(), data.source());
        let format = tokio::task::spawn_blocking(move || snapshot::format(&source)).await;
        self.policy.viewed();
        let since = Stopwatch::start();
        let installed = self.inner.install_snapshot(meta, data).await;
        self.policy.finished(installed.is_ok().then_some(bytes));
        if installed.is_ok() {
            self.policy.meters.installed(since, bytes);
            self.policy.retention.restart(meta.last_log_id);
            if let Ok(Some(format)) = format {
                self.policy.formats.applied(format);
            }
        }
        installed
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        self.inner.get_current_snapshot().await
    }
}

/// In place of a snapshot that the disk has no room for, one of nothing: openraft, which would end the node
/// for an error, takes it for older than what it has, and for no news.
fn none_if_full(error: StorageError) -> Result<Snapshot, StorageError> {
    let StorageError::IO { source } = &error else { return Err(error) };
    let why = source.source().and_then(|why| why.downcast_ref::<AnyError>());
    if why.and_then(AnyError::get_type) != Some(type_name::<NoRoom>()) {
        return Err(error);
    }
    tracing::warn!(%error, "no snapshot is built, and the log stays as long as it is");
    Ok(Snapshot { meta: SnapshotMeta::default(), snapshot: Box::new(SnapshotData::new()) })
}

impl<B: RaftSnapshotBuilder<TypeConfig>> RaftSnapshotBuilder<TypeConfig> for Metered<B> {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let since = Stopwatch::start();
        let built = self.inner.build_snapshot().await;
        if let Ok(built) = &built {
            self.policy.meters.built(since, built.snapshot.len());
        }
        self.policy.finished(built.as_ref().ok().map(|built| built.snapshot.len()));
        match built {
            Ok(built) => Ok(built),
            Err(error) => {
                self.policy.retention.view_failed();
                none_if_full(error)
            }
        }
    }
}
