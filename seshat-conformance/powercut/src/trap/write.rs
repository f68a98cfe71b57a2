//! Calls that change what a file holds.

use super::faults::{Blow, Kind};
use super::sys::{self, Answer, Errno, Notice};
use super::watched::Watched;
use super::{Registry, lock};
use crate::model::{Act, BLOCK, Change, NodeId, Outcome};
use crate::unseen::Unseen;

/// `write`, `pwrite64`, `writev`, `pwritev` and `pwritev2`.
pub(super) fn bytes(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let fd = notice.fd(0);
    let stat = sys::stat(fd).filter(|stat| stat.is_file)?;
    let (disk, node) = registry.find(stat)?;
    let mut disk = lock(disk);
    let pieces = pieces(notice)?;
    let flags = sys::flags(fd);
    let offset = offset(notice, flags, stat.size)?;
    let wanted = pieces.iter().map(|(_, len)| len).sum();
    let blow = disk.faults.meet(Kind::Write(part(offset, wanted, stat.size)));
    let result = match blow {
        Some(Blow::Short(len)) => {
            let (start, first) = pieces.iter().copied().find(|(_, len)| *len > 0)?;
            notice.repeat_shorter(start, first.min(len))
        }
        Some(blow) => Err(errno(blow)),
        None => notice.repeat(),
    };
    let count = result.map_or(wanted, |count| count as u64);
    // The bytes are gone if another thread took their memory back in the middle of the call.
    if let Some(change) = capture(notice, &pieces, offset, count) {
        let range = change.range();
        disk.push(notice, Act::Change { node, change }, outcome(result, blow));
        if result.is_ok() && is_synchronous(notice, flags) {
            disk.push(notice, Act::SyncRange { node, range }, Outcome::Done);
        }
    }
    Some(result.into())
}

/// How much of a write a disk may take that is full half-way: a half of what makes the file grow.
/// In place a page is taken whole or not at all. 0 if all or nothing.
fn part(offset: u64, len: u64, size: u64) -> u64 {
    let end = offset.saturating_add(len);
    if end > size {
        let old = size.saturating_sub(offset).min(len);
        return old + (len - old) / 2;
    }
    let page = (offset / BLOCK + 1) * BLOCK;
    if page < end { page - offset } else { 0 }
}

/// Where in memory the bytes are: start and length of each piece.
fn pieces(notice: &Notice<'_>) -> Option<Vec<(u64, u64)>> {
    if matches!(notice.name(), "write" | "pwrite64") {
        return Some(vec![(notice.arg(1), notice.arg(2))]);
    }
    let table = notice.memory(notice.arg(1), notice.arg(2).min(1024) * 16)?;
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let pairs = table.chunks_exact(16).map(|pair| pair.split_at(8));
    Some(pairs.map(|(start, len)| (number(start), number(len))).collect())
}

/// Where in the file they go. Linux appends through `O_APPEND`, whatever offset it is told.
fn offset(notice: &Notice<'_>, flags: i32, size: u64) -> Option<u64> {
    let appends = notice.name() == "pwritev2" && notice.arg(5) & libc::RWF_APPEND as u64 != 0;
    match notice.name() {
        _ if appends || flags & libc::O_APPEND != 0 => Some(size),
        "pwrite64" | "pwritev" => Some(notice.arg(3)),
        "pwritev2" if notice.arg(3) != u64::MAX => Some(notice.arg(3)),
        _ => sys::position(notice.fd(0)),
    }
}

/// `O_SYNC` has the bit of `O_DSYNC`.
fn is_synchronous(notice: &Notice<'_>, flags: i32) -> bool {
    let now = (libc::RWF_DSYNC | libc::RWF_SYNC) as u64;
    flags & libc::O_DSYNC != 0 || notice.name() == "pwritev2" && notice.arg(5) & now != 0
}

fn capture(notice: &Notice<'_>, pieces: &[(u64, u64)], offset: u64, count: u64) -> Option<Change> {
    let mut bytes = Vec::new();
    for (start, len) in pieces {
        let rest = count.saturating_sub(bytes.len() as u64).min(*len);
        bytes.extend(notice.memory(*start, rest)?);
    }
    let zeros = bytes.len() as u64 >= BLOCK && bytes.iter().all(|byte| *byte == 0);
    Some(match zeros {
        true => Change::Zero(offset..offset + bytes.len() as u64),
        false => Change::Write { offset, bytes: bytes.into() },
    })
}

/// `ftruncate`.
pub(super) fn resize(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let (disk, node) = registry.find(sys::stat(notice.fd(0))?)?;
    Some(resize_to(&mut lock(disk), notice, node, notice.arg(1)))
}

/// `ftruncate` and `truncate`.
pub(super) fn resize_to(
    disk: &mut Watched,
    notice: &Notice<'_>,
    node: NodeId,
    size: u64,
) -> Answer {
    let blow = disk.faults.meet(Kind::Resize);
    let result = blow.map_or_else(|| notice.repeat(), |blow| Err(errno(blow)));
    let act = Act::Change { node, change: Change::Resize(size) };
    disk.push(notice, act, outcome(result, blow));
    result.into()
}

