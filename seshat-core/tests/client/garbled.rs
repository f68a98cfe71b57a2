//! A server that answers what no node would.

use std::time::Duration;

use bytes::Bytes;
use rstest::rstest;
use seshat_core::client::{Client, ClientError, ReadLevel, Scan};
use seshat_core::proto::client::{self as proto, answer, propose_response, read_response};
use seshat_core::proto::v1;

use crate::puppet::{Manner, Puppet};

fn says(id: u64, kind: Option<answer::Kind>) -> proto::Answer {
    proto::Answer { id, kind }
}

fn response(kind: Option<v1::response::Kind>) -> answer::Kind {
    let outcome = Some(propose_response::Outcome::Response(v1::Response { kind }));
    answer::Kind::Propose(proto::ProposeResponse { outcome })
}

fn value() -> answer::Kind {
    let outcome = Some(read_response::Outcome::Value(proto::Value::default()));
    answer::Kind::Read(proto::ReadResponse { outcome })
}

async fn client(answers: Vec<proto::Answer>) -> Client {
    let (puppet, address) = Puppet::listening().await;
    puppet.behaves(Manner::Says(answers));
    Client::new(vec![address], None, Duration::from_millis(300)).unwrap()
}

/// What may have been done is unknown, whatever the words.
#[rstest]
#[case::nothing(vec![says(1, None)])]
#[case::a_read(vec![says(1, Some(value()))])]
#[case::no_outcome(vec![says(1, Some(answer::Kind::Propose(Default::default())))])]
#[case::no_response(vec![says(1, Some(response(None)))])]
#[case::another_operation(vec![says(1, Some(response(Some(v1::response::Kind::Del(Default::default())))))])]
#[case::nobodys_call(vec![says(u64::MAX, Some(response(None))), says(0, Some(value()))])]
#[tokio::test]
async fn a_proposal_has_an_unknown_outcome(#[case] answers: Vec<proto::Answer>) {
    let end = client(answers).await.set("key", "value").await.unwrap_err();
    assert!(matches!(end, ClientError::Unknown { .. }), "{end}");
}

#[rstest]
#[case::nothing(vec![says(1, None)])]
#[case::a_proposal(vec![says(1, Some(response(None)))])]
#[case::no_outcome(vec![says(1, Some(answer::Kind::Read(Default::default())))])]
#[case::nobodys_call(vec![says(7, Some(value()))])]
#[tokio::test]
async fn a_read_has_no_result(#[case] answers: Vec<proto::Answer>) {
    let client = client(answers).await;
    let end = client.get("key").await.unwrap_err();
    assert!(!matches!(end, ClientError::Unknown { .. }), "{end}");
    client.scan(&Scan::default()).await.unwrap_err();
}

/// Fewer values than keys would be taken for those of other keys.
#[tokio::test]
async fn values_that_are_not_as_many_as_the_keys_are_none() {
    let values = proto::Values { values: vec![proto::Value::default()], behind: None };
    let outcome = Some(proto::get_many_response::Outcome::Values(values));
    let answer = answer::Kind::GetMany(proto::GetManyResponse { outcome });
    let client = client(vec![says(1, Some(answer))]).await;
    let keys: Vec<Bytes> = vec!["a".into(), "b".into()];
    let end = client.get_many(keys, ReadLevel::Leader).await.unwrap_err();
    assert!(end.to_string().ends_with("1 values are the answer for 2 keys"), "{end}");
}

/// The first answer counts, and what else is said of the call is nobody's.
#[tokio::test]
async fn what_is_answered_twice_is_answered_once() {
    let set = || Some(response(Some(v1::response::Kind::Set(v1::SetResponse::default()))));
    let client = client(vec![says(1, set()), says(1, None), says(2, None)]).await;
    client.set("key", "value").await.unwrap();
}
