//! Laws of the model, against oracles too dumb to be wrong.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::single_range_in_vec_init)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Range;
use std::path::PathBuf;

use proptest::prelude::*;
use seshat_powercut::model::{
    Act, BLOCK, Became, Blocks, Born, Change, Event, Flip, Image, Kind, NameChange, NodeId,
    Outcome, SECTOR, Side, State, Unsynced,
};
use seshat_powercut::{Cut, History, Model, Moment, Picture, Survives};

const FILE: NodeId = NodeId(1);
const MOST: u64 = 3 * BLOCK;

fn change() -> impl Strategy<Value = Change> {
    let place = 0..MOST;
    let write = (place.clone(), 1..2 * BLOCK as usize, 1..=255_u8)
        .prop_map(|(offset, len, byte)| Change::Write { offset, bytes: vec![byte; len].into() });
    let zero =
        (place.clone(), 1..2 * BLOCK).prop_map(|(start, len)| Change::Zero(start..start + len));
    prop_oneof![4 => write, 1 => zero, 2 => place.prop_map(Change::Resize)]
}

#[derive(Debug, Clone)]
enum Op {
    Change(Change),
    Sync,
    SyncRange(Range<u64>),
    LoseSync,
}

fn op() -> impl Strategy<Value = Op> {
    let range = (0..MOST, 1..2 * BLOCK).prop_map(|(start, len)| Op::SyncRange(start..start + len));
    prop_oneof![6 => change().prop_map(Op::Change), 2 => Just(Op::Sync), 1 => range, 1 => Just(Op::LoseSync)]
}

impl Op {
    fn act(&self) -> Act {
        match self.clone() {
            Self::Change(change) => Act::Change { node: FILE, change },
            Self::Sync => Act::Sync { node: FILE },
            Self::SyncRange(range) => Act::SyncRange { node: FILE, range },
            Self::LoseSync => Act::LoseSync { node: FILE },
        }
    }
}

fn event(act: Act) -> Event {
    Event { call: "call", thread: 1, act, outcome: Outcome::Done }
}

fn born(node: NodeId, dir: NodeId, name: &str, born: Born) -> Event {
    let name = Some(NameChange::link(dir, OsStr::new(name), node));
    event(Act::Born { node, born, mode: 0o644, name })
}

/// A history of one file, `f`, whose name is on the disk.
fn history(ops: &[Op]) -> History {
    let mut history = History::new(State::durable(&Picture::default()));
    history.push(born(FILE, NodeId::ROOT, "f", Born::File(Blocks::default())));
    history.push(event(Act::Sync { node: NodeId::ROOT }));
    ops.iter().for_each(|op| history.push(event(op.act())));
    history
}

fn now(history: &History) -> Image {
    history.image(history.now())
}

fn cut(image: &Image, model: Model, survives: Survives) -> Picture {
    image.cut(Cut { model, survives })
}

fn file(picture: &Picture) -> Vec<u8> {
    picture.file("f").expect("the file is there").to_vec()
}

/// A file as two vectors of bytes, and the pages that are lost.
#[derive(Default)]
struct Dumb {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<u64>,
    lost: BTreeSet<u64>,
}

fn set(bytes: &mut Vec<u8>, start: u64, new: &[u8]) {
    let end = start as usize + new.len();
    bytes.resize(bytes.len().max(end), 0);
    bytes[start as usize..end].copy_from_slice(new);
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes: new } => set(bytes, *offset, new),
        Change::Zero(range) => {
            set(bytes, range.start, &vec![0; (range.end - range.start) as usize])
        }
        Change::Resize(size) => bytes.resize(*size as usize, 0),
    }
}

