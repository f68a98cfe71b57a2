//! [`MachineStore`]: openraft's face of the [`Machine`]. Locks, calls, answers; no decisions.
//!
//! Volatile, unless a [`Kept`] of its maker's keeps the snapshots: nothing else outlives the process.

mod pages;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{OptionalSend, RaftSnapshotBuilder};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinError;
use tracing::Instrument;

use self::pages::Pages;
use super::kept::{InMemory, Kept, KeptError, Made, Whole};
use super::{FrozenMachine, Machine, Page, Scan, Size, TooLong};
use crate::operation::EntryResponse;
use crate::snapshot::{self, ReadError, SnapshotData};
use crate::types::{
    Entry, EntryPayload, LogId, Snapshot, SnapshotMeta, StorageError, StorageIOError,
    StoredMembership, TypeConfig,
};

/// The state machine of one node, in memory, and its current snapshot. Clones share both.
#[derive(Debug, Clone)]
pub struct MachineStore {
    shared: Arc<Shared>,
    /// Not shared with readers, which may outlive the store.
    kept: Arc<dyn Kept>,
}

impl Default for MachineStore {
    fn default() -> Self {
        Self { shared: Arc::default(), kept: Arc::new(InMemory::default()) }
    }
}

#[derive(Debug)]
struct Shared {
    machine: RwLock<Machine>,
    /// Changes with the machine's lock held.
    installed: AtomicU64,
    /// The latest. Who computes the next has the lock.
    digest: Arc<tokio::sync::Mutex<Option<Digest>>>,
    digests: AtomicU64,
    pages: Arc<Pages>,
    /// Tells the snapshot ids of this store from those of any other.
    store_id: u64,
    snapshots_built: AtomicU64,
}

/// The digest of one state.
#[derive(Debug, Clone, Copy)]
struct Digest {
    digest: u128,
    of: Moment,
}

/// When a state was: within one installation it only advances.
#[derive(Debug, Clone, Copy)]
struct Moment {
    installed: u64,
    last_applied: Option<LogId>,
}

impl Moment {
    fn is_since(&self, asked: &Self) -> bool {
        self.installed == asked.installed && self.last_applied >= asked.last_applied
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            machine: RwLock::default(),
            installed: AtomicU64::new(0),
            digest: Arc::default(),
            digests: AtomicU64::new(0),
            pages: Arc::default(),
            // The standard library's only source of randomness.
            store_id: RandomState::new().hash_one(0),
            snapshots_built: AtomicU64::new(0),
        }
    }
}

// A panic while a lock was held can't have left a half-done change: the machine checks first.
impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Machine> {
        self.machine.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Machine> {
        self.machine.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine, rid of what was written beside views that are gone. Blocks, and lets go of the lock between, so
    /// that `apply` has its turns.
    fn flattened(&self) -> RwLockWriteGuard<'_, Machine> {
        loop {
            let mut machine = self.write();
            if !machine.fold() {
                return machine;
            }
            drop(machine);
            std::thread::yield_now();
        }
    }

    /// The moment at which `machine` is, whose lock is held.
    fn moment(&self, machine: &Machine) -> Moment {
        let installed = self.installed.load(Ordering::Relaxed);
        Moment { installed, last_applied: machine.last_applied() }
    }

    fn next_snapshot_id(&self, last_applied: Option<LogId>) -> String {
        let built = self.snapshots_built.fetch_add(1, Ordering::Relaxed);
        let place = last_applied.map_or_else(|| "empty".to_owned(), |last| last.to_string());
        format!("{place}-{:016x}-{built}", self.store_id)
    }
}

impl MachineStore {
    /// A state as it was elsewhere, without a current snapshot: a node that starts on a log that is
    /// purged builds one.
    #[cfg(feature = "legacy")]
    pub(crate) fn holding(machine: Machine) -> Self {
        Self::keeping(machine, Arc::new(InMemory::default()))
    }

    /// A state, and what keeps the snapshot that it was read from, if it was from any.
    pub(crate) fn keeping(machine: Machine, kept: Arc<dyn Kept>) -> Self {
        let shared = Shared { machine: RwLock::new(machine), ..Shared::default() };
        Self { shared: Arc::new(shared), kept }
    }

    /// A handle that reads the state while openraft owns the store.
    pub fn reader(&self) -> MachineReader {
        MachineReader { shared: Arc::clone(&self.shared) }
    }
}

/// Reads a [`MachineStore`]'s state. Clones read the same state; a read waits for the entries
/// that are being applied at that moment, never for a snapshot.
#[derive(Debug, Clone)]
pub struct MachineReader {
    shared: Arc<Shared>,
}

