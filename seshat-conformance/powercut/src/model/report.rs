//! What was synced and what was not, in words that an author can act on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::Model;
use super::blocks::BLOCK;
use super::event::{Act, Event, Moment, NodeId, Outcome};
use super::file::Change;
use super::history::History;
use super::names::{NameChange, PendingName, Tree};
use super::state::State;

/// Something that is not on the disk, and the sync that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsynced {
    /// Bytes of a file.
    Data {
        /// The file.
        path: PathBuf,
        /// The bytes, as ranges that don't touch.
        ranges: Vec<Range<u64>>,
        /// The last call that wrote there, counted from 1.
        call: u64,
    },
    /// The size of a file.
    Size {
        /// The file.
        path: PathBuf,
        /// What it should be, in bytes.
        size: u64,
        /// The call that set it, counted from 1.
        call: u64,
    },
    /// Pages that a failed sync dropped: no sync will write them, only another write and a sync.
    Lost {
        /// The file.
        path: PathBuf,
        /// The bytes.
        ranges: Vec<Range<u64>>,
    },
    /// A name: made, moved or removed.
    Name {
        /// The name.
        path: PathBuf,
        /// Its directory, which wants a sync.
        dir: PathBuf,
        /// What has become of it.
        became: Became,
        /// The call that changed it, counted from 1.
        call: u64,
    },
}

/// What has become of a name that the disk doesn't know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It is there, and the disk has none.
    There,
    /// It means another file than on the disk.
    Another,
    /// It is gone, and the disk still has it.
    Gone,
}

impl fmt::Display for Unsynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { path, ranges, call } => write!(
                f,
                "{}: bytes {} are not on the disk: no fsync, fdatasync or msync of the file \
                 after call {call}",
                path.display(),
                list(ranges)
            ),
            Self::Size { path, size, call } => write!(
                f,
                "{}: its size of {size} is not on the disk: no fsync or fdatasync of the file \
                 after call {call}",
                path.display()
            ),
            Self::Lost { path, ranges } => write!(
                f,
                "{}: bytes {} were dropped by a sync that failed: another sync doesn't write \
                 them, they have to be written again",
                path.display(),
                list(ranges)
            ),
            Self::Name { path, dir, became, call } => write!(
                f,
                "{}: that the name {} is not on the disk: no fsync of its directory {} after \
                 call {call}",
                path.display(),
                match became {
                    Became::There => "is there",
                    Became::Another => "means another file",
                    Became::Gone => "is gone",
                },
                dir.display()
            ),
        }
    }
}

pub(crate) fn unsynced(state: &State, model: Model) -> Vec<Unsynced> {
    let paths = paths(state.live());
    let files = state.files().filter_map(|(node, file)| Some((paths.get(&node)?, file)));
    let mut all = Vec::new();
    for (path, file) in files {
        let path = || path.clone();
        let ranges = merged(file.pending().iter().map(|pending| pending.change.range()));
        if let Some(last) = file.pending().last() {
            let call = last.event + 1;
            match last.change {
                _ if !ranges.is_empty() => all.push(Unsynced::Data { path: path(), ranges, call }),
                _ => {
                    let size = file.live().size();
                    all.push(Unsynced::Size { path: path(), size, call });
                }
            }
        }
        let lost = merged(file.lost().map(|page| page * BLOCK..(page + 1) * BLOCK));
        if !lost.is_empty() {
            all.push(Unsynced::Lost { path: path(), ranges: lost });
        }
    }
    let names = state.names(model);
    let entries = |pending: &'_ PendingName| (pending.event + 1, pending.change.entries.clone());
    let mut last = BTreeMap::new();
    for (call, entries) in names.pending().iter().map(entries) {
        last.extend(entries.into_iter().map(|entry| ((entry.dir, entry.name), (entry.node, call))));
    }
    for ((dir, name), (node, call)) in last {
        // Made and removed, or in a directory that is gone: nothing is missed.
        let old = names.durable().get(dir, &name);
        let missed = old != node;
        let Some(dir) = state.live().path_of(dir).filter(|_| missed) else { continue };
        let path = join(&dir, &name);
        let became = match (old, node) {
            (_, None) => Became::Gone,
            (None, _) => Became::There,
            _ => Became::Another,
        };
        all.push(Unsynced::Name { path, dir, became, call });
    }
    all
}

/// The calls of a history, one a line: which call of which thread, on what, and whether what it
/// did is on the disk at the end.
#[derive(Debug, Clone)]
pub struct Trace {
    lines: Vec<String>,
}