impl Dumb {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Change(change) => {
                apply(&mut self.live, change);
                let range = change.range();
                let written = range.start / BLOCK..range.end.div_ceil(BLOCK);
                if !range.is_empty() {
                    self.lost.retain(|page| !written.contains(page));
                    self.dirty.extend(written);
                }
                let pages = (self.live.len() as u64).div_ceil(BLOCK);
                self.lost.retain(|page| *page < pages);
            }
            Op::Sync => self.write(0..u64::MAX),
            Op::SyncRange(range) => {
                self.write(range.start / BLOCK..range.end.div_ceil(BLOCK));
            }
            Op::LoseSync => {
                for page in std::mem::take(&mut self.dirty) {
                    if self.page(&self.live, page) != self.page(&self.durable, page) {
                        self.lost.insert(page);
                    }
                }
            }
        }
    }

    fn page(&self, bytes: &[u8], page: u64) -> Vec<u8> {
        let mut padded = bytes.to_vec();
        padded.resize(padded.len().max(((page + 1) * BLOCK) as usize), 0);
        padded[(page * BLOCK) as usize..((page + 1) * BLOCK) as usize].to_vec()
    }

    fn write(&mut self, pages: Range<u64>) {
        let old = self.durable.clone();
        self.durable.resize(self.live.len(), 0);
        for at in 0..self.live.len() {
            let page = at as u64 / BLOCK;
            if pages.contains(&page) && !self.lost.contains(&page) {
                self.durable[at] = self.live[at];
            } else if pages.contains(&page) {
                self.durable[at] = old.get(at).copied().unwrap_or(0);
            }
        }
        self.dirty.retain(|page| !pages.contains(page));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_are_bytes(changes in prop::collection::vec(change(), 0..12), from in 0..MOST, len in 0..MOST) {
        let (mut blocks, mut bytes) = (Blocks::default(), Vec::new());
        let mut before = (blocks.clone(), bytes.clone());
        for change in &changes {
            before = (blocks.clone(), bytes.clone());
            match change {
                Change::Write { offset, bytes } => blocks.write(*offset, bytes),
                Change::Zero(range) => blocks.zero(range.clone()),
                Change::Resize(size) => blocks.resize(*size),
            }
            apply(&mut bytes, change);
            prop_assert_eq!(blocks.to_vec(), &bytes[..]);
        }
        prop_assert_eq!(before.0.to_vec(), &before.1[..], "a clone changed with its original");
        // What differs, byte by byte.
        let size = bytes.len().max(before.1.len());
        let byte = |of: &[u8], at| of.get(at).copied().unwrap_or(0);
        let differs: Vec<u64> =
            (0..size).filter(|at| byte(&bytes, *at) != byte(&before.1, *at)).map(|at| at as u64).collect();
        let changed: Vec<u64> = before.0.changed(&blocks).into_iter().flatten().collect();
        prop_assert_eq!(changed, differs);
        // Equal bytes are equal values, whatever came before.
        let mut straight = Blocks::default();
        straight.write(0, &bytes);
        prop_assert_eq!(&straight, &blocks);
        // A range of another file.
        let mut mixed = before.0.clone();
        mixed.copy_range(&blocks, from..from + len);
        let range = from as usize..(from + len) as usize;
        let expected: Vec<u8> = (0..before.1.len())
            .map(|at| byte(if range.contains(&at) { &bytes } else { &before.1 }, at)).collect();
        prop_assert_eq!(mixed.to_vec(), expected);
        prop_assert!(bytes.is_empty() || blocks.holds(0, &bytes));
        prop_assert!(!blocks.holds(0, &[&bytes[..], &[0]].concat()), "beyond the end there is nothing");
    }

    #[test]
    fn a_file_is_what_its_syncs_made_durable(ops in prop::collection::vec(op(), 0..24)) {
        // A range that is synced takes truncations along, which the oracle can only say in order.
        let image = now(&history(&ops));
        let mut dumb = Dumb::default();
        let simple = !ops.iter().any(|op| matches!(op, Op::Change(Change::Resize(_))));
        ops.iter().for_each(|op| dumb.apply(op));
        prop_assert_eq!(file(&image.killed()), &dumb.live[..]);
        if simple {
            let left = file(&cut(&image, Model::Posix, Survives::Nothing));
            prop_assert_eq!(left.len(), dumb.durable.len());
            prop_assert!(left == dumb.durable, "durable bytes differ");
        }
    }

    #[test]
    fn what_survives_was_there_or_was_written(ops in prop::collection::vec(op(), 0..16), seed: u64) {
        let history = history(&ops);
        let image = now(&history);
        let left = file(&cut(&image, Model::Posix, Survives::Some(seed)));
        prop_assert_eq!(&left, &file(&cut(&image, Model::Posix, Survives::Some(seed))), "not repeatable");
        let durable = file(&cut(&image, Model::Posix, Survives::Nothing));
        let state = image.state();
        let pending = state.file(FILE).expect("a file").pending();
        if pending.is_empty() {
            prop_assert!(left == durable, "all was synced, and yet a power cut changed it");
        }
        let live = file(&image.killed());
        let sizes = [durable.len(), live.len()];
        let ends = pending.iter().map(|p| p.change.range().end as usize);
        let most = sizes.into_iter().chain(ends).max().unwrap_or(0);
        prop_assert!(left.len() <= most, "{} bytes of at most {most}", left.len());
        let cut_off = pending.iter().filter_map(|p| match p.change {
            Change::Resize(size) => Some(size as usize),
            _ => None,
        });
        let least = sizes.into_iter().chain(cut_off).min().unwrap_or(0);
        prop_assert!(left.len() >= least, "{} bytes of at least {least}", left.len());
        for (at, byte) in left.iter().enumerate() {
            let old = durable.get(at).copied().unwrap_or(0);
            let wrote = |change: &Change| match change {
                Change::Write { offset, bytes } => {
                    bytes.get(at.wrapping_sub(*offset as usize)) == Some(byte)
                }
                _ => false,
            };
            // A page that a failed sync dropped is whole again once it is written to.
            let fits = *byte == old || live.get(at) == Some(byte) || *byte == 0 || pending.iter().any(|p| wrote(&p.change));
            prop_assert!(fits, "byte {at} is {byte}, which nobody wrote there");
        }
    }

    #[test]
    fn a_synced_file_survives_any_cut(ops in prop::collection::vec(change().prop_map(Op::Change), 0..12), seed: u64) {
        let image = now(&history(&[ops, vec![Op::Sync]].concat()));
        for model in [Model::Posix, Model::Ext4] {
            prop_assert_eq!(cut(&image, model, Survives::Some(seed)), image.killed());
        }
        prop_assert!(image.unsynced(Model::Posix).is_empty());
    }

    #[test]
    fn a_retried_sync_writes_nothing(before in change(), change in change(), seed: u64) {
        let retried = [Op::Change(before), Op::Sync, Op::Change(change), Op::LoseSync, Op::Sync];
        let history = history(&retried);
        let first = file(&history.image(Moment(4)).killed());
        let left = file(&cut(&now(&history), Model::Ext4, Survives::Some(seed)));
        // The size is not in a page.
        for (at, byte) in left.iter().enumerate() {
            prop_assert_eq!(*byte, first.get(at).copied().unwrap_or(0), "byte {}", at);
        }
    }

    #[test]
    fn images_are_the_states_of_their_moments(ops in prop::collection::vec(op(), 0..24)) {
        let history = history(&ops);
        let mut moments = Vec::new();
        for image in history.images() {
            let same = history.image(image.at);
            prop_assert_eq!(image.killed(), same.killed());
            let nothing = |image: &Image| cut(image, Model::Posix, Survives::Nothing);
            prop_assert_eq!(nothing(&image), nothing(&same));
            moments.push(image.at.0);
        }
        let syncs = history.events().zip(0..).filter(|(event, _)| event.is_sync());
        let mut expected: Vec<u64> = syncs.flat_map(|(_, n)| [n, n + 1]).collect();
        expected.push(history.now().0);
        expected.dedup();
        prop_assert_eq!(moments, expected);
    }
}

