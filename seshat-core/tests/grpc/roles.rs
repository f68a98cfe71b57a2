//! Clients do what their certificates say, and no more.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use prost::Message;
use rstest::rstest;
use seshat_core::config::{GrpcConfig, TlsConfig};
use seshat_core::network::grpc::{Caller, Clients, GrpcServer, GrpcTransport, Role};
use seshat_core::node::RaftNode;
use seshat_core::proto::client::client_client::ClientClient;
use seshat_core::proto::client::{
    self as proto, answer, get_many_response, propose_response, read_response, request,
    scan_response,
};
use seshat_core::proto::v1;
use seshat_core::storage::MemStorage;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::authority::{Authority, encrypted};
use crate::host::{DEADLINE, Host, Ports};
use crate::raw::channel;

/// Lets in who may do what the path says, and says so.
#[derive(Clone)]
struct Asks;

impl NamedService for Asks {
    const NAME: &'static str = "test.Asks";
}

impl Service<http::Request<Body>> for Asks {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (role, what) = match request.uri().path() {
            "/test.Asks/Read" => (Role::Read, "read"),
            "/test.Asks/Write" => (Role::Write, "propose"),
            _ => (Role::Admin, "add a member"),
        };
        let caller = request.extensions().get::<Caller>().unwrap();
        assert!(caller.address().ip().is_loopback());
        let request = Request::from_parts(MetadataMap::new(), request.extensions().clone(), ());
        let status = match role.require(&request, what) {
            Ok(()) => Status::already_exists("let in"),
            Err(error) => error.into(),
        };
        ready(Ok(status.into_http()))
    }
}

/// What each call ends with: nothing for who was let in.
async fn told(channel: Channel) -> [Option<String>; 3] {
    let mut told = Vec::new();
    for rpc in ["Read", "Write", "Admin"] {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let path = format!("/test.Asks/{rpc}").parse().unwrap();
        let codec = ProstCodec::<(), ()>::default();
        let status = client.unary(Request::new(()), path, codec).await.unwrap_err();
        told.push((status.code() != Code::AlreadyExists).then(|| {
            assert_eq!(status.code(), Code::PermissionDenied, "{status}");
            status.message().to_owned()
        }));
    }
    told.try_into().unwrap()
}

/// A node that serves clients with these certificates, and where.
async fn host(tls: Option<TlsConfig>) -> (Host, String) {
    let mut ports = Ports::of(1).await;
    let grpc = GrpcConfig { tls, ..GrpcConfig::default() };
    let config = ports.config(1).single_node().grpc(grpc).build().unwrap();
    Host::with_clients(config, ports.listener(1), Routes::new(Asks)).await
}

const NOBODY: &str = "a certificate without a role in cluster \"seshat\"";

#[rstest]
#[case::read(&["client.read.seshat"], "client.read.seshat", 1)]
#[case::write(&["client.write.seshat"], "client.write.seshat", 2)]
#[case::admin(&["client.admin.seshat"], "", 3)]
#[case::the_highest(&["client.read.seshat", "client.write.seshat"], "client.write.seshat", 2)]
#[case::none(&["reporting.example"], NOBODY, 0)]
#[case::a_nodes(&["node-2.seshat"], NOBODY, 0)]
#[case::another_clusters(&["client.admin.other"], NOBODY, 0)]
#[case::no_such_role(&["client.root.seshat"], NOBODY, 0)]
#[case::any_node(&["*.seshat"], NOBODY, 0)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_allows_what_it_says(
    #[case] names: &[&str],
    #[case] who: &str,
    #[case] allowed: usize,
) {
    let authority = Authority::new();
    let (_host, address) = host(Some(authority.certify(&["here.example"]))).await;
    let told = told(encrypted(&address, "here.example", &authority.certify(names), true)).await;
    let all = [("read", "read"), ("propose", "write"), ("add a member", "admin")];
    for (told, (n, (what, role))) in told.into_iter().zip(all.into_iter().enumerate()) {
        let refused = format!("{who} may not {what}: it takes client.{role}.seshat");
        assert_eq!(told, (n >= allowed).then_some(refused));
    }
}

/// As whoever runs the node has chosen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_certificate_may_do_everything_where_none_is_asked_for() {
    let (_plain, address) = host(None).await;
    assert_eq!(told(channel(&address)).await, [None, None, None]);

    let authority = Authority::new();
    let tls = authority.certify(&["here.example"]);
    let (_open, address) = host(Some(TlsConfig { mutual: false, ..tls.clone() })).await;
    let anybody = encrypted(&address, "here.example", &tls, false);
    assert_eq!(told(anybody).await, [None, None, None]);

    let (_closed, address) = host(Some(tls.clone())).await;
    let mut client = tonic::client::Grpc::new(encrypted(&address, "here.example", &tls, false));
    client.ready().await.unwrap();
    let path = "/test.Asks/Read".parse().unwrap();
    let end = client.unary(Request::new(()), path, ProstCodec::<(), ()>::default()).await;
    assert_ne!(end.unwrap_err().code(), Code::AlreadyExists);
}

#[test]
fn a_request_from_nowhere_may_do_nothing() {
    let refused = Role::Read.require(&Request::new(()), "read").unwrap_err();
    assert_eq!(refused.to_string(), "who calls isn't known, and may not read");
}

