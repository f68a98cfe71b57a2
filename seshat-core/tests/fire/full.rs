//! Disks that fill up: nobody ends, and all is as before when there is room.

use std::time::Duration;

use rstest::rstest;
use seshat_core::error::{DiskFull, MembershipError, ProposeError};
use seshat_core::node::RaftNode;

use crate::cluster::{Cluster, KEEPS, NEVER, OFTEN, SEGMENT, until};
use crate::ground::{Ground, Real, Simulated};

/// Writes until it is refused for lack of room.
async fn write_until_full(node: &RaftNode) -> DiskFull {
    for n in 0_u32.. {
        match node.set(format!("key-{}", n % 8), vec![n as u8; 1 << 10]).await {
            Ok(_) => assert!(n < 500, "the disk isn't full"),
            Err(ProposeError::DiskFull(full)) => return full,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

/// As many KiB as take up what a disk has aside, twice.
const MUCH: usize = (8 * SEGMENT as usize) >> 10;

/// For longer than anything waits.
async fn long_after() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

async fn runs(node: &RaftNode) {
    assert!(node.raft().with_raft_state(|_| ()).await.is_ok(), "node {} ended", node.id());
}

/// With nobody to hand over to, it says that it is full, reads, campaigns no more, and writes again when there
/// is room; and after a restart it has what it acknowledged.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_lone_node_refuses_writes_until_there_is_room<G: Ground>(
    #[values(Simulated::new(), Real::new())] _on: G,
    #[values(0, 2)] spares: usize,
) {
    let mut cluster = Cluster::<G>::start_with(1, OFTEN, spares).await;
    let node = cluster.node(1);
    node.set("first", "value").await.unwrap();
    cluster.disk(1).set_room(Some(0));
    let full = write_until_full(&node).await;
    assert!(cluster.disk(1).state().refused > 0, "the disk refused nothing");
    assert_eq!(full, DiskFull { node_id: 1, needed: SEGMENT });
    assert_eq!(
        full.to_string(),
        "the disk of node 1 is full: its log needs a file of 32768 bytes. Make room there, and it takes writes \
         again by itself; until then ask another node"
    );
    assert_eq!(node.disk_full(), Some(full));
    let change = node.add_learner(2, "n2").await.unwrap_err();
    assert!(matches!(change, MembershipError::DiskFull(_)), "{change}");
    let read = node.read_linearizable(b"first").await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"value"[..]));
    long_after().await;
    runs(&node).await;

    cluster.disk(1).set_room(None);
    until("writes", async || node.set("last", "value").await.ok()).await;
    assert_eq!(node.disk_full(), None);
    drop(node);
    cluster.kill(1).await;
    let node = cluster.up(1).await;
    until("a leader", async || node.read_linearizable(b"last").await.ok().flatten()).await;
    cluster.shutdown().await;
}

/// A follower takes nothing more, and isn't asked for it twice: it hears its leader all the same, and campaigns
/// not even where it is told to. It catches up when there is room.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_follower_lags_until_there_is_room<G: Ground>(
    #[values(Simulated::new(), Real::new())] _on: G,
    #[values(0, 2)] spares: usize,
) {
    let cluster = Cluster::<G>::start_with(3, OFTEN, spares).await;
    let leader = cluster.leader().await;
    let follower = cluster.node(cluster.others(leader.id())[0]);
    let disk = cluster.disk(follower.id());
    disk.set_room(Some(0));
    cluster.write(MUCH).await;
    assert!(disk.state().refused > 0, "the disk refused nothing");
    assert!(follower.disk_full().is_some());
    let last = |node: &RaftNode| node.metrics().borrow().last_log_index;
    let behind = last(&follower);
    follower.trigger_election().await.unwrap();
    long_after().await;
    cluster.write(1).await;
    runs(&follower).await;
    assert_eq!(cluster.leader().await.id(), leader.id());
    assert_eq!(follower.metrics().borrow().vote, leader.metrics().borrow().vote, "it stood up");
    assert_eq!(last(&follower), behind);
    assert_eq!(follower.last_applied().map(|id| id.index), behind, "it heard nothing");
    assert!(last(&leader) > behind);

    disk.set_room(None);
    until("room", async || follower.disk_full().is_none().then_some(())).await;
    cluster.assert_equal().await;
    cluster.shutdown().await;
}