/// A change of names in two directories, by number.
#[derive(Debug, Clone)]
enum Naming {
    Create(u64, u8),
    Remove(u64, u8),
    Rename((u64, u8), (u64, u8)),
    SyncDir(u64),
    SyncFile(u64, u8),
}

fn naming() -> impl Strategy<Value = Naming> {
    let name = || (0..2_u64, 0..3_u8);
    prop_oneof![
        name().prop_map(|(dir, name)| Naming::Create(dir, name)),
        name().prop_map(|(dir, name)| Naming::Remove(dir, name)),
        (name(), name()).prop_map(|(from, to)| Naming::Rename(from, to)),
        (0..2_u64).prop_map(Naming::SyncDir),
        name().prop_map(|(dir, name)| Naming::SyncFile(dir, name)),
    ]
}

type Listing = BTreeMap<PathBuf, NodeId>;

fn path(dir: u64, name: u8) -> PathBuf {
    let name = format!("n{name}");
    if dir == 0 { name.into() } else { PathBuf::from("d").join(name) }
}

/// Names in the root and in `d`, which is on the disk; each change a list of assignments.
#[derive(Default)]
struct Names {
    live: Listing,
    durable: Listing,
    pending: Vec<Vec<(u64, PathBuf, Option<NodeId>)>>,
}

fn assign(listing: &mut Listing, change: &[(u64, PathBuf, Option<NodeId>)]) {
    for (_, path, node) in change {
        match node {
            Some(node) => listing.insert(path.clone(), *node),
            None => listing.remove(path),
        };
    }
}

