//! A disk that loses power, fails and lies, behind the trait that the log is written against.
//!
//! What a process sees is the cache; what a power cut leaves is what was synced, and of what was written
//! since any choice of sectors, each in any of the versions it had, and any choice of renames. A file system
//! that is kinder than that is not hurt by it.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use seshat_core::wal::fs::{File, FileSystem, LockError};
use twox_hash::XxHash3_64;

/// All choices are tried if they are no more than that.
const ALL: usize = 512;

/// Bytes that worlds share, and that are digested once.
#[derive(Clone, Debug, Default)]
struct Blob(Arc<(Vec<u8>, OnceLock<u64>)>);

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new((bytes, OnceLock::new())))
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.0.0.clone();
        edit(&mut bytes);
        *self = Self::new(bytes);
    }

    fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        self.edit(|file| overwrite(file, at, bytes));
    }

    fn digest(&self) -> u64 {
        *self.0.1.get_or_init(|| digest(self))
    }
}

impl std::ops::Deref for Blob {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0.0
    }
}

fn digest(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(bytes.len() as u64, bytes)
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Blob,
    durable: Blob,
    /// Writes since the last sync, by sector: what the sector held after each.
    pending: BTreeMap<usize, Vec<Vec<u8>>>,
}

/// A change of a name since the last sync of its folder: the file it stands for, or none.
#[derive(Clone, Debug, Hash)]
struct Naming {
    /// A rename is two that come together.
    names: Vec<(String, Option<usize>)>,
}

/// The disk, and what was done to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    sector: usize,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    namings: Vec<Naming>,
    random: u64,
    locked: bool,
    /// What the history has reached.
    pub(crate) acked: usize,
    pub(crate) submitted: usize,
    pub(crate) faults: Faults,
    pub(crate) trace: Vec<String>,
    /// Calls that change something, so far.
    pub(crate) calls: usize,
    /// Those of them that are syncs.
    pub(crate) syncs: usize,
    delayed: Vec<Delayed>,
}

/// What the disk does wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// The call with that number fails.
    pub(crate) fail: Option<usize>,
    /// Whether half of what fails is done nevertheless.
    pub(crate) half: bool,
    /// The sync with that number does nothing, and says it did.
    pub(crate) skip_sync: Option<usize>,
    /// The call with that number is done after the next one.
    pub(crate) delay: Option<usize>,
    /// Bytes that all files may have.
    pub(crate) room: Option<usize>,
}

#[derive(Clone, Debug)]
enum Delayed {
    Write(usize, Vec<u8>, usize),
    Sync(usize),
    Rename(String, String),
    Remove(String),
    SyncFolder(String),
}

/// A disk with a process on it.
#[derive(Clone)]
pub(crate) struct Sim {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    world: Mutex<World>,
    /// The world after each call, while it is recorded.
    images: Mutex<Option<Vec<World>>>,
    /// Syncs wait while it is shut.
    pub(crate) gate: Gate,
}

#[derive(Default)]
pub(crate) struct Gate {
    shut: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn shut(&self, shut: bool) {
        self.shut.lock().unwrap().0 = shut;
        self.changed.notify_all();
    }

    /// Returns once so many syncs are waiting.
    pub(crate) fn await_waiting(&self, count: usize) {
        let guard = self.shut.lock().unwrap();
        drop(self.changed.wait_while(guard, |(_, waiting)| *waiting < count).unwrap());
    }

    fn pass(&self) {
        let mut guard = self.shut.lock().unwrap();
        guard.1 += 1;
        self.changed.notify_all();
        guard = self.changed.wait_while(guard, |(shut, _)| *shut).unwrap();
        guard.1 -= 1;
    }
}

impl World {
    /// An empty disk.
    pub(crate) fn of_sectors(sector: usize) -> Self {
        Self { sector, ..Self::default() }
    }

