//! A storage as openraft uses it, and what it must have after each step.

use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{RaftSnapshotBuilder, RaftTypeConfig};
use seshat_core::disk::{DiskLog, DiskOptions, DiskStorage, OpenError};
use seshat_core::machine::MachineStore;
use seshat_core::types::{Entry, LogId, TypeConfig, Vote};
use seshat_core::wal;

use crate::entries::{id, normal, set, soon};
use crate::sim::Sim;

/// A step; each is one record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Vote,
    /// So many entries with so many bytes.
    Append(u64, usize),
    /// Takes back so many entries.
    Truncate(u64),
    /// Applies all, and builds a snapshot of it.
    Build,
    /// Purges all that the snapshot has, but so many entries.
    Purge(u64),
    /// Installs a snapshot that ends so many entries beyond the log.
    Install(u64),
}

/// What must be there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) vote: Option<Vote>,
    pub(crate) purged: Option<LogId>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) snapshot: Option<LogId>,
}

/// Files of three blocks, and next to nothing in memory.
pub(crate) fn options() -> DiskOptions {
    let wal = wal::Options {
        first_segment_bytes: 0,
        segment_bytes: 0,
        reserve_bytes: 256,
        spares: 1,
        ..wal::Options::new("cluster", 1)
    };
    DiskOptions { wal, hot_bytes: 300 }
}

/// An entry by which its index can be told from the state.
pub(crate) fn entry(term: u64, index: u64, len: usize) -> Entry {
    normal(id(term, index), [set("last", index.to_string()), set("x", vec![b'x'; len])])
}

pub(crate) type Storage = (DiskLog<Sim>, MachineStore);

pub(crate) fn open(sim: Sim) -> Result<Storage, OpenError> {
    let DiskStorage { log, machine } = DiskStorage::open_on(sim, options())?;
    Ok((log, machine))
}

/// What a storage has.
pub(crate) async fn observe((log, machine): &mut Storage) -> State {
    let entries = log.try_get_log_entries(..).await.unwrap();
    let purged = log.get_log_state().await.unwrap().last_purged_log_id;
    let (snapshot, _) = machine.applied_state().await.unwrap();
    let last = snapshot.map(|last| last.index.to_string());
    let in_state = machine.reader().get(b"last");
    assert_eq!(in_state.as_deref(), last.as_deref().map(str::as_bytes), "the state is another's");
    let current = machine.get_current_snapshot().await.unwrap();
    assert_eq!(current.map(|it| it.meta.last_log_id), snapshot.map(Some));
    State { vote: log.read_vote().await.unwrap(), purged, entries, snapshot }
}

/// Steps under way on a disk.
pub(crate) struct Run {
    pub(crate) sim: Sim,
    pub(crate) storage: Storage,
    /// After each step, the first before any.
    pub(crate) states: Vec<State>,
    term: u64,
}

impl Run {
    pub(crate) fn on(sim: Sim) -> Self {
        let storage = open(sim.clone()).unwrap();
        Self { sim, storage, states: vec![State::default()], term: 1 }
    }

    pub(crate) fn state(&self) -> &State {
        self.states.last().unwrap()
    }

    pub(crate) async fn run(&mut self, ops: &[Op]) {
        for op in ops {
            soon(self.step(*op)).await;
        }
    }

    async fn step(&mut self, op: Op) {
        let mut state = self.state().clone();
        let (log, machine) = &mut self.storage;
        let next = log.get_log_state().await.unwrap().last_log_id.map_or(0, |last| last.index + 1);
        let (term, number) = (self.term, self.states.len() as u64);
        // What it comes to is known before it begins, so that a crash may find it done.
        let mut begin = |state: &State| {
            self.states.push(state.clone());
            self.sim.world().submitted = self.states.len() - 1;
        };
        match op {
            Op::Vote => {
                let vote = Vote::new(number, 1);
                state.vote = Some(vote);
                begin(&state);
                log.save_vote(&vote).await.unwrap();
            }
            Op::Append(count, len) => {
                let new: Vec<Entry> = (0..count).map(|n| entry(term, next + n, len)).collect();
                state.entries.extend(new.clone());
                begin(&state);
                log.blocking_append(new).await.unwrap();
            }
            Op::Truncate(count) => {
                let left = state.entries.len() - count as usize;
                let since = state.entries[left].log_id;
                state.entries.truncate(left);
                self.term += 1;
                begin(&state);
                log.truncate(since).await.unwrap();
            }
            Op::Build => {
                state.snapshot = state.entries.last().map(|last| last.log_id).or(state.snapshot);
                begin(&state);
                let applied = machine.applied_state().await.unwrap().0;
                let all = log.try_get_log_entries(..).await.unwrap();
                let due = all.into_iter().filter(|entry| Some(entry.log_id) > applied);
                machine.apply(due).await.unwrap();
                machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
            }
            Op::Purge(left) => {
                let last = state.snapshot.unwrap();
                let upto = id(last.leader_id.term, last.index - left);
                state.entries.retain(|entry| entry.log_id.index > upto.index);
                state.purged = Some(upto);
                begin(&state);
                log.purge(upto).await.unwrap();
            }
            Op::Install(beyond) => {
                let (meta, data) = snapshot_of(entry(term, next + beyond, 20)).await;
                state.snapshot = meta.last_log_id;
                begin(&state);
                machine.install_snapshot(&meta, data).await.unwrap();
            }
        }
        self.sim.world().acked = self.states.len() - 1;
    }
}

pub(crate) type Data = Box<<TypeConfig as RaftTypeConfig>::SnapshotData>;

/// Another node's snapshot that ends with that entry.
pub(crate) async fn snapshot_of(last: Entry) -> (seshat_core::types::SnapshotMeta, Data) {
    let mut other = MachineStore::default();
    other.apply([last]).await.unwrap();
    let built = other.get_snapshot_builder().await.build_snapshot().await.unwrap();
    (built.meta, built.snapshot)
}

impl Run {
    /// Goes on with a storage that is open, and has that.
    pub(crate) fn resume(sim: Sim, storage: Storage, state: State) -> Self {
        Self { sim, storage, states: vec![state], term: 9 }
    }

    /// Applies what the log has, and builds.
    pub(crate) async fn rebuild(&mut self) {
        let (log, machine) = &mut self.storage;
        let applied = machine.applied_state().await.unwrap().0;
        let all = log.try_get_log_entries(..).await.unwrap();
        let due = all.into_iter().filter(|entry| Some(entry.log_id) > applied);
        machine.apply(due).await.unwrap();
        machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    }
}
