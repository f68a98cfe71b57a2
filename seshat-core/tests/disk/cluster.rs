//! Nodes on disks that lose their power, all at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::storage::{RaftLogReader, RaftLogStorage};
use seshat_core::config::NodeConfig;
use seshat_core::disk::{DiskOptions, DiskStorage};
use seshat_core::network::{StubNetwork, Switchboard};
use seshat_core::node::RaftNode;
use seshat_core::operation::Operation;
use seshat_core::types::Vote;
use seshat_core::wal;

use crate::sim::Sim;

const PATIENCE: Duration = Duration::from_secs(30);

fn config(id: u64, members: &[u64]) -> NodeConfig {
    let builder = NodeConfig::builder(id);
    let builder = if members.len() == 1 { builder.single_node() } else { builder };
    let with = members.iter().fold(builder, |it, member| it.member(*member, format!("n{member}")));
    with.build().unwrap()
}

fn options(id: u64) -> DiskOptions {
    let wal = wal::Options {
        first_segment_bytes: 64 << 10,
        segment_bytes: 64 << 10,
        reserve_bytes: 4 << 10,
        spares: 1,
        ..wal::Options::new("cluster", id)
    };
    DiskOptions { wal, hot_bytes: 4 << 10 }
}

/// A node that stops and starts again is itself: same id, vote, log and state, with no ceremony.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_restarts_is_itself() {
    let dir = tempfile::tempdir().unwrap();
    // The node before has released it when its end is awaited.
    let start = async || {
        let storage = DiskStorage::open(dir.path(), options(1)).unwrap();
        RaftNode::start(config(1, &[1]), storage, StubNetwork).await.unwrap()
    };
    let node = start().await;
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    for n in 0..60 {
        node.set(format!("key-{n}"), "value").await.unwrap();
        if n == 40 {
            node.trigger_snapshot().await.unwrap();
            node.wait_until(PATIENCE, "a snapshot", |now| now.snapshot.is_some()).await.unwrap();
        }
    }
    let term = node.metrics().borrow().current_term;
    node.stop().await;
    for _ in 0..5 {
        let node = start().await;
        assert!(node.initialize().await.is_err(), "it belongs to a cluster");
        node.wait_for_leader(PATIENCE).await.unwrap();
        assert!(node.metrics().borrow().current_term >= term);
        for n in 0..60 {
            let read = node.read_linearizable(format!("key-{n}").as_bytes()).await.unwrap();
            assert_eq!(read.as_deref(), Some(&b"value"[..]), "key-{n}");
        }
        node.shutdown().await;
    }
}

struct Nodes {
    switchboard: Switchboard,
    nodes: BTreeMap<u64, RaftNode>,
    disks: BTreeMap<u64, Sim>,
}

const IDS: [u64; 3] = [1, 2, 3];

impl Nodes {
    async fn on(disks: BTreeMap<u64, Sim>) -> Self {
        let switchboard = Switchboard::new(5);
        let mut nodes = BTreeMap::new();
        for (id, disk) in &disks {
            let storage = DiskStorage::open_on(disk.clone(), options(*id)).unwrap();
            let node = RaftNode::start(config(*id, &IDS), storage, switchboard.port(*id)).await;
            let node = node.unwrap();
            switchboard.plug(*id, node.raft().clone());
            nodes.insert(*id, node);
        }
        Self { switchboard, nodes, disks }
    }

