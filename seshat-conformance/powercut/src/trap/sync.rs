//! Calls that make things durable. They are answered, not made.

use std::fs;
use std::ops::Range;

use super::faults::{Blow, Kind};
use super::sys::{self, Answer, Notice};
use super::watched::Watched;
use super::{Registry, lock};
use crate::model::{Act, Outcome};

/// `fsync` and `fdatasync` of a file or directory. They are one: what the second leaves out is no
/// part of the model.
pub(super) fn one(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let fd = notice.fd(0);
    let stat = sys::stat(fd)?;
    let (disk, node) = registry.find(stat)?;
    if sys::flags(fd) & libc::O_PATH != 0 {
        return None;
    }
    let mut disk = lock(disk);
    disk.catch_up();
    let kind = if stat.is_file { Kind::Sync } else { Kind::SyncDir };
    Some(finish(&mut disk, notice, kind, Act::Sync { node }, Act::LoseSync { node }))
}

/// `sync` and `syncfs`, of the family's directories. Made as well, for other files than ours are meant too.
pub(super) fn all(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let device = match notice.name() {
        "sync" => None,
        _ => Some(sys::stat(notice.fd(0))?.key.0),
    };
    for disk in registry.of(notice) {
        let mut disk = lock(disk);
        if device.is_none_or(|device| disk.is_on(device)) {
            disk.catch_up();
            disk.push(notice, Act::SyncAll, Outcome::Done);
        }
    }
    Some(Answer::Continue)
}

/// `sync_file_range` waits for pages, but neither for sizes nor for the disk's own cache: its
/// manual says that nothing is durable by it.
pub(super) fn hint(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let (disk, node) = registry.find(sys::stat(notice.fd(0))?)?;
    lock(disk).push(notice, Act::Hint { node }, Outcome::Done);
    Some(Answer::Continue)
}

/// `msync`: the bytes of each mapped file in a range of memory.
pub(super) fn mapping(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let (start, len) = (notice.arg(0), notice.arg(1));
    let waits = notice.arg(2) & libc::MS_SYNC as u64 != 0;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let mut answer = None;
    for map in maps.lines().filter_map(Map::read) {
        let memory = map.memory.start.max(start)..map.memory.end.min(start.saturating_add(len));
        if memory.is_empty() {
            continue;
        }
        let places = registry.disks.iter();
        let Some((disk, node)) =
            places.clone().find_map(|disk| Some((disk, lock(disk).is_mapped(map.inode)?)))
        else {
            continue;
        };
        let mut disk = lock(disk);
        if !waits {
            disk.push(notice, Act::Hint { node }, Outcome::Done);
            continue;
        }
        disk.catch_up();
        let at = |address| map.offset + (address - map.memory.start);
        let range = at(memory.start)..at(memory.end);
        let act = Act::SyncRange { node, range };
        let ended = finish(&mut disk, notice, Kind::Sync, act, Act::LoseSync { node });
        answer = match answer {
            Some(Answer::Error(errno)) => Some(Answer::Error(errno)),
            _ => Some(ended),
        };
    }
    answer
}

/// Completes a sync, or has it fail.
fn finish(disk: &mut Watched, notice: &Notice<'_>, kind: Kind, act: Act, lose: Act) -> Answer {
    let (act, outcome) = match disk.faults.meet(kind) {
        None => (act, Outcome::Done),
        Some(Blow::Lose) => (lose, Outcome::Refused(libc::EIO)),
        Some(_) => (act, Outcome::Refused(libc::EIO)),
    };
    disk.push(notice, act, outcome);
    match outcome {
        Outcome::Done | Outcome::Short => Answer::Value(0),
        Outcome::Failed(errno) | Outcome::Refused(errno) => Answer::Error(errno),
    }
}

/// A line of `/proc/self/maps`.
struct Map {
    memory: Range<u64>,
    offset: u64,
    inode: u64,
}

impl Map {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let memory = hex(start)?..hex(end)?;
        let shared = words.next()?.ends_with('s');
        let offset = hex(words.next()?)?;
        let inode = words.nth(1)?.parse().ok()?;
        shared.then_some(Self { memory, offset, inode })
    }
}
