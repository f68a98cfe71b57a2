//! Formats: one number for entries, what is in them, and snapshots.
//!
//! What a version adds to any of them has the same number, so that a node says with one which it
//! reads, and a cluster with one which it writes (`node/formats.rs`). Each entry and each snapshot is
//! written in the oldest that holds it.

/// The newest format that this build reads.
pub const FORMAT: u32 = 3;

/// The format of builds that say nothing of formats, and of a cluster that has just been formed.
pub const OLDEST_FORMAT: u32 = 1;

/// The newest format that this process reads: [`FORMAT`].
#[cfg(not(feature = "next"))]
pub(crate) const fn reads() -> u32 {
    FORMAT
}

/// The same, or [`NEXT_FORMAT`] where the process was told by a variable.
#[cfg(feature = "next")]
pub(crate) fn reads() -> u32 {
    static READS: std::sync::LazyLock<u32> =
        std::sync::LazyLock::new(|| match std::env::var_os("SESHAT_NEXT") {
            Some(_) => NEXT_FORMAT,
            None => FORMAT,
        });
    *READS
}

/// A format that no version has, for tests of upgrades: that of the operations of feature `next`.
#[cfg(feature = "next")]
pub(crate) const NEXT_FORMAT: u32 = FORMAT + 1;

/// Says nothing where the oldest builds, too, would say nothing.
pub(super) fn to_wire(format: u32) -> u32 {
    if format == OLDEST_FORMAT { 0 } else { format }
}

pub(super) fn from_wire(format: u32) -> u32 {
    format.max(OLDEST_FORMAT)
}
