//! Nodes of an older version, which lack a call.

use std::time::Duration;

use seshat_core::client::{Client, ClientError};
use seshat_core::proto::client::{self as proto, propose_response::Outcome};
use seshat_core::proto::v1;

use crate::DEADLINE;
use crate::puppet::{Manner, Puppet};

async fn older() -> (Puppet, String) {
    let (puppet, address) = Puppet::listening().await;
    puppet.behaves(Manner::Older);
    (puppet, address)
}

fn client_of(addresses: &[&String]) -> Client {
    Client::new(addresses.iter().map(ToString::to_string).collect(), None, DEADLINE).unwrap()
}

const WORDS: &str = "Exchange: whoever serves there doesn't know this call: a node of an older version, which \
                     must be upgraded first, or no node at all";

/// Each says so once, and nobody waits for what won't come.
#[tokio::test]
async fn where_all_nodes_are_older_a_call_is_refused_by_its_name() {
    let ((_one, first), (_two, second)) = (older().await, older().await);
    let client = client_of(&[&first, &second]);
    let set = client.set("key", "value").await.map(drop);
    let get = client.get("key").await.map(drop);
    for end in [set, get] {
        let ClientError::Refused { address, reason } = end.unwrap_err() else {
            panic!("not refused")
        };
        assert_eq!(reason, WORDS);
        assert!([&first, &second].contains(&&address), "{address}");
    }
    assert_eq!(client.retries(), 2, "the other one was asked too");
}

#[tokio::test]
async fn an_older_node_is_passed_by() {
    let ((_one, first), (two, second)) = (older().await, Puppet::listening().await);
    let kind = Some(v1::response::Kind::Set(v1::SetResponse::default()));
    two.answers([Some(Outcome::Response(v1::Response { kind }))]);
    client_of(&[&first, &second]).set("key", "value").await.unwrap();
    assert_eq!(two.asked(), 1);
}

/// It is what stands in the way, whatever the others say behind that.
#[tokio::test]
async fn where_the_leader_is_older_that_is_what_is_said() {
    let ((_one, first), (two, second)) = (older().await, Puppet::listening().await);
    let leader = Some(proto::Leader { id: 1, address: None });
    two.answers([Some(Outcome::NotLeader(proto::NotLeader { leader }))]);
    let time = Duration::from_millis(300);
    let client = Client::new(vec![first.clone(), second], None, time).unwrap();
    let end = client.set("key", "value").await.unwrap_err();
    let ClientError::TooLate { last, .. } = end else { panic!("{end}") };
    assert_eq!(last, format!("{first}: {WORDS}"));
    assert!(two.asked() > 0);
}

/// Calls of their own, the same.
#[tokio::test]
async fn what_operators_ask_for_is_refused_by_who_does_not_know_it() {
    let ((_one, first), (_two, second)) = (older().await, older().await);
    let end = client_of(&[&first, &second]).transfer_leadership(2).await.unwrap_err();
    let ClientError::Refused { reason, .. } = end else { panic!("{end}") };
    assert!(reason.contains("a node of an older version"), "{reason}");
}
