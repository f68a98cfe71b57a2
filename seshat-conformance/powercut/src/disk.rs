//! [`Disk`]: a directory whose power can be cut.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use crate::costs::Costs;
use crate::error::{Unsupported, WatchError};
use crate::fault::Fault;
use crate::model::{Cut, History, Image, Moment, Picture, Side, State};
use crate::trap::{self, Family, Registry, Shared, Watched, lock};
use crate::unseen::Unseen;

/// A directory, and everything that is done below it by this thread and all that it starts.
///
/// The watch is on *threads*: the one that calls [`Disk::watch`] or [`watch_thread`], and every
/// thread and process that it starts from then on, until each ends. It can't be taken off a thread, so give each test
/// a thread of its own; the process need not be. Threads that were there before are not seen:
/// see [`Disk::bystanders`] and [`Disk::unseen`].
///
/// Everything that is written is kept in memory, until the disk is dropped or its power goes on again.
/// A watched thread, and what it executes, can gain no privileges (`no_new_privs`).
///
/// Every method may be called from any thread, watched or not, and returns without waiting for
/// what is watched. Dropping it ends the watch of the directory, and leaves the directory as it is.
pub struct Disk {
    dir: PathBuf,
    shared: Shared,
}

impl Disk {
    /// Watches a directory, which exists. What is in it is on the disk.
    ///
    /// # Errors
    /// [`WatchError::Unsupported`] where there is nothing to watch with: what depends on it is
    /// inconclusive, not failed. Otherwise the directory can't be read, or is watched already, or
    /// lies within or around one that is.
    pub fn watch(dir: impl AsRef<Path>) -> Result<Self, WatchError> {
        let dir = dir.as_ref();
        let family = trap::ensure()?;
        let picture = Picture::read(dir).map_err(WatchError::io(dir))?;
        Self::whole(family, dir, &picture)
    }

    /// Writes a picture into `dir`, which is not there or empty, and watches it: the disk after a
    /// power cut, on which the store starts again. The power can be cut there as well, in the
    /// middle of a recovery; and the syncs of a recovery are not waited for, as they would be in a
    /// directory that isn't watched.
    ///
    /// # Errors
    /// As [`Disk::watch`], and where `dir` can't be written.
    pub fn restore(picture: &Picture, dir: impl AsRef<Path>) -> Result<Self, WatchError> {
        let dir = dir.as_ref();
        let family = trap::ensure()?;
        picture.write_to(dir).map_err(WatchError::io(dir))?;
        Self::whole(family, dir, picture)
    }

    /// A process was killed at the moment of an image of `history`, and the next one starts: writes
    /// into `dir`, which is not there or empty, what the page cache had, and watches it. On the disk
    /// is what was on the disk at that moment, so what the next process merely finds, the next power
    /// cut takes. What the next one does continues the history.
    ///
    /// # Errors
    /// As [`Disk::watch`], and where `dir` can't be written.
    pub fn revive(
        history: &History,
        image: &Image,
        dir: impl AsRef<Path>,
    ) -> Result<Self, WatchError> {
        let dir = dir.as_ref();
        let family = trap::ensure()?;
        let picture = image.killed();
        picture.write_to(dir).map_err(WatchError::io(dir))?;
        Self::over(family, dir, &picture, history.until(image.at), image.state.clone())
    }

    fn whole(family: Family, dir: &Path, picture: &Picture) -> Result<Self, WatchError> {
        let state = State::durable(picture);
        Self::over(family, dir, picture, History::new(state.clone()), state)
    }

    fn over(
        family: Family,
        dir: &Path,
        picture: &Picture,
        history: History,
        state: State,
    ) -> Result<Self, WatchError> {
        let dir = fs::canonicalize(dir).map_err(WatchError::io(dir))?;
        let watched = Watched::new(family, &dir, picture, history, state);
        let watched = watched.map_err(WatchError::io(&dir))?;
        let shared = Arc::new(Mutex::new(watched));
        if !Registry::lock().add(&shared) {
            return Err(WatchError::Nested { dir });
        }
        tracing::debug!(dir = %dir.display(), "watching a directory");
        Ok(Self { dir, shared })
    }

    /// The directory, without links on the way to it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The moment that it is. Read it when the store acknowledges something: every image from then
    /// on must have it.
    pub fn now(&self) -> Moment {
        lock(&self.shared).catch_up()
    }

    /// What happened until now: the source of images, records and traces.
    pub fn history(&self) -> History {
        let mut watched = lock(&self.shared);
        watched.catch_up();
        watched.history().clone()
    }

    /// The image of now.
    pub fn image(&self) -> Image {
        let mut watched = lock(&self.shared);
        let at = watched.catch_up();
        Image { at, side: Side::At, state: watched.state().clone() }
    }

    /// From now on the disk fails in this way, and in no other. Calls are counted from 1 again.
    pub fn fail(&self, fault: Fault) {
        tracing::debug!(dir = %self.dir.display(), ?fault, "the disk begins to fail");
        lock(&self.shared).fail(Some(fault));
    }

    /// The disk is well again. What a failed sync has dropped stays dropped.
    pub fn heal(&self) {
        lock(&self.shared).fail(None);
    }

