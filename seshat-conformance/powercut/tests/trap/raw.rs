//! System calls that std has no name for, made as an engine makes them: straight.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Any system call.
pub(crate) fn call(number: libc::c_long, args: [u64; 6]) -> io::Result<i64> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: each test passes what the call wants; a pointer is to something that outlives it.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

pub(crate) fn fd(file: &File) -> u64 {
    file.as_raw_fd() as u64
}

pub(crate) fn path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// What a pointer argument is.
pub(crate) fn at<T: ?Sized>(thing: &T) -> u64 {
    std::ptr::from_ref(thing).cast::<u8>() as u64
}

/// Pieces for the vectored calls.
pub(crate) fn pieces<'a>(pieces: &[&'a [u8]]) -> Vec<io::IoSlice<'a>> {
    pieces.iter().map(|piece| io::IoSlice::new(piece)).collect()
}

/// A shared mapping of a whole file, until it is dropped.
pub(crate) struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    pub(crate) fn new(file: &File, len: usize) -> Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let (null, fd) = (std::ptr::null_mut(), file.as_raw_fd());
        // SAFETY: a new mapping, which nothing else knows.
        let start = unsafe { libc::mmap(null, len, access, libc::MAP_SHARED, fd, 0) };
        assert_ne!(start, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Self { start: start.cast(), len }
    }

    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len);
        // SAFETY: within the mapping.
        let target = unsafe { self.start.add(at) };
        // SAFETY: as long as `bytes`, by the line above, and only this thread writes to it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    pub(crate) fn sync(&self, at: usize, len: usize, flags: i32) -> io::Result<()> {
        let start = self.start as u64 + at as u64;
        call(libc::SYS_msync, [start, len as u64, flags as u64, 0, 0, 0]).map(drop)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody has a reference into it.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// Blocks every signal of this thread, as some thread pools do.
pub(crate) fn block_signals() {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: fills the set.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: a set that was filled; the old one isn't wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
}
