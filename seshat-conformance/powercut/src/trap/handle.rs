//! From a call's name to who deals with it.

use super::sys::{Answer, Notice};
use super::{Registry, lock, names, strangers, sync, write};
use crate::unseen::Unseen;

pub(super) fn handle(notice: &Notice<'_>) -> Answer {
    let registry = Registry::lock();
    if registry.disks.is_empty() {
        return Answer::Continue;
    }
    if matches!(notice.name(), "io_uring_setup" | "io_setup") {
        for disk in registry.of(notice) {
            lock(disk).note(Unseen::Ring(notice.name()));
        }
        return Answer::Error(libc::ENOSYS);
    }
    if !notice.is_own() {
        strangers::note(&registry, notice);
        return Answer::Continue;
    }
    let answer = match notice.name() {
        "fsync" | "fdatasync" => sync::one(&registry, notice),
        "sync" | "syncfs" => sync::all(&registry, notice),
        "msync" => sync::mapping(&registry, notice),
        "sync_file_range" => sync::hint(&registry, notice),
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => write::bytes(&registry, notice),
        "ftruncate" => write::resize(&registry, notice),
        "fallocate" => write::reserve(&registry, notice),
        "copy_file_range" | "sendfile" | "ioctl" => write::copy(&registry, notice),
        "splice" => write::splice(&registry, notice),
        "mmap" => write::map(&registry, notice),
        "truncate" => names::truncate(&registry, notice),
        "open" | "openat" | "openat2" | "creat" => names::open(&registry, notice),
        "rename" | "renameat" | "renameat2" => names::rename(&registry, notice),
        "unlink" | "unlinkat" | "rmdir" => names::remove(&registry, notice),
        // link, mkdir, symlink, mknod, with and without `at`
        _ => names::make(&registry, notice),
    };
    // Not below a watched directory.
    answer.unwrap_or(Answer::Continue)
}