    /// All files, as a process sees them.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let content = |inode: &usize| self.inodes[*inode].cached.to_vec();
        self.names.iter().map(|(name, inode)| (name.clone(), content(inode))).collect()
    }

    /// Changes a byte where it lies for good.
    pub(crate) fn damage(&mut self, name: &str, at: usize, xor: u8) {
        let inode = &mut self.inodes[self.names[name]];
        inode.durable.edit(|bytes| bytes[at] ^= xor);
        inode.cached = inode.durable.clone();
    }

    /// Takes a file away for good.
    pub(crate) fn lose(&mut self, name: &str) {
        self.names.remove(name);
        self.durable_names.remove(name);
    }

    /// Cuts a file for good.
    pub(crate) fn cut(&mut self, name: &str, len: usize) {
        let inode = &mut self.inodes[self.names[name]];
        inode.durable.edit(|bytes| bytes.truncate(len));
        inode.cached = inode.durable.clone();
    }

    /// Puts a file where another was.
    pub(crate) fn put(&mut self, name: &str, bytes: Vec<u8>) {
        let blob = Blob::new(bytes);
        self.inodes.push(Inode { cached: blob.clone(), durable: blob, pending: BTreeMap::new() });
        let inode = self.inodes.len() - 1;
        self.names.insert(name.to_owned(), inode);
        self.durable_names.insert(name.to_owned(), inode);
    }

    /// The process is gone, what it wrote is not.
    pub(crate) fn killed(&self) -> Self {
        Self { locked: false, faults: Faults::default(), delayed: Vec::new(), ..self.clone() }
    }

    /// What power cuts may leave: all of it if that is little, otherwise extremes and samples. Second:
    /// whether it was all.
    pub(crate) fn cuts(&self) -> (Vec<Self>, bool) {
        // Each unit has so many versions beside the durable one.
        let sectors = self.inodes.iter().enumerate().flat_map(|(inode, file)| {
            file.pending.iter().map(move |(sector, versions)| (inode, *sector, versions.len()))
        });
        let mut units: Vec<(Option<(usize, usize)>, usize)> =
            sectors.map(|(inode, sector, versions)| (Some((inode, sector)), versions)).collect();
        units.extend(self.namings.iter().map(|_| (None, 1)));
        let count = units.iter().try_fold(1_usize, |count, (_, versions)| {
            count.checked_mul(versions + 1).filter(|count| *count <= ALL)
        });
        let choices: Vec<Vec<usize>> = match count {
            Some(count) => (0..count)
                .map(|mut number| {
                    let digit = |(_, versions): &(_, usize)| {
                        let digit = number % (versions + 1);
                        number /= versions + 1;
                        digit
                    };
                    units.iter().map(digit).collect()
                })
                .collect(),
            None => {
                let full = |unit: usize| units[unit].1;
                let pick = |keep: &dyn Fn(usize) -> bool| -> Vec<usize> {
                    (0..units.len()).map(|unit| if keep(unit) { full(unit) } else { 0 }).collect()
                };
                let mut some = vec![pick(&|_| false), pick(&|_| true)];
                for one in 0..units.len() {
                    some.push(pick(&|unit| unit == one));
                    some.push(pick(&|unit| unit != one));
                    some.push(pick(&|unit| unit < one));
                }
                some.extend((0..64_u64).map(|seed| {
                    (0..units.len())
                        .map(|unit| mix(seed << 32 | unit as u64) as usize % (full(unit) + 1))
                        .collect()
                }));
                some
            }
        };
        let cut = |choice: Vec<usize>| self.cut_to(&units, &choice);
        (choices.into_iter().map(cut).collect(), count.is_some())
    }

    fn cut_to(&self, units: &[(Option<(usize, usize)>, usize)], choice: &[usize]) -> Self {
        let mut after = self.killed();
        let mut namings = self.namings.iter();
        after.names = self.durable_names.clone();
        for ((unit, _), version) in units.iter().zip(choice) {
            match unit {
                Some((inode, sector)) => {
                    let Some(version) = version.checked_sub(1) else { continue };
                    let bytes = &self.inodes[*inode].pending[sector][version];
                    after.inodes[*inode].durable.overwrite(sector * self.sector, bytes);
                }
                None => {
                    let naming = namings.next().unwrap();
                    if *version > 0 {
                        apply(&mut after.names, naming);
                    }
                }
            }
        }
        after.durable_names = after.names.clone();
        after.namings.clear();
        for inode in &mut after.inodes {
            inode.pending.clear();
            inode.cached = inode.durable.clone();
        }
        after
    }

    /// Equal for worlds that an opening log can't tell apart.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.names, &self.durable_names, &self.namings).hash(&mut hasher);
        (self.acked, self.submitted).hash(&mut hasher);
        for inode in self.names.values().chain(self.durable_names.values()) {
            let Inode { cached, durable, pending } = &self.inodes[*inode];
            (cached.digest(), durable.digest()).hash(&mut hasher);
            for (sector, versions) in pending {
                sector.hash(&mut hasher);
                versions.iter().for_each(|version| digest(version).hash(&mut hasher));
            }
        }
        hasher.finish()
    }

    fn write(&mut self, inode: usize, bytes: &[u8], at: usize) {
        let sector = self.sector;
        let file = &mut self.inodes[inode];
        file.cached.overwrite(at, bytes);
        for number in at / sector..(at + bytes.len()).div_ceil(sector) {
            let end = file.cached.len().min((number + 1) * sector);
            let now = file.cached[number * sector..end].to_vec();
            file.pending.entry(number).or_default().push(now);
        }
    }

    fn sync(&mut self, inode: usize) {
        let sector = self.sector;
        let Inode { durable, pending, .. } = &mut self.inodes[inode];
        // What an earlier sync failed to write counts as clean: it stays unwritten.
        for (number, versions) in std::mem::take(pending) {
            durable.overwrite(number * sector, versions.last().unwrap());
        }
    }

    fn name(&mut self, names: Vec<(String, Option<usize>)>) {
        let naming = Naming { names };
        apply(&mut self.names, &naming);
        self.namings.push(naming);
    }

    fn sync_folder(&mut self, folder: &str) {
        let within = |naming: &Naming| {
            let name = &naming.names[0].0;
            name.rsplit_once('/').map_or("", |(folder, _)| folder) == folder
        };
        let (synced, left) = std::mem::take(&mut self.namings).into_iter().partition(within);
        self.namings = left;
        let synced: Vec<Naming> = synced;
        synced.iter().for_each(|naming| apply(&mut self.durable_names, naming));
    }

    fn perform(&mut self, delayed: Delayed) {
        match delayed {
            Delayed::Write(inode, bytes, at) => self.write(inode, &bytes, at),
            Delayed::Sync(inode) => self.sync(inode),
            Delayed::Rename(from, to) => {
                let inode = self.names.get(&from).copied();
                self.name(vec![(from, None), (to, inode)]);
            }
            Delayed::Remove(name) => self.name(vec![(name, None)]),
            Delayed::SyncFolder(folder) => self.sync_folder(&folder),
        }
    }

    fn size(&self) -> usize {
        self.names.values().map(|inode| self.inodes[*inode].cached.len()).sum()
    }

    fn name_of(&self, inode: usize) -> String {
        let name = self.names.iter().find(|(_, there)| **there == inode);
        name.map_or_else(|| "(unnamed)".to_owned(), |(name, _)| name.clone())
    }
}

