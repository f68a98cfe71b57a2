//! Nodes that run on what was imported.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rstest::rstest;
use seshat_core::config::NodeConfig;
use seshat_core::legacy::Imported;
use seshat_core::network::{StubNetwork, Switchboard};
use seshat_core::node::RaftNode;
use seshat_core::storage::MemStorage;

use super::fixtures::{address, applied, image};

const PATIENCE: Duration = Duration::from_secs(20);

fn config(id: u64) -> NodeConfig {
    NodeConfig::builder(id).member(2, "node-2").joining().build().unwrap()
}

fn storage(codec: &str) -> MemStorage {
    let Imported { storage, summary } = image(codec).import(&address).unwrap();
    assert_eq!(summary.last.index, 18);
    storage
}

/// Alone it can't lead, but it serves what is committed, and nothing else.
#[rstest]
#[tokio::test]
async fn a_node_serves_its_keys(#[values("prost", "protobuf")] codec: &str) {
    let node = RaftNode::start(config(1), storage(codec), StubNetwork).await.unwrap();
    node.wait_for_applied(PATIENCE, 17).await.unwrap();
    let expected = applied(codec);
    assert_eq!(expected.len(), 7);
    for (key, value) in &expected {
        let got = node.read(key).await.unwrap();
        assert_eq!(got.as_deref(), Some(value.as_slice()), "{}", key.escape_ascii());
    }
    assert_eq!(node.reader().size().keys, expected.len() as u64);
    assert_eq!(node.read(b"uncommitted").await.unwrap(), None);
    node.shutdown().await;
}

/// Three of the members: a majority of either side of the joint configuration.
#[tokio::test]
async fn a_cluster_goes_on_and_ends_the_change_that_was_under_way() {
    let switchboard: Switchboard = Switchboard::new(1);
    let mut nodes = BTreeMap::new();
    for (id, codec) in [(1, "prost"), (2, "protobuf"), (4, "prost")] {
        let port = switchboard.port(id);
        let node = RaftNode::start(config(id), storage(codec), port).await.unwrap();
        switchboard.plug(id, node.raft().clone());
        nodes.insert(id, node);
    }
    let leader = nodes[&1].wait_for_leader(PATIENCE).await.unwrap();
    let leader = &nodes[&leader];
    leader.wait_until(PATIENCE, "to lead", |now| now.state.is_leader()).await.unwrap();

    leader.set("greeting", "hello").await.unwrap();
    let read = async |key: &[u8]| leader.read_linearizable(key).await.unwrap();
    assert_eq!(read(b"key-0").await.as_deref(), Some(&b"overwritten"[..]));
    // Whoever leads has the entry, so that it is committed by now.
    assert_eq!(read(b"uncommitted").await.as_deref(), Some(&b"entry"[..]));

    leader.change_membership([1, 2, 4].into(), true).await.unwrap();
    let metrics = leader.metrics().borrow().clone();
    let membership = metrics.membership_config.membership().clone();
    assert_eq!(membership.get_joint_config(), &vec![BTreeSet::from([1, 2, 4])]);
    assert_eq!(membership.learner_ids().collect::<Vec<_>>(), [3, 5]);

    let last = leader.last_applied().unwrap().index;
    for node in nodes.values() {
        node.wait_for_applied(PATIENCE, last).await.unwrap();
    }
    let digests: BTreeSet<u128> = nodes.values().map(|node| node.reader().digest()).collect();
    assert_eq!(digests.len(), 1);
    for node in nodes.values() {
        node.shutdown().await;
    }
}
