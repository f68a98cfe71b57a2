//! [`Store`]: the one store, plugged into the kit, with what is odd about it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use seshat_conformance::Backend;
use seshat_conformance::backend::{
    BoxError, Capabilities, Chunks, Command, Hook, Hooks, Keeps, Marker, OpenraftSuite,
};

use super::disk::{ALL, Disk, File, Image, Key};
use super::fault::Fault::{self, *};
use super::log::Log;
use super::machine::Machine;
use super::open::{self, HANGS};
use super::quirk::Quirk;
use super::types::{self, Cmd, Config, Data, Entry, Host, Reply};
use super::wire::{SEAL, Wire};
use super::{Env, Kept, Ways, lock};

/// A directory's disk.
#[derive(Debug, Clone, Default)]
struct Place {
    disk: Disk,
    opened: u64,
    kept: Arc<Kept>,
}

type Disks = Arc<Mutex<BTreeMap<PathBuf, Place>>>;

/// The store under test. Directories stand for disks in memory.
#[derive(Debug)]
pub struct Store {
    ways: Ways,
    disks: Disks,
    common_vote: Arc<Mutex<Option<types::Vote>>>,
    common: Arc<Mutex<Image>>,
    /// Directories that are open, for a store which opens none twice.
    open: Arc<Mutex<HashSet<PathBuf>>>,
}

/// What a fault needs the state machine to keep in order to show.
fn keeps(fault: Fault) -> Keeps {
    match fault {
        ApplyAppliedMissing | ApplyDataMissing | ApplyUnsynced | ApplyTorn | RefusedApply
        | InstallTornSnapshot | InstallClearsFirst | ApplyBlankUnwritten | ApplyBlankUnsynced
        | DamagedAppliedNone => Keeps::Applied,
        _ => Keeps::Snapshot,
    }
}

impl Store {
    fn new(ways: Ways) -> Self {
        let (disks, common_vote, common, open) = Default::default();
        Self { ways, disks, common_vote, common, open }
    }

    /// The correct store.
    pub fn right(keeps: Keeps) -> Self {
        Self::new(Ways { fault: None, quirk: None, keeps })
    }

    pub fn faulty(fault: Fault) -> Self {
        Self::new(Ways { fault: Some(fault), quirk: None, keeps: keeps(fault) })
    }

    pub fn unusual(quirk: Quirk) -> Self {
        let keeps = match quirk {
            Quirk::PersistentState | Quirk::PersistentBoth | Quirk::RebuildsSnapshot => {
                Keeps::Applied
            }
            Quirk::ForgetsMachine | Quirk::ForgetsAll => Keeps::Nothing,
            _ => Keeps::Snapshot,
        };
        Self::new(Ways { fault: None, quirk: Some(quirk), keeps })
    }
}

fn disk(disks: &Disks, dir: &Path) -> Disk {
    lock(disks).entry(dir.to_owned()).or_default().disk.clone()
}

/// A directory that is open, until it is dropped.
#[derive(Debug)]
pub struct Opened {
    dir: PathBuf,
    open: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.dir);
    }
}

impl Backend for Store {
    type C = Config;
    type Log = Log;
    type Machine = Machine;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    fn name(&self) -> String {
        match self.ways {
            Ways { fault: Some(fault), .. } => format!("{fault:?}"),
            Ways { quirk: Some(quirk), .. } => format!("{quirk:?}"),
            Ways { keeps, .. } => format!("right, keeps {keeps:?}"),
        }
    }

