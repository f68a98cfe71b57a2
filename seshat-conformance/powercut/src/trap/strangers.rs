//! Calls of other processes that carry our filter: children, and theirs. They are let through,
//! and said by name where they touch a watched directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::names::arguments;
use super::sys::Notice;
use super::{Registry, Shared, lock};
use crate::unseen::Unseen;

pub(super) fn note(registry: &Registry, notice: &Notice<'_>) {
    let touched = match descriptor(notice.name()) {
        Some(place) => {
            let fd = notice.fd(place);
            at(registry, Path::new(&format!("/proc/{}/fd/{fd}", notice.thread())))
                .into_iter()
                .collect()
        }
        None => named(registry, notice),
    };
    for disk in touched {
        lock(disk).note(Unseen::Process(notice.name()));
    }
}

/// The argument with the file that a call changes or syncs.
fn descriptor(call: &str) -> Option<usize> {
    match call {
        "copy_file_range" | "splice" => Some(2),
        "mmap" => Some(4),
        // Which file it is would be in the other process's map of its memory; its `mmap` was seen.
        "sync" | "msync" => None,
        _ if arguments(call).is_empty() => Some(0),
        _ => None,
    }
}

fn at<'a>(registry: &'a Registry, path: &Path) -> Option<&'a Shared> {
    let meta = fs::metadata(path).ok()?;
    registry.find(&meta).map(|(disk, _)| disk)
}

/// The directories that the paths of a call are in; all, if the paths can't be read.
fn named<'a>(registry: &'a Registry, notice: &Notice<'_>) -> Vec<&'a Shared> {
    let process = PathBuf::from(format!("/proc/{}", notice.thread()));
    let mut disks = Vec::new();
    for (base, path) in arguments(notice.name()) {
        let Some(path) = notice.path(notice.arg(*path)) else {
            return registry.of(notice).collect();
        };
        let base = match base.map(|base| notice.fd(base)) {
            None | Some(libc::AT_FDCWD) => process.join("cwd"),
            Some(fd) => process.join("fd").join(fd.to_string()),
        };
        let path = base.join(path);
        disks.extend(at(registry, &path).or_else(|| at(registry, path.parent()?)));
    }
    disks
}
