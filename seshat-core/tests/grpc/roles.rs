//! Clients do what their certificates say, and no more.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use rstest::rstest;
use seshat_core::config::{GrpcConfig, TlsConfig};
use seshat_core::network::grpc::{Caller, Role};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::authority::{Authority, encrypted};
use crate::host::{Host, Ports};
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
