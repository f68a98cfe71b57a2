//! Requests to end.

use seshat_core::proto::client::client_client::ClientClient;
use seshat_core::proto::client::propose_response::Outcome;
use seshat_core::proto::client::{ProposeRequest, Role};
use seshat_core::proto::v1::{DelOperation, Operation, operation::Kind};
use tonic::transport::Endpoint;

use crate::cluster::Cluster;
use crate::program::run;

/// What a node answers when it is asked to delete a key, itself.
pub(crate) async fn propose_at(address: &str) -> Outcome {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut stub = ClientClient::new(endpoint.connect().await.unwrap());
    let kind = Kind::Del(DelOperation { keys: vec!["key".into()] });
    let operation = Some(Operation { kind: Some(kind) });
    let answer = stub.propose(ProposeRequest { operation }).await.unwrap();
    answer.into_inner().outcome.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_or_terminated_a_leader_hands_over_and_a_second_signal_is_obeyed_at_once() {
    let mut cluster = Cluster::start("").await;
    let mut left = vec![1, 2, 3];
    for signal in ["INT", "TERM"] {
        let leader = cluster.leader().await;
        let node = cluster.take(leader);
        node.signal(signal).await;
        let ended = node.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        left.retain(|id| *id != leader);
        let to = left.iter().map(|id| format!("node {leader} handed over to node {id}\n"));
        assert!(to.into_iter().any(|said| ended.out.ends_with(&said)), "{ended:#?}");
        assert!(ended.out.contains(&format!("node {leader} shuts down\n")), "{ended:#?}");
    }

    // The last one leads, and finds nobody to hand over to, which takes a while.
    let last = left[0];
    let is_leader = |statuses: &[_]| {
        statuses
            .iter()
            .all(|it: &seshat_core::proto::client::StatusResponse| it.role() == Role::Leader)
    };
    cluster.until("the last one to lead", is_leader).await;
    let address = cluster.for_clients(last).to_owned();
    let mut node = cluster.take(last);
    node.signal("TERM").await;
    node.says("shuts down").await;
    match propose_at(&address).await {
        Outcome::Refused(refused) => {
            assert!(refused.later && refused.reason.contains("is shutting down"), "{refused:?}");
        }
        other => panic!("{other:?}"),
    }
    node.signal("INT").await;
    assert_eq!(node.ended().await.code, Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_waits_for_the_others_ends_when_it_is_asked_to() {
    let mut cluster = Cluster::new("");
    cluster.run(1).says("listens at").await;
    let node = cluster.take(1);
    node.signal("TERM").await;
    let ended = node.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.out.ends_with("node 1 shuts down\nnode 1 didn't lead\n"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_prints_what_it_did() {
    let cluster = Cluster::start("").await;
    let to = [
        "client",
        "--to",
        cluster.for_clients(1),
        "--to",
        cluster.for_clients(2),
        "--to",
        cluster.for_clients(3),
    ];
    let ask = async |command: &[&str]| {
        let ended = run(to.iter().chain(command)).await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:#?}");
        ended.out
    };
    assert_eq!(ask(&["set", "key", "a value"]).await, "OK\n");
    assert_eq!(ask(&["get", "key"]).await, "a value\n");
    assert_eq!(ask(&["del", "key", "none"]).await, "1\n");
    assert_eq!(ask(&["get", "key"]).await, "(nil)\n");
    assert!(ask(&["remove", "1"]).await.starts_with("members: 2 at "));
    // The others elect one of them if it was the leader that was removed.
    let deadline = tokio::time::Instant::now() + crate::DEADLINE;
    let status = loop {
        let status = ask(&["status"]).await;
        if status.contains(" leader ") || tokio::time::Instant::now() > deadline {
            break status;
        }
    };
    assert_eq!(status.lines().count(), 4, "{status}");
    assert_eq!(status.matches(" leader ").count(), 1, "{status}");
    let long = "k".repeat(70_000);
    let refused = run(to.iter().chain(&["set", &long, "value"])).await;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.err.contains("key has 70000 bytes"), "{refused:#?}");
}
