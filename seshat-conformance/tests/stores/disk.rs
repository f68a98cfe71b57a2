//! [`Disk`]: a disk in memory that forgets what was not synced when the power is cut.
//!
//! Guarantees: writes are atomic and ordered; each goes to one of three files and is volatile
//! until its file is synced; a restart reads all writes, a power cut only those synced; handles
//! opened before a later opening or a power cut write no more.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Vote,
    /// The second half of a vote that a faulty store writes in two.
    VoteNode,
    Purged,
    Record(u64),
    Committed,
    State,
    Applied,
    Membership,
    Snapshot,
}

/// A file: what can be synced by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    Meta,
    Log,
    Machine,
}

/// All of them: what a correct store syncs, so that everything becomes durable in its order.
pub const ALL: &[File] = &[File::Meta, File::Log, File::Machine];

impl Key {
    fn file(self) -> File {
        match self {
            Self::Vote | Self::VoteNode | Self::Committed | Self::Purged => File::Meta,
            Self::Record(_) => File::Log,
            Self::State | Self::Applied | Self::Membership | Self::Snapshot => File::Machine,
        }
    }
}

pub type Image = BTreeMap<Key, Arc<[u8]>>;

/// A write to one place.
#[derive(Debug, Clone)]
pub enum Change {
    Put(Key, Vec<u8>),
    Delete(Key),
}

#[derive(Debug, Default)]
struct Inner {
    /// What a power cut leaves.
    durable: Image,
    /// What is read: the durable image and everything since.
    now: Image,
    /// Writes since the last sync of their file, each of them atomic.
    pending: Vec<Vec<Change>>,
    /// Counts openings and power cuts.
    mount: u64,
    refuses: bool,
    /// At a power cut the first half of what is pending of the log survives, or nothing.
    half_survives: bool,
    /// After one write that it refused, a handle writes no more.
    stops_at_error: bool,
    stopped: u64,
    /// What records were before they were damaged, where a store has a copy of them.
    copies: Image,
    /// Keeps nothing: how a faulty store goes about its second opening.
    void: bool,
}

/// A disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

/// The right to read and write a disk until it is opened again or loses power.
#[derive(Debug, Clone)]
pub struct Mount {
    disk: Disk,
    mount: u64,
}

impl Disk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn mount(&self) -> Mount {
        let mut inner = self.inner();
        inner.mount += 1;
        Mount { disk: self.clone(), mount: inner.mount }
    }

    pub fn cut_power(&self) {
        let mut inner = self.inner();
        inner.mount += 1;
        let pending = std::mem::take(&mut inner.pending);
        if inner.half_survives {
            let log: Vec<Change> =
                pending.into_iter().flatten().filter(|c| c.key().file() != File::Machine).collect();
            let survives = log.len() / 2;
            for change in log.into_iter().take(survives) {
                apply(&mut inner.durable, change);
            }
        }
        inner.now = inner.durable.clone();
    }

    /// Takes back what no sync made durable.
    pub fn forget_unsynced(&self) {
        let mut inner = self.inner();
        inner.pending.clear();
        inner.now = inner.durable.clone();
    }

    pub fn refuse_writes(&self, refuses: bool) {
        self.inner().refuses = refuses;
    }

    /// The first half of what is written and not synced outlives a power cut.
    pub fn let_half_survive(&self) {
        self.inner().half_survives = true;
    }

    /// From now on no handle writes after an error.
    pub fn stop_at_error(&self) {
        self.inner().stops_at_error = true;
    }

    /// From now on nothing is kept, and no error tells of it.
    pub fn become_void(&self) {
        self.inner().void = true;
    }

    /// Nothing of these files outlives this.
    pub fn forget(&self, files: &[File]) {
        let mut inner = self.inner();
        let Inner { now, durable, .. } = &mut *inner;
        now.retain(|key, _| !files.contains(&key.file()));
        durable.retain(|key, _| !files.contains(&key.file()));
    }

    pub fn keys(&self) -> Vec<Key> {
        self.inner().now.keys().copied().collect()
    }

    /// Flips a bit of a record: byte `place`, counted from the end if there are fewer.
    pub fn damage(&self, key: Key, place: usize) -> bool {
        let mut inner = self.inner();
        let Some(old) = inner.now.get(&key) else { return false };
        let (mut bytes, old) = (old.to_vec(), old.clone());
        inner.copies.insert(key, old);
        let place = place.min(bytes.len() - 1);
        bytes[place] ^= 0x40;
        let bytes: Arc<[u8]> = bytes.into();
        inner.now.insert(key, bytes.clone());
        inner.durable.insert(key, bytes);
        true
    }
}

impl Mount {
    pub fn read(&self) -> Image {
        self.disk.inner().now.clone()
    }

    /// The second copy of a record that was damaged.
    pub fn copy(&self, key: Key) -> Option<Arc<[u8]>> {
        self.disk.inner().copies.get(&key).cloned()
    }

    fn inner(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.disk.inner();
        if inner.mount != self.mount {
            return Err(io::Error::other("the disk was taken away"));
        }
        if inner.stops_at_error && inner.stopped == self.mount {
            return Err(io::Error::other("an earlier write failed: open the store again"));
        }
        if inner.refuses {
            inner.stopped = self.mount;
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full"));
        }
        Ok(inner)
    }

    /// Writes all of it or nothing. Volatile until the files are synced.
    pub fn write(&self, changes: Vec<Change>) -> io::Result<()> {
        let mut inner = self.inner()?;
        if !inner.void {
            for change in changes.iter().cloned() {
                apply(&mut inner.now, change);
            }
            inner.pending.push(changes);
        }
        Ok(())
    }

    /// Writes what no sync makes durable: gone at a power cut, whatever comes after it.
    pub fn write_volatile(&self, changes: Vec<Change>) -> io::Result<()> {
        let mut inner = self.inner()?;
        for change in changes {
            apply(&mut inner.now, change);
        }
        Ok(())
    }

    /// Writes durably to a disk that refuses: how a faulty store leaves half a write behind.
    pub fn force(&self, change: Change) {
        let mut inner = self.disk.inner();
        apply(&mut inner.now, change.clone());
        apply(&mut inner.durable, change);
    }

    /// Makes what was written to these files durable. A write to several files is durable as
    /// soon as all of them are synced; until then, as far as they are.
    pub fn sync(&self, files: &[File]) -> io::Result<()> {
        let mut inner = self.inner()?;
        let files: BTreeSet<File> = files.iter().copied().collect();
        for write in std::mem::take(&mut inner.pending) {
            let (durable, pending): (Vec<_>, Vec<_>) =
                write.into_iter().partition(|change| files.contains(&change.key().file()));
            for change in durable {
                apply(&mut inner.durable, change);
            }
            if !pending.is_empty() {
                inner.pending.push(pending);
            }
        }
        Ok(())
    }
}

impl Change {
    fn key(&self) -> Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => *key,
        }
    }
}

fn apply(image: &mut Image, change: Change) {
    match change {
        Change::Put(key, bytes) => {
            image.insert(key, bytes.into());
        }
        Change::Delete(key) => {
            image.remove(&key);
        }
    }
}
