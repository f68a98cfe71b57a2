//! The client sends nothing again that may have been done.

use std::time::Duration;

use seshat_core::client::{Client, ClientError};
use seshat_core::proto::client::propose_response::Outcome;
use seshat_core::proto::client::{self as proto, Leader, NotLeader, Refused, Unknown};
use seshat_core::proto::v1;
use tonic::Request;

use crate::program::run;
use crate::puppet::{Manner, Puppet};

const PATIENCE: Duration = Duration::from_millis(700);

fn done() -> Option<Outcome> {
    let kind = v1::response::Kind::Set(v1::SetResponse::default());
    Some(Outcome::Response(v1::Response { kind: Some(kind) }))
}

fn refused(later: bool) -> Option<Outcome> {
    Some(Outcome::Refused(Refused { reason: "no".to_owned(), later }))
}

/// Node `id` leads, wherever that is; 0 for none.
fn leader(id: u64) -> Option<Outcome> {
    let leader = (id > 0).then(|| Leader { id, address: Some("127.0.0.1:1".to_owned()) });
    Some(Outcome::NotLeader(NotLeader { leader }))
}

fn client(to: &[&str]) -> Client {
    Client::new(to.iter().map(ToString::to_string).collect(), None, PATIENCE).unwrap()
}

#[tokio::test]
async fn what_was_not_done_is_sent_again() {
    let ((one, first), (two, second)) = (Puppet::listening().await, Puppet::listening().await);
    // To the next, as another leads.
    one.answers([leader(2)]);
    two.answers([refused(true), done()]);
    let client = client(&[&first, &second]);
    assert_eq!(client.set_get("key", "value").await.unwrap(), None);
    assert_eq!((one.asked(), two.asked()), (2, 2));
    // Which it remembers.
    client.set("key", "value").await.unwrap();
    assert_eq!((one.asked(), two.asked()), (2, 3));
}

#[tokio::test]
async fn where_nobody_listens_it_goes_on_to_the_next() {
    let (two, second) = Puppet::listening().await;
    two.answers([leader(0), done()]);
    let nobody = format!("127.0.0.1:{}", crate::cluster::port());
    client(&[&nobody, &second]).set("key", "value").await.unwrap();
    assert_eq!(two.asked(), 2);
}

/// Where that node serves clients nobody knows but who named it to the client.
#[tokio::test]
async fn a_leader_that_was_not_named_is_not_found() {
    let (one, first) = Puppet::listening().await;
    one.answers([leader(4)]);
    let late = client(&[&first]).set("key", "value").await.unwrap_err();
    assert!(matches!(late, ClientError::TooLate { .. }), "{late}");
    assert!((2..40).contains(&one.asked()), "{}", one.asked());
}

#[tokio::test]
async fn nodes_that_send_it_to_and_fro_are_asked_a_few_times_only() {
    let ((one, first), (two, second)) = (Puppet::listening().await, Puppet::listening().await);
    one.answers([leader(2)]);
    two.answers([leader(1)]);
    let late = client(&[&first, &second]).set("key", "value").await.unwrap_err();
    assert!(matches!(late, ClientError::TooLate { .. }), "{late}");
    assert!((4..40).contains(&(one.asked() + two.asked())), "{}, {}", one.asked(), two.asked());
}

#[tokio::test]
async fn what_may_have_been_done_is_sent_once() {
    let ((one, first), (two, second)) = (Puppet::listening().await, Puppet::listening().await);
    two.answers([done()]);
    let unknown = Some(Outcome::Unknown(Unknown { reason: "perhaps".to_owned() }));
    for (count, answer) in [unknown, None].into_iter().enumerate() {
        one.answers([answer]);
        let end = client(&[&first, &second]).set("key", "value").await.unwrap_err();
        assert!(matches!(end, ClientError::Unknown { .. }), "{end}");
        assert_eq!((one.asked(), two.asked()), (count + 1, 0));
    }
    let end = client(&[&first, &second]).add(4, "127.0.0.1:1").await.unwrap_err();
    assert!(matches!(end, ClientError::Unknown { .. }), "{end}");
    one.answers([refused(false)]);
    let end = client(&[&first, &second]).set("key", "value").await.unwrap_err();
    assert!(matches!(end, ClientError::Refused { .. }), "{end}");
    assert_eq!((one.asked(), two.asked()), (3, 0));
}

/// The key of an operation whose answer is lost.
const LOST: &str = "the operation whose answer is lost";

/// A node that takes an operation, and then breaks the connection or says nothing more.
async fn void(breaks: bool) -> (Puppet, String) {
    let (puppet, address) = Puppet::listening().await;
    puppet.behaves(if breaks { Manner::Breaks } else { Manner::Silent });
    (puppet, address)
}

#[tokio::test]
async fn what_was_sent_into_the_void_is_sent_once() {
    let (two, second) = Puppet::listening().await;
    two.answers([done()]);
    for breaks in [true, false] {
        let (one, first) = void(breaks).await;
        let end = client(&[&first, &second]).set(LOST, "value").await.unwrap_err();
        assert!(matches!(end, ClientError::Unknown { .. }), "{end}");
        assert_eq!((one.asked(), two.asked()), (1, 0));

        let arguments = ["client", "--timeout", "1", "--to", &first, "--to", &second, "del", LOST];
        let ended = run(arguments).await;
        assert_eq!(ended.code, Some(4), "{ended:#?}");
        assert!(ended.err.starts_with("seshat: the outcome is unknown: "), "{ended:#?}");
        assert!(ended.err.ends_with("or never; look before you repeat it\n"), "{ended:#?}");
        assert_eq!((one.asked(), two.asked()), (2, 0));
    }
}

/// A newer client may ask for more than this node knows of: to do the rest would be something else.
#[tokio::test]
async fn what_is_half_understood_is_not_done() {
    let (node, address) = Puppet::listening().await;
    node.answers([done()]);
    // ProposeRequest { operation: Operation { set: SetOperation { key: "k", value: "v", 3: 60 } } }
    let operation: &[u8] = &[0x0a, 8, 0x0a, 1, b'k', 0x12, 1, b'v', 0x18, 60];
    let propose = async |operation: &[u8]| {
        // On the wire the same: one field, number 1, of bytes.
        let request = v1::SnapshotRecord { key: operation.to_vec().into(), ..Default::default() };
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
        let mut client = tonic::client::Grpc::new(endpoint.unwrap().connect().await.unwrap());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<_, proto::ProposeResponse>::default();
        let path = "/seshat.client.v1.Client/Propose".parse().unwrap();
        client.unary(Request::new(request), path, codec).await.map(|_| ())
    };
    let refused = propose(operation).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("SetOperation.*: field 3"), "{refused}");
    assert_eq!(node.asked(), 0);
    // Without that field it is a SET.
    propose(&[0x0a, 6, 0x0a, 1, b'k', 0x12, 1, b'v']).await.unwrap();
    assert_eq!(node.asked(), 1);
}
