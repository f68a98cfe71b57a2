//! [`Disk`]: memory that stands in for a directory's files.
//!
//! An empty file in the directory, the label, says by its name which memory that is, and how many
//! changes were made to it. So a copy of the directory gets a copy of what was there when it was
//! copied, and nothing is there for a check to damage.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk holds. It follows from the changes made to it, in their order.
pub(super) trait Contents: Default {
    /// One change, all of it or nothing.
    type Change;

    fn change(&mut self, change: &Self::Change);
}

/// Clones are the same disk.
pub(super) struct Disk<S: Contents>(Arc<Mutex<Platter<S>>>);

struct Platter<S: Contents> {
    contents: S,
    changes: Vec<Arc<S::Change>>,
    label: Label,
}

impl<S: Contents> Clone for Disk<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Contents> Disk<S> {
    fn lock(&self) -> MutexGuard<'_, Platter<S>> {
        // A change is made in one go, or the contents' own code has panicked and is wrong anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&S) -> T) -> T {
        read(&self.lock().contents)
    }

    /// Makes the change that `decide` wants, seeing what is there.
    pub(super) fn change(&self, decide: impl FnOnce(&S) -> Option<S::Change>) -> io::Result<()> {
        let mut platter = self.lock();
        let Some(change) = decide(&platter.contents) else { return Ok(()) };
        let changes = platter.changes.len() + 1;
        platter.label.turn(changes)?;
        platter.contents.change(&change);
        platter.changes.push(Arc::new(change));
        Ok(())
    }
}

/// The disks of one half, by the directories that hold their labels.
pub(super) struct Disks<S: Contents> {
    kind: &'static str,
    disks: Mutex<HashMap<u64, Disk<S>>>,
}

impl<S: Contents> Disks<S> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, disks: Mutex::default() }
    }

    /// The disk of `dir`: an empty one, the one from before, or a copy of the one whose label was
    /// copied.
    pub(super) fn open(&self, dir: &Path) -> io::Result<Disk<S>> {
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever removes a directory is done with it; one that is gone by itself has lost its power,
        // and comes back.
        disks.retain(|_, disk| disk.lock().label.is_kept());
        let Some(found) = Label::find(dir, self.kind)? else {
            let label = Label { dir: dir.to_owned(), kind: self.kind, disk: fresh(), changes: 0 };
            fs::File::create_new(label.path())?;
            return Ok(Self::add(&mut disks, label, Vec::new()));
        };
        let disk = disks.get(&found.disk).ok_or_else(|| {
            Error::other(format!("{}: of another process or back end", found.path().display()))
        })?;
        if disk.lock().label.dir == dir {
            return Ok(disk.clone());
        }
        let changes: Vec<_> = disk.lock().changes.iter().take(found.changes).cloned().collect();
        let label = Label { disk: fresh(), ..found.clone() };
        fs::rename(found.path(), label.path())?;
        Ok(Self::add(&mut disks, label, changes))
    }

    fn add(
        disks: &mut HashMap<u64, Disk<S>>,
        label: Label,
        changes: Vec<Arc<S::Change>>,
    ) -> Disk<S> {
        let mut contents = S::default();
        changes.iter().for_each(|change| contents.change(change));
        let id = label.disk;
        let disk = Disk(Arc::new(Mutex::new(Platter { contents, changes, label })));
        disks.insert(id, disk.clone());
        disk
    }
}

/// Never given twice in a process, by whichever back end.
pub(super) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[derive(Clone)]
struct Label {
    dir: PathBuf,
    kind: &'static str,
    disk: u64,
    changes: usize,
}

impl Label {
    fn path(&self) -> PathBuf {
        let Self { dir, kind, disk, changes } = self;
        dir.join(format!("{kind}.{}.{disk}.{changes}", std::process::id()))
    }

    fn is_kept(&self) -> bool {
        let around = || self.dir.parent().is_some_and(Path::exists);
        self.path().exists() || !self.dir.exists() && around()
    }

    fn turn(&mut self, changes: usize) -> io::Result<()> {
        let next = Self { changes, ..self.clone() };
        fs::rename(self.path(), next.path())?;
        *self = next;
        Ok(())
    }

    fn find(dir: &Path, kind: &'static str) -> io::Result<Option<Self>> {
        for file in fs::read_dir(dir)? {
            let name = file?.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix(kind)) else {
                continue;
            };
            let mut numbers = name.split('.').skip(1).map(str::parse::<u64>);
            let (Some(Ok(process)), Some(Ok(disk)), Some(Ok(changes))) =
                (numbers.next(), numbers.next(), numbers.next())
            else {
                continue;
            };
            if process != u64::from(std::process::id()) {
                return Err(Error::other(format!("{kind}{name} is of another process")));
            }
            let changes = usize::try_from(changes).map_err(Error::other)?;
            return Ok(Some(Self { dir: dir.to_owned(), kind, disk, changes }));
        }
        Ok(None)
    }
}
