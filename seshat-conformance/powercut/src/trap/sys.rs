//! The kernel's side: the only `unsafe` of this crate.
//!
//! A filter makes some system calls of a thread, and of all that it starts, stop at their entry.
//! A *keeper*, a thread that was there before and is not filtered, gets a [`Notice`] of each and
//! answers it: with a result, or with leave to go on. The caller sleeps meanwhile, outside of any
//! lock of the kernel.
//!
//! # Why this is sound
//! - **No signal handler.** Nothing runs on the caller's stack or inside whatever it was doing, so
//!   nothing here has to be async-signal-safe. (A `SIGSYS` trap would run there, would kill every
//!   thread that blocks signals, and every program that a child executes.)
//! - **A call is repeated verbatim.** [`Notice::repeat`] makes the very call, with the very
//!   arguments, that a thread of this process is asleep in. Threads of a process share memory,
//!   file descriptors, directory and umask, so the kernel does to that memory what it would have
//!   done, and returns what it would have returned. It is done for threads of this process alone,
//!   while the kernel says that the call still waits, and for calls of the table alone; none of
//!   these ends the thread, changes what it may do, or writes to memory but where the caller told
//!   the kernel to (the offsets of `copy_file_range` and `sendfile`). A process that unshares
//!   descriptors or its directory between threads (`unshare(CLONE_FILES | CLONE_FS)`) is not
//!   supported.
//! - **The caller's memory is read by the kernel**, with `process_vm_readv`: a bad pointer is an
//!   error, not a fault. What is read is a copy, and nothing is decided on it twice.
//! - **File descriptors by number** are looked at, never owned or closed: a number that is stale
//!   by then gives an error or another file's facts, not undefined behaviour.
//!
//! # Why nothing deadlocks
//! The keeper waits for the kernel, for one lock ([`Registry`](super::Registry)'s), and for the
//! allocator. Who holds the registry's lock makes no call of the table, and whoever allocates
//! makes none inside the allocator (those of glibc, jemalloc and mimalloc map private memory and
//! open files to read). The keeper takes no other lock: in particular it neither prints nor
//! traces, for the lock of standard output is held by whoever is asleep in a `write` to it. It
//! never repeats a call that can wait for another thread: only calls on regular files and
//! directories that are watched. If it dies, its descriptors close, and calls fail with `ENOSYS`.

#![allow(unsafe_code)]

use std::ffi::{OsString, c_int, c_long};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicU32, Ordering};

use super::filter::{self, Does, Rule};
use crate::error::Unsupported;

/// An error number.
pub(super) type Errno = i32;

/// Puts the filter on this thread. It stays until the thread ends, and is on every thread and
/// process that it starts.
///
/// # Errors
/// There is no seccomp here, or it isn't ours to use.
pub(super) fn listen() -> Result<Listener, Unsupported> {
    let mut program = filter::program();
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: this option takes no pointer. It lets an unprivileged thread have a filter, and
    // keeps what it executes from gaining privileges.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(Unsupported::Kernel(io::Error::last_os_error()));
    }
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // A signal must not interrupt a call that the keeper has made already: it would be made twice.
    // Kernels before 5.19 can't promise that.
    let patient = listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let install = |flags: libc::c_ulong| {
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the kernel copies the program, which lives until the call returns.
        unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) }
    };
    let mut fd = install(patient);
    if fd < 0 && errno() == libc::EINVAL {
        fd = install(listener);
    }
    if fd < 0 {
        let error = io::Error::last_os_error();
        let taken = error.raw_os_error() == Some(libc::EBUSY);
        return Err(if taken { Unsupported::Taken } else { Unsupported::Kernel(error) });
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as c_int) };
    static FAMILIES: AtomicU32 = AtomicU32::new(0);
    Ok(Listener { fd, family: Family(FAMILIES.fetch_add(1, Ordering::Relaxed)) })
}

/// The family of this thread, if calls of it stop: one that means nothing is made, and the keeper
/// knows it.
pub(super) fn family() -> Option<Family> {
    // SAFETY: no descriptor is -1, so that this fails at once where nobody answers.
    let reply = unsafe { libc::syscall(libc::SYS_fsync, -1, QUESTION) };
    reply.checked_sub(REPLY).and_then(|number| u32::try_from(number).ok()).map(Family)
}

const QUESTION: c_long = 0x5e5_4a7;
const REPLY: c_long = 1 << 20;

/// The threads that one keeper serves: the one that was filtered, and all that it has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family(u32);

/// Where notices come from.
#[derive(Debug)]
pub(super) struct Listener {
    fd: OwnedFd,
    family: Family,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel makes it.
    Continue,
    /// It has returned this.
    Value(i64),
    /// It has failed.
    Error(Errno),
}

