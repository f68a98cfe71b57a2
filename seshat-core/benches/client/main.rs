//! Clients in a process of their own: how much of what clients in the leader's process reach.
//!
//! Three nodes in three processes on loopback, 16-byte keys, 128-byte values, closed loops of 1, 64 and 256
//! clients, three ways in turn, in each round:
//!
//! - in the leader's process, as those of an embedded node are: the baseline;
//! - in a fourth, all by one client of the library, which packs what waits;
//! - in a fourth, a call for each operation, as a client that doesn't.
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
#[path = "../common/mod.rs"]
mod common;
#[path = "../cluster/load.rs"]
mod load;
#[path = "../grpc/process.rs"]
mod process;
#[path = "../grpc/remote.rs"]
mod remote;
#[path = "../grpc/served.rs"]
mod served;

use common::measure::{Scale, median};
use load::Outcome;
use process::{Processes, Role};
use remote::Way;

const CLIENTS: [usize; 3] = [1, 64, 256];

fn main() {
    let scale = Scale::from_environment();
    if let Some(role) = Role::from_arguments() {
        role.run();
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    common::table::print_machine(&scale);
    println!("\nOperations per second, p50/p99 in us, CPU us per operation (all processes)\n");
    println!(
        "| clients | in the leader's process | packed | / in process | a call each | packed / |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for clients in CLIENTS {
        runtime.block_on(compare(scale, clients));
    }
}

async fn compare(scale: Scale, clients: usize) {
    let seconds = if scale.rounds == 1 { 0.5 } else { 2.0 };
    let mut rounds: [Vec<Outcome>; 3] = Default::default();
    for _ in 0..scale.rounds {
        let nodes = Processes::cluster(None).await;
        rounds[0].push(nodes.load(clients, common::data::VALUE_LEN, seconds).await);
        rounds[1].push(nodes.remote_load(Way::Packed, clients, seconds).await);
        rounds[2].push(nodes.remote_load(Way::Each, clients, seconds).await);
    }
    let share = |of: usize, base: usize| {
        let pairs = rounds[of].iter().zip(&rounds[base]);
        median(pairs.map(|(of, base)| of.per_second / base.per_second).collect())
    };
    let (to_embedded, to_each) = (share(1, 0), share(1, 2));
    let p99_ms = median(rounds[1].iter().map(|outcome| outcome.p99_us / 1e3).collect());
    let [embedded, packed, each] = rounds.map(|outcomes| middle(outcomes).describe());
    println!("| {clients} | {embedded} | {packed} | {to_embedded:.2}x | {each} | {to_each:.2}x |");
    match clients {
        1 => verdict("a lone call, packed / a call each", to_each, to_each >= 1.0, "1.00x"),
        256 => {
            verdict("256 clients / in process", to_embedded, to_embedded >= 0.5, "0.50x");
            verdict("256 clients, p99 in ms", p99_ms, p99_ms < 10.0, "< 10");
        }
        _ => {}
    }
}

fn verdict(what: &str, got: f64, reached: bool, aim: &str) {
    let reached = if reached { "reached" } else { "MISSED" };
    println!("<!-- {what}: {got:.2}, aim {aim}: {reached} -->");
}

fn middle(mut outcomes: Vec<Outcome>) -> Outcome {
    outcomes.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    outcomes.swap_remove(outcomes.len() / 2)
}