fn listing(picture: &Picture) -> Listing {
    let files = picture.items().filter(|(_, item)| item.kind != Kind::Dir);
    files.map(|(path, item)| (path.to_owned(), item.node)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_are_durable_by_their_model(namings in prop::collection::vec(naming(), 0..20), seed: u64) {
        let mut history = History::new(State::durable(&Picture::default()));
        history.push(born(NodeId(1), NodeId::ROOT, "d", Born::Dir));
        history.push(event(Act::Sync { node: NodeId::ROOT }));
        let (mut posix, mut ext4) = (Names::default(), Names::default());
        let mut next = 2;
        for naming in namings {
            let mut change = Vec::new();
            match naming {
                Naming::Create(dir, name) if !posix.live.contains_key(&path(dir, name)) => {
                    let name_of = format!("n{name}");
                    history.push(born(NodeId(next), NodeId(dir), &name_of, Born::File(Blocks::default())));
                    change = vec![(dir, path(dir, name), Some(NodeId(next)))];
                    next += 1;
                }
                Naming::Remove(dir, name) if posix.live.contains_key(&path(dir, name)) => {
                    let name_of = format!("n{name}");
                    history.push(event(Act::Name(NameChange::unlink(NodeId(dir), OsStr::new(&name_of)))));
                    change = vec![(dir, path(dir, name), None)];
                }
                Naming::Rename(from, to) if from != to && posix.live.contains_key(&path(from.0, from.1)) => {
                    let node = posix.live[&path(from.0, from.1)];
                    let names = (format!("n{}", from.1), format!("n{}", to.1));
                    let ends = [(from.0, &names.0), (to.0, &names.1)]
                        .map(|(dir, name)| (NodeId(dir), OsStr::new(name)));
                    history.push(event(Act::Name(NameChange::rename(ends[0], ends[1], node, None))));
                    change = vec![(from.0, path(from.0, from.1), None), (to.0, path(to.0, to.1), Some(node))];
                }
                Naming::SyncDir(dir) => {
                    history.push(event(Act::Sync { node: NodeId(dir) }));
                    let (done, left): (Vec<_>, Vec<_>) =
                        posix.pending.into_iter().partition(|change| change[0].0 == dir);
                    done.iter().for_each(|change| assign(&mut posix.durable, change));
                    posix.pending = left;
                    ext4.journal(|change| change.iter().any(|(of, ..)| *of == dir));
                }
                Naming::SyncFile(dir, name) => {
                    if let Some(node) = posix.live.get(&path(dir, name)).copied() {
                        history.push(event(Act::Sync { node }));
                        ext4.journal(|change| change.iter().any(|(_, _, of)| *of == Some(node)));
                    }
                }
                _ => {}
            }
            if !change.is_empty() {
                assign(&mut posix.live, &change);
                assign(&mut ext4.live, &change);
                ext4.pending.push(change.clone());
                // Each directory for itself.
                let (root, d): (Vec<_>, Vec<_>) = change.into_iter().partition(|(dir, ..)| *dir == 0);
                posix.pending.extend([root, d].into_iter().filter(|part| !part.is_empty()));
            }
        }
        let image = now(&history);
        prop_assert_eq!(listing(&image.killed()), posix.live.clone());
        let left = |model, survives| listing(&cut(&image, model, survives));
        prop_assert_eq!(left(Model::Posix, Survives::Nothing), posix.durable.clone());
        prop_assert_eq!(left(Model::Ext4, Survives::Nothing), ext4.durable.clone());
        prop_assert_eq!(left(Model::Ext4, Survives::Everything), ext4.live.clone());
        // A journal leaves a beginning.
        let seeded = left(Model::Ext4, Survives::Some(seed));
        let mut prefix = ext4.durable.clone();
        let mut prefixes = vec![prefix.clone()];
        for change in &ext4.pending {
            assign(&mut prefix, change);
            prefixes.push(prefix.clone());
        }
        prop_assert!(prefixes.contains(&seeded), "{seeded:?} is none of {prefixes:?}");
        // Without one, each name means what it meant on the disk or was made to mean since.
        for (path, node) in left(Model::Posix, Survives::Some(seed)) {
            let made = posix.pending.iter().flatten().any(|(_, of, to)| *of == path && *to == Some(node));
            prop_assert!(made || posix.durable.get(&path) == Some(&node), "{path:?} means {node:?}");
        }
    }
}

impl Names {
    fn journal(&mut self, concerns: impl Fn(&[(u64, PathBuf, Option<NodeId>)]) -> bool) {
        let last = self.pending.iter().rposition(|change| concerns(change));
        for change in self.pending.drain(..last.map_or(0, |last| last + 1)) {
            assign(&mut self.durable, &change);
        }
    }
}

#[test]
fn seeds_reach_torn_and_unordered_sectors_and_every_size() {
    let sectors = 2 * BLOCK / SECTOR;
    let ops = [Op::Change(Change::Write { offset: 0, bytes: vec![7; 2 * BLOCK as usize].into() })];
    let image = now(&history(&ops));
    let (mut torn, mut unordered, mut sizes) = (false, false, BTreeSet::new());
    for seed in 0..400 {
        let left = file(&cut(&image, Model::Posix, Survives::Some(seed)));
        sizes.insert(left.len());
        let there: Vec<bool> =
            (0..sectors).map(|n| left.get((n * SECTOR) as usize) == Some(&7)).collect();
        let last = there.iter().rposition(|there| *there).unwrap_or(0);
        torn |= there.contains(&true) && there.contains(&false);
        unordered |= there[..last].contains(&false);
    }
    assert!(torn && unordered, "torn: {torn}, out of order: {unordered}");
    assert!(
        sizes.len() > 10 && sizes.contains(&0) && sizes.contains(&(2 * BLOCK as usize)),
        "{sizes:?}"
    );
}

/// As a database writes its pages: a shorter file would have lost others, that were synced.
#[test]
fn a_write_within_a_file_leaves_its_size_alone() {
    let write = |pages: Range<u64>| {
        let bytes = vec![7; ((pages.end - pages.start) * BLOCK) as usize].into();
        Op::Change(Change::Write { offset: pages.start * BLOCK, bytes })
    };
    let image = now(&history(&[write(0..3), Op::Sync, write(0..1), write(1..2)]));
    for seed in 0..200 {
        let left = file(&cut(&image, Model::Posix, Survives::Some(seed)));
        assert_eq!(left.len() as u64, 3 * BLOCK, "seed {seed}");
    }
}

/// What goes through the moments before syncs alone misses none at which one was about to be made.
#[test]
fn between_two_syncs_is_before_the_second() {
    let write = || Op::Change(Change::Write { offset: 0, bytes: b"a"[..].into() });
    let history = history(&[write(), Op::Sync, Op::Sync, write()]);
    let sides: Vec<_> = history.images().map(|image| (image.at.0, image.side)).collect();
    let (before, after) = (Side::Before("call"), Side::After("call"));
    let expected = [(1, before), (2, after), (3, before), (4, before), (5, after), (6, Side::At)];
    assert_eq!(sides, expected);
}

#[test]
fn a_page_has_no_write_without_those_before_it() {
    let write = |offset, byte| Op::Change(Change::Write { offset, bytes: vec![byte; 20].into() });
    // The first and the second in one page, the third in another.
    let image = now(&history(&[write(0, 1), write(20, 2), write(BLOCK, 3)]));
    let mut left = BTreeSet::new();
    for seed in 0..400 {
        let bytes = file(&cut(&image, Model::Ext4, Survives::Some(seed)));
        left.insert([0, 20, BLOCK].map(|at| bytes.get(at as usize).copied().unwrap_or(0)));
    }
    let possible = [[0, 0, 0], [0, 0, 3], [1, 0, 0], [1, 0, 3], [1, 2, 0], [1, 2, 3]];
    assert_eq!(left, BTreeSet::from(possible));
}

#[test]
fn one_seed_leaves_other_parts_at_other_moments() {
    let mut history = history(&[]);
    let mut there = BTreeSet::new();
    for n in 2..40 {
        history.push(born(NodeId(n), NodeId::ROOT, "g", Born::File(Blocks::default())));
        there.insert(cut(&now(&history), Model::Ext4, Survives::Some(1)).file("g").is_some());
        history.push(event(Act::Name(NameChange::unlink(NodeId::ROOT, OsStr::new("g")))));
        history.push(event(Act::Sync { node: NodeId::ROOT }));
    }
    assert_eq!(there.len(), 2, "the name is always there, or never");
}

#[test]
fn what_is_missing_is_said_with_its_call() {
    let mut history = history(&[Op::Change(Change::Write { offset: 3, bytes: b"abc"[..].into() })]);
    history.push(born(NodeId(2), NodeId::ROOT, "g", Born::File(Blocks::default())));
    let missing = now(&history).unsynced(Model::Posix);
    let data = Unsynced::Data { path: "f".into(), ranges: vec![3..6], call: 3 };
    let name = Unsynced::Name { path: "g".into(), dir: ".".into(), became: Became::There, call: 4 };
    assert_eq!(missing, [data, name]);
    let texts: Vec<_> = missing.iter().map(ToString::to_string).collect();
    assert!(
        texts[0].contains("no fsync, fdatasync or msync of the file after call 3"),
        "{texts:?}"
    );
    assert!(texts[1].contains("no fsync of its directory . after call 4"), "{texts:?}");
    let trace = history.trace(history.now(), Model::Posix).to_string();
    assert!(trace.contains("call f 3..6 (not synced)"), "{trace}");
    assert!(trace.contains("call +f (synced by 2)"), "{trace}");
}

#[test]
fn a_record_is_what_changed_and_is_still_there() {
    let write = |offset, bytes: &[u8]| Op::Change(Change::Write { offset, bytes: bytes.into() });
    let history = history(&[write(0, b"aaaa"), write(4, b"bbbb"), write(6, b"c"), write(1, b"a")]);
    let record = |from, to| history.record(Moment(from)..Moment(to), history.now());
    let ranges = |record: &seshat_powercut::model::Record| {
        record.spots().iter().map(|spot| spot.range.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ranges(&record(3, 4)), [4..6, 7..8], "one byte was overwritten since");
    assert_eq!(ranges(&record(4, 5)), [6..7]);
    assert!(record(5, 6).is_empty(), "the same byte again is no change");
    let shorter = self::history(&[write(0, b"aaaa"), Op::Change(Change::Resize(2))]);
    assert!(
        shorter.record(Moment(3)..Moment(4), shorter.now()).is_empty(),
        "no byte is left of it"
    );
    let flips = record(3, 4).flips(100);
    assert_eq!(flips.iter().map(|flip| flip.offset).collect::<Vec<_>>(), [4, 5, 7]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), b"aaaabbcb").unwrap();
    flips[1].apply(dir.path()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"aaaabBcb");
}

#[test]
fn a_bit_is_flipped_in_a_picture_under_every_name_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), b"abc").unwrap();
    std::fs::hard_link(dir.path().join("f"), dir.path().join("g")).unwrap();
    std::fs::write(dir.path().join("h"), b"abc").unwrap();
    let mut picture = Picture::read(dir.path()).unwrap();
    let flip = |path: &str, offset| Flip { path: path.into(), offset, bit: 5 };
    assert!(flip("g", 1).apply_to(&mut picture));
    let read = |name| picture.file(name).unwrap().to_vec();
    assert_eq!([read("f"), read("g"), read("h")], [b"aBc", b"aBc", b"abc"].map(Vec::from));
    assert!(!flip("g", 3).apply_to(&mut picture), "behind the end");
    assert!(!flip("i", 0).apply_to(&mut picture), "no such file");
}

