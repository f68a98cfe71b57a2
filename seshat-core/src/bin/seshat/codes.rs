//! With what the program ends. `serve` and `client` have codes of their own, as they say what is to be done.

/// `verify` found a torn end, and nothing else.
pub(crate) const TORN: u8 = 1;
/// Something is damaged, or missing.
pub(crate) const DAMAGED: u8 = 2;
/// What was asked for wasn't done.
pub(crate) const FAILED: u8 = 3;
/// The command line is wrong: as in sysexits.h, as clap's own would say that something is damaged.
pub(crate) const WRONG_USAGE: u8 = 64;
/// Ctrl-C, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Those of `serve` and `client`.
pub(crate) mod node {
    /// An operation failed, or was refused.
    pub(crate) const FAILED: u8 = 1;
    /// The command line or the configuration is wrong. clap's own code for the former.
    pub(crate) const WRONG_USAGE: u8 = 2;
    /// The node must not take part as if it remembered.
    pub(crate) const LOST_MEMORY: u8 = 3;
    /// Whether the operation was applied is not known.
    pub(crate) const UNKNOWN: u8 = 4;
    /// Another process has the directory open.
    pub(crate) const IN_USE: u8 = 5;
    /// The directory is another node's, another cluster's or a newer version's.
    pub(crate) const NOT_ITS_OWN: u8 = 6;
    /// The directory is damaged.
    pub(crate) const DAMAGED: u8 = 7;
}
