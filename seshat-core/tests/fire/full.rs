//! Disks that fill up: nobody ends, and all is as before when there is room.

use rstest::rstest;
use seshat_core::error::{DiskFull, MembershipError, ProposeError};
use seshat_core::node::RaftNode;

use crate::cluster::{Cluster, SEGMENT, until};
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

async fn runs(node: &RaftNode) {
    assert!(node.raft().with_raft_state(|_| ()).await.is_ok(), "node {} ended", node.id());
}

/// With nobody to hand over to, it says that it is full, reads, campaigns no more, and writes again when there
/// is room; and after a restart it has what it acknowledged.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_lone_node_refuses_writes_until_there_is_room<G: Ground>(
    #[values(Simulated::new(), Real::new())] _on: G,
) {
    let mut cluster = Cluster::<G>::start(1).await;
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
    // For longer than anything waits.
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
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
