//! The clusters that are measured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::{BasicNode, Config, Raft, SnapshotPolicy};
use seshat_core::config::{NodeConfig, SnapshotConfig};
use seshat_core::network::Switchboard;
use seshat_core::network::switchboard::{Direct, Encoded, Wire};
use seshat_core::node::RaftNode;
use seshat_core::operation::{Batch, Limits, Operation};
use seshat_core::storage::{MemStorage, StateReader, Storage};
use seshat_core::types::TypeConfig;

use super::common::data::{key, value};
use super::common::naive::{LogStore, MachineStore, Naive, NaiveConfig, NullConfig, Set};
use super::load::{Load, Outcome, drive};

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(load: &Load) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match load.kind.as_str() {
            "naive" => naive(load).await,
            "null" => null(load).await,
            "unbatched" => unbatched(load).await,
            "ours" => ours(load, u64::MAX, Direct).await,
            "policy" => ours(load, SnapshotConfig::default().min_log_bytes, Direct).await,
            "encoded" => ours(load, u64::MAX, Encoded).await,
            kind => panic!("no such kind: {kind}"),
        }
    })
}

fn raft_config() -> Arc<Config> {
    let config = Config {
        heartbeat_interval: 100,
        election_timeout_min: 500,
        election_timeout_max: 1000,
        snapshot_policy: SnapshotPolicy::Never,
        ..Default::default()
    };
    Arc::new(config.validate().unwrap())
}

/// openraft on the naive stores; the first node leads.
async fn naive_cluster<C: Naive>(nodes: usize) -> Raft<C> {
    let switchboard = Switchboard::<C, Direct>::direct(1);
    let mut members = BTreeMap::new();
    let mut first = None;
    for id in 1..=nodes as u64 {
        let (log, machine) = (LogStore::default(), MachineStore::default());
        let raft = Raft::new(id, raft_config(), switchboard.port(id), log, machine).await.unwrap();
        switchboard.plug(id, raft.clone());
        members.insert(id, BasicNode::new(format!("node-{id}")));
        first.get_or_insert(raft);
    }
    let first = first.unwrap();
    first.initialize(members).await.unwrap();
    first.wait(Some(PATIENCE)).current_leader(1, "the first node leads").await.unwrap();
    first
}

async fn naive(load: &Load) -> Outcome {
    let raft = naive_cluster::<NaiveConfig>(load.nodes).await;
    let (keys, value) = (keys(load), value(1));
    drive(load, move |at, _| {
        let set = Set { key: keys[at as usize].to_vec(), value: value.clone() };
        let raft = raft.clone();
        async move { drop(raft.client_write(set).await.unwrap()) }
    })
    .await
}

async fn null(load: &Load) -> Outcome {
    let raft = naive_cluster::<NullConfig>(load.nodes).await;
    drive(load, move |_, _| {
        let raft = raft.clone();
        async move { drop(raft.client_write(()).await.unwrap()) }
    })
    .await
}

fn keys(load: &Load) -> Arc<[Box<[u8]>]> {
    (0..load.keys).map(|number| key(number).into_boxed_slice()).collect()
}

/// As a server makes it of what a client sent: bytes of its own.
fn set(key: &[u8], value: &[u8], limits: &Limits) -> Operation {
    Operation::set(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value), limits).unwrap()
}

/// A cluster of [`RaftNode`]s; the first node leads.
pub(crate) async fn cluster<W: Wire<TypeConfig>>(
    load: &Load,
    min_log_bytes: u64,
    wire: W,
) -> Vec<RaftNode> {
    cluster_on(load, min_log_bytes, wire, |_| MemStorage::new()).await
}

