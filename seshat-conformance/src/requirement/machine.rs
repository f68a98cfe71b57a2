//! What is asked of a state machine and its snapshots.

use super::{Requirement, r};

pub(super) const REQUIREMENTS: &[Requirement] = &[
    r(
        19,
        "storage/v2.rs:162-163",
        "applied_state",
        "It tells the id of the last applied entry, and the last membership with the id that made it.",
    ),
    r(
        20,
        "storage/v2.rs:167-170",
        "applied_state",
        "The membership may be newer than the last applied entry; a restart reads on from there. Never held against a store.",
    ),
    r(
        21,
        "storage/v2.rs:186",
        "apply",
        "Every entry, of whatever kind, moves the last applied id to its own.",
    ),
    r(22, "storage/v2.rs:187", "apply", "Commands take effect, in order."),
    r(23, "storage/v2.rs:188", "apply", "A membership entry is kept as the last membership."),
    r(24, "storage/v2.rs:190-191", "apply", "Beyond that a membership entry changes nothing."),
    r(
        25,
        "storage/v2.rs:195-196",
        "apply",
        "A state machine that persists itself has done so by the time the call returns.",
    ),
    r(
        26,
        "storage/v2.rs:198-200",
        "apply, snapshots",
        "One that persists its snapshots instead is rebuilt from the last of them at start.",
    ),
    r(
        27,
        "storage/v2.rs:208-210",
        "get_snapshot_builder",
        "The builder sees the state as of this call, whatever is applied afterwards.",
    ),
    r(
        28,
        "storage/v2.rs:217",
        "begin_receiving_snapshot",
        "It gives a handle with nothing in it, ready to be written.",
    ),
    r(
        29,
        "storage/v2.rs:229",
        "install_snapshot",
        "The snapshot's contents take the place of the whole state.",
    ),
    r(
        30,
        "storage/v2.rs:230",
        "install_snapshot",
        "The snapshot is kept, and is the current one from now on.",
    ),
    r(31, "storage/v2.rs:231", "install_snapshot", "No other snapshot is kept."),
    r(
        32,
        "storage/v2.rs:243",
        "get_current_snapshot",
        "It gives a readable handle to the one snapshot there is, also while another is being built.",
    ),
    r(
        33,
        "storage/v2.rs:253-255",
        "get_current_snapshot",
        "Last applied id and membership are part of a snapshot, and come back out of it.",
    ),
    r(
        34,
        "storage/mod.rs:52-53",
        "SnapshotMeta",
        "Its last id is that of the last entry which the data includes.",
    ),
    r(35, "storage/mod.rs:55-56", "SnapshotMeta", "Its membership is the last one applied."),
    r(
        36,
        "storage/mod.rs:58-61",
        "SnapshotMeta",
        "Its id tells two snapshots apart, those that end at the same entry included.",
    ),
    r(
        44,
        "storage/mod.rs:205-206",
        "build_snapshot",
        "A snapshot holds everything that was applied, the membership included.",
    ),
    r(49, "storage/mod.rs:394", "install_snapshot", "Older snapshots are removed."),
    r(
        52,
        "docs/data/log_pointers.md:21-22",
        "both halves",
        "Purged, snapshot, applied, committed and last ids are in this order at all times.",
    ),
    r(
        54,
        "docs/components/state-machine.md:47-52",
        "applied_state",
        "A membership newer than the last applied entry is fine while the log still has that entry. Never held against a store.",
    ),
    r(
        55,
        "docs/protocol/snapshot_replication.md:106-108",
        "install_snapshot",
        "The snapshot is saved first, and then takes the state's place.",
    ),
    r(
        56,
        "docs/protocol/snapshot_replication.md:125-126",
        "install_snapshot, purge",
        "A crash after an installation and before the purge is mended by a purge at the next start.",
    ),
    r(60, "core/sm/worker.rs:151-155", "apply", "There is exactly one reply to each entry."),
    r(
        61,
        "core/sm/worker.rs:170-175",
        "build_snapshot",
        "What is applied while it works is not seen by it, or is kept waiting.",
    ),
    r(
        64,
        "network/snapshot_transport.rs",
        "SnapshotData",
        "A received handle stands at its end; installing it begins by going back to the start.",
    ),
    r(
        65,
        "storage/helper.rs:130-143",
        "build_snapshot",
        "It works at start, before anything is applied, where entries are purged and no snapshot is left.",
    ),
];
