//! What a store claims, as data. Checks that need what isn't claimed are skipped with the reason.

/// What a store claims to be able to do. The default is the usual store: both halves, everything
/// acknowledged outlives a restart, state machine rebuilt from its last snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Which half is under test; the other is the kit's reference.
    pub halves: Halves,
    /// What of the log store outlives a restart: entries, vote, purge marker.
    pub log_survives_restart: bool,
    /// What of the state machine outlives a restart.
    pub machine_keeps: Keeps,
    /// All state lives in files below the directory, and a copy of the directory, taken between
    /// two calls, opens as what a killed process leaves behind.
    ///
    /// On Linux the calls of the store's threads are then watched: its power is cut, its disk fills
    /// up and breaks, and its bytes change, without a [hook](super::Hooks). Where they can't be
    /// watched, those checks are skipped with the reason; what of a store can't be seen (threads
    /// that are older than the check, other processes, io_uring) makes them inconclusive, by name.
    pub files: bool,
    /// A snapshot whose bytes were damaged on their way from one node to another is told from a
    /// good one: there is a checksum in the bytes that are sent, and `install_snapshot` looks at
    /// it. One of the bytes at rest, in the store's own file, is another; it is tried by the hook
    /// [`damage_snapshot`](super::Hooks::damage_snapshot).
    pub snapshot_checksum: bool,
    /// A snapshot's data hold the last applied log id and membership as well as its meta does, so
    /// that a contradiction is noticed.
    pub snapshot_describes_itself: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            halves: Halves::Both,
            log_survives_restart: true,
            machine_keeps: Keeps::Snapshot,
            files: false,
            snapshot_checksum: false,
            snapshot_describes_itself: false,
        }
    }
}

/// Which half of a store is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halves {
    /// Log store and state machine.
    Both,
    /// The log store alone, paired with the kit's reference state machine.
    Log,
    /// The state machine alone, paired with the kit's reference log store.
    Machine,
}

/// What of a state machine outlives a restart (openraft: "persistent state machine" and
/// "persistent snapshot").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing: it starts empty. Only right where the log is never purged.
    Nothing,
    /// The current snapshot, from which the state is rebuilt at opening.
    Snapshot,
    /// All that was applied when `apply` returned. Snapshots may or may not survive.
    Applied,
}