/// The same, each node on a storage of its own.
pub(crate) async fn cluster_on<W: Wire<TypeConfig>, S: Storage>(
    load: &Load,
    min_log_bytes: u64,
    wire: W,
    storage: impl Fn(u64) -> S,
) -> Vec<RaftNode<S::Reader>> {
    let switchboard = Switchboard::<TypeConfig, W>::with_wire(1, wire);
    let mut nodes = Vec::new();
    for id in 1..=load.nodes as u64 {
        let builder = NodeConfig::builder(id);
        let builder = if load.nodes == 1 { builder.single_node() } else { builder };
        let members = 1..=load.nodes as u64;
        let builder = members.fold(builder, |b, member| b.member(member, format!("node-{member}")));
        let snapshot = SnapshotConfig { min_log_bytes, ..Default::default() };
        let config = builder.snapshot(snapshot).build().unwrap();
        let port = switchboard.port(id);
        let node = RaftNode::start(config, storage(id), port).await.unwrap();
        switchboard.plug(id, node.raft().clone());
        nodes.push(node);
    }
    nodes[0].initialize().await.unwrap();
    nodes[0].wait_until(PATIENCE, "to lead", |now| now.state.is_leader()).await.unwrap();
    nodes
}

async fn ours<W: Wire<TypeConfig>>(load: &Load, min_log_bytes: u64, wire: W) -> Outcome {
    let nodes = cluster(load, min_log_bytes, wire).await;
    let keys = keys(load);
    let value = value(1);
    let chunk = 512.min(load.keys as usize);
    for (nth, chunk) in (0..load.prefill).step_by(chunk).zip(keys.chunks(chunk).cycle()) {
        let sets = chunk.iter().map(|key| set(key, &value, nodes[0].limits()));
        let batch = Batch::new(sets.collect::<Vec<_>>());
        drop(nodes[0].raft().client_write(batch).await.unwrap());
        // From here on the policy knows how large the state is.
        let filled = (load.keys..load.keys + chunk.len() as u64).contains(&nth);
        if filled && min_log_bytes < u64::MAX {
            snapshot_all(&nodes).await;
        }
    }
    let built_before = snapshots_built(&nodes).await;
    let mut outcome = propose(load, &nodes[0]).await;
    outcome.snapshots = snapshots_built(&nodes).await - built_before;
    outcome
}

/// Closed loops of clients of that node, which packs what is queued into one entry.
pub(crate) async fn propose<R: StateReader>(load: &Load, node: &RaftNode<R>) -> Outcome {
    let (keys, value, node) = (keys(load), value(1), node.clone());
    drive(load, move |at, _| {
        let set = set(&keys[at as usize], &value, node.limits());
        let node = node.clone();
        async move { drop(node.propose(set).await.unwrap()) }
    })
    .await
}

/// Has every node take a snapshot of at least what the first one has applied.
async fn snapshot_all(nodes: &[RaftNode]) {
    let applied = nodes[0].last_applied();
    for node in nodes {
        while node.metrics().borrow().snapshot < applied {
            // Ignored while another one is being built, or by who hasn't applied so much yet.
            node.trigger_snapshot().await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn snapshots_built(nodes: &[RaftNode]) -> u64 {
    let mut all = 0;
    for node in nodes {
        let snapshot = node.raft().get_snapshot().await.unwrap();
        // The last part of an id counts the builds of its node, from 0.
        let last = snapshot.and_then(|it| it.meta.snapshot_id.rsplit('-').next()?.parse().ok());
        all += last.map_or(0, |last: u64| last + 1);
    }
    all
}

async fn unbatched(load: &Load) -> Outcome {
    let nodes = cluster(load, u64::MAX, Direct).await;
    write_each(load, &nodes[0]).await
}

/// Closed loops of clients of that node, each operation an entry.
pub(crate) async fn write_each<R: StateReader>(load: &Load, node: &RaftNode<R>) -> Outcome {
    let (keys, value, node) = (keys(load), value(1), node.clone());
    drive(load, move |at, _| {
        let batch = Batch::from(set(&keys[at as usize], &value, node.limits()));
        let node = node.clone();
        async move { drop(node.raft().client_write(batch).await.unwrap()) }
    })
    .await
}
