//! A cluster elects, replicates, and carries on.

use seshat_core::config::GrpcConfig;
use seshat_core::network::grpc::Admission;
use seshat_core::node::Handover;
use seshat_core::proto::v1;
use seshat_core::types::RaftMetrics;

use crate::host::{DEADLINE, Host, Ports, leader, set};
use crate::raw;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_form_a_cluster_and_replicate() {
    let hosts = Ports::of(3).await.cluster().await;
    set(&hosts, "key", "value").await;
    let first = leader(&hosts).await;
    let state = first.node.raft().with_raft_state(|state| state.committed).await;
    let committed = state.unwrap().unwrap().index;
    for host in &hosts {
        host.node.wait_for_applied(DEADLINE, committed).await.unwrap();
        assert_eq!(host.node.read(b"key").await.unwrap().as_deref(), Some(&b"value"[..]));
    }
    for host in hosts {
        host.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_hands_over() {
    let mut hosts = Ports::of(3).await.cluster().await;
    let leads = leader(&hosts).await.node.id();
    let first = hosts.remove(hosts.iter().position(|host| host.node.id() == leads).unwrap());
    let handover = first.node.shutdown().await;
    assert!(
        matches!(handover, Handover::To(id) if hosts.iter().any(|host| host.node.id() == id)),
        "{handover:?}"
    );
    set(&hosts, "key", "another").await;
    first.server.shutdown().await;
}

/// Node 4 has nothing, and the others' logs begin behind a snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_node_is_caught_up_by_a_snapshot() {
    let mut ports = Ports::of(4).await;
    let joining = ports.config(4).joining().build().unwrap();
    let (listener, address) = (ports.listener(4), ports.address(4).to_owned());
    let grpc = GrpcConfig { snapshot_chunk_bytes: 1000, ..GrpcConfig::default() };
    let hosts = ports.cluster_with(3, |config| config.grpc(grpc.clone())).await;
    for n in 0..64_u32 {
        set(&hosts, n.to_string(), "x".repeat(1000)).await;
    }
    let leads = &leader(&hosts).await.node;
    leads.trigger_snapshot().await.unwrap();
    let covered = leads.last_applied().unwrap().index;
    let built = |now: &RaftMetrics| now.snapshot.is_some_and(|id| id.index >= covered);
    leads.wait_until(DEADLINE, "a snapshot", built).await.unwrap();
    leads.trigger_purge(covered).await.unwrap();
    let purged = |now: &RaftMetrics| now.purged.is_some_and(|id| id.index >= covered);
    leads.wait_until(DEADLINE, "a purged log", purged).await.unwrap();

    let fourth = Host::start(joining, listener).await;
    assert_eq!(fourth.admit().await, Ok(Admission::Waits));
    // That it knows nothing is no evidence that there is no cluster.
    let asked = v1::StandingRequest { node_id: 2, incarnation: 7, reads: 2 };
    let asked = raw::signed("seshat", 4, asked);
    let said = raw::unary::<_, v1::StandingResponse>(raw::channel(&address), "Standing", asked);
    assert!(!said.await.unwrap().heard);
    leads.add_learner(4, address).await.unwrap();
    fourth.node.wait_for_applied(DEADLINE, covered).await.unwrap();
    assert!(fourth.node.metrics().borrow().snapshot.is_some(), "the log alone can't have done it");
    assert_eq!(fourth.node.reader().digest(), leads.reader().digest());
}