    /// Some node that leads, as far as it knows.
    async fn leader(&self) -> RaftNode {
        let leads = async {
            loop {
                if let Some(leader) = self.nodes.values().find(|node| node.is_leader()) {
                    return leader.clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, leads).await.expect("a leader")
    }

    /// The power fails, everywhere; what of the unsynced is left differs by `round`.
    async fn cut(self, round: usize) -> BTreeMap<u64, Sim> {
        let cut = |(id, disk): (&u64, &Sim)| {
            let (mut left, _) = disk.world().cuts();
            let which = (round * 7 + *id as usize) % left.len();
            (*id, Sim::on(left.swap_remove(which)))
        };
        let after = self.disks.iter().map(cut).collect();
        for (id, node) in self.nodes {
            self.switchboard.unplug(&id);
            node.stop().await;
        }
        after
    }
}

/// Writers go on until the power of all nodes fails. Whatever they were told is written is there.
#[tokio::test]
async fn what_was_acknowledged_survives_a_power_cut_of_all_nodes() {
    let mut nodes = Nodes::on(IDS.iter().map(|id| (*id, Sim::new(512))).collect()).await;
    nodes.nodes[&1].initialize().await.unwrap();
    let acknowledged: Arc<Mutex<Vec<String>>> = Arc::default();
    for round in 0..4 {
        let leader = nodes.leader().await;
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (leader, acknowledged) = (leader.clone(), Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    for n in 0.. {
                        let key = format!("{round}.{writer}.{n}");
                        let set = Operation::set(key.clone(), "value", leader.limits()).unwrap();
                        if leader.propose(set).await.is_err() {
                            return;
                        }
                        acknowledged.lock().unwrap().push(key);
                    }
                })
            })
            .collect();
        let enough = (round + 1) * 40;
        let wait = async {
            while acknowledged.lock().unwrap().len() < enough {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("writes are acknowledged");
        if round == 1 {
            leader.trigger_snapshot().await.unwrap();
        }
        // Those that are acknowledged later may be lost with the disks' worlds of now.
        let promised = acknowledged.lock().unwrap().clone();
        drop(leader);
        let disks = nodes.cut(round).await;
        for writer in writers {
            writer.await.unwrap();
        }
        *acknowledged.lock().unwrap() = promised.clone();
        nodes = Nodes::on(disks).await;
        let leader = nodes.leader().await;
        for key in &promised {
            let read = leader.read_linearizable(key.as_bytes()).await.unwrap();
            assert!(read.is_some(), "round {round}: {key} was acknowledged, and is lost");
        }
    }
}

/// A leader that stopped leads again at once, and what is stored as committed is behind what it acknowledged.
/// It answers no read before it has all of that.
#[tokio::test]
async fn a_leader_that_resumes_reads_what_it_acknowledged() {
    let mut nodes = Nodes::on(IDS.iter().map(|id| (*id, Sim::new(512))).collect()).await;
    nodes.nodes[&1].initialize().await.unwrap();
    let leader = nodes.leader().await;
    for n in 0..200 {
        leader.set(format!("key-{n}"), "value").await.unwrap();
    }
    drop(leader);
    // Once is enough for most wrong answers; whether it is depends on who is faster.
    for _ in 0..5 {
        let disks = nodes.cut(0).await;
        for (id, disk) in &disks {
            let DiskStorage { mut log, machine: _machine } =
                DiskStorage::open_on(disk.clone(), options(*id)).unwrap();
            let there = log.try_get_log_entries(100..101).await.unwrap();
            log.save_committed(there.first().map(|entry| entry.log_id)).await.unwrap();
            let vote = log.read_vote().await.unwrap().unwrap();
            log.save_vote(&vote).await.unwrap();
        }
        nodes = Nodes::on(disks).await;
        let read = nodes.leader().await.read_linearizable(b"key-199").await.unwrap();
        assert!(read.is_some(), "it was acknowledged, and is not read");
    }
}

/// Killed when its election was durable and its first entry wasn't: openraft appends that when it leads again,
/// or nothing would be committed (Raft paper, section 5.4.2), nor read, before somebody writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_before_its_first_entry_answers_when_it_leads_again() {
    let dir = tempfile::tempdir().unwrap();
    let open = || DiskStorage::open(dir.path(), options(1)).unwrap();
    let node = RaftNode::start(config(1, &[1]), open(), StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    node.set("key", "value").await.unwrap();
    node.stop().await;
    {
        let DiskStorage { mut log, machine: _machine } = open();
        let term = log.read_vote().await.unwrap().unwrap().leader_id.term;
        let first = log.try_get_log_entries(0..1).await.unwrap();
        log.save_committed(first.first().map(|entry| entry.log_id)).await.unwrap();
        log.save_vote(&Vote::new_committed(term + 1, 1)).await.unwrap();
    }
    let node = RaftNode::start(config(1, &[1]), open(), StubNetwork).await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    let read = node.read_linearizable(b"key").await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"value"[..]));
}