impl From<Result<i64, Errno>> for Answer {
    fn from(result: Result<i64, Errno>) -> Self {
        result.map_or_else(Self::Error, Self::Value)
    }
}

impl Listener {
    /// Waits for the next call; `None` once no thread is left that could make one. The question of
    /// [`family`] is answered here.
    pub(super) fn next(&self) -> Option<Notice<'_>> {
        loop {
            let notice = self.receive()?;
            let asks = notice.rule.number == libc::SYS_fsync
                && notice.arg(0) as c_int == -1
                && notice.arg(1) as c_long == QUESTION;
            match asks {
                // Another process asks for a keeper of its own.
                true if notice.own => {
                    notice.answer(Answer::Value(REPLY + i64::from(self.family.0)))
                }
                true => notice.answer(Answer::Continue),
                false => return Some(notice),
            }
        }
    }

    fn receive(&self) -> Option<Notice<'_>> {
        loop {
            let mut poll = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one `pollfd`, which lives until the call returns.
            let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
            if ready < 0 && errno() != libc::EINTR || poll.revents & libc::POLLNVAL != 0 {
                return None;
            }
            if ready < 1 {
                continue;
            }
            if poll.revents & libc::POLLIN == 0 {
                return None;
            }
            let mut raw = MaybeUninit::<libc::seccomp_notif>::zeroed();
            let target = raw.as_mut_ptr();
            // SAFETY: the kernel fills a zeroed structure of the size that the request names.
            // Fails if the caller was killed meanwhile.
            if unsafe { libc::ioctl(self.fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, target) } != 0 {
                continue;
            }
            // SAFETY: integers only, all of them set: to zero, or by the kernel.
            let raw = unsafe { raw.assume_init() };
            let Some(rule) = filter::of(c_long::from(raw.data.nr)) else {
                self.send(raw.id, Answer::Continue);
                continue;
            };
            let own = is_own(raw.pid);
            return Some(Notice { listener: self, rule, own, raw });
        }
    }

    fn send(&self, id: u64, answer: Answer) {
        let goes_on = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        let (val, error, flags) = match answer {
            Answer::Continue => (0, 0, goes_on),
            Answer::Value(value) => (value, 0, 0),
            Answer::Error(errno) => (0, -errno, 0),
        };
        let mut response = libc::seccomp_notif_resp { id, val, error, flags };
        let response = &raw mut response;
        // SAFETY: the kernel reads a structure that lives until the call returns. It fails if the
        // caller was killed, and then nobody waits for the answer.
        unsafe { libc::ioctl(self.fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, response) };
    }

    fn waits(&self, mut id: u64) -> bool {
        let id = &raw mut id;
        // SAFETY: the kernel reads a number that lives until the call returns.
        unsafe { libc::ioctl(self.fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, id) == 0 }
    }

    fn fd(&self) -> c_int {
        self.fd.as_raw_fd()
    }
}

/// A call that a thread is asleep in. Only the kernel makes one.
pub(super) struct Notice<'a> {
    listener: &'a Listener,
    raw: libc::seccomp_notif,
    rule: &'static Rule,
    own: bool,
}

