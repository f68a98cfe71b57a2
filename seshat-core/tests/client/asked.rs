//! What one node is asked for itself, and why there may be no answer.

use std::time::Duration;

use rstest::rstest;
use seshat_core::client::{AskError, Client, Unanswered};
use seshat_core::proto::client::{self as proto, snapshot_response::Outcome};
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::ClientTlsConfig;

use crate::DEADLINE;
use crate::cluster::Cluster;
use crate::puppet::Puppet;

const SHORT: Duration = Duration::from_millis(200);

fn client_of(address: &str, timeout: Duration) -> Client {
    Client::new(vec![address.to_owned()], None, timeout).unwrap()
}

#[tokio::test]
async fn each_node_answers_for_itself() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    client.set("key", "value").await.unwrap();
    for (id, address) in (1..).zip(cluster.addresses()) {
        assert_eq!(client.status(&address).await.unwrap().id, id);
        assert_eq!(client.health(&address).await.unwrap().id, id);
        assert_eq!(client.partitions(&address).await.unwrap().len(), 1);
    }
    let leader = cluster.leader().await;
    let built = client.snapshot(&cluster.addresses()[leader]).await.unwrap();
    assert!(built.index > 0 && built.bytes > 0, "{built:?}");
}

/// What the program prints is behind the address.
#[track_caller]
fn assert_says(error: &AskError, address: &str, words: &str) {
    assert_eq!(error.address, address);
    assert_eq!(error.why.to_string(), words);
    assert_eq!(error.to_string(), format!("{address}: {words}"));
}

#[tokio::test]
async fn only_who_has_one_of_the_addresses_is_asked() {
    let (puppet, address) = Puppet::listening().await;
    let end = client_of(&address, DEADLINE).status("elsewhere:1").await.unwrap_err();
    assert!(matches!(end.why, Unanswered::Stranger), "{end:?}");
    assert_says(&end, "elsewhere:1", "none of this client's addresses");
    assert_eq!(puppet.asked(), 0);
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let end = client_of(&address, DEADLINE).health(&address).await.unwrap_err();
    assert!(matches!(end.why, Unanswered::Unconnected(_)), "{end:?}");
    assert!(end.to_string().contains("onnection refused"), "{end}");
}

/// It is connected to, and says nothing: with TLS that is no connection yet.
#[tokio::test]
async fn who_says_nothing_is_waited_for_no_longer_than_the_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let end = client_of(&address, SHORT).partitions(&address).await.unwrap_err();
    assert!(matches!(end.why, Unanswered::TooLate { waited: SHORT }), "{end:?}");
    assert_says(&end, &address, "no answer within 200ms");

    let tls = Some(ClientTlsConfig::new().domain_name("here.example"));
    let client = Client::new(vec![address.clone()], tls, SHORT).unwrap();
    let end = client.partitions(&address).await.unwrap_err();
    assert!(matches!(end.why, Unanswered::Silent { waited: SHORT }), "{end:?}");
    assert_says(&end, &address, "silent for 200ms");
}

#[tokio::test]
async fn a_status_is_passed_on() {
    let (_puppet, address) = Puppet::listening().await;
    let end = client_of(&address, DEADLINE).status(&address).await.unwrap_err();
    let Unanswered::Failed(status) = &end.why else { panic!("{end:?}") };
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(
        end.to_string().contains("doesn't know this call: a node of an older version"),
        "{end}"
    );
}

#[rstest]
#[case::now(Some(true), "busy")]
#[case::ever(Some(false), "busy")]
#[case::garbled(None, "an outcome that isn't known here")]
#[tokio::test]
async fn a_snapshot_may_be_refused(#[case] refused: Option<bool>, #[case] words: &str) {
    let (puppet, address) = Puppet::listening().await;
    let outcome =
        refused.map(|later| Outcome::Refused(proto::Refused { reason: "busy".to_owned(), later }));
    puppet.snapshots(proto::SnapshotResponse { outcome });
    let end = client_of(&address, DEADLINE).snapshot(&address).await.unwrap_err();
    assert_says(&end, &address, words);
    match (&end.why, refused) {
        (Unanswered::Refused { later, .. }, Some(expected)) => assert_eq!(*later, expected),
        (Unanswered::Garbled, None) => {}
        _ => panic!("{end:?}"),
    }
}
