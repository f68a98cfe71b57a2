//! [`Watched`]: a directory, its history, and which inode is which node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Inode;
use super::faults::Faults;
use super::sys::{self, Family, Notice};
use crate::costs::Costs;
use crate::fault::{Fault, Harm};
use crate::model::{
    Act, BLOCK, Blocks, Born, Change, Event, History, Kind, Moment, NameChange, NodeId, Outcome,
    Picture, State,
};
use crate::unseen::Unseen;

/// How much of a file is compared at once.
const PIECE: u64 = 64 << 10;

/// A directory that is watched.
pub(crate) struct Watched {
    family: Family,
    root: PathBuf,
    history: History,
    state: State,
    index: HashMap<(u64, u64), NodeId>,
    /// Those that have no name, though something may have them open.
    nameless: BTreeSet<NodeId>,
    /// Files to compare, open until the end: to close one would drop the `fcntl` locks that the
    /// store has on it.
    readers: BTreeMap<NodeId, File>,
    /// Those that change without a call.
    mapped: BTreeSet<NodeId>,
    pub(super) faults: Faults,
    unseen: BTreeSet<Unseen>,
    costs: Costs,
    off: bool,
}

impl Watched {
    /// Watches `root`, which holds what `picture` shows, with the durable state of `state`, to which
    /// `history` has led.
    pub(crate) fn new(
        family: Family,
        root: &Path,
        picture: &Picture,
        history: History,
        state: State,
    ) -> io::Result<Self> {
        let root = root.to_owned();
        let key = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()));
        let mut index = HashMap::from([(key(&root)?, NodeId::ROOT)]);
        for (path, item) in picture.items() {
            index.insert(key(&root.join(path))?, item.node);
        }
        Ok(Self {
            family,
            root,
            history,
            state,
            index,
            nameless: BTreeSet::new(),
            readers: BTreeMap::new(),
            mapped: BTreeSet::new(),
            faults: Faults::default(),
            unseen: BTreeSet::new(),
            costs: Costs::default(),
            off: false,
        })
    }

    /// The threads by one of which it is watched.
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn costs(&self) -> Costs {
        self.costs
    }

    pub(crate) fn refused(&self) -> u64 {
        self.faults.refused()
    }

    pub(crate) fn met(&self) -> u64 {
        self.faults.met()
    }

    /// The power is off: whatever the handles do that are open still is no longer seen.
    pub(crate) fn switch_off(&mut self) {
        self.off = true;
    }

    /// Goes on with another disk, and what is known of the old one.
    pub(crate) fn replace(&mut self, new: Self) {
        let unseen = std::mem::take(&mut self.unseen);
        let (costs, spared) = (self.costs, self.state.spared().map(str::to_owned));
        *self = Self { unseen, costs, ..new };
        spared.iter().for_each(|prefix| self.spare(prefix));
    }

    /// See [`Disk::spare`](crate::Disk::spare).
    pub(crate) fn spare(&mut self, prefix: &str) {
        self.history.spare(prefix);
        self.state.spare(prefix);
    }

    /// The node that an inode is.
    pub(super) fn node(&self, inode: Inode) -> Option<NodeId> {
        let node = self.index.get(&inode.key).copied().filter(|_| !self.off)?;
        // A number that is used again, for a file that has a name.
        (inode.links == 0 || !self.nameless.contains(&node)).then_some(node)
    }

    /// The device that the directory is on.
    pub(super) fn is_on(&self, device: u64) -> bool {
        self.index.keys().any(|(of, _)| *of == device)
    }

    pub(crate) fn fail(&mut self, fault: Option<Fault>) {
        self.faults.set(fault);
        if fault.is_some_and(|fault| fault.harm != Harm::LostSync) {
            let paths = self.mapped.iter().map(|node| Unseen::Mapped(self.path(*node)));
            self.unseen.extend(paths.collect::<Vec<_>>());
        }
    }

    /// What was out of sight.
    pub(crate) fn unseen(&self) -> Vec<Unseen> {
        self.unseen.iter().cloned().collect()
    }

    pub(super) fn note(&mut self, unseen: Unseen) {
        self.unseen.insert(unseen);
    }

    pub(super) fn path(&self, node: NodeId) -> PathBuf {
        self.state.live().path_of(node).unwrap_or_else(|| PathBuf::from("(no name)"))
    }

    /// A call that stopped, and what it did.
    pub(super) fn push(&mut self, notice: &Notice<'_>, act: Act, outcome: Outcome) {
        self.costs.calls += 1;
        if let (Act::Change { change: Change::Write { bytes, .. }, .. }, _) = (&act, outcome) {
            self.costs.captured += bytes.len() as u64;
        }
        self.record(notice.name(), notice.thread(), act, outcome);
    }

    fn record(&mut self, call: &'static str, thread: u32, act: Act, outcome: Outcome) {
        let event = Event { call, thread, act, outcome };
        self.state.apply(self.history.now().0, event.done());
        self.history.push(event);
    }

    /// A node comes to be.
    pub(super) fn bear(
        &mut self,
        notice: &Notice<'_>,
        key: (u64, u64),
        born: (Born, u32),
        name: Option<(NodeId, OsString)>,
    ) -> NodeId {
        let node = self.state.unused();
        self.index.insert(key, node);
        if name.is_none() {
            self.nameless.insert(node);
        }
        let name = name.map(|(dir, name)| NameChange::link(dir, &name, node));
        let (born, mode) = born;
        self.push(notice, Act::Born { node, born, mode, name }, Outcome::Done);
        node
    }

    /// The last name of an inode is gone. It lives on while it is open, and then its number means
    /// another file, here or elsewhere.
    pub(super) fn bury(&mut self, inode: Inode) {
        if let Some(node) = self.node(inode)
            && inode.links <= 1
        {
            self.nameless.insert(node);
        }
    }

    pub(super) fn name(&mut self, notice: &Notice<'_>, change: NameChange) {
        for node in change.entries.iter().filter_map(|entry| entry.node) {
            self.nameless.remove(&node);
        }
        self.push(notice, Act::Name(change), Outcome::Done);
    }

    /// Makes sure that a file can be compared later. It is opened anew, for the descriptor at hand
    /// may be for writing only.
    pub(super) fn make_readable(&mut self, node: NodeId, fd: RawFd) {
        if let Ok(file) = File::open(format!("/proc/self/fd/{fd}")) {
            self.readers.entry(node).or_insert(file);
        }
    }

    /// From now on a file may change without a call.
    pub(super) fn compare_always(&mut self, node: NodeId) {
        self.mapped.insert(node);
    }

    pub(super) fn is_mapped(&self, inode: u64) -> Option<NodeId> {
        let mut nodes = self.index.iter().filter(|((_, of), _)| *of == inode);
        nodes.find_map(|(_, node)| self.mapped.contains(node).then_some(*node))
    }

    /// Finds out what was written to mapped files, and when it is.
    pub(crate) fn catch_up(&mut self) -> Moment {
        if !self.off {
            for node in self.mapped.clone() {
                self.compare(node, 0..u64::MAX, "mmap", 0);
            }
        }
        self.history.now()
    }

    /// Finds out what was written to a range of a file, page by page.
    pub(super) fn compare(
        &mut self,
        node: NodeId,
        range: Range<u64>,
        call: &'static str,
        thread: u32,
    ) {
        let Some(changes) = self.changes(node, range) else {
            let path = self.path(node);
            return self.note(Unseen::Changed(path));
        };
        for change in changes {
            self.record(call, thread, Act::Change { node, change }, Outcome::Done);
        }
    }

    fn changes(&mut self, node: NodeId, range: Range<u64>) -> Option<Vec<Change>> {
        let live = self.state.file(node)?.live();
        let file = self.readers.get(&node)?;
        let size = file.metadata().ok()?.len();
        let mut changes = Vec::new();
        if size != live.size() {
            changes.push(Change::Resize(size));
        }
        let range = range.start..range.end.min(size);
        let data = sys::data(file, range.clone());
        let mut buffer = vec![0; PIECE as usize];
        let mut hole = range.start;
        for part in &data {
            changes.extend(emptied(live, hole..part.start));
            hole = part.end;
            let mut at = part.start;
            while at < part.end {
                let end = part.end.min((at / PIECE + 1) * PIECE);
                let bytes = buffer.get_mut(..(end - at) as usize)?;
                file.read_exact_at(bytes, at).ok()?;
                self.costs.compared += end - at;
                changes.extend(written(live, at, bytes));
                at = end;
            }
        }
        changes.extend(emptied(live, hole..range.end));
        Some(changes)
    }

    /// Compares the whole directory with what the calls have made of it.
    ///
    /// # Errors
    /// The directory can't be read.
    pub(crate) fn verify(&mut self) -> io::Result<()> {
        if self.off {
            return Ok(());
        }
        let (real, ours) = (Picture::read(&self.root)?, self.state.killed());
        let paths: BTreeSet<_> = real.items().chain(ours.items()).map(|(path, _)| path).collect();
        for path in paths {
            let same = match (real.get(path), ours.get(path)) {
                (Some(Kind::File(real)), Some(Kind::File(ours))) => real == ours,
                (real, ours) => real == ours,
            };
            if !same {
                self.unseen.insert(Unseen::Changed(path.to_owned()));
            }
        }
        Ok(())
    }
}

/// Pages that are another way.
fn written(live: &Blocks, start: u64, bytes: &[u8]) -> Vec<Change> {
    let pages = bytes.chunks(BLOCK as usize).zip((start..).step_by(BLOCK as usize));
    let changed = pages.filter(|(page, offset)| !live.holds(*offset, page));
    changed.map(|(page, offset)| Change::Write { offset, bytes: page.into() }).collect()
}

/// Pages that are holes and were not.
fn emptied(live: &Blocks, hole: Range<u64>) -> Vec<Change> {
    if hole.start >= hole.end {
        return Vec::new();
    }
    let within = |page: u64| (page * BLOCK).max(hole.start)..((page + 1) * BLOCK).min(hole.end);
    live.stored_in(hole.clone()).into_iter().map(within).map(Change::Zero).collect()
}