    /// How many calls have failed since [`Disk::fail`]. None means that the fault came too late:
    /// the sweep is over.
    pub fn refused(&self) -> u64 {
        lock(&self.shared).refused()
    }

    /// How many calls since [`Disk::fail`] are such as its fault can meet, whether it did or not:
    /// with a fault that never comes, how far a sweep has to go.
    pub fn met(&self) -> u64 {
        lock(&self.shared).met()
    }

    /// The power is off: the directory is gone, and what handles do that are still open is lost.
    /// Drop them, then call [`Disk::power_on`].
    ///
    /// # Errors
    /// The directory can't be moved away, into its parent.
    pub fn power_off(&self) -> io::Result<()> {
        // Nobody holds a lock when the directory is moved: that is a call that stops.
        {
            let mut watched = lock(&self.shared);
            watched.catch_up();
            watched.switch_off();
        }
        tracing::debug!(dir = %self.dir.display(), "power off");
        bury(&self.dir)
    }

    /// The power is on again: the directory is there, with what the cut left; a new history begins.
    /// What was made at its path since [`Disk::power_off`] is lost.
    ///
    /// # Errors
    /// The directory can't be written.
    pub fn power_on(&self, cut: Cut) -> io::Result<()> {
        let (family, picture) = {
            let watched = lock(&self.shared);
            (watched.family(), watched.state().cut(cut))
        };
        if fs::exists(&self.dir)? {
            bury(&self.dir)?;
        }
        picture.write_to(&self.dir)?;
        let state = State::durable(&picture);
        let history = History::new(state.clone());
        let new = Watched::new(family, &self.dir, &picture, history, state)?;
        lock(&self.shared).replace(new);
        tracing::debug!(dir = %self.dir.display(), ?cut, "power on");
        Ok(())
    }

    /// Off and on again, under open handles: they lead to what is gone.
    ///
    /// # Errors
    /// As [`Disk::power_off`] and [`Disk::power_on`].
    pub fn cut_power(&self, cut: Cut) -> io::Result<()> {
        self.power_off()?;
        self.power_on(cut)
    }

    /// What could not be seen. If there is anything, a verdict that something was *not* synced is
    /// inconclusive. Reads the whole directory and compares it with what the calls have made of
    /// it, so call it once, at the end, after the store was closed: to close a file drops the
    /// `fcntl` locks that this process has on it.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn unseen(&self) -> io::Result<Vec<Unseen>> {
        let mut watched = lock(&self.shared);
        watched.catch_up();
        watched.verify()?;
        Ok(watched.unseen())
    }

    /// The names of the threads that are not watched, for they were there before. If one of them
    /// works for the store, what it writes is found by [`Disk::unseen`], but what it syncs is not.
    pub fn bystanders(&self) -> Vec<String> {
        trap::bystanders()
    }

    /// Names that begin with `prefix` are on the disk as soon as they are made, moved or removed,
    /// in any order, and no fault meets such a call. For files of a test's own beside the store's.
    /// Their contents aren't spared. Call it before there are any.
    pub fn spare(&self, prefix: &str) {
        lock(&self.shared).spare(prefix);
    }

    /// What watching has cost.
    pub fn costs(&self) -> Costs {
        lock(&self.shared).costs()
    }
}

/// Has this thread's calls stop from now on, and those of all threads and processes that it starts,
/// so that directories can be watched later, by any of them. Call it before the store's threads
/// are there, such as those of an async runtime; where [`Disk::watch`] comes first, there is no
/// need. Done twice, it is done once.
///
/// # Errors
/// Why nothing can be watched here.
pub fn watch_thread() -> Result<(), Unsupported> {
    trap::ensure().map(drop)
}

/// Whether directories can be watched here. Tried once a process, on a thread that ends.
///
/// # Errors
/// Why not.
pub fn supported() -> Result<(), &'static Unsupported> {
    static SUPPORTED: OnceLock<Result<(), Unsupported>> = OnceLock::new();
    let tried = SUPPORTED.get_or_init(|| {
        let tried = thread::Builder::new().spawn(watch_thread).map_err(Unsupported::Thread)?;
        tried.join().unwrap_or(Err(Unsupported::NoEffect))
    });
    tried.as_ref().copied()
}

impl Drop for Disk {
    fn drop(&mut self) {
        Registry::lock().remove(&self.shared);
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Disk").field(&self.dir).finish()
    }
}

/// Moves a directory away and removes it. Handles on what was in it go on working, and nobody
/// sees what they do.
fn bury(dir: &Path) -> io::Result<()> {
    static BURIED: AtomicU64 = AtomicU64::new(0);
    let number = BURIED.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(".");
    name.push(dir.file_name().unwrap_or_default());
    name.push(format!(".dead-{}-{number}", std::process::id()));
    let grave = dir.with_file_name(name);
    fs::rename(dir, &grave)?;
    // A handle on the directory can put a new name into it at any time; what is left then is
    // litter, and no error of the store.
    if let Err(error) = fs::remove_dir_all(&grave) {
        tracing::debug!(grave = %grave.display(), %error, "not removed");
    }
    Ok(())
}
