//! Three nodes in one process, on one disk.
//!
//! - unbatched: each operation an entry;
//! - null: the same nodes on the same log, with a state machine that keeps nothing;
//! - memory: the same nodes on storage in memory;
//! - durable: nodes as they are.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use seshat_core::network::switchboard::Direct;
use seshat_core::storage::{MemStorage, Storage};
use tempfile::TempDir;

use crate::commits::{Raw, frame_len};
use crate::common::disk;
use crate::common::measure::{Scale, median};
use crate::load::{Load, Outcome};
use crate::null::NullMachine;
use crate::target::{cluster_on, propose, write_each};
use crate::{middle, temporary, verdict};

const CLIENTS: [usize; 4] = [1, 64, 256, 1024];
/// The last is what the others are compared with.
const KINDS: [&str; 4] = ["unbatched", "null", "memory", "durable"];
/// What a lone client's operation can't do without, one after the other, and as three nodes do it.
const SYNCS: [&str; 2] = ["two-syncs", "three-syncs"];

pub(crate) fn run(load: &Load) -> Outcome {
    let dir = temporary();
    match load.kind.as_str() {
        "two-syncs" => return syncs(load, two_syncs(dir.path())),
        "three-syncs" => return syncs(load, three_syncs(dir.path())),
        _ => {}
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match load.kind.as_str() {
            "unbatched" => write_each(load, &nodes(load, &dir).await[0]).await,
            "durable" => propose(load, &nodes(load, &dir).await[0]).await,
            "memory" => {
                let storage = |_| MemStorage::new();
                propose(load, &cluster_on(load, u64::MAX, Direct, storage).await[0]).await
            }
            "null" => {
                let storage = |id| {
                    let (log, ..) = storage(&dir, id).into_parts();
                    (log, NullMachine::default(), NullMachine::default())
                };
                propose(load, &cluster_on(load, u64::MAX, Direct, storage).await[0]).await
            }
            kind => panic!("no such kind: {kind}"),
        }
    })
}

fn storage(dir: &TempDir, id: u64) -> seshat_core::disk::DiskStorage {
    disk::open(&dir.path().join(id.to_string()), id)
}

async fn nodes(load: &Load, dir: &TempDir) -> Vec<seshat_core::node::RaftNode> {
    cluster_on(load, u64::MAX, Direct, |id| storage(dir, id)).await
}

pub(crate) fn print(scale: Scale) {
    println!(
        "\nThree nodes, one disk: operations per second, p50/p99 in us, CPU us per operation\n"
    );
    println!("| clients | unbatched | null | memory | durable | / unbatched | / null | / memory |");
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|");
    for clients in CLIENTS {
        let rounds = rounds(scale, KINDS, clients);
        let ratio = |base: usize| {
            let pairs = rounds[3].iter().zip(&rounds[base]);
            median(pairs.map(|(ours, base)| ours.per_second / base.per_second).collect())
        };
        let ratios = [ratio(0), ratio(1), ratio(2)];
        let cells: Vec<String> = rounds.map(|outcomes| middle(outcomes).describe()).into();
        let [to_unbatched, to_null, to_memory] = ratios.map(|ratio| format!("{ratio:.2}x"));
        println!(
            "| {clients} | {} | {to_unbatched} | {to_null} | {to_memory} |",
            cells.join(" | ")
        );
        if clients == 256 {
            verdict("256 clients: durable / unbatched", ratios[0], 20.0);
        }
        verdict(&format!("{clients} clients: durable / null"), ratios[1], 0.8);
    }
    lone(scale);
}

fn rounds<const N: usize>(scale: Scale, kinds: [&str; N], clients: usize) -> [Vec<Outcome>; N] {
    let mut rounds: [Vec<Outcome>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..scale.rounds {
        for (kind, outcomes) in kinds.iter().zip(&mut rounds) {
            outcomes.push(Load::new(kind, 3, clients).in_child(scale));
        }
    }
    rounds
}

/// A leader syncs, then the followers do, as openraft 0.9 replicates what is on the leader's disk.
fn lone(scale: Scale) {
    let [two, three] = SYNCS;
    let rounds = rounds(scale, ["durable", two, three], 1);
    let ratio = |base: usize| {
        let pairs = rounds[0].iter().zip(&rounds[base]);
        median(pairs.map(|(ours, base)| ours.p50_us / base.p50_us).collect())
    };
    let (to_two, to_three) = (ratio(1), ratio(2));
    let [ours, two, three] = rounds.map(|outcomes| middle(outcomes).p50_us);
    println!(
        "\nA lone client, p50: {ours:.0} us; two raw syncs, one after the other: {two:.0} us;"
    );
    println!("one, then two at once, until one of them is done, by bare threads: {three:.0} us\n");
    let reached = if to_two <= 1.15 { "reached" } else { "MISSED" };
    println!("<!-- lone client / two raw syncs: {to_two:.2}x, aim <= 1.15x: {reached} -->");
    println!("<!-- lone client / the syncs of three nodes: {to_three:.2}x -->");
}

/// Does that over and over.
fn syncs(load: &Load, mut both: impl FnMut()) -> Outcome {
    let from = Instant::now();
    let mut latencies = Vec::new();
    while from.elapsed() < Duration::from_secs_f64(load.seconds) {
        let started = Instant::now();
        both();
        latencies.push(started.elapsed().as_secs_f64() * 1e6);
    }
    let per_second = latencies.len() as f64 / from.elapsed().as_secs_f64();
    latencies.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize];
    Outcome { per_second, p50_us: at(0.5), p99_us: at(0.99), ..Outcome::default() }
}

fn raw(dir: &Path, name: &str) -> Raw {
    let dir = dir.join(name);
    std::fs::create_dir(&dir).unwrap();
    Raw::new(&dir)
}

fn two_syncs(dir: &Path) -> impl FnMut() + use<> {
    let (mut leader, mut follower) = (raw(dir, "1"), raw(dir, "2"));
    let bytes = vec![0xa5; frame_len(1)];
    move || {
        leader.commit(&bytes);
        follower.commit(&bytes);
    }
}

fn three_syncs(dir: &Path) -> impl FnMut() + use<> {
    let mut leader = raw(dir, "1");
    let bytes = vec![0xa5; frame_len(1)];
    let (done, acknowledged) = channel();
    let followers = ["2", "3"].map(|name| follower(raw(dir, name), done.clone()));
    let mut round = 0;
    move || {
        leader.commit(&bytes);
        round += 1;
        followers.iter().for_each(|follower| follower.send(round).unwrap());
        // The other one's of the round before may come first.
        while acknowledged.recv().unwrap() < round {}
    }
}

/// A thread that commits each round, and then says so. Ends with its sender.
fn follower(mut raw: Raw, done: Sender<u64>) -> Sender<u64> {
    let (rounds, begun): (Sender<u64>, Receiver<u64>) = channel();
    thread::spawn(move || {
        let bytes = vec![0xa5; frame_len(1)];
        for round in begun {
            raw.commit(&bytes);
            if done.send(round).is_err() {
                return;
            }
        }
    });
    rounds
}
