//! Calls that make, move and remove names.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::faults::Kind;
use super::sys::{self, Answer, Errno, Notice};
use super::watched::Watched;
use super::write::{errno, outcome, resize_to};
use super::{Inode, Registry, Shared, lock};
use crate::model::{Act, Blocks, Born, Change, NameChange, NodeId, Outcome};
use crate::unseen::Unseen;

/// The paths that a call names: the argument with the directory that each starts from, if it has
/// one, and the argument with the path itself.
pub(super) fn arguments(call: &str) -> &'static [(Option<usize>, usize)] {
    match call {
        "open" | "creat" | "truncate" | "unlink" | "rmdir" | "mkdir" | "mknod" => &[(None, 0)],
        "openat" | "openat2" | "unlinkat" | "mkdirat" | "mknodat" => &[(Some(0), 1)],
        "rename" | "link" => &[(None, 0), (None, 1)],
        "renameat" | "renameat2" | "linkat" => &[(Some(0), 1), (Some(2), 3)],
        "symlink" => &[(None, 1)],
        "symlinkat" => &[(Some(1), 2)],
        _ => &[],
    }
}

/// A path of a call, and the watched directory that it is in, if it is in one.
struct Place<'a> {
    path: PathBuf,
    within: Option<(&'a Shared, NodeId, OsString)>,
}

impl<'a> Place<'a> {
    fn read(registry: &'a Registry, notice: &Notice<'_>, which: usize) -> Option<Self> {
        let (base, path) = *arguments(notice.name()).get(which)?;
        let path = PathBuf::from(notice.path(notice.arg(path))?);
        let path = match base.map(|base| notice.fd(base)) {
            _ if path.is_absolute() => path,
            None | Some(libc::AT_FDCWD) => std::env::current_dir().ok()?.join(path),
            Some(fd) => fs::read_link(format!("/proc/self/fd/{fd}")).ok()?.join(path),
        };
        let within = || {
            let (dir, name) = (path.parent()?, path.file_name()?);
            let (disk, dir) = registry.find(&fs::metadata(dir).ok()?)?;
            Some((disk, dir, name.to_owned()))
        };
        Some(Self { within: within(), path })
    }

    /// What is there, a link itself.
    fn meta(&self) -> Option<Metadata> {
        fs::symlink_metadata(&self.path).ok()
    }
}

/// `truncate`.
pub(super) fn truncate(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let place = Place::read(registry, notice, 0)?;
    let (disk, node) = registry.find(&fs::metadata(&place.path).ok()?)?;
    Some(resize_to(&mut lock(disk), notice, node, notice.arg(1)))
}

