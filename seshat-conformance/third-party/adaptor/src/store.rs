//! A store written for openraft's older trait: log and state machine in one, here a counter in
//! memory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Cursor;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::{
    AnyError, EmptyNode, EntryPayload, LogState, OptionalSend, RaftLogReader, RaftSnapshotBuilder,
    RaftStorage, StorageIOError, StoredMembership,
};

openraft::declare_raft_types!(
    /// Commands add to a counter, and are answered with what it is then.
    pub TypeConfig:
        D = i64,
        R = i64,
        NodeId = u64,
        Node = EmptyNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
);

type Entry = openraft::Entry<TypeConfig>;
type LogId = openraft::LogId<u64>;
type Vote = openraft::Vote<u64>;
type Meta = openraft::SnapshotMeta<u64, EmptyNode>;
type Snapshot = openraft::Snapshot<TypeConfig>;
type Members = StoredMembership<u64, EmptyNode>;
type StorageError = openraft::StorageError<u64>;

/// Clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct Store(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
    machine: Machine,
    snapshot: Option<(Meta, String)>,
}

#[derive(Debug, Clone, Default)]
struct Machine {
    last_applied: Option<LogId>,
    membership: Members,
    total: i64,
}

impl Machine {
    fn apply(&mut self, entry: &Entry) -> i64 {
        self.last_applied = Some(entry.log_id);
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(amount) => self.total = self.total.wrapping_add(*amount),
            EntryPayload::Membership(members) => {
                self.membership = StoredMembership::new(self.last_applied, members.clone());
            }
        }
        self.total
    }
}

/// Tells whether bytes are damaged, or of another snapshot.
fn checksum(meta: &Meta, total: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (format!("{:?} {:?}", meta.last_log_id, meta.last_membership), total).hash(&mut hasher);
    hasher.finish()
}

/// The counter in a snapshot's text.
fn restore(meta: &Meta, text: &str) -> Option<i64> {
    let (total, sum) = text.split_once(' ')?;
    let total = total.parse().ok()?;
    // Written as `write` does, or it is damaged.
    (sum == checksum(meta, total).to_string()).then_some(total)
}

impl Store {
    pub fn total(&self) -> i64 {
        self.lock().machine.total
    }

    // Nothing panics under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds what the state was when it was made.
pub struct Builder {
    machine: Machine,
    store: Store,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let Machine { last_applied, membership, total } = self.machine.clone();
        let mut meta =
            Meta { last_log_id: last_applied, last_membership: membership, ..Meta::default() };
        let sum = checksum(&meta, total);
        meta.snapshot_id = format!("{}-{sum}", last_applied.map_or(0, |id| id.index));
        let text = format!("{total} {sum}");
        let mut state = self.store.lock();
        // A newer one may have been installed in the meantime.
        if state.snapshot.as_ref().is_none_or(|(kept, _)| kept.last_log_id <= last_applied) {
            state.snapshot = Some((meta.clone(), text.clone()));
        }
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(text.into_bytes())) })
    }
}

impl RaftLogReader<TypeConfig> for Store {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let state = self.lock();
        let found = state.entries.values().filter(|entry| range.contains(&entry.log_id.index));
        Ok(found.cloned().collect())
    }
}

impl RaftStorage<TypeConfig> for Store {
    type LogReader = Self;
    type SnapshotBuilder = Builder;

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.lock().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.lock().committed)
    }

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let state = self.lock();
        let last = state.entries.last_key_value().map(|(_, entry)| entry.log_id);
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: last.or(state.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn append_to_log<I>(&mut self, entries: I) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
    {
        let entries = entries.into_iter().map(|entry| (entry.log_id.index, entry));
        self.lock().entries.extend(entries);
        Ok(())
    }

    async fn delete_conflict_logs_since(&mut self, since: LogId) -> Result<(), StorageError> {
        self.lock().entries.split_off(&since.index);
        Ok(())
    }

    async fn purge_logs_upto(&mut self, upto: LogId) -> Result<(), StorageError> {
        let mut state = self.lock();
        state.entries.retain(|index, _| *index > upto.index);
        state.purged = state.purged.max(Some(upto));
        Ok(())
    }

    async fn last_applied_state(&mut self) -> Result<(Option<LogId>, Members), StorageError> {
        let state = self.lock();
        Ok((state.machine.last_applied, state.machine.membership.clone()))
    }

    async fn apply_to_state_machine(
        &mut self,
        entries: &[Entry],
    ) -> Result<Vec<i64>, StorageError> {
        let mut state = self.lock();
        Ok(entries.iter().map(|entry| state.machine.apply(entry)).collect())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { machine: self.lock().machine.clone(), store: self.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let text = String::from_utf8(snapshot.into_inner()).ok();
        let restored = text.and_then(|text| Some((restore(meta, &text)?, text)));
        let Some((total, text)) = restored else {
            let error = AnyError::error("the snapshot is damaged, or not what its meta says");
            return Err(StorageIOError::read_snapshot(Some(meta.signature()), error).into());
        };
        let mut state = self.lock();
        state.machine = Machine {
            last_applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            total,
        };
        state.snapshot = Some((meta.clone(), text));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(self.lock().snapshot.clone().map(|(meta, text)| Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(text.into_bytes())),
        }))
    }
}