/// Of two others one is full, too: the third one leads.
#[tokio::test(start_paused = true)]
async fn leadership_goes_to_a_voter_that_has_room() {
    let cluster = Cluster::<Simulated>::start_with(3, KEEPS, 2).await;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let others = cluster.others(leader.id());
        let full = [others[0], leader.id()];
        cluster.disk(others[0]).set_room(Some(0));
        until("a full follower", async || {
            cluster.write(1).await;
            cluster.node(others[0]).disk_full()
        })
        .await;
        cluster.disk(leader.id()).set_room(Some(0));
        let term = leader.metrics().borrow().current_term;
        write_until_full(&leader).await;
        until("another leader", async || cluster.node(others[1]).is_leader().then_some(())).await;
        let now = cluster.node(others[1]).metrics().borrow().current_term;
        assert_eq!(now, term + 1, "it was elected, not handed over to");
        full.iter().for_each(|id| cluster.disk(*id).set_room(None));
        cluster.write(1).await;
        cluster.assert_equal().await;
    }
    cluster.shutdown().await;
}

/// With all disks full nothing is written; everything is read, nobody ends, and nobody disturbs the others.
#[tokio::test(start_paused = true)]
async fn when_all_are_full_all_wait() {
    let mut cluster = Cluster::<Simulated>::start_with(3, KEEPS, 2).await;
    cluster.leader().await.set("first", "value").await.unwrap();
    cluster.ids().iter().for_each(|id| cluster.disk(*id).set_room(Some(0)));
    let leader = cluster.leader().await;
    write_until_full(&leader).await;
    until("full disks", async || {
        cluster.nodes.all().iter().all(|node| node.disk_full().is_some()).then_some(())
    })
    .await;
    long_after().await;
    let term = leader.metrics().borrow().current_term;
    long_after().await;
    for node in cluster.nodes.all() {
        runs(&node).await;
        assert!(cluster.disk(node.id()).state().refused > 0);
        assert_eq!(node.metrics().borrow().current_term, term, "somebody campaigned");
    }
    let read = cluster.leader().await.read_linearizable(b"first").await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"value"[..]));

    cluster.ids().iter().for_each(|id| cluster.disk(*id).set_room(None));
    cluster.write(MUCH).await;
    cluster.assert_equal().await;
    // They campaign again.
    let leader = cluster.leader().await.id();
    cluster.kill(leader).await;
    cluster.write(1).await;
    cluster.shutdown().await;
}

/// The log is full of what a snapshot has: that is built, and makes the room.
#[tokio::test(start_paused = true)]
async fn a_full_disk_is_cleared_by_a_snapshot() {
    let cluster = Cluster::<Simulated>::start_with(1, NEVER, 2).await;
    let node = cluster.leader().await;
    // Less than a segment is left in the end, but more than a snapshot needs.
    cluster.disk(1).set_room(Some(5 * SEGMENT - 1));
    write_until_full(&node).await;
    assert!(cluster.disk(1).state().refused > 0, "the disk refused nothing");
    until("room", async || node.set("last", "value").await.ok()).await;
    assert!(node.metrics().borrow().purged.is_some());
    cluster.shutdown().await;
}

/// A snapshot that finds no room ends nobody, and is built when there is some.
#[tokio::test(start_paused = true)]
async fn a_snapshot_waits_for_room() {
    let mut cluster = Cluster::<Simulated>::start_with(1, NEVER, 2).await;
    let node = cluster.leader().await;
    cluster.write(8).await;
    let disk = cluster.disk(1);
    disk.set_room(Some(1 << 10));
    node.trigger_snapshot().await.unwrap();
    until("a refusal", async || (disk.state().refused > 0).then_some(())).await;
    long_after().await;
    runs(&node).await;
    assert!(node.metrics().borrow().snapshot.is_none());
    assert_eq!(node.disk_full(), None, "the log has what it needs");
    cluster.write(1).await;

    disk.set_room(None);
    until("a snapshot", async || {
        node.trigger_snapshot().await.unwrap();
        node.metrics().borrow().snapshot
    })
    .await;
    let digest = node.reader().digest();
    drop(node);
    cluster.kill(1).await;
    let node = cluster.up(1).await;
    until("its state", async || (node.reader().digest() == digest).then_some(())).await;
    cluster.shutdown().await;
}
