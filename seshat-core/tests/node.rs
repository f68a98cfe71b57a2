//! A node, and clusters of three, from start to shutdown.

#[path = "common/cluster.rs"]
mod cluster;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, config};
use seshat_core::codec::FORMAT;
use seshat_core::error::{
    BuildError, InitializeError, MembershipError, ProposeError, ReadError, Stopped,
};
use seshat_core::network::StubNetwork;
use seshat_core::node::{Handover, RaftNode};
use seshat_core::operation::{LimitError, Limits, Operation, Response};
use seshat_core::storage::MemStorage;

#[tokio::test]
async fn a_single_node_elects_itself_and_serves() {
    let node = RaftNode::start(config(1, &[1]), MemStorage::new(), StubNetwork).await.unwrap();
    node.initialize().await.unwrap();
    assert_eq!(node.wait_for_leader(PATIENCE).await.unwrap(), 1);

    assert_eq!(node.set("k", "1").await.unwrap(), Response::Set { previous: None });
    // Not asked for.
    assert_eq!(node.set("k", "2").await.unwrap(), Response::Set { previous: None });
    let asking = Operation::set_get("k", "3", node.limits()).unwrap();
    assert_eq!(node.propose(asking).await.unwrap(), Response::Set { previous: Some("2".into()) });
    assert_eq!(node.read_linearizable(b"k").await.unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(node.del(["k", "absent"]).await.unwrap(), Response::Del { deleted: 1 });
    assert_eq!(node.read(b"k").await.unwrap(), None);
    assert_eq!(node.shutdown().await, Handover::Failed(seshat_core::error::HandoverError::Alone));
}

#[tokio::test]
async fn a_snapshot_that_is_asked_for_holds_what_was_applied_before_and_is_built_once() {
    let node = RaftNode::start(config(1, &[1]), MemStorage::new(), StubNetwork).await.unwrap();
    let none = node.build_snapshot().await.unwrap_err();
    assert_eq!(none, BuildError::NothingApplied { node_id: 1 });
    node.initialize().await.unwrap();
    node.wait_for_leader(PATIENCE).await.unwrap();
    // So that nothing is applied but what is set.
    while node.format() < FORMAT {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for value in ["1", "2"] {
        node.set("k", value).await.unwrap();
        let applied = node.last_applied();
        let built = node.build_snapshot().await.unwrap();
        assert!(built.meta.last_log_id >= applied && !built.snapshot.is_empty());
        // Nothing was applied since, so that is it still.
        let same = node.build_snapshot().await.unwrap();
        assert_eq!(same.meta, built.meta);
    }
    node.stop().await;
    let stopped = node.build_snapshot().await.unwrap_err();
    assert_eq!(stopped, BuildError::Stopped(Stopped::ShutDown));
}

#[tokio::test]
async fn an_operation_beyond_the_limits_is_refused_before_it_is_proposed() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let before = leader.metrics().borrow().last_log_index;
    let max = leader.limits().max_key_bytes;

    let refused = leader.set(vec![b'k'; max + 1], "v").await.unwrap_err();
    assert_eq!(refused, ProposeError::Limit(LimitError::KeyTooLong { got: max + 1, max }));
    assert!(refused.to_string().contains("max_key_bytes"), "{refused}");
    assert_eq!(leader.metrics().borrow().last_log_index, before);
    cluster.shutdown().await;
}

#[tokio::test]
async fn initializing_twice_is_told_apart() {
    let cluster = Cluster::start(3).await;
    let again = cluster.nodes[&1].initialize().await.unwrap_err();
    assert!(matches!(again, InitializeError::AlreadyInitialized { node_id: 1, .. }), "{again}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn every_node_applies_what_the_leader_acknowledged() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for i in 0..100 {
        leader.set(format!("key-{i}"), format!("value-{i}")).await.unwrap();
    }
    cluster.assert_equal_digests().await;
    for node in cluster.nodes.values() {
        assert_eq!(node.read(b"key-99").await.unwrap().as_deref(), Some(&b"value-99"[..]));
        assert_eq!(node.reader().size().keys, 100);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_follower_names_the_leader_and_its_address() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower_of(&leader);

    let Err(ProposeError::NotLeader(refused)) = follower.set("k", "v").await else {
        panic!("a follower took a proposal")
    };
    let named = refused.leader.clone().expect("the leader is known");
    assert_eq!(named.id, leader.id());
    assert_eq!(named.address, leader.config().members().get(&leader.id()).cloned());
    assert!(refused.to_string().contains(&format!("ask node {}", leader.id())), "{refused}");

    let read = follower.read_linearizable(b"k").await.unwrap_err();
    assert!(matches!(read, ReadError::NotLeader(_)), "{read}");
    let change = follower.change_membership(BTreeSet::from([1, 2, 3]), true).await.unwrap_err();
    assert!(matches!(change, MembershipError::NotLeader(_)), "{change}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_killed_leader_is_replaced_and_catches_up_when_it_returns() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    first.set("before", "1").await.unwrap();
    cluster.kill(first.id()).await;

    let second = cluster.leader().await;
    assert_ne!(second.id(), first.id());
    assert_eq!(second.read_linearizable(b"before").await.unwrap().as_deref(), Some(&b"1"[..]));
    second.set("after", "2").await.unwrap();

    let back = cluster.start_node(first.id()).await;
    cluster.assert_equal_digests().await;
    assert_eq!(back.read(b"after").await.unwrap().as_deref(), Some(&b"2"[..]));
    cluster.shutdown().await;
}

#[tokio::test]
async fn without_a_quorum_everything_returns_in_time_and_nothing_acknowledged_is_lost() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    old.set("acknowledged", "1").await.unwrap();
    cluster.switchboard.isolate(&old.id());

    let timeout = old.config().propose_timeout();
    let started = Instant::now();
    let (set, read, change) = tokio::join!(
        old.set("lost", "2"),
        old.read_linearizable(b"acknowledged"),
        old.change_membership(BTreeSet::from([old.id()]), false),
    );
    assert_eq!(set, Err(ProposeError::NoQuorum { waited: timeout }));
    assert!(matches!(read, Err(ReadError::NoQuorum { .. } | ReadError::NotLeader(_))), "{read:?}");
    assert!(matches!(change, Err(MembershipError::NoQuorum { .. })), "{change:?}");
    assert!(started.elapsed() < timeout + PATIENCE);

    let majority: Vec<u64> = cluster.nodes.keys().copied().filter(|id| *id != old.id()).collect();
    let new = cluster.leader_among(&majority).await;
    new.set("acknowledged too", "3").await.unwrap();

    cluster.switchboard.heal();
    cluster.assert_equal_digests().await;
    assert_eq!(old.read(b"acknowledged").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(old.read(b"acknowledged too").await.unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(old.read(b"lost").await.unwrap(), None);
    cluster.shutdown().await;
}

#[tokio::test]
async fn members_are_added_promoted_and_removed() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    leader.set("k", "v").await.unwrap();

    let learner = cluster.start_node(4).await;
    leader.add_learner(4, "node-4").await.unwrap();
    let index = leader.metrics().borrow().last_log_index.unwrap();
    learner.wait_for_applied(PATIENCE, index).await.unwrap();
    assert_eq!(learner.read(b"k").await.unwrap().as_deref(), Some(&b"v"[..]));

    let others: BTreeSet<u64> = cluster
        .nodes
        .keys()
        .copied()
        .filter(|id| *id != cluster.follower_of(&leader).id())
        .collect();
    leader.change_membership(others.clone(), false).await.unwrap();
    let metrics = leader.metrics().borrow().clone();
    assert_eq!(metrics.membership_config.voter_ids().collect::<BTreeSet<_>>(), others);
    leader.set("k", "w").await.unwrap();

    let unknown = leader.change_membership(BTreeSet::from([1, 2, 99]), false).await.unwrap_err();
    assert!(matches!(unknown, MembershipError::Refused(_)), "{unknown}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_node_that_was_away_is_caught_up_by_a_snapshot() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let away = cluster.follower_of(&leader).id();
    cluster.kill(away).await;

    for i in 0..50 {
        leader.set(format!("key-{i}"), vec![b'v'; 1000]).await.unwrap();
    }
    leader.trigger_snapshot().await.unwrap();
    let last = leader.metrics().borrow().last_applied;
    let built = |now: &seshat_core::types::RaftMetrics| now.snapshot >= last;
    leader.wait_until(PATIENCE, "a snapshot", built).await.unwrap();
    leader.trigger_purge(last.unwrap().index).await.unwrap();
    leader.wait_until(PATIENCE, "a purge", |now| now.purged == last).await.unwrap();

    let back = cluster.start_node(away).await;
    back.wait_until(PATIENCE, "the snapshot", |now| now.snapshot >= last).await.unwrap();
    cluster.assert_equal_digests().await;
    assert_eq!(back.reader().size().keys, 50);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_leader_that_shuts_down_hands_over_to_a_follower() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    leader.set("k", "v").await.unwrap();

    let started = Instant::now();
    let handover = leader.shutdown().await;
    let Handover::To(successor) = handover else { panic!("not handed over: {handover:?}") };
    cluster.switchboard.unplug(&leader.id());
    let new = &cluster.nodes[&successor];
    assert!(new.is_leader());
    new.set("k", "w").await.unwrap();
    // An election takes at least the lease and an election timeout.
    let election = leader.config().election_timeout_max() + Duration::from_millis(500);
    assert!(started.elapsed() < election, "{:?}", started.elapsed());
    assert_eq!(leader.set("k", "x").await, Err(ProposeError::Stopped(Stopped::ShutDown)));
    assert_eq!(new.read_linearizable(b"k").await.unwrap().as_deref(), Some(&b"w"[..]));
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_follower_that_shuts_down_leaves_the_leader_alone() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower_of(&leader);
    assert_eq!(follower.shutdown().await, Handover::NotLeading);
    leader.set("k", "v").await.unwrap();
    assert!(leader.is_leader());
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_node_refuses_what_is_beyond_its_own_limits_and_applies_it_nevertheless() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let narrow = *leader.limits();
    let most = usize::MAX;
    let wide = Limits { max_key_bytes: most, max_value_bytes: most, max_del_keys: most };
    let (key, value) = (narrow.max_key_bytes + 1, narrow.max_value_bytes + 1);
    let keys = vec!["k"; narrow.max_del_keys + 1];
    for (operation, broken) in [
        (
            Operation::set(vec![b'k'; key], "v", &wide),
            LimitError::KeyTooLong { got: key, max: key - 1 },
        ),
        (
            Operation::set("k", vec![b'v'; value], &wide),
            LimitError::ValueTooLong { got: value, max: value - 1 },
        ),
        (
            Operation::del(["k".into(), vec![b'k'; key]], &wide),
            LimitError::KeyTooLong { got: key, max: key - 1 },
        ),
        (
            Operation::del(keys, &wide),
            LimitError::TooManyKeys { got: narrow.max_del_keys + 1, max: narrow.max_del_keys },
        ),
    ] {
        let operation = operation.unwrap();
        let before = leader.metrics().borrow().last_log_index;
        assert_eq!(leader.propose(operation.clone()).await, Err(broken.into()));
        assert_eq!(leader.metrics().borrow().last_log_index, before);
        // The log of a leader with wider limits.
        leader.raft().client_write(operation.into()).await.unwrap();
        cluster.assert_equal_digests().await;
    }
    cluster.shutdown().await;
}
