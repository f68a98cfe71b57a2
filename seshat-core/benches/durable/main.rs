//! What it costs to be durable, beside the least that it must cost, in the same run.
//!
//! `cargo bench -p seshat-core --bench durable`; `-- --quick` is a glance, and `-- commits`, `-- cluster`,
//! `-- processes` and `-- start` print one table. Keys of 16 bytes and values of 128, on the disk that the
//! target folder is on. What stands side by side was taken by turns, so that what else the machine and
//! the disk do hits all of it.
//!
//! - commits: the write-ahead log alone. Limit: a file filled with zeros, one write of the same bytes
//!   and one fdatasync, nothing else;
//! - cluster: three nodes in one process, closed loops of 1 to 1024 clients. Beside them the same
//!   without batching, with a state machine that keeps nothing, and in memory; and a lone client
//!   beside the syncs that it waits for;
//! - processes: three nodes in three processes over gRPC, durable and in memory;
//! - start: on a log of 1 GiB, beside reading it; on a snapshot, beside installing it from memory.
//!
//! The stores of others are beside ours in `seshat-conformance/third-party/durable`.

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

#[path = "../grpc/bare.rs"]
mod bare;
mod cluster;
mod commits;
#[path = "../common/mod.rs"]
mod common;
#[path = "../cluster/load.rs"]
mod load;
mod null;
#[path = "../grpc/process.rs"]
mod process;
mod processes;
#[path = "../grpc/remote.rs"]
mod remote;
#[path = "../grpc/served.rs"]
mod served;
mod start;
#[path = "../cluster/target.rs"]
mod target;

use commits::{LOADS, Log, Ours, Raw};
use common::measure::{self, Measure, Scale};
use common::table::{self, Aim, Row};
use load::{Load, Outcome};
use process::Role;
use tempfile::TempDir;

const MEASURES: &[(&str, Measure)] = &[
    ("snapshot/write", start::write_snapshot),
    ("snapshot/open", start::open_snapshot),
    ("snapshot/install", start::install_snapshot),
];

fn main() {
    let scale = Scale::from_environment();
    if measure::is_child(scale, MEASURES) {
        return;
    }
    if let Some(load) = Load::from_arguments() {
        println!("{}", cluster::run(&load).to_line());
        return;
    }
    if let Some(role) = Role::from_arguments() {
        role.run();
        return;
    }
    table::print_machine(&scale);
    if wanted("commits") {
        print_commits(scale);
    }
    if wanted("cluster") {
        cluster::print(scale);
    }
    if wanted("processes") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(processes::print(scale));
    }
    if wanted("start") {
        start::print(scale, temporary().path());
    }
}

/// All tables, unless some are named.
fn wanted(table: &str) -> bool {
    const TABLES: [&str; 4] = ["commits", "cluster", "processes", "start"];
    let mut named = std::env::args().filter(|arg| TABLES.contains(&arg.as_str())).peekable();
    named.peek().is_none() || named.any(|arg| arg == table)
}

/// A directory on the disk that is measured, gone when it is dropped.
fn temporary() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn print_commits(scale: Scale) {
    let rows = LOADS.map(|load| {
        let dir = temporary();
        let logs: [Box<dyn Log>; 2] =
            [Box::new(Raw::new(dir.path())), Box::new(Ours::new(dir.path()))];
        let [limit, ours] = commits::by_turns(logs, load, scale);
        let aim = Aim::ShareOfLimit(0.9);
        Row { what: load.describe(), naive: None, ours, limit: Some(limit), aim }
    });
    table::print("Commits (limit: the same bytes, written and synced)", &rows);
}

fn seconds(scale: Scale) -> f64 {
    if scale.rounds == 1 { 0.5 } else { 2.0 }
}

/// The outcome with the median throughput.
fn middle(mut outcomes: Vec<Outcome>) -> Outcome {
    outcomes.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    outcomes.swap_remove(outcomes.len() / 2)
}

fn verdict(what: &str, got: f64, aim: f64) {
    let reached = if got >= aim { "reached" } else { "MISSED" };
    println!("<!-- {what}: {got:.2}x, aim >= {aim}x: {reached} -->");
}