impl Trace {
    /// The lines, oldest call first.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl History {
    /// The calls up to a moment. Changes are marked with the call that made them durable, by a
    /// model. Those of names that are [spared](crate::Disk::spare) are left out.
    pub fn trace(&self, upto: Moment, model: Model) -> Trace {
        let mut state = self.state(Moment(0));
        let mut known = paths(state.live());
        let mut synced_by = BTreeMap::new();
        let mut texts = Vec::new();
        for (number, event) in (0..upto.0).zip(self.events()) {
            let waiting = if event.is_sync() { pending(&state, model) } else { BTreeSet::new() };
            state.apply(number, event.done());
            if event.is_sync() {
                let still = pending(&state, model);
                synced_by.extend(waiting.difference(&still).map(|done| (*done, number)));
            }
            if event.act.name().is_some_and(|change| state.is_spared(change)) {
                known = paths(state.live());
                continue;
            }
            let names = matches!(event.done(), Act::Born { .. } | Act::Name(_));
            let new = names.then(|| paths(state.live()));
            let text = describe(event, &known, new.as_ref().unwrap_or(&known));
            texts.push((number, format!("{:>4} T{} {text}", number + 1, event.thread)));
            known = new.unwrap_or(known);
        }
        let waiting = pending(&state, model);
        let lines = texts.into_iter().map(|(number, text)| match synced_by.get(&number) {
            _ if waiting.contains(&number) => format!("{text} (not synced)"),
            Some(sync) => format!("{text} (synced by {})", sync + 1),
            None => text,
        });
        Trace { lines: lines.collect() }
    }
}

/// The events whose changes no sync covers.
fn pending(state: &State, model: Model) -> BTreeSet<u64> {
    let data = state.files().flat_map(|(_, file)| file.pending().iter().map(|p| p.event));
    data.chain(state.names(model).pending().iter().map(|p| p.event)).collect()
}

fn describe(
    event: &Event,
    before: &BTreeMap<NodeId, PathBuf>,
    after: &BTreeMap<NodeId, PathBuf>,
) -> String {
    let name = |node: &NodeId| match after.get(node).or_else(|| before.get(node)) {
        Some(path) => path.display().to_string(),
        None => format!("a file without a name ({})", node.0),
    };
    let what = match &event.act {
        Act::Hint { node } if event.outcome == Outcome::Done => {
            format!("{}, which promises nothing", name(node))
        }
        Act::Hint { node } => name(node),
        Act::Nothing => String::new(),
        Act::Born { name: Some(change), .. } => names(change, &name, event.outcome),
        Act::Born { node, .. } => name(node),
        Act::Change { node, change: Change::Resize(size) } => format!("{} to {size}", name(node)),
        Act::Change { node, change } => {
            let range = change.range();
            let zeros = if matches!(change, Change::Zero(_)) { " zeros" } else { "" };
            format!("{}{zeros} {}..{}", name(node), range.start, range.end)
        }
        Act::Name(change) => names(change, &name, event.outcome),
        Act::Sync { node } => name(node),
        Act::SyncRange { node, range } => format!("{} {}..{}", name(node), range.start, range.end),
        Act::SyncAll => "everything".to_owned(),
        Act::LoseSync { node } => format!("{}, its pages count as clean", name(node)),
    };
    let ended = match event.outcome {
        Outcome::Done => String::new(),
        Outcome::Short => ": a part of what it was told to write, and said so".to_owned(),
        Outcome::Failed(code) => format!(": {}", std::io::Error::from_raw_os_error(code)),
        Outcome::Refused(code) => {
            format!(": refused, {}", std::io::Error::from_raw_os_error(code))
        }
    };
    format!("{} {what}{ended}", event.call)
}

fn names(change: &NameChange, path: &impl Fn(&NodeId) -> String, outcome: Outcome) -> String {
    let texts = change.entries.iter().map(|entry| {
        let name = join(std::path::Path::new(&path(&entry.dir)), &entry.name);
        let verb = match (outcome, entry.node) {
            (Outcome::Done, Some(_)) => "+",
            (Outcome::Done, None) => "-",
            _ => "",
        };
        format!("{verb}{}", name.display())
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn paths(tree: &Tree) -> BTreeMap<NodeId, PathBuf> {
    let mut paths: BTreeMap<_, _> =
        tree.paths().into_iter().map(|(path, node)| (node, path)).collect();
    paths.insert(NodeId::ROOT, PathBuf::from("."));
    paths
}

fn join(dir: &std::path::Path, name: &std::ffi::OsStr) -> PathBuf {
    if dir.as_os_str() == "." { PathBuf::from(name) } else { dir.join(name) }
}

/// The union of ranges, as ranges that don't touch.
pub(crate) fn merged(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut ranges: Vec<_> = ranges.filter(|range| !range.is_empty()).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.into_iter().fold(Vec::new(), |mut merged: Vec<Range<u64>>, range| {
        match merged.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
        merged
    })
}

fn list(ranges: &[Range<u64>]) -> String {
    let shown = ranges.iter().take(4).map(|range| format!("{}..{}", range.start, range.end));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if let Some(more) = ranges.len().checked_sub(4).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
