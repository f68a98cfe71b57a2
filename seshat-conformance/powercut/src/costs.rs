//! [`Costs`]: what watching takes, counted rather than timed.

/// What watching a directory has cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Costs {
    /// Calls on the directory that stopped.
    pub calls: u64,
    /// Bytes copied because they were written.
    pub captured: u64,
    /// Bytes read to find out whether they were written: of mapped files, and of files that other
    /// files were copied into.
    pub compared: u64,
}
