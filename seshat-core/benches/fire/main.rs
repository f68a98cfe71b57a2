//! Three nodes under fire: what admitted clients meet while others do what harm they can.
//!
//! `cargo bench -p seshat-core --bench fire` prints a line for each attack, and one for all of them at
//! once. Each line is a cluster of its own: three processes with certificates, one of them of an older
//! version, behind the service that the program has, and 32 clients in closed loops of small writes, before
//! the attack and during it. Of connections, and of bytes under way, the nodes allow less than by default. An attack is a process too, so it takes its share of the machine: beside it
//! stands what the same attack takes where nobody is attacked, at ports that accept and say nothing.
//!
//! - p99: of writes, before, and beside the attack at nobody; then under fire, and how many times the
//!   first that is (aim: 3x at most). What failed counts with the time that it took;
//! - failed: writes that weren't done, of all under fire;
//! - peak: most memory resident in the largest node, beside and under fire (its log grows meanwhile); bound: what others may make
//!   it hold by its configuration (`NodeConfig::max_memory_bytes`), beside what it stores;
//! - nodes' CPU: processor time of the nodes a write, under fire, over that before.
//!
//! `-- --quick` is a glance; `-- --only stalled` prints the lines whose names contain that.
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

mod attack;
mod certificates;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod node;
mod process;

use std::time::Duration;

use attack::ATTACKS;
use client::{Met, write};
use common::measure::Scale;
use process::{Cluster, Process, settle};
use tokio::net::TcpListener;

const CLUSTER: &str = "fire";
const NODES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
/// How much worse the slowest in a hundred writes may be.
const AIM: f64 = 3.0;

fn main() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(async {
        if process::played().await {
            return;
        }
        let scale = Scale::from_environment();
        println!("{}\n\n{HEAD}", common::table::machine());
        let all: Vec<&str> = ATTACKS.iter().map(|(name, _)| *name).collect();
        let lines = all.iter().map(|name| (*name, vec![*name]));
        for (name, attacks) in lines.chain([("all at once", all.clone())]) {
            if wanted(name) {
                println!("{}", line(name, &attacks, scale).await);
            }
        }
    });
}

const HEAD: &str = "\
| attack | p99 before, ms | beside | under fire | / before | / beside | failed | peak beside, MiB | \
under fire | bound | nodes' CPU | verdict |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|";

fn wanted(name: &str) -> bool {
    let mut args = std::env::args().skip_while(|arg| arg != "--only").skip(1);
    args.next().is_none_or(|only| name.contains(&only))
}

/// Writes, and what they took of the nodes.
struct Phase {
    met: Met,
    cpu_each: f64,
    peak_mib: f64,
}

async fn phase(cluster: &Cluster, seconds: f64) -> Phase {
    cluster.peak_mib();
    let cpu = cluster.cpu();
    let met = write(&cluster.target, cluster.leader, seconds).await;
    let cpu_each = (cluster.cpu() - cpu) / (met.per_second * seconds);
    Phase { met, cpu_each, peak_mib: cluster.peak_mib() }
}

async fn line(name: &str, attacks: &[&str], scale: Scale) -> String {
    let seconds = if scale.rounds == 1 { 3.0 } else { 10.0 };
    let directory = tempfile::TempDir::new().unwrap();
    let mut cluster = Cluster::start(directory.path()).await;
    let bound = node::config(1, &cluster.target.peers, directory.path()).max_memory_bytes();
    write(&cluster.target, cluster.leader, 1.0).await;

    let before = phase(&cluster, seconds).await;
    let decoys = decoys(&cluster).await;
    let beside = under(&cluster, attacks, &decoys, seconds).await;
    let fire = under(&cluster, attacks, &cluster.target, seconds).await;

    let ratio = fire.met.p99_ms / before.met.p99_ms;
    let bound_mib = bound as f64 / f64::from(1 << 20);
    let within = fire.peak_mib - beside.peak_mib <= bound_mib;
    let verdict = match (cluster.is_whole(), fire.met.failed, within) {
        (false, ..) => "A NODE IS GONE",
        (_, _, false) => "TOO MUCH MEMORY",
        (_, 1.., _) => "WRITES FAILED",
        _ if ratio <= AIM => "served",
        _ => "SLOW",
    };
    format!(
        "| {name} | {:.1} | {:.1} | {:.1} | {ratio:.2}x | {:.2}x | {} | {:.0} | {:.0} | {bound_mib:.0} \
         | {:.2}x | {verdict} |",
        before.met.p99_ms,
        beside.met.p99_ms,
        fire.met.p99_ms,
        fire.met.p99_ms / beside.met.p99_ms,
        fire.met.failed,
        beside.peak_mib,
        fire.peak_mib,
        fire.cpu_each / before.cpu_each,
    )
}

/// Writes to the cluster, while the attacks go on at `target`.
async fn under(
    cluster: &Cluster,
    attacks: &[&str],
    target: &attack::Target,
    seconds: f64,
) -> Phase {
    let attackers: Vec<Process> =
        attacks.iter().map(|name| Process::start("attack", name, target)).collect();
    settle().await;
    let met = phase(cluster, seconds).await;
    drop(attackers);
    settle().await;
    met
}

/// As many ports as the cluster has, in this process, behind which nobody is.
async fn decoys(cluster: &Cluster) -> attack::Target {
    let decoy = async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    drop(stream);
                });
            }
        });
        address
    };
    let (mut peers, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..NODES {
        peers.push(decoy().await);
        clients.push(decoy().await);
    }
    attack::Target { peers, clients, ..cluster.target.clone() }
}