fn apply(names: &mut BTreeMap<String, usize>, naming: &Naming) {
    for (name, inode) in &naming.names {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}

fn overwrite(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// splitmix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Sim {
    pub(crate) fn new(sector: usize) -> Self {
        Self::on(World::of_sectors(sector))
    }

    pub(crate) fn on(world: World) -> Self {
        let (world, images, gate) = (Mutex::new(world), Mutex::new(None), Gate::default());
        Self { shared: Arc::new(Shared { world, images, gate }) }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap()
    }

    /// Keeps the world after each call from now on.
    pub(crate) fn record(&self) {
        *self.shared.images.lock().unwrap() = Some(vec![self.world().clone()]);
    }

    /// The worlds since, and the last; without those that are as one before.
    pub(crate) fn recorded(&self) -> Vec<World> {
        let mut images = self.shared.images.lock().unwrap().take().unwrap();
        images.push(self.world().clone());
        let mut seen = HashSet::new();
        images.retain(|image| seen.insert(image.fingerprint()));
        images
    }

    fn image(&self) {
        if let Some(images) = &mut *self.shared.images.lock().unwrap() {
            images.push(self.world().clone());
        }
    }

    /// A call that changes something.
    fn call(&self, what: String, delayed: Delayed) -> Result<()> {
        let is_sync = matches!(delayed, Delayed::Sync(_) | Delayed::SyncFolder(_));
        if is_sync {
            self.shared.gate.pass();
        }
        self.image();
        let mut world = self.world();
        let number = world.calls;
        world.trace.push(format!("{number}: {what}"));
        world.calls += 1;
        let waiting = std::mem::take(&mut world.delayed);
        let skipped = is_sync && world.faults.skip_sync == Some(world.syncs);
        world.syncs += usize::from(is_sync);
        let done = if world.faults.fail == Some(number) {
            world.fail(delayed);
            Err(Error::other("injected"))
        } else {
            if world.faults.delay == Some(number) {
                world.delayed.push(delayed);
            } else if !skipped {
                world.perform(delayed);
            }
            Ok(())
        };
        drop(world);
        self.image();
        for delayed in waiting {
            self.world().perform(delayed);
        }
        done
    }
}

impl World {
    /// What a call leaves that fails: nothing, or a half.
    fn fail(&mut self, call: Delayed) {
        match call {
            Delayed::Write(inode, bytes, at) if self.faults.half => {
                self.write(inode, &bytes[..bytes.len() / 2], at);
            }
            // What is cached is marked as clean, and is no more than that.
            Delayed::Sync(inode) => {
                let half = self.faults.half;
                let sector = self.sector;
                let Inode { durable, pending, .. } = &mut self.inodes[inode];
                for (number, versions) in std::mem::take(pending) {
                    if half && number % 2 == 0 {
                        durable.overwrite(number * sector, versions.last().unwrap());
                    }
                }
            }
            other if self.faults.half => self.perform(other),
            _ => {}
        }
    }
}

pub(crate) struct SimFile {
    sim: Sim,
    inode: usize,
}

pub(crate) struct SimLock(Sim);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.shared.world.lock().unwrap_or_else(PoisonError::into_inner).locked = false;
    }
}

