//! What is put on three nodes whose links are slow, and what came of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;

use super::cluster::{Cluster, MAX_VALUE};
use super::common::data::{key, value};
use super::common::measure::high_water_kib;
use super::link::Link;

/// Clients of a steady load.
const CLIENTS: u64 = 64;
/// A value of the burst, and of what a follower has missed.
const VALUE: usize = 4 << 10;
/// Clients of a burst at most, each of which writes one value: 2 MiB.
const BURST: u64 = 512;
/// How often somebody writes while a follower catches up.
const PACE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Nothing but heartbeats.
    Idle,
    /// Up to 512 clients write 4 KiB each, all at once.
    Burst,
    /// 64 clients write 128 bytes each, over and over.
    Steady,
    /// One value, of up to 8 MiB.
    Value,
    /// A follower comes back and needs the log, of up to 8 MiB.
    Log,
    /// The same, and what it needs is in a snapshot alone.
    Snapshot,
}

pub(crate) const LOADS: [(&str, Load); 6] = [
    ("idle", Load::Idle),
    ("burst", Load::Burst),
    ("steady", Load::Steady),
    ("value", Load::Value),
    ("log", Load::Log),
    ("snapshot", Load::Snapshot),
];

impl Load {
    /// Bytes of values that are to be written or caught up with, if the load says how many.
    pub(crate) fn bytes(self, link: &Link, times: Times) -> Option<u64> {
        let most = match self {
            Self::Idle | Self::Steady => return None,
            Self::Burst => BURST * VALUE as u64,
            Self::Value | Self::Log | Self::Snapshot => MAX_VALUE as u64,
        };
        let bytes = link.bytes_in(times.load, most);
        let values = (bytes / VALUE as u64).max(1);
        Some(if self == Self::Value { bytes } else { values * VALUE as u64 })
    }
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// A load is no larger than what its link carries in so many seconds.
    pub(crate) load: f64,
    /// It has failed if it takes longer.
    pub(crate) bound: Duration,
    /// And the cluster is stuck if it then writes nothing for so long.
    pub(crate) alive: Duration,
}

impl Times {
    pub(crate) const FULL: Self =
        Self { load: 2.0, bound: Duration::from_secs(10), alive: Duration::from_secs(3) };
    pub(crate) const QUICK: Self =
        Self { load: 0.5, bound: Duration::from_secs(4), alive: Duration::from_secs(2) };
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Of the load: operations and bytes of values that were acknowledged, or caught up with.
    pub(crate) operations: f64,
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
    /// Of writes, as clients see them.
    pub(crate) p50_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) elections: f64,
    pub(crate) peak_mib: f64,
    /// 1 if all of it was done in time, and a write succeeded after it; else 0.
    pub(crate) done: f64,
}

impl Outcome {
    pub(crate) fn to_line(self) -> String {
        let Self { operations, bytes, seconds, p50_ms, max_ms, elections, peak_mib, done } = self;
        format!("{operations} {bytes} {seconds} {p50_ms} {max_ms} {elections} {peak_mib} {done}")
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let numbers: Vec<f64> = line.split_whitespace().map_while(|n| n.parse().ok()).collect();
        let &[operations, bytes, seconds, p50_ms, max_ms, elections, peak_mib, done] = &numbers[..]
        else {
            return None;
        };
        Some(Self { operations, bytes, seconds, p50_ms, max_ms, elections, peak_mib, done })
    }
}

/// What a load has come to.
#[derive(Default)]
struct Done {
    /// Operations and bytes, where they aren't those of the writes.
    moved: Option<(u64, u64)>,
    bytes: u64,
    /// What each write that succeeded took.
    took: Vec<Duration>,
    all: bool,
}