    async fn open(&self, dir: &Path) -> Result<(Log, Machine), BoxError> {
        let exclusive = self.ways.quirk == Some(Quirk::ExclusiveLock);
        if exclusive && !lock(&self.open).insert(dir.to_owned()) {
            return Err("the directory is in use".into());
        }
        let guard = Opened { dir: dir.to_owned(), open: self.open.clone() };
        let (disk, opened, kept) = {
            let mut disks = lock(&self.disks);
            let stores = disks.len();
            let place = disks.entry(dir.to_owned()).or_default();
            place.opened += 1;
            if place.opened == 1 && stores % 2 == 1 && self.ways.is(SecondStoreEmpty) {
                place.disk.become_void();
            }
            (place.disk.clone(), place.opened, place.kept.clone())
        };
        if self.ways.quirk == Some(Quirk::HalfSurvives) {
            disk.let_half_survive();
        }
        if self.ways.quirk == Some(Quirk::StopsAtError) {
            disk.stop_at_error();
        }
        match self.ways.quirk {
            Some(Quirk::ForgetsMachine) => disk.forget(&[File::Machine]),
            Some(Quirk::ForgetsAll) => disk.forget(ALL),
            Some(Quirk::ForgetsUnsynced) => disk.forget_unsynced(),
            _ => {}
        }
        let gate = (self.ways.quirk == Some(Quirk::OneLock)).then(Arc::default);
        let env = Env {
            ways: self.ways,
            mount: disk.mount(),
            gate,
            applied: Arc::default(),
            logged: Arc::default(),
            common_vote: self.common_vote.clone(),
            common: self.common.clone(),
            kept,
            opened: exclusive.then(|| Arc::new(guard)),
        };
        match open::open(env, opened) {
            Err(error) if error.to_string() == HANGS => std::future::pending().await,
            result => result,
        }
    }

    fn command(&self, command: &Command) -> Option<Cmd> {
        types::command(command)
    }

    fn fingerprint(&self, entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        entry.put(&mut bytes);
        bytes
    }

    fn node_id(&self, n: u64) -> u64 {
        n
    }

    fn node(&self, n: u64) -> Host {
        Host { address: format!("host-{n}.example:7000"), zone: n as u8 + 1 }
    }

    fn show_reply(&self, reply: &Reply) -> Option<String> {
        Some(format!("{reply:?}"))
    }

    fn expected_reply(&self, applied: &[Command]) -> Option<String> {
        let mut data = Data::default();
        let replies =
            applied.iter().map(|command| data.apply(&types::command(command).unwrap().op));
        replies.last().map(|reply| format!("{reply:?}"))
    }

    async fn digest(&self, machine: &mut Machine) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        lock(&machine.0.core).state.data.put(&mut bytes);
        Some(bytes)
    }

    fn expected_digest(&self, applied: &[Command]) -> Option<Vec<u8>> {
        let mut data = Data::default();
        for command in applied {
            data.apply(&types::command(command).unwrap().op);
        }
        let mut bytes = Vec::new();
        data.put(&mut bytes);
        Some(bytes)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            log_survives_restart: !self.ways.quirky(Quirk::ForgetsAll),
            machine_keeps: self.ways.keeps,
            snapshot_checksum: true,
            snapshot_describes_itself: true,
            ..Capabilities::default()
        }
    }

    fn hooks(&self) -> Hooks {
        let of = |act: fn(&Disk) -> Result<(), BoxError>| {
            let disks = self.disks.clone();
            Hook::new(move |dir, ()| act(&disk(&disks, dir)))
        };
        let (refusing, damaging) = (self.disks.clone(), self.disks.clone());
        let marking = self.disks.clone();
        Hooks {
            cut_power: of(|disk| {
                disk.cut_power();
                Ok(())
            }),
            refuse_writes: Hook::new(move |dir, refuses| {
                disk(&refusing, dir).refuse_writes(refuses);
                Ok(())
            }),
            damage_last_record: of(|disk| {
                let last = disk.keys().into_iter().rfind(|key| matches!(key, Key::Record(_)));
                damage(disk, last.ok_or("the log has no record")?, SEAL)
            }),
            damage_record: Hook::new(move |dir, index| {
                damage(&disk(&damaging, dir), Key::Record(index), SEAL)
            }),
            damage_snapshot: of(|disk| damage(disk, Key::Snapshot, usize::MAX)),
            damage_vote: of(|disk| damage(disk, Key::Vote, SEAL)),
            damage_marker: Hook::new(move |dir, marker| {
                let key = match marker {
                    Marker::Purged => Key::Purged,
                    Marker::Committed => Key::Committed,
                    Marker::Applied => Key::State,
                    Marker::SnapshotMeta => Key::Snapshot,
                    _ => return Err(format!("no record of {marker:?}").into()),
                };
                damage(&disk(&marking, dir), key, SEAL)
            }),
        }
    }
}

/// Changes the byte at `place`: a record's term, or a snapshot's last byte.
fn damage(disk: &Disk, key: Key, place: usize) -> Result<(), BoxError> {
    if disk.damage(key, place) { Ok(()) } else { Err(format!("no record of {key:?}").into()) }
}
