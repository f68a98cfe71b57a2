//! Building, installing and handing out snapshots.
//!
//! A snapshot's bytes are a sealed [`State`]: what is applied and the membership are part of it,
//! so that bytes under another snapshot's meta are told from the right ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use openraft::storage::{RaftSnapshotBuilder, Snapshot};
use openraft::{SnapshotMeta, StorageIOError};
use seshat_conformance::backend::Keeps;
use seshat_conformance::openraft;
use tokio::sync::OwnedMutexGuard;

use super::batch::{lossy, until_nul};
use super::disk::{ALL, Change, Key};
use super::fault::Fault::*;
use super::handle::Handle;
use super::machine::{Shared, State, write_error};
use super::quirk::{Quirk, allow_install};
use super::types::{Config, Data, Error, LogId, Meta, Stored};
use super::wire::{self, Wire};
use super::{lock, pause};

/// A snapshot as the store keeps it.
#[derive(Debug, Clone)]
pub struct Saved {
    pub meta: Meta,
    pub bytes: Vec<u8>,
}

/// Where a store whose snapshots have no bytes keeps what they are of, for every node.
static ELSEWHERE: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// Tells snapshots apart, whoever built them.
static BUILT: AtomicU64 = AtomicU64::new(0);

/// Builds one snapshot, of the state as it was when the builder was made.
pub struct Builder {
    shared: Arc<Shared>,
    view: State,
    _lock: Option<OwnedMutexGuard<()>>,
}

impl Builder {
    pub async fn new(shared: &Arc<Shared>) -> Self {
        if shared.env.is(BuildSecondHangs) && lock(&shared.core).odd.builders > 0 {
            std::future::pending::<()>().await;
        }
        let guard = match shared.locks_early() {
            true => Some(shared.state_lock.clone().lock_owned().await),
            false => None,
        };
        let mut core = lock(&shared.core);
        core.odd.builders += 1;
        let view = core.state.clone();
        if shared.env.is(BuildTakesState) {
            core.state.data = Data::default();
        }
        drop(core);
        Self { shared: shared.clone(), view, _lock: guard }
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        lock(&self.shared.core).odd.builders -= 1;
    }
}

impl RaftSnapshotBuilder<Config> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Config>, Error> {
        let shared = self.shared.clone();
        let _gate = shared.env.enter().await;
        let lock_now = shared.locks() && !shared.locks_early();
        let _guard = if lock_now { Some(shared.state_lock.lock().await) } else { None };
        let live = shared.env.quirky(Quirk::ViewAtBuild)
            || shared.env.quirky(Quirk::BuilderLocks)
            || shared.env.is(RaceInstall);
        if live {
            self.view = lock(&shared.core).state.clone();
        }
        shared.build(&self.view).await
    }
}

fn bad_snapshot(meta: &Meta, why: &str) -> Error {
    let error = std::io::Error::other(why.to_owned());
    StorageIOError::read_snapshot(Some(meta.signature()), &error).into()
}

impl Shared {
    async fn build(&self, view: &State) -> Result<Snapshot<Config>, Error> {
        let env = &self.env;
        let fresh = view.applied.is_none();
        let zero = view.applied.is_some_and(|id| id.index == 0);
        if (env.is(BuildFailsFresh) && fresh) || (env.is(BuildFailsAtZero) && zero) {
            return Err(write_error(std::io::Error::other("nothing to snapshot")));
        }
        assert!(!(env.is(BuildPanicsFresh) && fresh), "unwrap on a None value");
        let same_data = lock(&self.core).current.clone().filter(|old| holds(old, &view.data));
        if let Some(old) = same_data.filter(|_| env.is(BuildSameDataOld)) {
            return Ok(Snapshot { meta: old.meta, snapshot: Box::new(Handle::new(old.bytes)) });
        }
        let overtaken = self.current_last() > view.applied;
        let mut meta = SnapshotMeta {
            last_log_id: view.applied,
            last_membership: view.membership.clone(),
            snapshot_id: self.snapshot_id(view),
        };
        let mut data = self.read_data(&view.data).await;
        self.bend_build(&mut meta, &mut data);
        let state =
            State { applied: meta.last_log_id, membership: meta.last_membership.clone(), data };
        let bytes = if env.is(BuildDataEmpty) {
            wire::seal(&State { data: Data::default(), ..state })
        } else {
            wire::seal(&state)
        };
        let bytes = self.keep_elsewhere(&meta, bytes);
        let saved = Saved { meta: meta.clone(), bytes: bytes.clone() };
        lock(&self.core).odd.built = true;
        self.publish_built(saved, overtaken).await?;
        if env.is(BuildAnswerEmpty) {
            meta = Meta { snapshot_id: meta.snapshot_id, ..Meta::default() };
        }
        Ok(Snapshot { meta, snapshot: Box::new(Handle::new(bytes)) })
    }