impl Notice<'_> {
    /// The call's name.
    pub(super) fn name(&self) -> &'static str {
        self.rule.name
    }

    /// The thread, as the kernel counts them.
    pub(super) fn thread(&self) -> u32 {
        self.raw.pid
    }

    /// Whose calls come the same way.
    pub(super) fn family(&self) -> Family {
        self.listener.family
    }

    /// True if the thread is one of this process.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// An argument; 0 for one that no call has.
    pub(super) fn arg(&self, place: usize) -> u64 {
        self.raw.data.args.get(place).copied().unwrap_or(0)
    }

    /// An argument that is a file descriptor.
    pub(super) fn fd(&self, place: usize) -> c_int {
        self.arg(place) as c_int
    }

    /// Makes the call in the caller's place.
    pub(super) fn repeat(&self) -> Result<i64, Errno> {
        self.call(self.rule.number, self.raw.data.args)
    }

    /// Writes the first `len` bytes of what the caller wanted to write in one or more pieces, the
    /// first of which begins at `start` and is no shorter than that.
    pub(super) fn repeat_shorter(&self, start: u64, len: u64) -> Result<i64, Errno> {
        let [fd, _, _, offset, ..] = self.raw.data.args;
        match self.name() {
            "write" | "writev" => self.call(libc::SYS_write, [fd, start, len, 0, 0, 0]),
            "pwritev2" if offset == u64::MAX => {
                self.call(libc::SYS_write, [fd, start, len, 0, 0, 0])
            }
            _ => self.call(libc::SYS_pwrite64, [fd, start, len, offset, 0, 0]),
        }
    }

    fn call(&self, number: c_long, [a, b, c, d, e, f]: [u64; 6]) -> Result<i64, Errno> {
        if !self.own || self.rule.does != Does::Repeat || !self.listener.waits(self.raw.id) {
            return Err(libc::ENOSYS);
        }
        // SAFETY: see the top of this module: what a thread of this process asked for, while it
        // waits for it; or, shorter, the beginning of it.
        match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
            -1 => Err(errno()),
            value => Ok(value),
        }
    }

    /// Bytes of the caller's memory; `None` if they aren't there, or aren't ours to read.
    pub(super) fn memory(&self, start: u64, len: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0_u8; usize::try_from(len).ok()?];
        let size = bytes.len();
        let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: size };
        let remote = libc::iovec { iov_base: start as *mut _, iov_len: size };
        let pid = self.raw.pid as libc::pid_t;
        // SAFETY: the kernel writes to `bytes`, which are that long, and nowhere else; it reads
        // the caller's memory as a debugger does, and fails where there is none.
        let count = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
        (count >= 0 && count as usize == size).then_some(bytes)
    }

    /// A path in the caller's memory, up to its end: pages behind it may not be there.
    pub(super) fn path(&self, start: u64) -> Option<OsString> {
        let (mut path, mut at) = (Vec::new(), start);
        while path.len() < libc::PATH_MAX as usize {
            let rest_of_page = 4096 - at % 4096;
            let piece = self.memory(at, rest_of_page)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                path.extend(piece.into_iter().take(end));
                return Some(OsString::from_vec(path));
            }
            path.extend(piece);
            at += rest_of_page;
        }
        None
    }

    /// Lets the caller go.
    pub(super) fn answer(self, answer: Answer) {
        self.listener.send(self.raw.id, answer);
    }
}

/// What is known of an open file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat {
    /// Device and inode.
    pub(super) key: (u64, u64),
    pub(super) size: u64,
    pub(super) links: u64,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) is_file: bool,
}

/// What a descriptor of this process means.
pub(super) fn stat(fd: c_int) -> Option<Stat> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    let target = stat.as_mut_ptr();
    // SAFETY: the kernel fills a structure of this size, or says that there is no such descriptor.
    if unsafe { libc::fstat(fd, target) } != 0 {
        return None;
    }
    // SAFETY: integers only, all of them set.
    let stat = unsafe { stat.assume_init() };
    let is_file = stat.st_mode & libc::S_IFMT == libc::S_IFREG;
    let (key, mode) = ((stat.st_dev, stat.st_ino), stat.st_mode & 0o7777);
    // Of another width on each processor.
    #[allow(clippy::unnecessary_cast)]
    let links = stat.st_nlink as u64;
    Some(Stat { key, size: stat.st_size as u64, links, mode, is_file })
}

/// The flags with which a descriptor of this process was opened.
pub(super) fn flags(fd: c_int) -> c_int {
    // SAFETY: this request takes no pointer.
    unsafe { libc::fcntl(fd, libc::F_GETFL) }
}

/// Where the next write to a descriptor of this process goes.
pub(super) fn position(fd: c_int) -> Option<u64> {
    seek(fd, 0, libc::SEEK_CUR)
}

/// The parts of a range of a file that aren't holes.
pub(crate) fn data(file: &File, range: Range<u64>) -> Vec<Range<u64>> {
    let (mut parts, mut at) = (Vec::new(), range.start);
    while at < range.end {
        // An error is the end of the data, or a file system that doesn't know its holes.
        let Some(start) = seek(file.as_raw_fd(), at, libc::SEEK_DATA) else {
            if errno() != libc::ENXIO {
                parts.push(at..range.end);
            }
            break;
        };
        let end = seek(file.as_raw_fd(), start, libc::SEEK_HOLE).unwrap_or(range.end);
        parts.push(start.min(range.end)..end.min(range.end));
        at = end.max(at + 1);
    }
    parts.retain(|part| part.start < part.end);
    parts
}

fn seek(fd: c_int, offset: u64, whence: c_int) -> Option<u64> {
    // SAFETY: no pointer.
    u64::try_from(unsafe { libc::lseek(fd, offset as libc::off_t, whence) }).ok()
}

/// True if a thread is one of this process.
fn is_own(thread: u32) -> bool {
    let own = std::process::id() as libc::pid_t;
    // SAFETY: signal 0 is sent to nobody; it asks whether there is such a thread.
    unsafe { libc::syscall(libc::SYS_tgkill, own, thread as libc::pid_t, 0) == 0 }
}

fn errno() -> Errno {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
