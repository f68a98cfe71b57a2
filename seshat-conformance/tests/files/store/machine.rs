//! [`Machine`]: a hash of each entry applied, rebuilt from the last snapshot; or, where it keeps
//! what it applies, from a cell that is written before `apply` returns.
//!
//! Guarantees: a snapshot's data are on the disk before the pointer to them, and the old ones are
//! removed after it.

use std::io::{self, Cursor};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot};
use seshat_conformance::backend::Keeps;
use seshat_conformance::openraft;
use seshat_conformance::reference::{self, Reply, TypeConfig};

use super::wire::{Wire, sum};
use super::{Entry, Error, LogId, Meta, Stored, cells, damaged, failed};
use crate::disk::Disk;
use crate::faults::Fault;

/// All that a snapshot holds.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    applied: Option<LogId>,
    membership: Stored,
    history: Vec<u64>,
}

impl State {
    fn apply(&mut self, entry: &Entry) {
        self.applied = Some(entry.log_id);
        self.history.push(sum(&reference::fingerprint(entry)));
        if let EntryPayload::Membership(members) = &entry.payload {
            self.membership = Stored::new(Some(entry.log_id), members.clone());
        }
    }

    fn meta(&self, snapshot_id: String) -> Meta {
        let last_membership = self.membership.clone();
        Meta { last_log_id: self.applied, last_membership, snapshot_id }
    }

    fn sealed(&self) -> Vec<u8> {
        cells::seal(&self.bytes())
    }

    /// The state in a snapshot's bytes, if they are whole and what the meta says.
    fn of(meta: &Meta, bytes: &[u8]) -> io::Result<Self> {
        let state = cells::unseal(bytes).and_then(Self::read);
        let state = state.filter(|state| state.meta(meta.snapshot_id.clone()) == *meta);
        state.ok_or_else(|| damaged("the snapshot"))
    }
}

impl Wire for State {
    fn put(&self, out: &mut Vec<u8>) {
        (self.applied, (self.membership.clone(), self.history.clone())).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (applied, (membership, history)) = Wire::take(from)?;
        Some(Self { applied, membership, history })
    }
}

/// The files, and the current snapshot.
#[derive(Debug)]
struct Shelf {
    disk: Disk,
    current: Option<(Meta, Vec<u8>)>,
    number: u64,
}

fn data(disk: &Disk, number: u64) -> String {
    let below = if disk.ways.is(Fault::SubdirNoSync) { BELOW } else { "" };
    format!("{below}snapshot-{number}")
}

/// Where one store keeps its snapshots.
const BELOW: &str = "below/";

impl Shelf {
    fn open(disk: &Disk) -> io::Result<Self> {
        if disk.ways.is(Fault::SubdirNoSync) {
            disk.make_dir(BELOW)?;
        }
        let pointer: Option<(u64, Meta)> = cells::load(disk, "current")?;
        let mut shelf = Self { disk: disk.clone(), current: None, number: 0 };
        if let Some((number, meta)) = pointer {
            let bytes =
                disk.read(&data(disk, number))?.ok_or_else(|| damaged(data(disk, number)))?;
            shelf.number = number;
            match State::of(&meta, &bytes) {
                Err(_) if disk.ways.is(Fault::DamagedSnapshotNone) => {}
                state => shelf.current = state.map(|_| Some((meta, bytes)))?,
            }
        }
        // Those of builds that were cut off, and those that were replaced.
        for name in disk.names()? {
            if name.starts_with("snapshot-") && name != data(disk, shelf.number) {
                disk.remove(&name)?;
            }
        }
        Ok(shelf)
    }

    fn state(&self) -> io::Result<State> {
        let state = self.current.as_ref().map(|(meta, bytes)| State::of(meta, bytes));
        Ok(state.transpose()?.unwrap_or_default())
    }

