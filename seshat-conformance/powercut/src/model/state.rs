//! [`State`]: a directory at one moment, as a reader sees it and as the disk has it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::Blocks;
use super::event::{Act, Born, NodeId};
use super::file::File;
use super::names::{NameChange, Names, Tree};
use super::picture::{Item, Kind, Picture};
use super::{Cut, Model};

/// A file, a directory or a link, whatever its names.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it holds.
    pub body: Body,
    /// Permission bits.
    pub mode: u32,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Body {
    /// Bytes.
    File(File),
    /// Names.
    Dir,
    /// A path.
    Link(PathBuf),
}

/// A directory and all below it: contents and names, live and durable.
///
/// A fold of [`Act`]s. Acts that name a node that was never born do nothing.
#[derive(Debug, Clone)]
pub struct State {
    nodes: BTreeMap<NodeId, Arc<Node>>,
    live: Tree,
    posix: Names,
    ext4: Names,
    next: u64,
    /// How names begin that are durable at once.
    spared: Option<Arc<str>>,
}

impl State {
    /// A directory with contents that are on the disk. Its nodes are numbered in the order of
    /// their paths, hard links once.
    pub fn durable(picture: &Picture) -> Self {
        let root = Node { body: Body::Dir, mode: 0o755 };
        let mut nodes = BTreeMap::from([(NodeId::ROOT, Arc::new(root))]);
        let mut live = Tree::default();
        let mut paths: BTreeMap<&Path, NodeId> = BTreeMap::from([(Path::new(""), NodeId::ROOT)]);
        for (path, item) in picture.items() {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let Some(dir) = paths.get(parent).copied() else { continue };
            paths.insert(path, item.node);
            let body = match &item.kind {
                Kind::Dir => Body::Dir,
                Kind::Link(target) => Body::Link(target.clone()),
                Kind::File(blocks) => Body::File(File::durable(blocks.clone())),
            };
            nodes.insert(item.node, Arc::new(Node { body, mode: item.mode }));
            live.apply(&NameChange::link(dir, name, item.node));
        }
        let next = nodes.keys().next_back().map_or(1, |last| last.0 + 1);
        let posix = Names::new(Model::Posix, live.clone());
        let ext4 = Names::new(Model::Ext4, live.clone());
        Self { nodes, live, posix, ext4, next, spared: None }
    }

    /// See [`Disk::spare`](crate::Disk::spare).
    pub fn spare(&mut self, prefix: &str) {
        self.spared = Some(prefix.into());
    }

    /// How names begin that are spared, if any are.
    pub fn spared(&self) -> Option<&str> {
        self.spared.as_deref()
    }

    /// Whether a name is.
    pub fn spares(&self, name: &OsStr) -> bool {
        let begins = |prefix: &str| name.as_encoded_bytes().starts_with(prefix.as_bytes());
        self.spared().is_some_and(begins)
    }

    /// A number for a node that is about to be born.
    pub fn unused(&self) -> NodeId {
        NodeId(self.next)
    }

    /// A node.
    pub fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(&node).map(|node| &**node)
    }

    /// A file.
    pub fn file(&self, node: NodeId) -> Option<&File> {
        match self.node(node).map(|node| &node.body) {
            Some(Body::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Every file, named or not.
    pub fn files(&self) -> impl Iterator<Item = (NodeId, &File)> {
        self.nodes.keys().filter_map(|node| Some((*node, self.file(*node)?)))
    }

    /// The names that a reader sees.
    pub fn live(&self) -> &Tree {
        &self.live
    }

    /// The names that the disk has.
    pub fn names(&self, model: Model) -> &Names {
        match model {
            Model::Posix => &self.posix,
            Model::Ext4 => &self.ext4,
        }
    }

    /// What a process that is killed leaves: all that a reader sees.
    pub fn killed(&self) -> Picture {
        self.picture(&self.live, |_, file| file.live().clone())
    }

    /// What a power cut leaves.
    pub fn cut(&self, cut: Cut) -> Picture {
        let tree = self.names(cut.model).after_cut(cut.survives);
        self.picture(&tree, |node, file| file.after_cut(cut.survives, node.0))
    }

    fn picture(&self, tree: &Tree, contents: impl Fn(NodeId, &File) -> Blocks) -> Picture {
        // Half of a rename can leave a directory in two places, which are two from then on.
        let mut seen = BTreeSet::new();
        let mut twins = (self.next..).map(NodeId);
        let items = tree.paths().into_iter().filter_map(|(path, id)| {
            let node = self.node(id)?;
            let is_twin = matches!(node.body, Body::Dir) && !seen.insert(id);
            let number = if is_twin { twins.next()? } else { id };
            let kind = match &node.body {
                Body::Dir => Kind::Dir,
                Body::Link(target) => Kind::Link(target.clone()),
                Body::File(file) => Kind::File(contents(id, file)),
            };
            Some((path, Item { node: number, mode: node.mode, kind }))
        });
        items.collect()
    }

    /// Does what an event did.
    pub fn apply(&mut self, event: u64, act: &Act) {
        match act {
            Act::Nothing | Act::Hint { .. } => {}
            Act::Born { node, born, mode, name } => {
                self.bear(*node, born, *mode);
                name.iter().for_each(|change| self.rename(event, change));
            }
            Act::Name(change) => self.rename(event, change),
            Act::Change { node, change } => self.with(*node, |file| file.change(event, change)),
            Act::Sync { node } => {
                self.with(*node, File::sync);
                self.posix.sync(*node);
                self.ext4.sync(*node);
            }
            Act::SyncRange { node, range } => {
                self.with(*node, |file| file.sync_range(range.clone()));
                self.ext4.sync(*node);
            }
            Act::SyncAll => {
                let files: Vec<_> = self.files().map(|(node, _)| node).collect();
                files.into_iter().for_each(|node| self.with(node, File::sync));
                self.posix.sync_all();
                self.ext4.sync_all();
            }
            Act::LoseSync { node } => self.with(*node, File::fail_sync),
        }
    }

    fn rename(&mut self, event: u64, change: &NameChange) {
        self.live.apply(change);
        if self.is_spared(change) {
            self.posix.settle(change);
            self.ext4.settle(change);
            return;
        }
        self.posix.change(event, change);
        self.ext4.change(event, change);
    }

    pub(crate) fn is_spared(&self, change: &NameChange) -> bool {
        change.entries.iter().all(|entry| self.spares(&entry.name))
    }

    fn bear(&mut self, node: NodeId, born: &Born, mode: u32) {
        let body = match born {
            Born::Dir => Body::Dir,
            Born::Link(target) => Body::Link(target.clone()),
            Born::File(blocks) => Body::File(File::durable(blocks.clone())),
        };
        self.nodes.insert(node, Arc::new(Node { body, mode }));
        self.next = self.next.max(node.0 + 1);
    }

    fn with(&mut self, node: NodeId, change: impl FnOnce(&mut File)) {
        if let Some(node) = self.nodes.get_mut(&node)
            && matches!(node.body, Body::File(_))
            && let Body::File(file) = &mut Arc::make_mut(node).body
        {
            change(file);
        }
    }
}
