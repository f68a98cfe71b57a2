//! [`Names`]: which names are on the disk, by one model of persistence.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use super::random::Dice;
use super::{Model, NodeId, Survives};

/// What a directory holds.
pub type Listing = BTreeMap<Arc<OsStr>, NodeId>;

/// Directories and the names in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    dirs: BTreeMap<NodeId, Arc<Listing>>,
}

impl Tree {
    /// What a name means.
    pub fn get(&self, dir: NodeId, name: &OsStr) -> Option<NodeId> {
        self.dirs.get(&dir)?.get(name).copied()
    }

    /// Every path below the root, parents first, and what it means. A directory within itself,
    /// which half of two renames could leave, is not entered.
    pub fn paths(&self) -> Vec<(PathBuf, NodeId)> {
        let mut paths = Vec::new();
        self.visit(NodeId::ROOT, &mut PathBuf::new(), &mut Vec::new(), &mut paths);
        paths
    }

    /// A path of a node, if it has one.
    pub fn path_of(&self, node: NodeId) -> Option<PathBuf> {
        if node == NodeId::ROOT {
            return Some(PathBuf::from("."));
        }
        self.paths().into_iter().find_map(|(path, found)| (found == node).then_some(path))
    }

    fn visit(
        &self,
        dir: NodeId,
        path: &mut PathBuf,
        above: &mut Vec<NodeId>,
        paths: &mut Vec<(PathBuf, NodeId)>,
    ) {
        above.push(dir);
        for (name, node) in self.dirs.get(&dir).into_iter().flat_map(|listing| listing.iter()) {
            path.push(&**name);
            paths.push((path.clone(), *node));
            if !above.contains(node) {
                self.visit(*node, path, above, paths);
            }
            path.pop();
        }
        above.pop();
    }

    fn set(&mut self, entry: &Entry) {
        let dir = Arc::make_mut(self.dirs.entry(entry.dir).or_default());
        match entry.node {
            Some(node) => dir.insert(Arc::clone(&entry.name), node),
            None => dir.remove(&entry.name),
        };
    }

    pub(crate) fn apply(&mut self, change: &NameChange) {
        change.entries.iter().for_each(|entry| self.set(entry));
    }
}

/// A name, and what it means from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The directory that the name is in.
    pub dir: NodeId,
    /// The name.
    pub name: Arc<OsStr>,
    /// What it means; `None` if it is gone.
    pub node: Option<NodeId>,
}

/// One change of names, whole or not at all as far as the file system can do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    /// The names.
    pub entries: Vec<Entry>,
}

impl NameChange {
    /// Its parts by directory: without a journal, each directory is written by itself.
    fn by_directory(&self) -> Vec<Self> {
        let mut parts: BTreeMap<NodeId, Vec<Entry>> = BTreeMap::new();
        for entry in &self.entries {
            parts.entry(entry.dir).or_default().push(entry.clone());
        }
        parts.into_values().map(|entries| Self { entries }).collect()
    }

    fn concerns(&self, node: NodeId) -> bool {
        self.entries.iter().any(|entry| entry.dir == node || entry.node == Some(node))
    }

    fn is_in(&self, dir: NodeId) -> bool {
        self.entries.iter().any(|entry| entry.dir == dir)
    }
}

/// A change of names that no completed sync covers, and the event that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingName {
    /// The number of the event, from 0.
    pub event: u64,
    /// What it did.
    pub change: NameChange,
}

/// The names that are on the disk, and the changes that may not be yet.
#[derive(Debug, Clone)]
pub struct Names {
    model: Model,
    durable: Tree,
    pending: Vec<PendingName>,
}

impl Names {
    pub(crate) fn new(model: Model, durable: Tree) -> Self {
        Self { model, durable, pending: Vec::new() }
    }

    /// The names that are on the disk.
    pub fn durable(&self) -> &Tree {
        &self.durable
    }

    /// Changes that no completed sync covers, oldest first.
    pub fn pending(&self) -> &[PendingName] {
        &self.pending
    }

    pub(crate) fn change(&mut self, event: u64, change: &NameChange) {
        let parts = match self.model {
            Model::Posix => change.by_directory(),
            Model::Ext4 => vec![change.clone()],
        };
        self.pending.extend(parts.into_iter().map(|change| PendingName { event, change }));
    }

    /// It is on the disk at once, whatever else isn't.
    pub(crate) fn settle(&mut self, change: &NameChange) {
        self.durable.apply(change);
    }

    /// A sync of a file or directory has completed.
    pub(crate) fn sync(&mut self, node: NodeId) {
        match self.model {
            Model::Posix => {
                let pending = std::mem::take(&mut self.pending);
                let (synced, left) = pending.into_iter().partition(|p| p.change.is_in(node));
                self.pending = left;
                let synced: Vec<PendingName> = synced;
                synced.iter().for_each(|done| self.durable.apply(&done.change));
            }
            // The journal is written up to what concerns the node, in order.
            Model::Ext4 => {
                let last = self.pending.iter().rposition(|p| p.change.concerns(node));
                for done in self.pending.drain(..last.map_or(0, |last| last + 1)) {
                    self.durable.apply(&done.change);
                }
            }
        }
    }

    pub(crate) fn sync_all(&mut self) {
        for done in self.pending.drain(..) {
            self.durable.apply(&done.change);
        }
    }

    /// What a power cut leaves.
    pub(crate) fn after_cut(&self, survives: Survives) -> Tree {
        let mut tree = self.durable.clone();
        let all = self.pending.iter();
        match survives {
            Survives::Nothing => {}
            Survives::Everything => all.for_each(|p| tree.apply(&p.change)),
            Survives::Some(seed) => {
                let last = self.pending.last().map_or(0, |pending| pending.event);
                let mut dice = Dice::new(seed, u64::MAX, last);
                let first = dice.below(self.pending.len() as u64 + 1) as usize;
                if self.model == Model::Ext4 || dice.coin() {
                    all.take(first).for_each(|p| tree.apply(&p.change));
                } else {
                    all.filter(|_| dice.coin()).for_each(|p| tree.apply(&p.change));
                }
            }
        }
        tree
    }
}