/// A node that leads itself, has `key`, and serves what nodes serve to clients.
async fn serving(tls: TlsConfig) -> (RaftNode, GrpcServer, String) {
    let mut ports = Ports::of(1).await;
    let grpc = GrpcConfig { tls: Some(tls), ..GrpcConfig::default() };
    let config = ports.config(1).single_node().grpc(grpc).build().unwrap();
    let transport = GrpcTransport::new(&config).unwrap();
    let node = RaftNode::start(config, MemStorage::new(), transport.clone()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = Routes::new(seshat_core::service::Service::new(node.clone()).server());
    let clients = Some(Clients { listener, routes });
    let server = GrpcServer::start(&node, &transport, ports.listener(1), clients).await.unwrap();
    timeout(DEADLINE, server.admit()).await.expect("admitted").unwrap();
    let leads = node.wait_until(DEADLINE, "it leads", |now| now.current_leader == Some(1));
    leads.await.unwrap();
    node.set("key", "value").await.unwrap();
    (node, server, address)
}

/// One call of each kind, with ids from `first` on.
fn one_of_each(first: u64) -> proto::Requests {
    let set = v1::SetOperation { key: "key".into(), value: "value".into(), ..Default::default() };
    let operation = Some(v1::Operation { kind: Some(v1::operation::Kind::Set(set)) });
    let kinds = [
        request::Kind::Propose(proto::ProposeRequest { operation }),
        request::Kind::Read(proto::ReadRequest { key: "key".into(), ..Default::default() }),
        request::Kind::GetMany(proto::GetManyRequest {
            keys: vec!["key".into(); 2],
            ..Default::default()
        }),
        request::Kind::Scan(proto::ScanRequest::default()),
    ];
    let requests = (first..).zip(kinds).map(|(id, kind)| {
        let request = proto::Request { id, kind: Some(kind) };
        request.encode_to_vec().into()
    });
    proto::Requests { requests: requests.collect() }
}

/// Why a call was refused for good; nothing if it was done.
fn refusal(answer: answer::Kind) -> Option<String> {
    let refused = match answer {
        answer::Kind::Propose(answer) => match answer.outcome.unwrap() {
            propose_response::Outcome::Response(_) => return None,
            propose_response::Outcome::Refused(refused) => refused,
            other => panic!("{other:?}"),
        },
        answer::Kind::Read(answer) => match answer.outcome.unwrap() {
            read_response::Outcome::Value(value) => {
                assert_eq!(value.value, Some("value".into()));
                return None;
            }
            read_response::Outcome::Refused(refused) => refused,
            other => panic!("{other:?}"),
        },
        answer::Kind::GetMany(answer) => match answer.outcome.unwrap() {
            get_many_response::Outcome::Values(values) => {
                assert_eq!(values.values.len(), 2);
                return None;
            }
            get_many_response::Outcome::Refused(refused) => refused,
            other => panic!("{other:?}"),
        },
        answer::Kind::Scan(answer) => match answer.outcome.unwrap() {
            scan_response::Outcome::Page(page) => {
                assert_eq!(page.records.len(), 1);
                return None;
            }
            scan_response::Outcome::Refused(refused) => refused,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert!(!refused.later);
    Some(refused.reason)
}

/// On one stream, call by call: what is refused is in nobody's way.
#[rstest]
#[case::read(&["client.read.seshat"], "client.read.seshat", (false, true))]
#[case::write(&["client.write.seshat"], "", (true, true))]
#[case::admin(&["client.admin.seshat"], "", (true, true))]
#[case::none(&["reporting.example"], NOBODY, (false, false))]
#[case::a_nodes(&["node-2.seshat"], NOBODY, (false, false))]
#[case::another_clusters(&["client.write.other"], NOBODY, (false, false))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_allows_on_a_stream_what_it_does_elsewhere(
    #[case] names: &[&str],
    #[case] who: &str,
    #[case] (writes, reads): (bool, bool),
) {
    let authority = Authority::new();
    let (_node, _server, address) = serving(authority.certify(&["here.example"])).await;
    let channel = encrypted(&address, "here.example", &authority.certify(names), true);
    let (asks, asked) = mpsc::channel(1);
    let answers = ClientClient::new(channel).exchange(ReceiverStream::new(asked)).await.unwrap();
    let mut answers = answers.into_inner();

    let refused =
        |what: &str, role: &str| format!("{who} may not {what}: it takes client.{role}.seshat");
    let to_write = (!writes).then(|| refused("propose", "write"));
    let to_read = (!reads).then(|| refused("read", "read"));
    let expected = [&to_write, &to_read, &to_read, &to_read];
    // A refusal ends nothing: the same again.
    for first in [1, 5] {
        asks.send(one_of_each(first)).await.unwrap();
        let mut told = [const { None }; 4];
        while told.iter().any(Option::is_none) {
            let message = timeout(DEADLINE, answers.message()).await.expect("an answer");
            for answer in message.unwrap().expect("the stream goes on").answers {
                told[(answer.id - first) as usize] = Some(refusal(answer.kind.unwrap()));
            }
        }
        assert_eq!(told.each_ref().map(|told| told.as_ref().unwrap()), expected);
    }
    drop(asks);
    let end = timeout(DEADLINE, answers.message()).await.expect("an end").unwrap();
    assert_eq!(end, None);
}
