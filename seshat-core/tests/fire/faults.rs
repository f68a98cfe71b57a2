//! One kind of fault each, again and again, while clients read and write.

use rstest::rstest;
use seshat_core::error::Stopped;
use seshat_core::node::RaftNode;

use crate::clients::Clients;
use crate::cluster::{Cluster, KEEPS, until};
use crate::ground::{Ground, Real, Simulated};

/// Operations that are answered between two faults.
const BETWEEN: usize = 40;

fn rounds() -> u64 {
    if std::env::var_os("SESHAT_LONG").is_some() { 60 } else { 4 }
}

/// The log was let go behind snapshots, on some node.
fn assert_purged(nodes: &[RaftNode]) {
    let purged = |node: &RaftNode| node.metrics().borrow().purged.is_some();
    assert!(nodes.iter().any(purged), "nothing was purged: the faults met no snapshot");
}

async fn finish<G: Ground>(cluster: Cluster<G>, clients: Clients) {
    clients.go_on(BETWEEN).await;
    clients.judge().await;
    cluster.assert_equal().await;
    cluster.shutdown().await;
}

/// The leader, then a follower, then the leader.
async fn victim<G: Ground>(cluster: &Cluster<G>, round: u64) -> u64 {
    let leader = cluster.leader().await.id();
    if round.is_multiple_of(2) { leader } else { cluster.others(leader)[0] }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn nodes_that_are_killed_come_back_as_themselves<G: Ground>(
    #[values(Simulated::new(), Real::new())] _on: G,
) {
    let mut cluster = Cluster::<G>::start(3).await;
    let clients = Clients::start(&cluster.nodes, 4);
    for round in 0..rounds() {
        clients.go_on(BETWEEN).await;
        let victim = victim(&cluster, round).await;
        cluster.kill(victim).await;
        clients.go_on(BETWEEN / 2).await;
        cluster.up(victim).await;
    }
    assert_purged(&cluster.nodes.all());
    finish(cluster, clients).await;
}

/// So many nodes lose their power at once, and those of `seed` what they hadn't synced.
#[rstest]
#[tokio::test(start_paused = true)]
async fn what_power_cuts_leave_is_enough(
    #[values(1, 2, 3)] count: usize,
    #[values(1, 2)] seed: u64,
) {
    let mut cluster = Cluster::<Simulated>::start(3).await;
    let clients = Clients::start(&cluster.nodes, 4);
    for round in 0..rounds() {
        clients.go_on(BETWEEN).await;
        let first = victim(&cluster, round).await;
        let mut victims = vec![first];
        victims.extend(cluster.others(first).into_iter().take(count - 1));
        for (number, id) in victims.iter().enumerate() {
            cluster.ground(*id).cut(seed << 32 | round << 8 | number as u64);
        }
        for id in &victims {
            cluster.down(*id).await;
        }
        if count == 1 {
            clients.go_on(BETWEEN / 2).await;
        }
        for id in &victims {
            cluster.up(*id).await;
        }
        // Before anything new is committed: a leader that resumes knows of little.
        clients.read_all().await;
    }
    assert_purged(&cluster.nodes.all());
    finish(cluster, clients).await;
}

/// Nodes 4 and 5 come and go, between power cuts of whoever leads and of all.
#[rstest]
#[tokio::test(start_paused = true)]
async fn members_come_and_go_between_power_cuts(#[values(1, 2)] seed: u64) {
    let mut cluster = Cluster::<Simulated>::start(3).await;
    let clients = Clients::start(&cluster.nodes, 4);
    for round in 0..rounds() {
        let joins = 4 + round;
        cluster.up(joins).await;
        until("a member more", async || {
            cluster.leader().await.add_learner(joins, format!("n{joins}")).await.ok()?;
            cluster.leader().await.add_voters([joins].into()).await.ok()
        })
        .await;
        let victims =
            if round.is_multiple_of(2) { cluster.ids() } else { vec![cluster.leader().await.id()] };
        for id in &victims {
            cluster.ground(*id).cut(seed << 32 | round << 8 | id);
        }
        for id in &victims {
            cluster.down(*id).await;
        }
        for id in &victims {
            cluster.up(*id).await;
        }
        clients.read_all().await;
        // Whoever has been there for longest goes for good.
        let leaves = cluster.ids()[0];
        until("a member less", async || {
            cluster.leader().await.remove_voters([leaves].into(), false).await.ok()
        })
        .await;
        cluster.down(leaves).await;
        clients.go_on(BETWEEN).await;
    }
    assert_eq!(cluster.ids(), (1 + rounds()..4 + rounds()).collect::<Vec<_>>());
    finish(cluster, clients).await;
}

/// The leader's disk fills up; there is room again when another leads.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_nobody<G: Ground>(#[values(Simulated::new(), Real::new())] _on: G) {
    let cluster = Cluster::<G>::start_with(3, KEEPS, 2).await;
    let clients = Clients::start(&cluster.nodes, 4);
    for _ in 0..rounds() / 2 {
        clients.go_on(BETWEEN).await;
        let leader = cluster.leader().await;
        let disk = cluster.disk(leader.id());
        disk.set_room(Some(0));
        until("a full disk", async || leader.disk_full()).await;
        assert!(disk.state().refused > 0, "the disk refused nothing");
        let next = until("another leader", async || {
            Some(cluster.leader().await.id()).filter(|id| *id != leader.id())
        })
        .await;
        clients.go_on(BETWEEN).await;
        assert!(leader.disk_full().is_some() && !leader.is_leader());
        assert!(leader.raft().with_raft_state(|_| ()).await.is_ok(), "it ended");
        disk.set_room(None);
        until("room", async || leader.disk_full().is_none().then_some(())).await;
        assert_ne!(next, leader.id());
    }
    finish(cluster, clients).await;
}

/// A sync fails, on whoever leads and on a follower: the node ends and says why, the others go on, and started
/// again on its disk it is itself.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_sync_that_fails_ends_one_node<G: Ground>(
    #[values(Simulated::new(), Real::new())] _on: G,
    #[values(true, false)] leads: bool,
) {
    let mut cluster = Cluster::<G>::start(3).await;
    let clients = Clients::start(&cluster.nodes, 4);
    for round in 0..rounds() {
        clients.go_on(BETWEEN).await;
        let leader = cluster.leader().await.id();
        let victim = if leads { leader } else { cluster.others(leader)[0] };
        let (node, disk) = (cluster.node(victim), cluster.disk(victim));
        disk.fail_sync(round as u32);
        let why = until("its end", async || node.raft().with_raft_state(|_| ()).await.err()).await;
        assert_eq!(disk.state().failed, 1, "no sync failed");
        let why = Stopped::from(why);
        assert!(matches!(why, Stopped::Storage(_)), "{why}");
        clients.go_on(BETWEEN / 2).await;
        drop(node);
        cluster.kill(victim).await;
        cluster.up(victim).await;
    }
    finish(cluster, clients).await;
}