/// Forms a cluster, makes its links slow, and puts the load on it.
pub(crate) async fn run(link: &Link, load: Load, times: Times) -> Outcome {
    let cluster = Cluster::form(link.by).await;
    let bytes = load.bytes(link, times).unwrap_or(0);
    if matches!(load, Load::Log | Load::Snapshot) {
        prepare(&cluster, load, bytes, times).await;
    }
    cluster.set(link);
    let started = Instant::now();
    let until = started + times.bound;
    let Done { moved, bytes, mut took, all } = match load {
        Load::Idle => {
            tokio::time::sleep(Duration::from_secs_f64(times.load)).await;
            Done { all: true, ..Done::default() }
        }
        Load::Burst => burst(&cluster, bytes, until).await,
        Load::Steady => steady(&cluster, times, until).await,
        Load::Value => one(&cluster, bytes, until).await,
        Load::Log | Load::Snapshot => catch_up(&cluster, bytes, until).await,
    };
    // What a majority has isn't yet over every link. A steady load, which a majority without the
    // slow follower sets the pace of, may never be.
    let follow = load == Load::Steady || cluster.all_follow(until).await;
    let seconds = started.elapsed().as_secs_f64();
    let last = cluster.write("last", "1", Instant::now() + times.alive).await;
    let (operations, bytes) = moved.unwrap_or((took.len() as u64, bytes));
    took.extend(last);
    took.sort_unstable();
    let ms = |took: Option<&Duration>| took.map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
    Outcome {
        operations: operations as f64,
        bytes: bytes as f64,
        seconds,
        p50_ms: ms(took.get(took.len() / 2)),
        max_ms: ms(took.last()),
        elections: cluster.elections() as f64,
        peak_mib: high_water_kib() / 1024.0,
        done: f64::from(u8::from(all && follow && last.is_some())),
    }
}

/// While the links are fast: writes what a follower is to miss.
async fn prepare(cluster: &Cluster, load: Load, bytes: u64, times: Times) {
    cluster.cut_far();
    let until = Instant::now() + times.bound;
    let writes = (0..bytes / VALUE as u64).map(|at| cluster.write(key(at), vec![7; VALUE], until));
    assert!(join_all(writes).await.iter().all(Option::is_some), "written over fast links");
    if load == Load::Snapshot {
        let leader = cluster.leader().unwrap();
        let covered = leader.last_applied().unwrap().index;
        leader.trigger_snapshot().await.unwrap();
        let covers = |id: Option<openraft::LogId<u64>>| id.is_some_and(|id| id.index >= covered);
        leader.wait_until(times.bound, "a snapshot", |now| covers(now.snapshot)).await.unwrap();
        leader.trigger_purge(covered).await.unwrap();
        leader.wait_until(times.bound, "a purged log", |now| covers(now.purged)).await.unwrap();
    }
}

async fn burst(cluster: &Cluster, bytes: u64, until: Instant) -> Done {
    let clients = bytes / VALUE as u64;
    let writes = (0..clients).map(|client| cluster.write(key(client), vec![7; VALUE], until));
    let took: Vec<Duration> = join_all(writes).await.into_iter().flatten().collect();
    let written = took.len() as u64;
    Done { bytes: written * VALUE as u64, took, all: written == clients, moved: None }
}

/// Closed loops. All is done if every client is served to the end.
async fn steady(cluster: &Cluster, times: Times, until: Instant) -> Done {
    let ends = Instant::now() + Duration::from_secs_f64(times.load);
    let value = Bytes::from(value(1));
    let clients = (0..CLIENTS).map(|client| {
        let value = value.clone();
        async move {
            let mut took = Vec::new();
            while Instant::now() < ends {
                match cluster.write(key(client), value.clone(), until).await {
                    Some(write) => took.push(write),
                    None => return (took, false),
                }
            }
            (took, true)
        }
    });
    let (took, served): (Vec<_>, Vec<_>) = join_all(clients).await.into_iter().unzip();
    let took = took.concat();
    let bytes = (took.len() * value.len()) as u64;
    Done { bytes, took, all: served.iter().all(|served| *served), moved: None }
}

async fn one(cluster: &Cluster, bytes: u64, until: Instant) -> Done {
    let took = cluster.write("value", vec![7; bytes as usize], until).await;
    let bytes = if took.is_some() { bytes } else { 0 };
    Done { bytes, all: took.is_some(), took: took.into_iter().collect(), moved: None }
}

/// The far follower catches up with what it has missed, while somebody writes.
async fn catch_up(cluster: &Cluster, bytes: u64, until: Instant) -> Done {
    let mut took = Vec::new();
    let writing = async {
        loop {
            tokio::time::sleep(PACE).await;
            took.extend(cluster.write("meanwhile", "1", until).await);
        }
    };
    let all = tokio::select! {
        caught_up = cluster.all_follow(until) => caught_up,
        () = writing => false,
    };
    let moved = if all { (bytes / VALUE as u64, bytes) } else { (0, 0) };
    Done { moved: Some(moved), took, all, bytes: 0 }
}
