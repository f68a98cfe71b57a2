//! A node that remembers nothing takes part only when its cluster lets it.

use std::time::Duration;

use openraft::ServerState;
use seshat_core::network::grpc::{Admission, AdmissionError};
use seshat_core::proto::v1;
use seshat_core::types::RaftMetrics;
use tokio::net::TcpListener;

use crate::host::{DEADLINE, Host, Ports, leader, set};
use crate::raw::{channel, signed, unary};

/// The same address again, once its last owner is gone.
pub(crate) async fn listen_again(address: &str) -> TcpListener {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if tokio::time::Instant::now() > deadline => panic!("{address}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_memory_is_removed_and_added_again() {
    let ports = Ports::of(3).await;
    let (config, address) = (ports.config(3).build().unwrap(), ports.address(3).to_owned());
    let mut hosts = ports.cluster().await;
    set(&hosts, "key", "value").await;
    let third = hosts.pop().unwrap();
    third.node.stop().await;
    third.server.shutdown().await;
    drop(third.node);

    let again = Host::start(config.clone(), listen_again(&address).await).await;
    let refused = again.admit().await.unwrap_err();
    let lost = AdmissionError::LostMemory {
        node_id: 3,
        cluster: "seshat".to_owned(),
        asked: leader(&hosts).await.node.id(),
    };
    assert_eq!(refused, lost);
    insta::assert_snapshot!(refused.to_string().replace("node 2 says", "node N says").replace("node 1 says", "node N says"), @"node 3 is a member of cluster \"seshat\" (node N says so), but remembers nothing of it: it must not take part as if it did. Remove node 3 from the cluster, start it again, and add it when it waits to be added");
    // It heard nothing meanwhile.
    let state = again.node.metrics().borrow().clone();
    assert_eq!((state.current_term, state.last_log_index), (0, None));
    assert_eq!(state.state, ServerState::Learner);

    let leads = &leader(&hosts).await.node;
    leads.change_membership([1, 2].into(), false).await.unwrap();
    assert_eq!(again.admit().await, Ok(Admission::Waits));
    // From now on it is no witness to others that there was no cluster before.
    let asked = v1::StandingRequest { node_id: 2, incarnation: 7, reads: 2 };
    let (asked, channel) = (signed("seshat", 3, asked), channel(&address));
    let said: v1::StandingResponse = unary(channel, "Standing", asked).await.unwrap();
    assert!(!said.heard);
    leads.add_learner(3, address).await.unwrap();
    leads.change_membership([1, 2, 3].into(), false).await.unwrap();
    let voter = |now: &RaftMetrics| now.membership_config.voter_ids().any(|id| id == 3);
    again.node.wait_until(DEADLINE, "to be a voter", voter).await.unwrap();
    assert_eq!(again.node.reader().digest(), leads.reader().digest());
}

/// However far apart they start, and though the first ones ask the others before they are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_apart_form_one_cluster() {
    let mut ports = Ports::of(3).await;
    let mut started = Vec::new();
    let (early, late) = (ports.listener(1), (ports.listener(2), ports.listener(3)));
    let start = |id: u64, listener| Host::start(ports.config(id).build().unwrap(), listener);
    let addresses = [2, 3].map(|id| ports.address(id).to_owned());
    let (second, third) = late;
    drop((second, third));
    started.push(start(1, early).await);
    let waiting = tokio::time::timeout(Duration::from_millis(700), started[0].server.admit());
    assert!(waiting.await.is_err(), "one of three forms nothing");
    assert!(!started[0].node.raft().is_initialized().await.unwrap());
    for (id, address) in [2, 3].into_iter().zip(&addresses) {
        started.push(start(id, listen_again(address).await).await);
    }
    for end in futures_util::future::join_all(started.iter().map(Host::admit)).await {
        assert_eq!(end, Ok(Admission::Forms));
    }
    set(&started, "key", "value").await;
}

/// Until it is admitted it votes for nobody, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_answered_before_admission() {
    let mut ports = Ports::of(3).await;
    let host = Host::start(ports.config(1).build().unwrap(), ports.listener(1)).await;
    let vote = v1::Vote { term: 7, node_id: 9, committed: false };
    let request = v1::VoteRequest { vote: Some(vote), last_log_id: None };
    let channel = channel(ports.address(1));
    let request = signed("seshat", 1, request);
    let refused = unary::<_, v1::VoteResponse>(channel, "Vote", request);
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.metadata().get("seshat-refusal").unwrap(), "not admitted");
    insta::assert_snapshot!(refused.message(), @"node 1 remembers nothing, and its cluster has not said yet whether it may take part");
    assert_eq!(host.node.metrics().borrow().current_term, 0);
}
