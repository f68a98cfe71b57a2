//! The cluster's format rises when all members read it, and not before; what is newer is refused.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/cluster.rs"]
mod cluster;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::network::RaftNetworkFactory;
use seshat_core::codec::{FORMAT, FormatsResponse, OLDEST_FORMAT};
use seshat_core::error::{HeldBack, MembershipError, ProposeError};
use seshat_core::network::switchboard::{Encoded, Port};
use seshat_core::network::{StubNetwork, Switchboard, Transport};
use seshat_core::node::RaftNode;
use seshat_core::operation::{Condition, Operation, Response, SetOptions};
use seshat_core::storage::MemStorage;
use seshat_core::types::{Node, RaftMetrics, TypeConfig};
use tokio::time::{Instant, sleep};

use self::cluster::{Adjust, PATIENCE, config, config_with};

const NEWEST: FormatsResponse = FormatsResponse { reads: FORMAT, agrees: FORMAT };
const HOLDING: FormatsResponse = FormatsResponse { reads: FORMAT, agrees: OLDEST_FORMAT };

/// What nodes say when they are asked: those that aren't here don't answer.
type Said = Arc<Mutex<BTreeMap<u64, FormatsResponse>>>;

/// A switchboard's port whose node hears of formats what the test says.
#[derive(Clone)]
struct Told {
    port: Port<TypeConfig, Encoded>,
    said: Said,
}

impl RaftNetworkFactory<TypeConfig> for Told {
    type Network = <Port<TypeConfig, Encoded> as RaftNetworkFactory<TypeConfig>>::Network;

    async fn new_client(&mut self, target: u64, node: &Node) -> Self::Network {
        self.port.new_client(target, node).await
    }
}

impl Transport for Told {
    async fn formats(&self, target: u64, _: &Node) -> Option<FormatsResponse> {
        self.said.lock().unwrap().get(&target).copied()
    }
}

/// Nodes 1 to 3.
struct Cluster {
    switchboard: Switchboard,
    said: Said,
    storages: BTreeMap<u64, MemStorage>,
    nodes: BTreeMap<u64, RaftNode>,
    adjust: Adjust,
}

impl Cluster {
    /// In which the nodes say that.
    async fn start(said: [Option<FormatsResponse>; 3], adjust: Adjust) -> Self {
        let said = (1..).zip(said).filter_map(|(id, said)| Some((id, said?))).collect();
        let mut cluster = Self {
            switchboard: Switchboard::new(7),
            said: Arc::new(Mutex::new(said)),
            storages: BTreeMap::new(),
            nodes: BTreeMap::new(),
            adjust,
        };
        for id in 1..=3 {
            cluster.start_node(id).await;
        }
        cluster.nodes[&1].initialize().await.unwrap();
        cluster
    }

    async fn start_node(&mut self, id: u64) {
        let storage = self.storages.entry(id).or_default().clone();
        let network = Told { port: self.switchboard.port(id), said: Arc::clone(&self.said) };
        let members = if id > 3 { vec![1, 2, id] } else { vec![1, 2, 3] };
        let config = config_with(id, &members, self.adjust);
        let node = RaftNode::start(config, storage, network).await.unwrap();
        self.switchboard.plug(id, node.raft().clone());
        self.nodes.insert(id, node);
    }

    async fn kill(&mut self, id: u64) {
        self.switchboard.unplug(&id);
        self.nodes.remove(&id).unwrap().stop().await;
    }

    fn says(&self, id: u64, said: FormatsResponse) {
        self.said.lock().unwrap().insert(id, said);
    }

