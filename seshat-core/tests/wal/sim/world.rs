//! What a process sees of a disk, and what of that is durable.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use super::blob::{Blob, digest};

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) cached: Blob,
    pub(super) durable: Blob,
    /// Writes since the last sync, by sector: what the sector held after each.
    pub(super) pending: BTreeMap<usize, Vec<Vec<u8>>>,
}

/// A change of a name since the last sync of its folder: the file it stands for, or none.
#[derive(Clone, Debug, Hash)]
pub(super) struct Naming {
    /// A rename is two that come together.
    pub(super) names: Vec<(String, Option<usize>)>,
}

/// The disk, and what was done to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(super) sector: usize,
    pub(super) inodes: Vec<Inode>,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) durable_names: BTreeMap<String, usize>,
    pub(super) namings: Vec<Naming>,
    pub(super) random: u64,
    pub(super) locked: bool,
    /// What the history has reached.
    pub(crate) acked: usize,
    pub(crate) submitted: usize,
    pub(crate) faults: Faults,
    pub(crate) trace: Vec<Arc<str>>,
    /// Calls that change something, so far.
    pub(crate) calls: usize,
    /// Those of them that are syncs.
    pub(crate) syncs: usize,
    pub(super) delayed: Vec<Delayed>,
}

/// What the disk does wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// The call with that number fails.
    pub(crate) fail: Option<usize>,
    /// Whether half of what fails is done nevertheless.
    pub(crate) half: bool,
    /// Syncs with these numbers do nothing, and say they did.
    pub(crate) skip_syncs: Range<usize>,
    /// The call with that number is done after the next one.
    pub(crate) delay: Option<usize>,
    /// What is cached stays so, however often it is to be dropped.
    pub(crate) keeps_cache: bool,
    /// Bytes that all files may have.
    pub(crate) room: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Delayed {
    Write(usize, Vec<u8>, usize),
    Sync(usize),
    Rename(String, String),
    Remove(String),
    SyncFolder(String),
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

    pub(super) fn write(&mut self, inode: usize, bytes: &[u8], at: usize) {
        let sector = self.sector;
        let file = &mut self.inodes[inode];
        file.cached.overwrite(at, bytes);
        for number in at / sector..(at + bytes.len()).div_ceil(sector) {
            let end = file.cached.len().min((number + 1) * sector);
            let now = file.cached[number * sector..end].to_vec();
            file.pending.entry(number).or_default().push(now);
        }
    }

    pub(super) fn sync(&mut self, inode: usize) {
        let sector = self.sector;
        let Inode { durable, pending, .. } = &mut self.inodes[inode];
        // What an earlier sync failed to write counts as clean: it stays unwritten.
        for (number, versions) in std::mem::take(pending) {
            durable.overwrite(number * sector, versions.last().unwrap());
        }
    }

    pub(super) fn name(&mut self, names: Vec<(String, Option<usize>)>) {
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

    pub(super) fn perform(&mut self, delayed: Delayed) {
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

    pub(super) fn size(&self) -> usize {
        self.names.values().map(|inode| self.inodes[*inode].cached.len()).sum()
    }

    pub(super) fn name_of(&self, inode: usize) -> String {
        let name = self.names.iter().find(|(_, there)| **there == inode);
        name.map_or_else(|| "(unnamed)".to_owned(), |(name, _)| name.clone())
    }

    /// What a call leaves that fails: nothing, or a half.
    pub(super) fn fail(&mut self, call: Delayed) {
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

pub(super) fn apply(names: &mut BTreeMap<String, usize>, naming: &Naming) {
    for (name, inode) in &naming.names {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}
