//! What a commit costs in the logs of others and in Seshat's, beside the least that it must cost.
//!
//! ```text
//! cargo run --release --manifest-path seshat-conformance/third-party/durable/Cargo.toml [-- --quick]
//! ```
//!
//! Loads, the limit, Seshat's log and the way of measuring are those of seshat-core's benchmark `durable`,
//! whose source this is built with; all take turns in one run, on the disk that this folder is on. Each log
//! is given entries that are encoded, and used as its own documentation does; those that write on a thread of
//! their own are told by it when they are on disk.

#![allow(dead_code, reason = "of the benchmark's source, not all is used here")]
#![allow(missing_docs, reason = "a program, not a library")]

#[path = "../../../../seshat-core/benches/durable/commits.rs"]
mod commits;
mod common;
mod peers;

use commits::{LOADS, Load, Log, Ours, Raw};
use common::measure::Scale;
use common::table::machine;
use peers::{HiqliteWal, RaftEngine, RaftLog};
use tempfile::TempDir;

/// In the order in which they are made.
const NAMES: [&str; 5] =
    ["limit", "seshat-core", "raft-engine 0.4.2", "raft-log 0.4.6", "hiqlite-wal 0.15.1"];

fn main() {
    let scale = Scale::from_environment();
    println!("{}", machine());
    println!("\nShare of the limit: the same bytes, written and synced (us a commit)\n");
    println!("| | {} |", NAMES.join(" | "));
    println!("|---|{}", "--:|".repeat(NAMES.len()));
    for load in LOADS {
        println!("| {} | {} |", load.describe(), row(load, scale).join(" | "));
    }
}

fn row(load: Load, scale: Scale) -> Vec<String> {
    let dir = TempDir::with_prefix_in("durable-", env!("CARGO_MANIFEST_DIR")).expect("a folder");
    let at = dir.path();
    let logs: [Box<dyn Log>; NAMES.len()] = [
        Box::new(Raw::new(at)),
        Box::new(Ours::new(at)),
        Box::new(RaftEngine::new(at)),
        Box::new(RaftLog::new(at)),
        Box::new(HiqliteWal::new(at)),
    ];
    let taken = commits::by_turns(logs, load, scale);
    taken.iter().map(|us| format!("{:.2}x ({us:.1})", taken[0] / us)).collect()
}
