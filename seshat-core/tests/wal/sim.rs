//! A disk that loses power, fails and lies, behind the trait that the log is written against.
//!
//! What a process sees is the cache; what a power cut leaves is what was synced, and of what was written
//! since any choice of sectors, each in any of the versions it had, and any choice of renames. A file system
//! that is kinder than that is not hurt by it.

// By their paths, so that other tests may have this disk by its own.
#[path = "sim/blob.rs"]
mod blob;
#[path = "sim/cuts.rs"]
mod cuts;
#[path = "sim/world.rs"]
mod world;

use std::collections::HashSet;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use seshat_core::wal::fs::{File, FileSystem, LockError};

use self::world::{Delayed, Inode};
pub(crate) use self::world::{Faults, World};

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
        self.recorded_during(0..usize::MAX)
    }

    /// The same, as far as they had so many calls.
    pub(crate) fn recorded_during(&self, calls: Range<usize>) -> Vec<World> {
        let mut images = self.shared.images.lock().unwrap().take().unwrap();
        images.push(self.world().clone());
        images.retain(|image| calls.contains(&image.calls));
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
        world.trace.push(format!("{number}: {what}").into());
        world.calls += 1;
        let waiting = std::mem::take(&mut world.delayed);
        let skipped = is_sync && world.faults.skip_syncs.contains(&world.syncs);
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
        if world.faults.keeps_cache {
            return Ok(());
        }
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