/// `fallocate`, in each of its modes.
pub(super) fn reserve(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let fd = notice.fd(0);
    let (disk, node) = registry.find(sys::stat(fd)?)?;
    let mut disk = lock(disk);
    let (mode, start) = (notice.arg(1) as i32, notice.arg(2));
    let blow = disk.faults.meet(Kind::Reserve);
    let result = blow.map_or_else(|| notice.repeat(), |blow| Err(errno(blow)));
    let empties = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE;
    let moves = libc::FALLOC_FL_COLLAPSE_RANGE | libc::FALLOC_FL_INSERT_RANGE;
    let size = sys::stat(fd).map_or(0, |stat| stat.size);
    if result.is_err() {
        disk.push(notice, Act::Hint { node }, outcome(result, blow));
        return Some(result.into());
    }
    if mode & moves != 0 {
        disk.make_readable(node, fd);
        disk.compare(node, start..u64::MAX, notice.name(), notice.thread());
    }
    if mode & empties != 0 {
        let range = start..start.saturating_add(notice.arg(3)).min(size);
        disk.push(notice, Act::Change { node, change: Change::Zero(range) }, Outcome::Done);
    }
    if disk.state().file(node).is_some_and(|file| file.live().size() != size) {
        let act = Act::Change { node, change: Change::Resize(size) };
        disk.push(notice, act, Outcome::Done);
    }
    Some(result.into())
}

/// `copy_file_range`, `sendfile` and the cloning `ioctl`s: what came over is found by comparing.
pub(super) fn copy(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let (target, source, at) = match notice.name() {
        "copy_file_range" => (2, Some(0), Some(notice.arg(3)).filter(|at| *at != 0)),
        "sendfile" => (0, Some(1), None),
        _ => (0, None, None),
    };
    let fd = notice.fd(target);
    let (disk, node) = registry.find(sys::stat(fd).filter(|stat| stat.is_file)?)?;
    if source.is_some_and(|source| sys::stat(notice.fd(source)).is_none_or(|s| !s.is_file)) {
        return splice_into(&mut lock(disk), node, fd);
    }
    let start = match (notice.name(), at) {
        ("ioctl", _) => 0,
        (_, None) => sys::position(fd)?,
        (_, Some(at)) => u64::from_le_bytes(notice.memory(at, 8)?.try_into().ok()?),
    };
    let mut disk = lock(disk);
    let blow = disk.faults.meet(Kind::Write(0));
    let result = blow.map_or_else(|| notice.repeat(), |blow| Err(errno(blow)));
    disk.make_readable(node, fd);
    match result {
        Ok(_) if notice.name() == "ioctl" => {
            disk.compare(node, 0..u64::MAX, notice.name(), notice.thread());
        }
        Ok(count) => {
            let range = start..start + count as u64;
            disk.compare(node, range, notice.name(), notice.thread());
        }
        Err(_) => disk.push(notice, Act::Hint { node }, outcome(result, blow)),
    }
    Some(result.into())
}

/// `splice`: its source may block, so the caller makes it itself.
pub(super) fn splice(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let fd = notice.fd(2);
    let (disk, node) = registry.find(sys::stat(fd).filter(|stat| stat.is_file)?)?;
    splice_into(&mut lock(disk), node, fd)
}

fn splice_into(disk: &mut Watched, node: NodeId, fd: i32) -> Option<Answer> {
    let path = disk.path(node);
    disk.note(Unseen::Spliced(path));
    disk.make_readable(node, fd);
    disk.compare_always(node);
    Some(Answer::Continue)
}

/// `mmap`, shared. Only through a descriptor for reading and writing can it ever be written to.
pub(super) fn map(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let fd = notice.fd(4);
    let (disk, node) = registry.find(sys::stat(fd)?)?;
    if sys::flags(fd) & libc::O_ACCMODE == libc::O_RDWR {
        let mut disk = lock(disk);
        disk.make_readable(node, fd);
        disk.compare_always(node);
        if disk.faults.writes_fail() {
            let path = disk.path(node);
            disk.note(Unseen::Mapped(path));
        }
    }
    Some(Answer::Continue)
}

pub(super) fn errno(blow: Blow) -> Errno {
    match blow {
        Blow::Full | Blow::Short(_) => libc::ENOSPC,
        Blow::Broken | Blow::Lose => libc::EIO,
    }
}

pub(super) fn outcome(result: Result<i64, Errno>, blow: Option<Blow>) -> Outcome {
    match (result, blow) {
        (Ok(_), Some(Blow::Short(_))) => Outcome::Short,
        (Ok(_), _) => Outcome::Done,
        (Err(errno), None) => Outcome::Failed(errno),
        (Err(errno), Some(_)) => Outcome::Refused(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_a_part_of_what_needs_room() {
        assert_eq!(part(0, 9, 0), 4);
        assert_eq!(part(10, 9, 14), 4 + 2, "what is there, and a half of the rest");
        assert_eq!(part(0, 1, 0), 0);
        assert_eq!(part(0, 12, 300), 0, "in place, within a page");
        assert_eq!(part(4_000, 200, 9_000), 96, "in place, up to the next page");
        assert_eq!(part(4_000, 96, 9_000), 0);
    }
}
