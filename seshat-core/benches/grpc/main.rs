//! Three nodes in three processes on loopback: 16-byte keys, 128-byte values, closed loops of 1, 64
//! and 256 clients in the leader's process, as those of an embedded node are. Beside them, in the
//! same run:
//!
//! - switchboard: the same nodes in one process, messages encoded and decoded;
//! - echo: bare tonic, two processes that return at once what they are sent; the bytes of one
//!   operation for each client go to both, as a leader sends an entry, and one round follows
//!   the other: what can't be beaten with one entry on its way;
//! - echo, a call for each operation: what can't be beaten by clients in another process;
//! - stream: bare tonic, chunks of the same size to a process that counts them.
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

mod bare;
#[path = "../common/mod.rs"]
mod common;
#[path = "../cluster/load.rs"]
mod load;
mod process;
mod remote;
mod served;
#[path = "../cluster/target.rs"]
mod target;

use common::measure::{Scale, median};
use load::{Load, Outcome};
use process::{Processes, Role};

const CLIENTS: [usize; 3] = [1, 64, 256];
/// The bulk of a replicated value, and of a message of the bare stream.
const BULK: usize = 64 << 10;

fn main() {
    let scale = Scale::from_environment();
    if let Some(load) = Load::from_arguments() {
        println!("{}", target::run(&load).to_line());
        return;
    }
    if let Some(role) = Role::from_arguments() {
        role.run();
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    common::table::print_machine(&scale);
    runtime.block_on(async {
        operations(scale).await;
        remote_clients(scale).await;
        bulk(scale).await;
        snapshots(scale).await;
    });
}

fn seconds(scale: Scale) -> f64 {
    if scale.rounds == 1 { 0.5 } else { 2.0 }
}

async fn operations(scale: Scale) {
    println!("\nOperations per second, p50/p99 in us, CPU us per operation (all processes)\n");
    println!("| clients | three processes | switchboard | bare echo | / switchboard | / echo |");
    println!("|--:|--:|--:|--:|--:|--:|");
    for clients in CLIENTS {
        let mut rounds: [Vec<Outcome>; 3] = Default::default();
        for _ in 0..scale.rounds {
            let nodes = Processes::cluster(None).await;
            rounds[0].push(nodes.load(clients, common::data::VALUE_LEN, seconds(scale)).await);
            drop(nodes);
            rounds[1].push(Load::new("encoded", 3, clients).in_child(scale));
            rounds[2].push(bare::echo(clients, seconds(scale)).await);
        }
        let to = |base: usize| ratio(&rounds[0], &rounds[base]);
        let (to_switchboard, to_echo) = (to(1), to(2));
        let ours = middle(rounds[0].clone());
        let cells: Vec<String> = rounds.map(|outcomes| middle(outcomes).describe()).into();
        println!("| {clients} | {} | {to_switchboard:.2}x | {to_echo:.2}x |", cells.join(" | "));
        if clients == 256 {
            verdict("256 clients, operations a second", ours.per_second, 25_000.0);
            let p99_ms = ours.p99_us / 1e3;
            let reached = if p99_ms < 10.0 { "reached" } else { "MISSED" };
            println!("<!-- 256 clients, p99: {p99_ms:.1} ms, aim < 10 ms: {reached} -->");
        }
    }
}

/// The same three processes, the clients in a fourth, a call for each operation.
async fn remote_clients(scale: Scale) {
    println!("\nThe same, clients in a process of their own, a call for each operation\n");
    println!("| clients | three processes | bare echo to one process | / echo |");
    println!("|--:|--:|--:|--:|");
    for clients in CLIENTS {
        let mut rounds: [Vec<Outcome>; 2] = Default::default();
        for _ in 0..scale.rounds {
            let nodes = Processes::cluster(None).await;
            rounds[0].push(nodes.remote_load(remote::Way::Each, clients, seconds(scale)).await);
            drop(nodes);
            rounds[1].push(bare::echo_each(clients, seconds(scale)).await);
        }
        let to_echo = ratio(&rounds[0], &rounds[1]);
        let [ours, echo] = rounds.map(|outcomes| middle(outcomes).describe());
        println!("| {clients} | {ours} | {echo} | {to_echo:.2}x |");
    }
}

/// What goes to both followers, in bytes a second.
async fn bulk(scale: Scale) {
    println!("\nReplication of 64 KiB values, 64 clients: MB/s to both followers\n");
    println!("| three processes | bare stream to two processes | / stream |");
    println!("|--:|--:|--:|");
    let mut pairs = Vec::new();
    for _ in 0..scale.rounds {
        let nodes = Processes::cluster(None).await;
        let outcome = nodes.load(64, BULK, seconds(scale)).await;
        let ours = outcome.per_second * BULK as f64 * 2.0;
        drop(nodes);
        pairs.push((ours, bare::stream(2, BULK, seconds(scale)).await));
    }
    let of = |pick: fn(&(f64, f64)) -> f64| median(pairs.iter().map(pick).collect());
    let (ours, bare, ratio) = (of(|pair| pair.0), of(|pair| pair.1), of(|pair| pair.0 / pair.1));
    println!("| {:.0} | {:.0} | {ratio:.2}x |", ours / 1e6, bare / 1e6);
    verdict("of the bare stream", ratio, 0.5);
}

/// From the first byte until it is installed. What the installation takes by itself is taken off
/// for the last column.
async fn snapshots(scale: Scale) {
    println!("\nTransfer of a snapshot of {} keys: MB/s\n", scale.keys);
    println!("| sent and installed | installed, in one process | bare stream | sent / stream |");
    println!("|--:|--:|--:|--:|");
    let mut rounds: [Vec<f64>; 4] = Default::default();
    for _ in 0..scale.rounds {
        let served::Transfer { bytes, sent_and_installed, installed } =
            served::snapshot(scale.keys).await;
        let stream = bare::stream(1, 256 << 10, seconds(scale)).await;
        let sent = bytes / (sent_and_installed - installed);
        let numbers = [bytes / sent_and_installed, bytes / installed, stream, sent / stream];
        rounds.iter_mut().zip(numbers).for_each(|(round, number)| round.push(number));
    }
    let [both, installed, stream, ratio] = rounds.map(median);
    let [both, installed, stream] = [both, installed, stream].map(|rate| rate / 1e6);
    println!("| {both:.0} | {installed:.0} | {stream:.0} | {ratio:.2}x |");
}

fn ratio(ours: &[Outcome], base: &[Outcome]) -> f64 {
    let pairs = ours.iter().zip(base);
    median(pairs.map(|(ours, base)| ours.per_second / base.per_second).collect())
}

fn middle(mut outcomes: Vec<Outcome>) -> Outcome {
    outcomes.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    outcomes.swap_remove(outcomes.len() / 2)
}

fn verdict(what: &str, got: f64, aim: f64) {
    let reached = if got >= aim { "reached" } else { "MISSED" };
    println!("<!-- {what}: {got:.2}, aim >= {aim}: {reached} -->");
}
