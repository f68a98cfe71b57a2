//! The baseline: stores written the way openraft's own examples write theirs (release 0.9,
//! `cluster_benchmark`'s log, `raft-kv-memstore`'s state machine), for two instances of openraft.
//!
//! - [`NaiveConfig`]: one `SET` an entry, `Vec<u8>` keys and values.
//! - [`NullConfig`]: a command of no size on a state machine that keeps nothing: what openraft
//!   itself costs.
//!
//! The log is a `BTreeMap` behind tokio's `RwLock`, the state a `HashMap` with std's hash, and a
//! snapshot a clone of the map, encoded as length-prefixed pairs. Where the examples differ, the
//! faster one is taken: `split_off` where `memstore` removes entries one by one.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::io::Cursor;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    AppData, AppDataResponse, BasicNode, Entry, EntryPayload, LogId, LogState, OptionalSend,
    RaftLogReader, RaftSnapshotBuilder, RaftTypeConfig, Snapshot, SnapshotMeta, StorageError,
    StoredMembership, Vote,
};
use tokio::sync::RwLock;

/// An instance of openraft that the naive stores serve.
pub(crate) trait Naive:
    RaftTypeConfig<
        NodeId = u64,
        Node = BasicNode,
        Entry = Entry<Self>,
        SnapshotData = Cursor<Vec<u8>>,
        D = <Self::State as State>::Command,
        R = <Self::State as State>::Response,
    >
{
    /// What the state machine keeps.
    type State: State;
}

/// The application's part of the naive state machine.
pub(crate) trait State: Clone + Debug + Default + Send + Sync + 'static {
    type Command: AppData + Clone;
    type Response: AppDataResponse + Default;

    fn apply(&mut self, command: &Self::Command) -> Self::Response;
    fn encode(&self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Self;
}

openraft::declare_raft_types!(
    /// One `SET` an entry.
    pub(crate) NaiveConfig: D = Set, R = Option<Vec<u8>>
);

openraft::declare_raft_types!(
    /// Nothing to store, nothing to answer.
    pub(crate) NullConfig: D = (), R = ()
);

impl Naive for NaiveConfig {
    type State = Map;
}

impl Naive for NullConfig {
    type State = ();
}

/// The one command of [`NaiveConfig`].
#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Keys and values, with std's hash.
pub(crate) type Map = HashMap<Vec<u8>, Vec<u8>>;

impl State for Map {
    type Command = Set;
    type Response = Option<Vec<u8>>;

    /// Clones key and value out of the entry, as the examples do. Answers what `insert` returns,
    /// as SET here does; the examples clone the value once more for their answer.
    fn apply(&mut self, set: &Set) -> Option<Vec<u8>> {
        self.insert(set.key.clone(), set.value.clone())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in self {
            for part in [key, value] {
                out.extend_from_slice(&(part.len() as u32).to_le_bytes());
                out.extend_from_slice(part);
            }
        }
        out
    }

    fn decode(mut bytes: &[u8]) -> Self {
        let mut map = Self::new();
        while !bytes.is_empty() {
            let key = take(&mut bytes).to_vec();
            let value = take(&mut bytes).to_vec();
            map.insert(key, value);
        }
        map
    }
}

/// The next length-prefixed part.
fn take<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = bytes.split_at(4);
    let len = u32::from_le_bytes(len.try_into().unwrap()) as usize;
    let (part, rest) = rest.split_at(len);
    *bytes = rest;
    part
}

impl State for () {
    type Command = ();
    type Response = ();

    fn apply(&mut self, (): &()) {}

    fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    fn decode(_: &[u8]) {}
}

/// A log of [`Naive`] entries. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogStore<C: Naive> {
    inner: Arc<LogInner<C>>,
}

#[derive(Debug, Default)]
struct LogInner<C: Naive> {
    log: RwLock<BTreeMap<u64, Entry<C>>>,
    purged: RwLock<Option<LogId<u64>>>,
    committed: RwLock<Option<LogId<u64>>>,
    vote: RwLock<Option<Vote<u64>>>,
}

