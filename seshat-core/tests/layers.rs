//! The order of the crate's modules, as `lib.rs` draws it, and who knows what is around them: what
//! decides is called, and has no lock, no clock and no runtime.

#[path = "common/house.rs"]
mod house;

use std::sync::LazyLock;

use rstest::rstest;

use self::house::House;

static HOUSE: LazyLock<House> = LazyLock::new(|| House::of(env!("CARGO_MANIFEST_DIR")));

#[test]
fn every_room_is_drawn() {
    HOUSE.every_room_is_drawn();
}

#[test]
fn each_room_uses_only_those_before_it() {
    HOUSE.each_room_uses_only_those_before_it();
}

#[test]
fn no_room_has_a_circle() {
    HOUSE.no_room_has_a_circle();
}

/// Everywhere else openraft's types go by the names that `types` gives them.
const OPENRAFT: &[&str] = &[
    "lib.rs",
    "types",
    "log/store",
    "machine/store",
    "storage",
    "disk/log",
    "config.rs",
    "error",
    "statement",
    "network",
    "node",
    "service",
];

#[rstest]
#[case::openraft(&["openraft"], OPENRAFT)]
#[case::metrics(&[" ::metrics"], &["metrics"])]
#[case::tonic(&["tonic"], &["codec/client", "proto/client", "network/grpc", "service", "client"])]
// A snapshot's handle has the traits of its readers and writers; what is generated has tokio's streams.
#[case::tokio(&["tokio"], &["snapshot/data", "log/store", "machine/store", "storage", "disk/log", "disk/waiting", "network", "node", "proto/client", "service", "client"])]
#[case::locks(&["Mutex", "RwLock"], &["log/store", "storage", "wal.rs", "machine/kept", "machine/store", "disk/log", "disk/snapshots", "network", "node", "service", "client"])]
#[case::clocks(&["Instant::now", "SystemTime"], &["metrics", "machine/store", "disk/waiting", "network", "node", "client"])]
#[case::files(&["std::fs"], &["wal/fs", "disk/draft", "disk/seed", "legacy/import/frames", "network/grpc"])]
#[case::events(&["tracing"], &["log/store", "wal.rs", "wal/open", "wal/upkeep", "machine/kept", "machine/store", "disk", "network", "node", "service"])]
fn only_faces_know(#[case] words: &[&str], #[case] faces: &[&str]) {
    HOUSE.only(faces, words);
}