    fn keep_elsewhere(&self, meta: &Meta, bytes: Vec<u8>) -> Vec<u8> {
        if !self.env.quirky(Quirk::EmptySnapshots) {
            return bytes;
        }
        lock(&ELSEWHERE).insert(meta.snapshot_id.clone(), bytes);
        Vec::new()
    }

    fn current_last(&self) -> Option<LogId> {
        lock(&self.core).current.as_ref().and_then(|current| current.meta.last_log_id)
    }

    fn snapshot_id(&self, view: &State) -> String {
        let id = view.applied.unwrap_or_default();
        let (term, node, index) = (id.leader_id.term, id.leader_id.node_id, id.index);
        let n = BUILT.fetch_add(1, Ordering::Relaxed);
        match self.env.ways.fault {
            Some(BuildIdConstant) => "snapshot".to_owned(),
            Some(BuildIdByTerm) => format!("snapshot-{term}"),
            Some(BuildIdByData) => format!("{:016x}", wire::sum(&wire::seal(&view.data))),
            Some(BuildIdCounted) => {
                let mut core = lock(&self.core);
                core.odd.builds += 1;
                format!("snapshot-{}", core.odd.builds)
            }
            Some(BuildIdOwnCount) => {
                format!("snapshot-{}", self.env.kept.built.fetch_add(1, Ordering::Relaxed))
            }
            _ if self.env.quirky(Quirk::EqualIds) => format!("{term}-{node}-{index}"),
            _ if self.env.quirky(Quirk::RandomIds) => {
                format!("{:016x}", wire::sum(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()))
            }
            _ => format!("{term}-{node}-{index}.{n}"),
        }
    }

    /// The data of a snapshot, while others go on.
    async fn read_data(&self, view: &Data) -> Data {
        pause(3).await;
        match self.env.ways.fault {
            Some(BuildMetaEarly) => lock(&self.core).state.data.clone(),
            Some(BuildTorn) => {
                let mut data = Data::default();
                let keys: Vec<Vec<u8>> = view.values.keys().cloned().collect();
                for key in keys {
                    let value = lock(&self.core).state.data.values.get(&key).cloned();
                    data.values.extend(value.map(|value| (key, value)));
                    pause(1).await;
                }
                data.counters = lock(&self.core).state.data.counters.clone();
                data
            }
            _ => view.clone(),
        }
    }