impl<C: Naive> RaftLogReader<C> for LogStore<C> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<C>>, StorageError<u64>> {
        let log = self.inner.log.read().await;
        Ok(log.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl<C: Naive> RaftLogStorage<C> for LogStore<C> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<C>, StorageError<u64>> {
        let last = self.inner.log.read().await.last_key_value().map(|(_, entry)| entry.log_id);
        let last_purged_log_id = *self.inner.purged.read().await;
        Ok(LogState { last_purged_log_id, last_log_id: last.or(last_purged_log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        *self.inner.vote.write().await = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        Ok(*self.inner.vote.read().await)
    }

    async fn save_committed(&mut self, id: Option<LogId<u64>>) -> Result<(), StorageError<u64>> {
        *self.inner.committed.write().await = id;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        Ok(*self.inner.committed.read().await)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<C>,
    ) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<C>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(|entry| (entry.log_id.index, entry));
        self.inner.log.write().await.extend(entries);
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        self.inner.log.write().await.split_off(&log_id.index);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        *self.inner.purged.write().await = Some(log_id);
        let mut log = self.inner.log.write().await;
        *log = log.split_off(&(log_id.index + 1));
        Ok(())
    }
}

/// A state machine of [`Naive`] entries. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MachineStore<C: Naive> {
    inner: Arc<MachineInner<C>>,
}

#[derive(Debug, Default)]
struct MachineInner<C: Naive> {
    machine: RwLock<Machine<C>>,
    snapshots_built: AtomicU64,
    current: RwLock<Option<StoredSnapshot>>,
}

type StoredSnapshot = (SnapshotMeta<u64, BasicNode>, Vec<u8>);

#[derive(Debug, Clone, Default)]
struct Machine<C: Naive> {
    last_applied: Option<LogId<u64>>,
    membership: StoredMembership<u64, BasicNode>,
    state: C::State,
}

impl<C: Naive> RaftStateMachine<C> for MachineStore<C> {
    type SnapshotBuilder = SnapshotBuilder<C>;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, BasicNode>), StorageError<u64>> {
        let machine = self.inner.machine.read().await;
        Ok((machine.last_applied, machine.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<C::R>, StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<C>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut machine = self.inner.machine.write().await;
        let mut responses = Vec::new();
        for entry in entries {
            machine.last_applied = Some(entry.log_id);
            responses.push(match &entry.payload {
                EntryPayload::Blank => C::R::default(),
                EntryPayload::Normal(command) => machine.state.apply(command),
                EntryPayload::Membership(membership) => {
                    let id = Some(entry.log_id);
                    machine.membership = StoredMembership::new(id, membership.clone());
                    C::R::default()
                }
            });
        }
        Ok(responses)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<C> {
        let frozen = self.inner.machine.read().await.clone();
        SnapshotBuilder { store: self.clone(), frozen }
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        let bytes = snapshot.into_inner();
        let installed = Machine {
            last_applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            state: C::State::decode(&bytes),
        };
        let mut machine = self.inner.machine.write().await;
        *machine = installed;
        *self.inner.current.write().await = Some((meta.clone(), bytes));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<C>>, StorageError<u64>> {
        let current = self.inner.current.read().await;
        Ok(current.as_ref().map(|(meta, bytes)| snapshot_of(meta, bytes.clone())))
    }
}

fn snapshot_of<C: Naive>(meta: &SnapshotMeta<u64, BasicNode>, bytes: Vec<u8>) -> Snapshot<C> {
    Snapshot { meta: meta.clone(), snapshot: Box::new(Cursor::new(bytes)) }
}

/// Holds a copy of the whole state, and encodes it.
#[derive(Debug)]
pub(crate) struct SnapshotBuilder<C: Naive> {
    store: MachineStore<C>,
    frozen: Machine<C>,
}

impl<C: Naive> RaftSnapshotBuilder<C> for SnapshotBuilder<C> {
    async fn build_snapshot(&mut self) -> Result<Snapshot<C>, StorageError<u64>> {
        let bytes = self.frozen.state.encode();
        let built = self.store.inner.snapshots_built.fetch_add(1, Ordering::Relaxed);
        let last_log_id = self.frozen.last_applied;
        let meta = SnapshotMeta {
            last_log_id,
            last_membership: self.frozen.membership.clone(),
            snapshot_id: format!("{last_log_id:?}-{built}"),
        };
        *self.store.inner.current.write().await = Some((meta.clone(), bytes.clone()));
        Ok(snapshot_of(&meta, bytes))
    }
}
