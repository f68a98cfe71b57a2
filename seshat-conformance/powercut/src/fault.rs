//! [`Fault`]: what a failing disk answers, and from which call on.

/// A way in which a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Harm {
    /// It is full: writes, growth and new names fail with `ENOSPC`. Nothing that is there is lost.
    Full,
    /// It is full half-way through a write: the first call that makes a file grow writes a half of
    /// that and says so, as `write(2)` may, and one in place ends at a page; from then on it is
    /// [`Harm::Full`].
    Short,
    /// It is broken: every write, change of names and sync fails with `EIO`; what was dirty at a
    /// failed sync is lost as in [`Harm::LostSync`].
    Broken,
    /// Syncs of files fail with `EIO`, and the pages that they were to write count as clean: the
    /// next sync says that all is well and writes nothing (ext4 and XFS; Rebello et al., ATC 2020).
    LostSync,
}

/// A disk that begins to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// How.
    pub harm: Harm,
    /// The first call that meets it, counted from 1, of those that it can meet.
    pub from: u64,
    /// How many calls meet it; then the disk is well again.
    pub times: u64,
}

impl Fault {
    /// From the next call on, until the disk is healed.
    pub fn new(harm: Harm) -> Self {
        Self { harm, from: 1, times: u64::MAX }
    }
}