impl MachineReader {
    /// The value of `key`, copied.
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.shared.read().get(key)
    }

    /// See [`Machine::get_many`]: all of one state.
    ///
    /// # Errors
    /// They have more than `max_bytes` in all.
    pub fn get_many(
        &self,
        keys: &[Bytes],
        max_bytes: usize,
    ) -> Result<Vec<Option<Bytes>>, TooLong> {
        self.shared.read().get_many(keys, max_bytes)
    }

    /// A page of a state no older than the call, chosen on a thread of its own while `apply` goes on. Each key is
    /// looked at for all who wait, up to sixteen together, and for no others at that time. Needs a tokio runtime.
    ///
    /// Dropping the future leaves the others alone; what isn't being chosen yet never is.
    ///
    /// # Errors
    /// The runtime stops.
    pub async fn scan(&self, scan: Scan) -> Result<Page, JoinError> {
        let shared = Arc::clone(&self.shared);
        self.shared.pages.page(scan, move || shared.flattened().freeze()).await
    }

    /// How much is stored.
    pub fn size(&self) -> Size {
        self.shared.read().size()
    }

    /// The last entry applied.
    pub fn last_applied(&self) -> Option<LogId> {
        self.shared.read().last_applied()
    }

    /// See [`Machine::format`].
    pub fn format(&self) -> u32 {
        self.shared.read().format()
    }

    /// The state of this moment. Takes microseconds.
    pub fn freeze(&self) -> FrozenMachine {
        self.shared.write().freeze()
    }

    /// 128 bits over keys and values: equal on nodes that hold the same. Reads everything, so
    /// call it off the runtime's worker threads; `apply` goes on meanwhile.
    pub fn digest(&self) -> u128 {
        snapshot::digest(&self.freeze())
    }

    /// The same, of a state no older than the call, computed on a thread of its own and for all who ask
    /// meanwhile: one is computed at a time, however many ask, and the next for all of those together,
    /// unless nothing was applied since. Needs a tokio runtime.
    ///
    /// Dropping the future leaves the others alone; what is being computed is computed.
    ///
    /// # Errors
    /// The runtime stops.
    pub async fn shared_digest(&self) -> Result<u128, JoinError> {
        let asked = self.shared.moment(&self.shared.read());
        let mut latest = Arc::clone(&self.shared.digest).lock_owned().await;
        if let Some(Digest { digest, .. }) = latest.filter(|latest| latest.of.is_since(&asked)) {
            return Ok(digest);
        }
        let shared = Arc::clone(&self.shared);
        let compute = move || {
            let (of, frozen) = {
                let mut machine = shared.flattened();
                (shared.moment(&machine), machine.freeze())
            };
            let digest = snapshot::digest(&frozen);
            *latest = Some(Digest { digest, of });
            shared.digests.fetch_add(1, Ordering::Relaxed);
            digest
        };
        tokio::task::spawn_blocking(compute).await
    }

    /// How many digests were computed for those who [share](Self::shared_digest) them.
    pub fn digests_computed(&self) -> u64 {
        self.shared.digests.load(Ordering::Relaxed)
    }
}

