//! Clusters whose links and nodes fail at random, while clients write: nothing that was
//! acknowledged is lost, and all nodes end up the same.
//!
//! The schedule follows from a seed, which a failure prints; `SESHAT_FAULTS_SEED` runs another.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::print_stderr, reason = "names the seed")]

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/counters.rs"]
mod counters;

use std::time::Duration;

use cluster::Cluster;
use counters::{Clients, Directory};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use seshat_core::config::{NodeConfigBuilder, SnapshotConfig};
use seshat_core::network::switchboard::Faults;
use seshat_core::node::Handover;

const FAULTS: Faults = Faults {
    cut: false,
    delay_min: Duration::ZERO,
    delay_max: Duration::from_millis(30),
    drop: 0.1,
    duplicate: 0.1,
    reorder: 0.1,
    bytes_per_second: None,
};

/// Names the seed of a run that panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SESHAT_FAULTS_SEED={}", self.0);
        }
    }
}

fn seeds(default: &[u64]) -> Vec<u64> {
    match std::env::var("SESHAT_FAULTS_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => default.to_vec(),
    }
}

/// What goes wrong beside the messages.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// The leader is cut off.
    Deposed,
    /// Two groups don't hear each other.
    Partition,
    /// One direction of one link is cut.
    HalfCut,
    /// The leader crashes, and comes back.
    LeaderCrash,
    /// A follower crashes, and comes back.
    FollowerCrash,
    /// The leader leaves, and comes back.
    Handover,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::Deposed,
    Trouble::Partition,
    Trouble::HalfCut,
    Trouble::LeaderCrash,
    Trouble::FollowerCrash,
    Trouble::Handover,
];

struct Chaos {
    cluster: Cluster,
    directory: Directory,
    rng: SmallRng,
}

impl Chaos {
    /// Lets messages get lost, late, doubled and out of order, on every link.
    fn disturb(&self) {
        self.cluster.switchboard.heal();
        let ids = self.cluster.ids();
        for from in &ids {
            for to in &ids {
                self.cluster.switchboard.set_faults(*from, *to, FAULTS);
            }
        }
    }

    /// As long as the schedule says.
    async fn pause(&mut self, millis: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(millis))).await;
    }

    /// A leader of the moment, if anybody takes itself for one.
    fn leader(&self) -> Option<u64> {
        let leading = self.cluster.nodes.values().filter(|node| node.is_leader());
        leading.max_by_key(|node| node.metrics().borrow().current_term).map(|node| node.id())
    }

    async fn restart(&mut self, id: u64) {
        self.pause(0..1500).await;
        self.cluster.start_node(id).await;
        self.directory.update(&self.cluster.nodes);
    }

    async fn crash(&mut self, id: u64) {
        self.cluster.kill(id).await;
        self.directory.update(&self.cluster.nodes);
    }

    async fn cause(&mut self, trouble: Trouble) {
        let mut ids = self.cluster.ids();
        ids.shuffle(&mut self.rng);
        let leader = self.leader().unwrap_or(ids[0]);
        match trouble {
            Trouble::Deposed => self.cluster.switchboard.isolate(&leader),
            Trouble::Partition => {
                let (here, there) = ids.split_at(self.rng.random_range(1..ids.len()));
                self.cluster.switchboard.partition(&[here, there]);
            }
            Trouble::HalfCut => self.cluster.switchboard.cut(ids[0], ids[1]),
            Trouble::LeaderCrash => {
                self.crash(leader).await;
                self.restart(leader).await;
            }
            Trouble::FollowerCrash => {
                let follower = ids.into_iter().find(|id| *id != leader).unwrap();
                self.crash(follower).await;
                self.restart(follower).await;
            }
            Trouble::Handover => {
                // Messages get lost, so it may fail. Then there is an election.
                if let Handover::To(successor) = self.cluster.nodes[&leader].shutdown().await {
                    assert_ne!(successor, leader);
                }
                self.crash(leader).await;
                self.restart(leader).await;
            }
        }
    }
}

/// Small enough that nodes that come back are sent a snapshot now and then.
fn small_snapshots(builder: NodeConfigBuilder) -> NodeConfigBuilder {
    let (min_log_bytes, log_bytes_to_keep) = (4_000, 1_000);
    let rest = SnapshotConfig::default();
    builder.snapshot(SnapshotConfig { min_log_bytes, log_bytes_to_keep, ..rest })
}

async fn survive(size: u64, seed: u64, rounds: usize) {
    let _seed = Seed(seed);
    let ids: Vec<u64> = (1..=size).collect();
    let cluster = Cluster::start_with(&ids, seed, small_snapshots).await;
    let directory = Directory::default();
    directory.update(&cluster.nodes);
    let mut chaos = Chaos { cluster, directory, rng: SmallRng::seed_from_u64(seed) };
    chaos.disturb();
    let clients = Clients::start(4, &chaos.directory);

    let mut troubles = Vec::new();
    for _ in 0..rounds {
        if troubles.is_empty() {
            troubles = TROUBLES.to_vec();
            troubles.shuffle(&mut chaos.rng);
        }
        chaos.pause(100..1000).await;
        let trouble = troubles.pop().unwrap();
        chaos.cause(trouble).await;
        chaos.pause(100..3000).await;
        chaos.disturb();
    }

    // Disturbed as they are, they get along.
    chaos.cluster.leader().await;
    let counters = clients.finish().await;
    chaos.cluster.switchboard.heal();
    chaos.cluster.assert_equal_digests().await;
    for counter in counters {
        assert!(counter.acknowledgements > rounds as u64, "no progress: {counter:?}");
        for node in chaos.cluster.nodes.values() {
            counter.check(node.read(counter.key.as_bytes()).await.unwrap().as_deref());
        }
    }
    chaos.cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn three_nodes_lose_nothing_that_was_acknowledged() {
    for seed in seeds(&[1, 2, 3]) {
        survive(3, seed, 18).await;
    }
}

#[tokio::test(start_paused = true)]
async fn five_nodes_lose_nothing_that_was_acknowledged() {
    for seed in seeds(&[4, 5]) {
        survive(5, seed, 18).await;
    }
}

/// In real time, so less of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_on_several_threads_lose_nothing_that_was_acknowledged() {
    for seed in seeds(&[6]) {
        survive(3, seed, 3).await;
    }
}
