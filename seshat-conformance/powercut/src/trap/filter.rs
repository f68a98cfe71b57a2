//! Which system calls stop, as a table and as the program that the kernel runs on each call.
//!
//! Reads, closes and everything else go at full speed. Of calls that are common and rarely of
//! interest (`openat`, `mmap`, `ioctl`) the program looks at an argument.

use libc::{c_long, sock_filter};

/// One system call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) number: c_long,
    pub(super) name: &'static str,
    pub(super) does: Does,
    when: When,
}

/// What the keeper may do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// Make it in the caller's place.
    Repeat,
    /// Answer it or let it go on.
    Decide,
}

/// When it stops.
#[derive(Debug, Clone, Copy)]
enum When {
    Always,
    /// If any of the bits is set in the argument.
    Bits(u8, u32),
    /// If the argument is one of these.
    Is(u8, &'static [u32]),
}

const CREATING: u32 =
    (libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;
const CLONING: &[u32] = &[libc::FICLONE as u32, libc::FICLONERANGE as u32];

const fn rule(number: c_long, name: &'static str, does: Does, when: When) -> Rule {
    Rule { number, name, does, when }
}

macro_rules! rules {
    ($($name:ident: $number:ident $does:ident $when:expr;)*) => {
        &[$(rule(libc::$number, stringify!($name), Does::$does, $when)),*]
    };
}

const EVERYWHERE: &[Rule] = rules! {
    fsync: SYS_fsync Decide When::Always;
    fdatasync: SYS_fdatasync Decide When::Always;
    msync: SYS_msync Decide When::Always;
    sync_file_range: SYS_sync_file_range Decide When::Always;
    sync: SYS_sync Decide When::Always;
    syncfs: SYS_syncfs Decide When::Always;
    io_uring_setup: SYS_io_uring_setup Decide When::Always;
    io_setup: SYS_io_setup Decide When::Always;
    write: SYS_write Repeat When::Always;
    pwrite64: SYS_pwrite64 Repeat When::Always;
    writev: SYS_writev Repeat When::Always;
    pwritev: SYS_pwritev Repeat When::Always;
    pwritev2: SYS_pwritev2 Repeat When::Always;
    ftruncate: SYS_ftruncate Repeat When::Always;
    truncate: SYS_truncate Repeat When::Always;
    fallocate: SYS_fallocate Repeat When::Always;
    copy_file_range: SYS_copy_file_range Repeat When::Always;
    sendfile: SYS_sendfile Repeat When::Always;
    splice: SYS_splice Decide When::Always;
    ioctl: SYS_ioctl Repeat When::Is(1, CLONING);
    mmap: SYS_mmap Decide When::Bits(3, libc::MAP_SHARED as u32);
    openat: SYS_openat Repeat When::Bits(2, CREATING);
    openat2: SYS_openat2 Repeat When::Always;
    renameat: SYS_renameat Repeat When::Always;
    renameat2: SYS_renameat2 Repeat When::Always;
    linkat: SYS_linkat Repeat When::Always;
    unlinkat: SYS_unlinkat Repeat When::Always;
    mkdirat: SYS_mkdirat Repeat When::Always;
    symlinkat: SYS_symlinkat Repeat When::Always;
    mknodat: SYS_mknodat Repeat When::Always;
};

/// Calls without a directory, which newer processors never had.
#[cfg(target_arch = "x86_64")]
const HERE: &[Rule] = rules! {
    open: SYS_open Repeat When::Bits(1, CREATING);
    creat: SYS_creat Repeat When::Always;
    rename: SYS_rename Repeat When::Always;
    link: SYS_link Repeat When::Always;
    unlink: SYS_unlink Repeat When::Always;
    rmdir: SYS_rmdir Repeat When::Always;
    mkdir: SYS_mkdir Repeat When::Always;
    symlink: SYS_symlink Repeat When::Always;
    mknod: SYS_mknod Repeat When::Always;
};
#[cfg(target_arch = "aarch64")]
const HERE: &[Rule] = &[];

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;

/// Where the kernel's `seccomp_data` has its parts. Both processors are little-endian: the low
/// half of an argument comes first, and every flag is in it.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// The rule of a call that stopped.
pub(super) fn of(number: c_long) -> Option<&'static Rule> {
    EVERYWHERE.iter().chain(HERE).find(|rule| rule.number == number)
}

/// The program. Calls of another processor's numbering (32 bit) pass: no store makes them.
pub(super) fn program() -> Vec<sock_filter> {
    let mut program = vec![load(ARCH_AT), equal(ARCH, 1, 0), pass(), load(NUMBER_AT)];
    for rule in EVERYWHERE.iter().chain(HERE) {
        let body = match rule.when {
            When::Always => vec![stop()],
            When::Bits(argument, bits) => vec![load(at(argument)), any(bits, 0, 1), stop(), pass()],
            When::Is(argument, values) => {
                let tests = values.iter().flat_map(|value| [equal(*value, 0, 1), stop()]);
                [load(at(argument))].into_iter().chain(tests).chain([pass()]).collect()
            }
        };
        program.push(equal(rule.number as u32, 0, body.len() as u8));
        program.extend(body);
    }
    program.push(pass());
    program
}

fn at(argument: u8) -> u32 {
    ARGUMENTS_AT + 8 * u32::from(argument)
}

fn load(at: u32) -> sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at)
}

/// Skips so many steps if it is equal, and so many if it isn't.
fn equal(value: u32, then: u8, otherwise: u8) -> sock_filter {
    step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, then, otherwise, value)
}

fn any(bits: u32, then: u8, otherwise: u8) -> sock_filter {
    step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, then, otherwise, bits)
}

fn stop() -> sock_filter {
    step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF)
}

fn pass() -> sock_filter {
    step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW)
}

fn step(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}