#[test]
fn a_picture_is_written_as_it_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::create_dir_all(from.join("a/b")).unwrap();
    std::fs::write(from.join("a/b/f"), vec![9; 10_000]).unwrap();
    std::fs::hard_link(from.join("a/b/f"), from.join("g")).unwrap();
    let sparse = std::fs::File::create(from.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("g", from.join("link")).unwrap();
    let picture = Picture::read(&from).unwrap();
    picture.write_to(&to).unwrap();
    assert_eq!(Picture::read(&to).unwrap(), picture);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let meta = |name: &str| std::fs::metadata(to.join(name)).unwrap();
        assert_eq!(meta("g").ino(), meta("a/b/f").ino(), "hard links stay links");
        assert!(meta("sparse").blocks() * 512 < 1 << 20, "holes stay holes");
    }
    assert!(picture.write_to(&to).is_err(), "what is there is not overwritten");
}

#[test]
fn a_history_can_be_had_up_to_a_moment_and_nothing_at_risk_is_settled() {
    let write = |offset| Op::Change(Change::Write { offset, bytes: (*b"1").into() });
    let whole = history(&[write(0), Op::Sync, write(1), Op::Sync]);
    for at in (0..=whole.now().0).map(Moment) {
        let part = whole.until(at);
        assert_eq!(part.now(), at);
        assert_eq!(now(&part).killed(), whole.image(at).killed());
        let (image, strict) = (now(&part), cut(&now(&part), Model::Ext4, Survives::Nothing));
        assert_eq!(image.is_settled(Model::Ext4), strict == image.killed(), "{at}");
    }
}
