//! Three nodes whose links are slow, lossy or different each way, under load: does the leader
//! keep its place, does every write get through, and in how much memory.
//!
//! `cargo bench -p seshat-core --bench links` prints a line for each link and load. The links are the
//! switchboard's (`sb-`), or wires that TCP goes through, with gRPC over it: the nodes, the wires and
//! the clients of a line are a process of their own. A cluster forms over fast links, and then they
//! become slow; every node has the default configuration, but for the longest value. Loads are as
//! large as the link carries in two seconds, at most: 2 MiB of 4 KiB values at once, 8 MiB in one
//! value, 8 MiB that a follower has missed. What is as fast as the link takes two seconds, then, and
//! what takes ten has failed.
//!
//! - MB/s: of values, until every node has them, but for the steady load; of the link: that, of what
//!   the link to a follower carries;
//! - p50, max: of single writes, in the load or beside it, as clients see them;
//! - elections: terms after the first leader's;
//! - peak: most memory resident, of three nodes and their clients together;
//! - verdict: `steady`, every node has everything in time and nobody was elected; `unsteady`, somebody was;
//!   `STUCK`, the load wasn't done in ten seconds, or no write succeeds in the three after it;
//!   `FAILED`, the process ended otherwise, or didn't.
//!
//! `-- --link 8mbit --load burst` prints the lines whose names contain that; `--quick` is a glance;
//! `--jobs 1` keeps lines of slow links, which wait most of their time, from running at a time.
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

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod link;
mod load;
#[path = "../../tests/common/proxy.rs"]
mod proxy;
#[path = "../../src/bin/seshat/serve/via.rs"]
mod via;

use std::process::Stdio;
use std::time::Duration;

use common::measure::Scale;
use futures_util::stream::{self, StreamExt};
use link::{LINKS, Link};
use load::{LOADS, Load, Outcome, Times};
use tokio::process::Command;

/// Lines at a time. More would wait for each other on two cores.
const JOBS: usize = 3;
/// Beyond what the load may take: forming a cluster, and what a follower is to miss.
const SPARE: Duration = Duration::from_secs(25);

fn main() {
    let scale = Scale::from_environment();
    let times = if scale.rounds == 1 { Times::QUICK } else { Times::FULL };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(row) = argument("--row") {
        let (link, load) = row.split_once('/').expect("a link and a load");
        let (_, load) = *LOADS.iter().find(|(name, _)| *name == load).expect("a known load");
        println!("{}", runtime.block_on(load::run(&Link::named(link), load, times)).to_line());
        return;
    }
    println!("{}\n\n{HEAD}", common::table::machine());
    let jobs = argument("--jobs").map_or(JOBS, |jobs| jobs.parse().expect("a number of jobs"));
    runtime.block_on(async {
        for link in LINKS.iter().filter(|link| wanted("--link", link.name)) {
            let loads = LOADS.iter().filter(|(name, _)| wanted("--load", name));
            let rows = loads.map(|(name, load)| async move {
                line(link, (name, *load), times, in_child(link, name, times).await)
            });
            // What isn't held up by its link is by the machine.
            let jobs = if link.rate().is_some() { jobs } else { 1 };
            let mut rows = stream::iter(rows).buffered(jobs.max(1));
            while let Some(row) = rows.next().await {
                println!("{row}");
            }
        }
    });
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

fn wanted(argument_name: &str, name: &str) -> bool {
    argument(argument_name).is_none_or(|part| name.contains(&part))
}

/// `None` if the process has failed, or has not ended in time; then it is killed.
async fn in_child(link: &Link, load: &str, times: Times) -> Option<Outcome> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args().filter(|arg| arg == "--quick"))
        .args(["--row", &format!("{}/{load}", link.name)])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(times.bound + times.alive + SPARE, output).await;
    let output = output.ok()?.unwrap();
    output.status.success().then(|| Outcome::from_line(&String::from_utf8_lossy(&output.stdout)))?
}

const HEAD: &str = "\
| link | load | MB done | of | operations/s | MB/s | of the link | p50, ms | max, ms | elections | peak, MiB | verdict |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|";

fn line(link: &Link, (name, load): (&str, Load), times: Times, outcome: Option<Outcome>) -> String {
    let Some(outcome) = outcome else {
        return format!("| {} | {name} | | | | | | | | | | FAILED |", link.name);
    };
    let Outcome { operations, bytes, seconds, p50_ms, max_ms, elections, peak_mib, .. } = outcome;
    let verdict = match (outcome.done > 0.0, elections > 0.0) {
        (false, _) => "STUCK",
        (true, true) => "unsteady",
        (true, false) => "steady",
    };
    let of = load.bytes(link, times);
    // Small writes are not what fills a link.
    let rate = link.rate().filter(|_| of.is_some()).map(|rate| rate.get() as f64);
    let cells = [
        number(bytes / 1e6, 2),
        of.map_or("-".to_owned(), |of| number(of as f64 / 1e6, 2)),
        number(operations / seconds, 0),
        number(bytes / seconds / 1e6, 2),
        rate.map_or("-".to_owned(), |rate| number(100.0 * bytes / seconds / rate, 0) + " %"),
        number(p50_ms, 1),
        number(max_ms, 1),
        number(elections, 0),
        number(peak_mib, 0),
    ];
    format!("| {} | {name} | {} | {verdict} |", link.name, cells.join(" | "))
}

/// None if there is none.
fn number(number: f64, digits: usize) -> String {
    if number.is_finite() { format!("{number:.digits$}") } else { "-".to_owned() }
}
