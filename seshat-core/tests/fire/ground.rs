//! What a node's directory is on: a disk that can be taken from the process that has it, that fills up, and
//! whose syncs fail. Over the simulated disk it can lose power, too; over a real directory it is one.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use seshat_core::wal::Disk;
use seshat_core::wal::fs::{File, FileSystem, LockError};
use tempfile::TempDir;

use crate::sim::Sim;

/// What is wrong with a disk, and how often that was felt.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct State {
    /// The process that had it is gone: it neither changes anything nor is told that it did.
    dead: bool,
    /// Bytes by which files may grow.
    room: Option<u64>,
    /// So many syncs more succeed.
    syncs_left: Option<u32>,
    /// Writes that found no room.
    pub(crate) refused: u64,
    /// Syncs that failed.
    pub(crate) failed: u64,
}

/// The disk `F`, for one process.
pub(crate) struct Faulty<F> {
    inner: Arc<F>,
    state: Arc<RwLock<State>>,
}

impl<F> Clone for Faulty<F> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), state: Arc::clone(&self.state) }
    }
}

impl<F> Faulty<F> {
    pub(crate) fn new(inner: F) -> Self {
        Self { inner: Arc::new(inner), state: Arc::default() }
    }

    pub(crate) fn state(&self) -> State {
        *self.state.read().unwrap()
    }

    /// From now on files grow by so many bytes in all, or as they like.
    pub(crate) fn set_room(&self, room: Option<u64>) {
        self.state.write().unwrap().room = room;
    }

    /// The sync after so many fails, and no other: whoever tried again would be told that all is well.
    pub(crate) fn fail_sync(&self, after: u32) {
        self.state.write().unwrap().syncs_left = Some(after);
    }

    /// Takes it from its process. What is under way is done or fails before this returns.
    fn take(&self) {
        self.state.write().unwrap().dead = true;
    }

    /// Held during a call that changes something.
    fn alive(&self) -> Result<RwLockReadGuard<'_, State>> {
        let state = self.state.read().unwrap();
        if state.dead { Err(Error::other("the process is gone")) } else { Ok(state) }
    }
}

pub(crate) struct FaultyFile<F: FileSystem> {
    disk: Faulty<F>,
    inner: F::File,
}

impl<F: FileSystem> Faulty<F> {
    fn file(&self, inner: Result<F::File>) -> Result<FaultyFile<F>> {
        Ok(FaultyFile { disk: self.clone(), inner: inner? })
    }
}

impl<F: FileSystem> FileSystem for Faulty<F> {
    type File = FaultyFile<F>;
    type Lock = F::Lock;

    fn lock(&self, path: &str) -> std::result::Result<F::Lock, LockError> {
        self.inner.lock(path)
    }

    fn create_folder(&self, path: &str) -> Result<()> {
        let _alive = self.alive()?;
        self.inner.create_folder(path)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.inner.list(folder)
    }

    fn open(&self, path: &str) -> Result<FaultyFile<F>> {
        self.file(self.inner.open(path))
    }

    fn create(&self, path: &str) -> Result<FaultyFile<F>> {
        let _alive = self.alive()?;
        self.file(self.inner.create(path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let _alive = self.alive()?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &str) -> Result<()> {
        drop(self.alive()?);
        let freed = self.inner.open(path).and_then(|file| file.len())?;
        let mut state = self.state.write().unwrap();
        self.inner.remove(path)?;
        state.room = state.room.map(|room| room + freed);
        Ok(())
    }

    fn sync_folder(&self, path: &str) -> Result<()> {
        let _alive = self.alive()?;
        self.inner.sync_folder(path)
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }
}

impl<F: FileSystem> File for FaultyFile<F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let grows = (offset + bytes.len() as u64).saturating_sub(self.inner.len()?);
        if grows > 0 {
            drop(self.disk.alive()?);
            let mut state = self.disk.state.write().unwrap();
            if let Some(room) = &mut state.room {
                let Some(left) = room.checked_sub(grows) else {
                    state.refused += 1;
                    return Err(ErrorKind::StorageFull.into());
                };
                *room = left;
            }
        }
        let _alive = self.disk.alive()?;
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> Result<()> {
        if self.disk.state().syncs_left.is_some() {
            drop(self.disk.alive()?);
            let mut state = self.disk.state.write().unwrap();
            match &mut state.syncs_left {
                Some(left @ 1..) => *left -= 1,
                Some(0) => {
                    state.failed += 1;
                    state.syncs_left = None;
                    return Err(Error::other("injected"));
                }
                None => {}
            }
        }
        let _alive = self.disk.alive()?;
        self.inner.sync()
    }

    fn drop_cache(&self) -> Result<()> {
        self.inner.drop_cache()
    }

    fn len(&self) -> Result<u64> {
        self.inner.len()
    }
}

/// Where a node's directory is, whichever process has it.
pub(crate) trait Ground: Send + Sync + 'static {
    type Disk: FileSystem;

    fn new() -> Self;

    /// For the process that starts now, or runs.
    fn disk(&self) -> Faulty<Self::Disk>;

    /// Ends the process as `kill -9` does: what it wrote is there, synced or not.
    fn kill(&self);
}

/// A simulated disk.
pub(crate) struct Simulated(Mutex<Faulty<Sim>>);

impl Simulated {
    fn now(&self) -> MutexGuard<'_, Faulty<Sim>> {
        self.0.lock().unwrap()
    }

    /// The power fails; what of the unsynced is left follows from `seed`.
    pub(crate) fn cut(&self, seed: u64) {
        let mut now = self.now();
        now.take();
        let left = now.inner.world().cut_by(seed);
        *now = Faulty::new(Sim::on(left));
    }
}

impl Ground for Simulated {
    type Disk = Sim;

    fn new() -> Self {
        Self(Mutex::new(Faulty::new(Sim::new(512))))
    }

    fn disk(&self) -> Faulty<Sim> {
        self.now().clone()
    }

    fn kill(&self) {
        let mut now = self.now();
        now.take();
        let left = now.inner.world().killed();
        *now = Faulty::new(Sim::on(left));
    }
}

/// A directory.
pub(crate) struct Real {
    dir: TempDir,
    now: Mutex<Faulty<Disk>>,
}

fn real(dir: &Path) -> Faulty<Disk> {
    Faulty::new(Disk::at(dir).unwrap())
}

impl Ground for Real {
    type Disk = Disk;

    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Mutex::new(real(dir.path()));
        Self { dir, now }
    }

    fn disk(&self) -> Faulty<Disk> {
        self.now.lock().unwrap().clone()
    }

    fn kill(&self) {
        let mut now = self.now.lock().unwrap();
        now.take();
        *now = real(self.dir.path());
    }
}