impl RaftStateMachine<TypeConfig> for MachineStore {
    type SnapshotBuilder = MachineSnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let machine = self.shared.read();
        Ok((machine.last_applied(), machine.membership().clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<EntryResponse>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let span = tracing::debug_span!("apply", entries = entries.len());
        let _entered = span.enter();
        if tracing::enabled!(tracing::Level::DEBUG) {
            trace_operations(&entries);
        }
        let applied = self.shared.write().apply(entries);
        applied.map_err(|error| {
            tracing::error!(%error, "apply refused");
            StorageIOError::apply(error.got, &error).into()
        })
    }

    async fn get_snapshot_builder(&mut self) -> MachineSnapshotBuilder {
        let frozen = Arc::new(self.shared.write().freeze());
        let (shared, kept) = (Arc::clone(&self.shared), Arc::clone(&self.kept));
        MachineSnapshotBuilder { shared, kept, frozen }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        Ok(Box::new(self.kept.blank()))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        mut data: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        let span = tracing::info_span!(
            "snapshot_install",
            snapshot_id = %meta.snapshot_id,
            bytes = data.len(),
            keys = tracing::field::Empty,
            elapsed_ms = tracing::field::Empty,
        );
        let (shared, kept) = (Arc::clone(&self.shared), Arc::clone(&self.kept));
        let (id, signature) = (meta.snapshot_id.clone(), meta.signature());
        let meta = meta.clone();
        let install = async {
            data.flush().await.map_err(ReadError::from)?;
            off_the_runtime(move || shared.install(&*kept, &meta, *data)).await
        };
        let installed = install.instrument(span.clone()).await;
        installed.map_err(|error| {
            span.in_scope(|| tracing::error!(%error, snapshot_id = %id, "snapshot refused"));
            StorageIOError::read_snapshot(Some(signature), &error).into()
        })
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let kept = Arc::clone(&self.kept);
        let current = off_the_runtime(move || Ok(kept.current()?)).await;
        let current = current.map_err(|error| {
            tracing::error!(%error, "the current snapshot can't be read");
            StorageIOError::read_snapshot(None, &error)
        })?;
        Ok(current.map(snapshot_of))
    }
}

fn snapshot_of((meta, source): Whole) -> Snapshot {
    Snapshot { meta, snapshot: Box::new(source.into()) }
}

fn trace_operations(entries: &[Entry]) {
    for entry in entries {
        match &entry.payload {
            EntryPayload::Blank => tracing::debug!(log_id = %entry.log_id, kind = "blank"),
            EntryPayload::Membership(membership) => {
                tracing::debug!(log_id = %entry.log_id, kind = "membership", %membership);
            }
            EntryPayload::Normal(batch) => {
                if let Some(format) = batch.raises() {
                    tracing::debug!(log_id = %entry.log_id, kind = "format", format);
                }
                for operation in batch.operations() {
                    tracing::debug!(log_id = %entry.log_id, kind = operation.name());
                }
            }
        }
    }
}

/// Runs long work where it keeps no async task waiting. If the caller is dropped the work still
/// finishes.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WorkError> + Send + 'static,
) -> Result<T, WorkError> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await?
}

/// Why a snapshot wasn't built or installed.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Snapshot(#[from] ReadError),
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error("the runtime stopped")]
    Stopped(#[from] JoinError),
}

impl Shared {
    /// Reads and verifies all of it first, unless that was done on arrival; the live state is replaced in one step, and the old
    /// one is freed after the lock is.
    fn install(
        &self,
        kept: &dyn Kept,
        meta: &SnapshotMeta,
        data: SnapshotData,
    ) -> Result<(), WorkError> {
        let started = Instant::now();
        let (source, machine) = data.into_machine(meta)?;
        let keys = machine.size().keys;
        // A state that nothing can be restored to must not be seen.
        kept.keep(Made::Installed, meta, source)?;
        let replaced = {
            let mut live = self.write();
            self.installed.fetch_add(1, Ordering::Relaxed);
            std::mem::replace(&mut *live, machine)
        };
        drop(replaced);
        finished(keys, started);
        tracing::info!("snapshot installed");
        Ok(())
    }
}

fn finished(keys: u64, started: Instant) {
    let span = tracing::Span::current();
    span.record("keys", keys);
    span.record("elapsed_ms", started.elapsed().as_millis() as u64);
}

/// Builds a snapshot of the moment at which the builder was made, beside `apply`.
#[derive(Debug)]
pub struct MachineSnapshotBuilder {
    shared: Arc<Shared>,
    kept: Arc<dyn Kept>,
    frozen: Arc<FrozenMachine>,
}

impl RaftSnapshotBuilder<TypeConfig> for MachineSnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let meta = SnapshotMeta {
            last_log_id: self.frozen.last_applied,
            last_membership: self.frozen.membership.clone(),
            snapshot_id: self.shared.next_snapshot_id(self.frozen.last_applied),
        };
        let span = tracing::info_span!(
            "snapshot_build",
            snapshot_id = %meta.snapshot_id,
            bytes = tracing::field::Empty,
            keys = tracing::field::Empty,
            elapsed_ms = tracing::field::Empty,
        );
        let (frozen, kept, named) =
            (Arc::clone(&self.frozen), Arc::clone(&self.kept), meta.clone());
        let build = move || {
            let started = Instant::now();
            let source = kept.write(&frozen)?;
            tracing::Span::current().record("bytes", source.len());
            finished(frozen.keys.size().keys, started);
            kept.keep(Made::Built, &named, source.clone())?;
            tracing::info!("snapshot built");
            Ok((named, source))
        };
        let built = off_the_runtime(build).instrument(span).await;
        let built = built.map_err(|error| {
            let signature = Some(meta.signature());
            match &error {
                WorkError::Kept(KeptError::NoRoom(full)) => {
                    StorageIOError::write_snapshot(signature, full)
                }
                _ => StorageIOError::write_snapshot(signature, &error),
            }
        })?;
        Ok(snapshot_of(built))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