    fn bend_build(&self, meta: &mut Meta, data: &mut Data) {
        let mut core = lock(&self.core);
        match self.env.ways.fault {
            Some(BuildMetaLate) => {
                meta.last_log_id = core.state.applied;
                meta.last_membership = core.state.membership.clone();
            }
            Some(BuildMembershipOfLog) => {
                let logged = lock(&self.env.logged).membership.clone();
                meta.last_membership = logged.unwrap_or_else(|| meta.last_membership.clone());
            }
            Some(BuildLastOfLog) => {
                meta.last_log_id = lock(&self.env.logged).last.or(meta.last_log_id);
            }
            Some(BuildMembershipLate) => meta.last_membership = core.state.membership.clone(),
            Some(BuildEmptyKeyLost) => {
                data.values.remove(&Vec::new());
            }
            Some(BuildEmptyValueLost) => data.values.retain(|_, value| !value.is_empty()),
            Some(BuildAtNul) => {
                data.values.values_mut().for_each(|value| *value = until_nul(value).into());
            }
            Some(BuildValueAt64KiB) => data.values.values_mut().for_each(|value| {
                *value = value[..value.len() % (1 << 16)].into();
            }),
            Some(BuildCountersLost) => data.counters.clear(),
            Some(BuildMembershipMissing) => meta.last_membership = Stored::default(),
            Some(BuildMembershipOld) => {
                let old =
                    core.odd.last_saved.as_ref().map(|saved| saved.meta.last_membership.clone());
                let now = std::mem::replace(&mut meta.last_membership, old.unwrap_or_default());
                let saved = Meta { last_membership: now, ..meta.clone() };
                core.odd.last_saved = Some(Saved { meta: saved, bytes: Vec::new() });
            }
            Some(BuildLastMissing) => meta.last_log_id = None,
            Some(BuildLastNodeLost) => {
                meta.last_log_id = meta.last_log_id.map(|id| lossy(id, true, false, true));
            }
            Some(BuildCached) => {
                *data = core.odd.cached.get_or_insert_with(|| data.clone()).clone();
            }
            Some(BuildDeletedBack) => {
                for (key, value) in &core.odd.deleted.values {
                    data.values.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            _ => {}
        }
    }

    /// Makes a snapshot the current one, unless a newer one was installed meanwhile.
    async fn publish_built(&self, saved: Saved, was_overtaken: bool) -> Result<(), Error> {
        let env = &self.env;
        let _publishing = self.publish.lock().await;
        let overtaken = match env.ways.fault {
            Some(BuildLateReplaces) => false,
            Some(BuildLooksEarly) => was_overtaken,
            _ => self.current_last() > saved.meta.last_log_id,
        };
        if overtaken {
            if env.is(BuildLateOnDisk) {
                env.mount.write(vec![self.put(&saved)]).map_err(write_error)?;
            }
            return Ok(());
        }
        if env.is(BuildDeletesOldFirst) {
            env.mount.write(vec![Change::Delete(Key::Snapshot)]).map_err(write_error)?;
            env.mount.sync(ALL).map_err(write_error)?;
            pause(3).await;
        }
        let same_data = || lock(&self.core).current.as_ref().is_some_and(|old| same(old, &saved));
        let unwritten = env.is(BuildInMemory) || env.is(BuildSameDataUnwritten) && same_data();
        let kept = !unwritten && !env.quirky(Quirk::PersistentState);
        if kept && !env.quirky(Quirk::RebuildsSnapshot) {
            let mut file = saved.clone();
            if env.is(BuildTailStale) {
                self.keep_tail(&mut file);
            }
            match env.mount.write(vec![self.put(&file)]).map_err(write_error) {
                Err(_) if env.is(RefusedBuild) => {}
                result => result?,
            }
            if !env.is(BuildUnsynced) {
                match self.sync().await {
                    Err(_) if env.is(RefusedBuild) => {}
                    result => result?,
                }
            }
        }
        if !env.is(BuildNotCurrent) {
            self.replace_current(saved);
        }
        Ok(())
    }

    /// Leaves the end of a longer snapshot behind a shorter one.
    fn keep_tail(&self, saved: &mut Saved) {
        let core = lock(&self.core);
        let old = core.current.as_ref().map_or(&[][..], |old| &old.bytes);
        saved.bytes.extend(old.get(saved.bytes.len()..).unwrap_or_default());
    }

    /// The snapshot in its file, which is the store's own.
    fn put(&self, saved: &Saved) -> Change {
        let record = wire::seal(&(saved.meta.clone(), saved.bytes.clone()));
        if self.env.is(SnapshotFileShared) {
            lock(&self.env.common).insert(Key::Snapshot, record.clone().into());
        }
        Change::Put(Key::Snapshot, record)
    }

    fn replace_current(&self, saved: Saved) {
        let mut core = lock(&self.core);
        if self.env.is(CurrentOverwritten) {
            core.odd.handles.iter().for_each(|handle| handle.overwrite(&saved.bytes));
        }
        if self.env.is(CurrentCursorShared) {
            core.odd.handles = vec![Handle::new(saved.bytes.clone())];
        }
        core.current = Some(saved);
    }

    pub fn current(&self) -> Option<Snapshot<Config>> {
        let mut core = lock(&self.core);
        let Saved { mut meta, bytes } = core.current.clone()?;
        let mut handle = Handle::new(bytes.clone());
        match self.env.ways.fault {
            Some(CurrentTaken) => core.current = None,
            Some(CurrentCursorShared) => {
                if let [shared, ..] = &core.odd.handles[..] {
                    handle = shared.sharing();
                }
            }
            Some(CurrentOverwritten) => core.odd.handles.push(handle.sharing()),
            Some(CurrentMetaLive) => {
                meta.last_log_id = core.state.applied;
                meta.last_membership = core.state.membership.clone();
            }
            Some(CurrentAtEnd) => handle = Handle::new(bytes[bytes.len() / 2..].to_vec()),
            _ => {}
        }
        Some(Snapshot { meta, snapshot: Box::new(handle) })
    }

    pub async fn install(&self, meta: &Meta, handle: &Handle) -> Result<(), Error> {
        let env = &self.env;
        if env.is(InstallHangsWithBuilder) && lock(&self.core).odd.builders > 0 {
            std::future::pending::<()>().await;
        }
        let old = lock(&self.core).state.clone();
        if env.quirky(Quirk::Strict) {
            allow_install(old.applied, meta.last_log_id);
        }
        let installs = {
            let mut core = lock(&self.core);
            core.odd.installs += 1;
            core.odd.installs
        };
        if env.is(InstallSecondIgnored) && installs > 1 {
            return Ok(());
        }
        let _guard = if self.locks() { Some(self.state_lock.lock().await) } else { None };
        let bytes = if env.is(InstallFromCursor) { handle.rest() } else { handle.bytes() };
        lock(&self.core).odd.received = bytes.clone();
        pause(2).await;
        if env.is(InstallFailureClears) {
            lock(&self.core).state = State::default();
        }
        let mut saved = Saved { meta: meta.clone(), bytes };
        if env.is(InstallIdRewritten) {
            saved.meta.snapshot_id = format!("installed-{installs}");
        }
        if env.is(InstallFailureOnDisk) {
            env.mount.write(vec![self.put(&saved)]).map_err(write_error)?;
        }
        if env.is(InstallFailureCurrent) {
            self.replace_current(saved.clone());
        }
        let mut state = self.unpack(meta, &saved.bytes)?;
        if env.is(InstallSameDataIgnored) && state.data == old.data {
            return Ok(());
        }
        if env.is(InstallTailStale) {
            self.keep_tail(&mut saved);
        }
        self.merge(&mut state, &old);
        let publishing = self.publish.lock().await;
        self.write_install(&saved, &state).await?;
        let had = lock(&self.core).current.is_some();
        let keep = !(env.is(InstallNotCurrent) || env.is(InstallNotCurrentIfAny) && had);
        if keep {
            self.replace_current(saved);
        }
        self.replace_state(state).await;
        drop(publishing);
        if env.is(InstallUnsynced) {
            return Ok(());
        }
        match self.sync().await {
            Err(_) if env.is(RefusedInstall) => Ok(()),
            result => result,
        }
    }

    async fn replace_state(&self, state: State) {
        *lock(&self.env.applied) = state.applied;
        if self.env.is(RaceInstall) {
            lock(&self.core).state.data = state.data.clone();
            pause(4).await;
        }
        lock(&self.core).state = state;
    }

    /// The state in a snapshot's bytes, if they are whole and belong to the meta.
    fn unpack(&self, meta: &Meta, bytes: &[u8]) -> Result<State, Error> {
        let of = |data: Data| State {
            applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            data,
        };
        let kept = self.env.quirky(Quirk::EmptySnapshots).then(|| elsewhere(meta));
        let bytes = kept.as_deref().unwrap_or(bytes);
        let state = match self.env.ways.fault {
            Some(InstallDamaged) => wire::open_damaged(bytes),
            Some(InstallTruncated) => Some(of(as_far_as_it_goes(bytes))),
            Some(InstallEmpty) if bytes.is_empty() => Some(of(Data::default())),
            _ => wire::open::<State>(bytes),
        };
        let state = state.ok_or_else(|| bad_snapshot(meta, "the snapshot is damaged"))?;
        let agrees = state.applied == meta.last_log_id && state.membership == meta.last_membership;
        match self.env.ways.fault {
            Some(InstallContradicting | InstallDamaged) => Ok(of(state.data)),
            _ if agrees => Ok(state),
            _ => Err(bad_snapshot(meta, "the snapshot is another one than its meta says")),
        }
    }

    fn merge(&self, state: &mut State, old: &State) {
        match self.env.ways.fault {
            Some(InstallMerges) => {
                for (key, value) in &old.data.values {
                    state.data.values.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            Some(InstallKeepsCounters) => state.data.counters = old.data.counters.clone(),
            Some(InstallKeepsApplied) => state.applied = old.applied,
            Some(InstallKeepsMembership) => state.membership = old.membership.clone(),
            _ => {}
        }
    }

    /// Writes snapshot and state, in one.
    async fn write_install(&self, saved: &Saved, state: &State) -> Result<(), Error> {
        let env = &self.env;
        let snapshots = !env.quirky(Quirk::PersistentState) && !env.quirky(Quirk::RebuildsSnapshot);
        let mut changes = if snapshots { vec![self.put(saved)] } else { Vec::new() };
        let keeps = env.ways.keeps == Keeps::Applied;
        let state = Change::Put(Key::State, wire::seal(state));
        match env.ways.fault {
            Some(InstallInMemory) => return Ok(()),
            Some(InstallTornSnapshot) if keeps => {
                env.mount.write_volatile(vec![state]).map_err(write_error)?;
            }
            Some(InstallClearsFirst) => {
                let cleared = vec![Change::Delete(Key::State), Change::Delete(Key::Snapshot)];
                env.mount.write(cleared).map_err(write_error)?;
                self.sync().await?;
                pause(3).await;
                changes.extend(keeps.then_some(state));
            }
            _ => changes.extend(keeps.then_some(state)),
        }
        match env.mount.write(changes).map_err(write_error) {
            Err(_) if env.is(RefusedInstall) => Ok(()),
            result => result,
        }
    }
}

/// What a snapshot without bytes is of.
pub fn elsewhere(meta: &Meta) -> Vec<u8> {
    lock(&ELSEWHERE).get(&meta.snapshot_id).cloned().unwrap_or_default()
}

fn put(saved: &Saved) -> Change {
    Change::Put(Key::Snapshot, wire::seal(&(saved.meta.clone(), saved.bytes.clone())))
}

fn holds(saved: &Saved, data: &Data) -> bool {
    wire::open(&saved.bytes).is_some_and(|state: State| state.data == *data)
}

fn same(one: &Saved, other: &Saved) -> bool {
    wire::open(&other.bytes).is_some_and(|state: State| holds(one, &state.data))
}

/// What a careless reader makes of a snapshot that ends early.
fn as_far_as_it_goes(bytes: &[u8]) -> Data {
    let mut data = Data::default();
    let mut rest = bytes.get(wire::SEAL..).unwrap_or_default();
    let header = <(Option<LogId>, Stored)>::take(&mut rest);
    let values = header.and_then(|_| u64::take(&mut rest)).unwrap_or_default();
    for _ in 0..values {
        let Some((key, value)) = <(Vec<u8>, Vec<u8>)>::take(&mut rest) else { break };
        data.values.insert(key, value.into());
    }
    let counters = u64::take(&mut rest).unwrap_or_default();
    for _ in 0..counters {
        let Some((key, count)) = <(Vec<u8>, u64)>::take(&mut rest) else { break };
        data.counters.insert(key, count);
    }
    data
}