    async fn leader(&self) -> &RaftNode {
        let mut found = None;
        eventually("a leader", || {
            found = self.nodes.values().find(|node| node.is_leader());
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// A node other than the leader.
    async fn follower(&self) -> &RaftNode {
        let leader = self.leader().await.id();
        self.nodes.values().find(|node| node.id() != leader).unwrap()
    }

    async fn write(&self, format: u32) {
        let all = || self.nodes.values().all(|node| node.format() == format);
        eventually("the format on all nodes", all).await;
    }
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Of format 2.
fn newer(node: &RaftNode) -> Operation {
    Operation::set_get("key", "value", node.limits()).unwrap()
}

/// Why `node` doesn't take an operation of format 2, once it has found out.
async fn refusal(node: &RaftNode) -> HeldBack {
    match node.propose(newer(node)).await {
        Err(ProposeError::Format { operation: "SET", got: 2, expected: 1, held: Some(held) }) => {
            held
        }
        other => panic!("not held back: {other:?}"),
    }
}

#[tokio::test]
async fn a_node_alone_writes_the_newest_format_at_once() {
    let node = RaftNode::start(config(1, &[1]), MemStorage::new(), StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    // It doesn't write it yet, and waits rather than refuse.
    let answer = node.propose(newer(&node)).await;
    assert_eq!(answer, Ok(Response::Set { previous: None }));
    assert_eq!(node.format(), FORMAT);
    node.shutdown().await;
}

/// What came with format 3 is refused as long as a member reads format 2 only, which all else is written in.
#[tokio::test]
async fn a_condition_waits_for_the_last_member_that_does_not_read_it() {
    let older = FormatsResponse { reads: 2, agrees: 2 };
    let cluster = Cluster::start([Some(older); 3], |config| config).await;
    cluster.write(2).await;
    let leader = cluster.leader().await;
    leader.propose(newer(leader)).await.unwrap();
    for condition in [Condition::Absent, Condition::Present] {
        let options = SetOptions { condition: Some(condition), get: false };
        let set = || Operation::set_with("key", "value", options, leader.limits()).unwrap();
        match leader.propose(set()).await {
            Err(ProposeError::Format { operation: "SET", got: 3, expected: 2, .. }) => {}
            other => panic!("not held back: {other:?}"),
        }
    }
    for id in 1..=3 {
        cluster.says(id, NEWEST);
    }
    cluster.write(FORMAT).await;
    let options = SetOptions { condition: Some(Condition::Absent), get: true };
    let set = Operation::set_with("key", "other", options, leader.limits()).unwrap();
    let answer = leader.propose(set).await;
    assert_eq!(answer, Ok(Response::NotSet { previous: Some("value".into()) }));
}

#[tokio::test]
async fn it_rises_when_the_last_member_says_that_it_reads_it_and_not_before() {
    let cluster = Cluster::start([None; 3], |config| config).await;
    let leader = cluster.leader().await;
    // It needn't ask itself.
    for id in (1..=3).filter(|id| *id != leader.id()) {
        assert!(matches!(refusal(leader).await, HeldBack::Silent { .. }));
        assert_eq!(leader.format(), OLDEST_FORMAT, "node {id} has said nothing");
        // What is old is taken.
        leader.set("old", id.to_string()).await.unwrap();
        cluster.says(id, NEWEST);
    }
    cluster.write(FORMAT).await;
    leader.propose(newer(leader)).await.unwrap();
}

#[tokio::test]
async fn a_member_that_reads_less_is_named() {
    let cluster = Cluster::start([Some(FormatsResponse::OLDEST); 3], |config| config).await;
    let leader = cluster.leader().await;
    let held = refusal(leader).await;
    let HeldBack::Reads { node_id, format: 1 } = held else { panic!("{held}") };
    assert_ne!(node_id, leader.id());
    let follower = cluster.follower().await;
    let elsewhere = follower.propose(newer(follower)).await;
    assert!(matches!(elsewhere, Err(ProposeError::NotLeader(_))), "{elsewhere:?}");
}

#[tokio::test]
async fn one_member_that_holds_it_is_enough_whoever_leads() {
    let cluster = Cluster::start([Some(HOLDING), Some(HOLDING), Some(HOLDING)], |config| config);
    let cluster = cluster.await;
    let held = refusal(cluster.leader().await).await;
    assert!(matches!(held, HeldBack::Holds { format: 1, .. }), "{held}");
    (1..=3).for_each(|id| cluster.says(id, NEWEST));
    cluster.write(FORMAT).await;
}

#[tokio::test]
async fn a_leader_keeps_to_its_own_configuration() {
    let cluster = Cluster::start([Some(NEWEST); 3], |config| config.max_format(1)).await;
    let leader = cluster.leader().await;
    let expected = HeldBack::Holds { node_id: leader.id(), format: 1 };
    assert_eq!(refusal(leader).await, expected);
}

#[tokio::test]
async fn a_node_that_reads_too_little_is_not_added() {
    let mut cluster = Cluster::start([Some(NEWEST); 3], |config| config).await;
    cluster.write(FORMAT).await;
    cluster.start_node(4).await;
    cluster.says(4, FormatsResponse::OLDEST);
    let leader = cluster.leader().await;
    let refused = leader.add_learner(4, "node-4").await;
    assert_eq!(refused, Err(MembershipError::Format { node_id: 4, got: 1, expected: FORMAT }));
    assert_eq!(refused.unwrap_err().to_string(), "node 4 reads format 1, the cluster writes 3");
    let members = leader.metrics().borrow().membership_config.membership().nodes().count();
    assert_eq!(members, 3);

    // A learner that comes back with an older build is no voter.
    cluster.says(4, NEWEST);
    leader.add_learner(4, "node-4").await.unwrap();
    cluster.says(4, FormatsResponse::OLDEST);
    let refused = leader.change_membership([1, 2, 3, 4].into(), true).await;
    assert_eq!(refused, Err(MembershipError::Format { node_id: 4, got: 1, expected: FORMAT }));
    // One that doesn't answer may be down, and is waited for elsewhere.
    cluster.said.lock().unwrap().remove(&4);
    leader.change_membership([1, 2, 3, 4].into(), true).await.unwrap();
}

#[tokio::test]
async fn a_learner_counts_as_well() {
    let mut cluster = Cluster::start([Some(FormatsResponse::OLDEST); 3], |config| config).await;
    cluster.start_node(4).await;
    cluster.says(4, FormatsResponse::OLDEST);
    cluster.leader().await.add_learner(4, "node-4").await.unwrap();
    (1..=3).for_each(|id| cluster.says(id, NEWEST));
    let deadline = Instant::now() + PATIENCE;
    while refusal(cluster.leader().await).await != (HeldBack::Reads { node_id: 4, format: 1 }) {
        assert!(Instant::now() < deadline, "node 4 is never asked");
        sleep(Duration::from_millis(5)).await;
    }
    cluster.says(4, NEWEST);
    cluster.write(FORMAT).await;
}

#[tokio::test]
async fn it_outlives_leaders_and_restarts_and_comes_with_a_snapshot() {
    let mut cluster = Cluster::start([Some(NEWEST); 3], |config| config).await;
    cluster.write(FORMAT).await;
    // Nobody answers from now on, so that it can't rise once more.
    cluster.said.lock().unwrap().clear();
    let first = cluster.leader().await.id();
    cluster.kill(first).await;
    let leader = cluster.leader().await;
    leader.propose(newer(leader)).await.unwrap();
    leader.trigger_snapshot().await.unwrap();
    let covered = leader.last_applied().unwrap().index;
    let built = |now: &RaftMetrics| now.snapshot.is_some_and(|id| id.index >= covered);
    leader.wait_until(PATIENCE, "a snapshot", built).await.unwrap();
    leader.trigger_purge(covered).await.unwrap();
    let purged = |now: &RaftMetrics| now.purged.is_some_and(|id| id.index >= covered);
    leader.wait_until(PATIENCE, "a purged log", purged).await.unwrap();

    cluster.start_node(first).await;
    assert_eq!(cluster.nodes[&first].format(), FORMAT, "it is in the state");
    cluster.start_node(4).await;
    assert_eq!(cluster.nodes[&4].format(), OLDEST_FORMAT);
    cluster.leader().await.add_learner(4, "node-4").await.unwrap();
    assert!(cluster.nodes[&4].metrics().borrow().snapshot.is_some(), "not by the log alone");
    cluster.write(FORMAT).await;
}