    fn keep(&mut self, meta: Meta, bytes: Vec<u8>) -> io::Result<()> {
        let (disk, old) = (self.disk.clone(), self.number);
        let number = old + 1;
        let point = || cells::save(&disk, "current", &(number, meta.clone()));
        let remove = || if old > 0 { disk.remove(&data(&disk, old)) } else { Ok(()) };
        let early = disk.ways.is(Fault::PointerBeforeData);
        if early {
            point()?;
        }
        if disk.ways.is(Fault::OldSnapshotFirst) {
            remove()?;
        }
        let mut file = disk.create(&data(&disk, number), 0)?;
        file.write(0, &bytes)?;
        match disk.ways.fault {
            Some(Fault::DataSyncedLast) => {
                point()?;
                file.sync()?;
            }
            Some(Fault::DataUnsynced) => point()?,
            _ => {
                file.sync()?;
                if !early {
                    point()?;
                }
            }
        }
        (self.number, self.current) = (number, Some((meta, bytes)));
        if disk.ways.is(Fault::OldSnapshotFirst) { Ok(()) } else { remove() }
    }

    fn snapshot(&self) -> Option<Snapshot<TypeConfig>> {
        let (meta, bytes) = self.current.clone()?;
        Some(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
    }
}

#[derive(Debug)]
pub struct Machine {
    state: State,
    disk: Disk,
    shelf: Arc<Mutex<Shelf>>,
}

// Memory is changed after the files, in one go.
fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine {
    pub fn open(disk: &Disk) -> io::Result<Self> {
        let shelf = Shelf::open(disk)?;
        let mut state = shelf.state()?;
        if disk.ways.keeps == Keeps::Applied {
            let applied = load(disk)?.unwrap_or_default();
            // A snapshot that was installed, and the power failed before it was applied.
            if applied.applied >= state.applied {
                state = applied;
            }
        }
        if !disk.ways.is(Fault::NamesAdopted) {
            disk.sync()?;
        }
        Ok(Self { state, disk: disk.clone(), shelf: Arc::new(Mutex::new(shelf)) })
    }

    pub fn digest(&self) -> Vec<u8> {
        sum(&self.state.history.bytes()).bytes()
    }

    /// Makes a state the present one.
    fn become_state(&mut self, state: State) -> io::Result<()> {
        if self.disk.ways.keeps == Keeps::Applied {
            save(&self.disk, &state)?;
        }
        self.state = state;
        Ok(())
    }
}

fn save(disk: &Disk, state: &State) -> io::Result<()> {
    if disk.ways.is(Fault::AppliedInTwo) {
        cells::save(disk, "applied-id", &(state.applied, state.membership.clone()))?;
        return cells::save(disk, "applied-data", &state.history);
    }
    cells::save(disk, "applied", state)
}

fn load(disk: &Disk) -> io::Result<Option<State>> {
    if disk.ways.is(Fault::AppliedInTwo) {
        let id = cells::load(disk, "applied-id")?;
        let history = cells::load(disk, "applied-data")?.unwrap_or_default();
        return Ok(id.map(|(applied, membership)| State { applied, membership, history }));
    }
    cells::load(disk, "applied")
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Stored), Error> {
        Ok((self.state.applied, self.state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Reply>, Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.state.clone();
        let replies =
            entries.into_iter().map(|entry| state.apply(&entry)).map(|()| Reply).collect();
        self.become_state(state).map_err(failed)?;
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { state: self.state.clone(), shelf: Arc::clone(&self.shelf) }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, Error> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), Error> {
        let bytes = snapshot.into_inner();
        let state = State::of(meta, &bytes).map_err(failed)?;
        lock(&self.shelf).keep(meta.clone(), bytes).map_err(failed)?;
        self.become_state(state).map_err(failed)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, Error> {
        Ok(lock(&self.shelf).snapshot())
    }
}

/// Has a copy of the state.
#[derive(Debug)]
pub struct Builder {
    state: State,
    shelf: Arc<Mutex<Shelf>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, Error> {
        let mut shelf = lock(&self.shelf);
        let meta = self.state.meta(format!("{}-{}", self.state.history.len(), shelf.number + 1));
        let bytes = self.state.sealed();
        // A newer one may have been installed in the meantime.
        let newest = shelf.current.as_ref().and_then(|(meta, _)| meta.last_log_id);
        if newest <= meta.last_log_id {
            shelf.keep(meta.clone(), bytes.clone()).map_err(failed)?;
        }
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
    }
}
