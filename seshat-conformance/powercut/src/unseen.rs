//! [`Unseen`]: what happened out of sight. A verdict that rests on what can't be seen is
//! inconclusive, and says why.

use std::fmt;
use std::path::PathBuf;

/// Something that the trap can't account for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unseen {
    /// `io_uring_setup` or `io_setup`: it was answered `ENOSYS`, so nothing went past the trap,
    /// but a store that does otherwise on other kernels was not tested as it runs there.
    Ring(&'static str),
    /// Another process, such as a child, made a call on the directory. It was let through: what it
    /// wrote is found by comparing, what it synced is not.
    Process(&'static str),
    /// Bytes came from a pipe or socket straight into a file: found by comparing, at the next
    /// sync, and not one by one.
    Spliced(PathBuf),
    /// A file came from outside of the directory: whether it was synced there isn't known. It
    /// counts as synced.
    FromOutside(PathBuf),
    /// A file is written to through a shared mapping: found by comparing, at each sync. No fault
    /// can be made of such a write.
    Mapped(PathBuf),
    /// A file is not what its calls make it: something wrote to it that the trap doesn't see, such
    /// as a thread that was there before the watch began.
    Changed(PathBuf),
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(call) => {
                write!(f, "{call} was refused (ENOSYS): what a ring or AIO does can't be seen")
            }
            Self::Process(call) => {
                write!(f, "{call} of another process on the directory: its syncs can't be seen")
            }
            Self::Spliced(path) => {
                write!(f, "{}: bytes were spliced in from a pipe or socket", path.display())
            }
            Self::FromOutside(path) => {
                write!(f, "{}: came from outside of the directory", path.display())
            }
            Self::Mapped(path) => {
                write!(f, "{}: written to through a shared mapping", path.display())
            }
            Self::Changed(path) => write!(
                f,
                "{}: changed by something that isn't watched, such as a thread older than the watch",
                path.display()
            ),
        }
    }
}
