//! Clusters under load: single nodes and three nodes on a direct in-process network (nothing is
//! encoded), closed loops of 1 to 1024 clients, 16-byte keys and 128-byte values.
//!
//! - naive: openraft on the naive stores, one operation an entry;
//! - null: openraft on stores that keep no payload, one operation an entry: its own ceiling;
//! - unbatched: our stores, one operation an entry;
//! - ours: a `RaftNode`, which packs what is queued into one entry.
//!
//! Then the same with snapshots taken by policy, at 100 k and 1 M keys, and the gap in service
//! when a leader goes; and what metrics cost, without a recorder and with one. `-- metrics --beside PROGRAM`
//! compares with that program, this benchmark built without the feature.
#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    reason = "a benchmark"
)]

#[path = "../common/mod.rs"]
mod common;
mod gap;
mod load;
mod recorded;
mod target;

use common::measure::{Scale, median};
use load::{Load, Outcome};
use seshat_core::config::SnapshotConfig;

const CLIENTS: [usize; 6] = [1, 2, 8, 64, 256, 1024];
/// Bytes of a key and its value, in the log and in a snapshot.
const RECORD_BYTES: u64 = 16 + 128;
type Table = (&'static str, fn(Scale));
const TABLES: [Table; 6] = [
    ("single", |scale| throughput(scale, 1)),
    ("three", |scale| throughput(scale, 3)),
    ("snapshots", with_snapshots),
    ("gap", gap::print),
    ("encoded", encoded),
    ("metrics", recorded::print),
];
const KINDS: [&str; 4] = ["naive", "null", "unbatched", "ours"];

fn main() {
    let scale = Scale::from_environment();
    if let Some(mut load) = Load::from_arguments() {
        if load.kind == "recorded" {
            recorded::install();
            load.kind = "ours".to_owned();
        }
        println!("{}", target::run(&load).to_line());
        return;
    }
    common::table::print_machine(&scale);
    for (name, print) in TABLES {
        if wanted(name) {
            print(scale);
        }
    }
}

/// All tables, unless some are named: `cargo bench -p seshat-core --bench cluster -- gap`.
fn wanted(table: &str) -> bool {
    let is_table = |arg: &String| TABLES.iter().any(|(name, _)| name == arg);
    let mut named = std::env::args().filter(is_table).peekable();
    named.peek().is_none() || named.any(|arg| arg == table)
}

fn encoded(scale: Scale) {
    println!("\nOver the encoding switchboard, three nodes:\n");
    let encoded = measure(scale, Load::new("encoded", 3, 256));
    println!("256 clients: {}", encoded.describe());
}

/// The outcome with the median throughput.
fn measure(scale: Scale, load: Load) -> Outcome {
    let mut outcomes: Vec<Outcome> = (0..scale.rounds).map(|_| load.in_child(scale)).collect();
    outcomes.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    outcomes.swap_remove(outcomes.len() / 2)
}

fn throughput(scale: Scale, nodes: usize) {
    println!("\n{nodes} node(s): operations per second, p50/p99 in us, CPU us per operation\n");
    println!("| clients | naive | null | unbatched | ours | ours / naive | ours / null |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    let mut lone = Vec::new();
    for clients in CLIENTS {
        // In turn, so that a slow spell of the machine meets all of them.
        let mut rounds: [Vec<Outcome>; 4] = Default::default();
        for _ in 0..scale.rounds {
            for (kind, outcomes) in KINDS.iter().zip(&mut rounds) {
                outcomes.push(Load::new(kind, nodes, clients).in_child(scale));
            }
        }
        let ratio = |base: usize| {
            let pairs = rounds[3].iter().zip(&rounds[base]);
            median(pairs.map(|(ours, base)| ours.per_second / base.per_second).collect())
        };
        let (to_naive, to_null) = (ratio(0), ratio(1));
        if clients == 1 {
            let pairs = rounds[3].iter().zip(&rounds[2]);
            lone = pairs.map(|(ours, unbatched)| ours.p50_us / unbatched.p50_us).collect();
        }
        let cells: Vec<String> = rounds.map(|outcomes| middle(outcomes).describe()).into();
        println!("| {clients} | {} | {to_naive:.2}x | {to_null:.2}x |", cells.join(" | "));
        if nodes == 3 && clients == 256 {
            verdict("three nodes, 256 clients: ours / naive", to_naive, 4.0);
            verdict("three nodes, 256 clients: ours / null", to_null, 1.0);
        }
    }
    let lone = median(lone);
    println!("\nlone client, p50: {lone:.2}x of unbatched (aim: no worse)");
}

fn middle(mut outcomes: Vec<Outcome>) -> Outcome {
    outcomes.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    outcomes.swap_remove(outcomes.len() / 2)
}

fn verdict(what: &str, got: f64, aim: f64) {
    let reached = if got >= aim { "reached" } else { "MISSED" };
    println!("<!-- {what}: {got:.2}x, aim >= {aim}x: {reached} -->");
}

/// Each run is of whole cycles from one snapshot to the next, and begins a quarter of a cycle after
/// one, so that what a snapshot costs is counted as often as it occurs, neither more nor less.
fn with_snapshots(scale: Scale) {
    println!("\nThree nodes, 256 clients, snapshots by the default policy\n");
    println!("| keys | without | with | snapshots taken | with / without | CPU, without / with |");
    println!("|--:|--:|--:|--:|--:|--:|");
    let SnapshotConfig { min_log_bytes, growth_percent, .. } = SnapshotConfig::default();
    for keys in [scale.keys / 10, scale.keys] {
        let growth = keys * RECORD_BYTES / 100 * u64::from(growth_percent);
        let cycle = growth.max(min_log_bytes) / RECORD_BYTES;
        let operations = cycle * (4 * scale.keys / cycle).max(1);
        let prefill = keys + cycle / 4;
        let without = Load { keys, operations, prefill, ..Load::new("ours", 3, 256) };
        let with = Load { kind: "policy".to_owned(), ..without.clone() };
        let rounds = if scale.rounds == 1 { 1 } else { 5 };
        let pairs = (0..rounds).map(|_| (without.in_child(scale), with.in_child(scale)));
        let pairs: Vec<(Outcome, Outcome)> = pairs.collect();
        let ratio = median(pairs.iter().map(|(a, b)| b.per_second / a.per_second).collect());
        let cpu = median(pairs.iter().map(|(a, b)| a.cpu_us / b.cpu_us).collect());
        let (without, with): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let (without, with) = (middle(without), middle(with));
        println!(
            "| {keys} | {} | {} | {} | {ratio:.2}x | {cpu:.2}x |",
            without.describe(),
            with.describe(),
            with.snapshots
        );
        verdict(&format!("{keys} keys: with / without"), ratio, 0.8);
    }
}