impl FileSystem for Sim {
    type File = SimFile;
    type Lock = SimLock;

    fn lock(&self, _: &str) -> std::result::Result<SimLock, LockError> {
        let mut world = self.world();
        if std::mem::replace(&mut world.locked, true) {
            return Err(LockError::Held { holder: Some(1) });
        }
        drop(world);
        Ok(SimLock(self.clone()))
    }

    fn create_folder(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let world = self.world();
        let within = |name: &String| {
            let (there, file) = name.rsplit_once('/').unwrap_or(("", name));
            (there == folder).then(|| file.to_owned())
        };
        Ok(world.names.keys().filter_map(within).collect())
    }

    fn open(&self, path: &str) -> Result<SimFile> {
        let inode = self.world().names.get(path).copied().ok_or(ErrorKind::NotFound)?;
        Ok(SimFile { sim: self.clone(), inode })
    }

    fn create(&self, path: &str) -> Result<SimFile> {
        let inode = {
            let mut world = self.world();
            world.inodes.push(Inode::default());
            let inode = world.inodes.len() - 1;
            world.name(vec![(path.to_owned(), Some(inode))]);
            inode
        };
        Ok(SimFile { sim: self.clone(), inode })
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.call(format!("rename {from} {to}"), Delayed::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.call(format!("remove {path}"), Delayed::Remove(path.to_owned()))
    }

    fn sync_folder(&self, path: &str) -> Result<()> {
        self.call(format!("sync folder {path}"), Delayed::SyncFolder(path.to_owned()))
    }

    fn random(&self) -> u64 {
        let mut world = self.world();
        world.random += 1;
        mix(world.random)
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let world = self.sim.world();
        let cached = &world.inodes[self.inode].cached;
        let at = offset as usize;
        let there = cached.get(at..at + buf.len()).ok_or(ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(there);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let what = {
            let world = self.sim.world();
            let grows = (offset as usize + bytes.len())
                .saturating_sub(world.inodes[self.inode].cached.len());
            if world.faults.room.is_some_and(|room| world.size() + grows > room) {
                return Err(ErrorKind::StorageFull.into());
            }
            format!("write {} at {offset}, {} bytes", world.name_of(self.inode), bytes.len())
        };
        self.sim.call(what, Delayed::Write(self.inode, bytes.to_vec(), offset as usize))
    }

    fn sync(&self) -> Result<()> {
        let what = format!("sync {}", self.sim.world().name_of(self.inode));
        self.sim.call(what, Delayed::Sync(self.inode))
    }

    fn drop_cache(&self) -> Result<()> {
        let mut world = self.sim.world();
        let sector = world.sector;
        let Inode { cached, durable, pending } = &mut world.inodes[self.inode];
        cached.clone_from(durable);
        for (number, versions) in pending {
            cached.overwrite(*number * sector, versions.last().unwrap());
        }
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.sim.world().inodes[self.inode].cached.len() as u64)
    }
}