/// `open`, `openat`, `openat2` and `creat`, where they may make or empty a file.
pub(super) fn open(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let flags = match notice.name() {
        "open" => notice.arg(1) as i32,
        "openat" => notice.arg(2) as i32,
        "openat2" => i32::from_le_bytes(notice.memory(notice.arg(2), 4)?.try_into().ok()?),
        _ => libc::O_CREAT | libc::O_TRUNC,
    };
    let place = Place::read(registry, notice, 0)?;
    match fs::metadata(&place.path) {
        Ok(meta) => {
            let (disk, node) = registry.find(&meta)?;
            let mut disk = lock(disk);
            let nameless = flags & libc::O_TMPFILE == libc::O_TMPFILE;
            match meta.is_file() {
                true if flags & libc::O_TRUNC != 0 => Some(empty(&mut disk, notice, node)),
                false if nameless && meta.is_dir() => Some(create(&mut disk, notice, None)),
                _ => None,
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && flags & libc::O_CREAT != 0 => {
            // Through a link that leads nowhere: the name is made elsewhere.
            if place.meta().is_some() {
                return None;
            }
            let (disk, dir, name) = place.within?;
            Some(create(&mut lock(disk), notice, Some((dir, name))))
        }
        Err(_) => None,
    }
}

fn empty(disk: &mut Watched, notice: &Notice<'_>, node: NodeId) -> Answer {
    let had = disk.state().file(node).is_some_and(|file| file.live().size() > 0);
    let result = notice.repeat();
    if result.is_ok() && had {
        let act = Act::Change { node, change: Change::Resize(0) };
        disk.push(notice, act, Outcome::Done);
    }
    result.into()
}

fn create(disk: &mut Watched, notice: &Notice<'_>, name: Option<(NodeId, OsString)>) -> Answer {
    let result = attempt(disk, notice, Kind::Create, name.as_ref());
    if let Ok(fd) = result
        && let Some(stat) = sys::stat(fd as i32)
    {
        disk.bear(notice, stat.key, (Born::File(Blocks::default()), stat.mode), name);
    }
    result.into()
}

/// `unlink`, `unlinkat` and `rmdir`.
pub(super) fn remove(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let place = Place::read(registry, notice, 0)?;
    let gone = place.meta();
    let (disk, dir, name) = place.within?;
    let mut disk = lock(disk);
    let change = NameChange::unlink(dir, &name);
    let result = attempt(&mut disk, notice, Kind::Rename, Some(&(dir, name)));
    if result.is_ok() {
        gone.iter().for_each(|gone| disk.bury(last_name(gone)));
        disk.name(notice, change);
    }
    Some(result.into())
}

/// A directory has one name, whatever it counts.
fn last_name(gone: &Metadata) -> Inode {
    let inode = Inode::from(gone);
    Inode { links: if gone.is_dir() { 1 } else { inode.links }, ..inode }
}

/// `link`, `mkdir`, `symlink` and `mknod`, with and without `at`.
pub(super) fn make(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let last = arguments(notice.name()).len().checked_sub(1)?;
    let place = Place::read(registry, notice, last)?;
    let (disk, dir, name) = place.within?;
    let links = matches!(notice.name(), "link" | "linkat");
    let source = if links { linked(registry, notice) } else { None };
    let mut disk = lock(disk);
    let named = (dir, name);
    let result = attempt(&mut disk, notice, Kind::Create, Some(&named));
    if result.is_ok() {
        match source.and_then(|source| disk.node(source)) {
            Some(node) => disk.name(notice, NameChange::link(named.0, &named.1, node)),
            None => adopt(&mut disk, notice, named, &place.path, links),
        }
    }
    Some(result.into())
}

/// What gets another name by `link` and `linkat`.
fn linked(registry: &Registry, notice: &Notice<'_>) -> Option<Inode> {
    let flags = if notice.name() == "linkat" { notice.arg(4) as i32 } else { 0 };
    let empty = flags & libc::AT_EMPTY_PATH != 0 && notice.path(notice.arg(1))?.is_empty();
    if empty {
        return Some(sys::stat(notice.fd(0))?.into());
    }
    let place = Place::read(registry, notice, 0)?;
    match flags & libc::AT_SYMLINK_FOLLOW != 0 {
        true => Some(Inode::from(&fs::metadata(&place.path).ok()?)),
        false => Some(Inode::from(&place.meta()?)),
    }
}

/// `rename`, `renameat` and `renameat2`.
pub(super) fn rename(registry: &Registry, notice: &Notice<'_>) -> Option<Answer> {
    let (from, to) = (Place::read(registry, notice, 0)?, Place::read(registry, notice, 1)?);
    let (disk, dir, name) = from.within.as_ref().or(to.within.as_ref())?;
    let (old, new) = (from.meta(), to.meta());
    let node = old.as_ref().and_then(|old| registry.find(old)).map(|(_, node)| node);
    let replaced = new.as_ref().and_then(|new| registry.find(new)).map(|(_, node)| node);
    let named = (*dir, name.clone());
    let result = attempt(&mut lock(disk), notice, Kind::Rename, Some(&named));
    // Two names of one file: both stay.
    if result.is_err() || node.is_some() && node == replaced {
        return Some(result.into());
    }
    let flags = if notice.name() == "renameat2" { notice.arg(4) } else { 0 };
    let back = replaced.filter(|_| flags & u64::from(libc::RENAME_EXCHANGE) != 0);
    if let (Some((disk, ..)), Some(new), None) = (&to.within, &new, back) {
        lock(disk).bury(last_name(new));
    }
    match (from.within, to.within, node) {
        (Some((disk, dir, name)), Some((other, target, new)), Some(node))
            if Arc::ptr_eq(disk, other) =>
        {
            let change = NameChange::rename((dir, &name), (target, &new), node, back);
            lock(disk).name(notice, change);
        }
        (left, entered, _) => {
            if let Some((disk, dir, name)) = left {
                lock(disk).name(notice, NameChange::unlink(dir, &name));
            }
            if let Some((disk, dir, name)) = entered {
                adopt(&mut lock(disk), notice, (dir, name), &to.path, true);
            }
        }
    }
    Some(result.into())
}

/// Makes the call, unless the disk fails. A failure is kept, with the name that it was about.
fn attempt(
    disk: &mut Watched,
    notice: &Notice<'_>,
    kind: Kind,
    name: Option<&(NodeId, OsString)>,
) -> Result<i64, Errno> {
    let spared = name.is_some_and(|(_, name)| disk.state().spares(name));
    let blow = if spared { None } else { disk.faults.meet(kind) };
    let result = blow.map_or_else(|| notice.repeat(), |blow| Err(errno(blow)));
    if result.is_err() {
        let act =
            name.map_or(Act::Nothing, |(dir, name)| Act::Name(NameChange::unlink(*dir, name)));
        disk.push(notice, act, outcome(result, blow));
    }
    result
}

/// Takes in what is new at a path, with all below it.
fn adopt(
    disk: &mut Watched,
    notice: &Notice<'_>,
    (dir, name): (NodeId, OsString),
    path: &Path,
    from_outside: bool,
) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let born = if meta.is_dir() {
        Born::Dir
    } else if meta.is_symlink() {
        Born::Link(fs::read_link(path).unwrap_or_default())
    } else if meta.is_file() {
        Born::File(contents(path, from_outside))
    } else {
        return;
    };
    let born = (born, meta.mode() & 0o7777);
    let node = disk.bear(notice, Inode::from(&meta).key, born, Some((dir, name)));
    if from_outside {
        let path = disk.path(node);
        disk.note(Unseen::FromOutside(path));
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let within = (node, entry.file_name());
            adopt(disk, notice, within, &entry.path(), from_outside);
        }
    }
}

/// A file that was made by the call has nothing yet.
fn contents(path: &Path, from_outside: bool) -> Blocks {
    let file = from_outside.then(|| fs::File::open(path)).and_then(Result::ok);
    file.and_then(|file| Blocks::read_file(&file).ok()).unwrap_or_default()
}
