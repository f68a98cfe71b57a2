//! TLS: who has a certificate of the cluster's authority is let in, and nobody else.

use std::path::Path;

use rstest::rstest;
use seshat_core::config::{GrpcConfig, NodeConfig, TlsConfig};
use seshat_core::network::grpc::{GrpcTransport, TransportError};
use seshat_core::node::Handover;

use crate::authority::Authority;
use crate::host::{Host, Ports, leader, set};

fn grpc(tls: Option<TlsConfig>) -> GrpcConfig {
    GrpcConfig { tls, ..GrpcConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_behind_tls() {
    let authority = Authority::new();
    let tls = |id: u64| Some(authority.certify(&[&format!("node-{id}.seshat")]));
    let hosts = Ports::of(3).await.cluster_by(3, |id, config| config.grpc(grpc(tls(id)))).await;
    set(&hosts, "key", "value").await;
}

/// A leader speaks for its successor until that one leads, by its own certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_and_transfers_behind_tls() {
    let authority = Authority::new();
    let tls = |id: u64| Some(authority.certify(&[&format!("node-{id}.seshat")]));
    let mut hosts = Ports::of(5).await.cluster_by(5, |id, config| config.grpc(grpc(tls(id)))).await;
    set(&hosts, "key", "value").await;
    for to in 1..=5 {
        leader(&hosts).await.node.transfer_leadership(to).await.unwrap();
        assert_eq!(leader(&hosts).await.node.id(), to);
        set(&hosts, "key", to.to_string()).await;
    }
    let last = hosts.remove(4);
    let handover = last.node.shutdown().await;
    assert!(matches!(handover, Handover::To(_)), "{handover:?}");
    set(&hosts, "key", "another").await;
    last.server.shutdown().await;
}

/// What node 9, with `theirs`, is told by node 1, with `ours`.
async fn call(ours: Option<TlsConfig>, theirs: Option<TlsConfig>) -> String {
    use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
    use seshat_core::types::{Node, Vote, VoteRequest};

    let mut ports = Ports::of(1).await;
    let config = ports.config(1).single_node().grpc(grpc(ours)).build().unwrap();
    let host = Host::start(config, ports.listener(1)).await;
    host.admit().await.unwrap();
    let config = NodeConfig::builder(9).member(9, "127.0.0.1:9").single_node().grpc(grpc(theirs));
    let mut transport = GrpcTransport::new(&config.build().unwrap()).unwrap();
    let mut connection = transport.new_client(1, &Node::new(ports.address(1))).await;
    let option = RPCOption::new(std::time::Duration::from_secs(2));
    match connection.vote(VoteRequest::new(Vote::new(0, 9), None), option).await {
        Ok(_) => "answered".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_let_in() {
    let (mine, other) = (Authority::new(), Authority::new());
    let server = mine.certify(&["node-1.seshat"]);
    let caller = mine.certify(&["node-9.seshat"]);
    let stranger = other.certify(&["node-9.seshat"]);
    assert_eq!(call(Some(server.clone()), Some(caller.clone())).await, "answered");

    // The caller doesn't trust the server's authority.
    let said = call(Some(server.clone()), Some(stranger.clone())).await;
    assert!(said.contains("invalid peer certificate"), "{said}");
    // The server doesn't trust the caller's; of nodes it always asks for one.
    let pretender = TlsConfig { ca: server.ca.clone(), ..stranger };
    let open = TlsConfig { mutual: false, ..server.clone() };
    for server in [server.clone(), open] {
        let said = call(Some(server), Some(pretender.clone())).await;
        assert!(said.contains("unreachable"), "{said}");
    }
    // One of both speaks plaintext.
    for (ours, theirs) in [(Some(server.clone()), None), (None, Some(caller))] {
        let said = call(ours, theirs).await;
        assert!(said.contains("unreachable"), "{said}");
    }
}

fn refused(tls: TlsConfig) -> TransportError {
    let config = NodeConfig::builder(1).member(1, "127.0.0.1").single_node().grpc(grpc(Some(tls)));
    GrpcTransport::new(&config.build().unwrap()).unwrap_err()
}

#[test]
fn files_that_are_not_there() {
    let authority = Authority::new();
    let tls = authority.certify(&["127.0.0.1"]);
    let nowhere = Path::new("/nowhere.pem").to_owned();
    for (field, tls) in [
        ("ca", TlsConfig { ca: nowhere.clone(), ..tls.clone() }),
        ("cert", TlsConfig { cert: nowhere.clone(), ..tls.clone() }),
        ("key", TlsConfig { key: nowhere.clone(), ..tls }),
    ] {
        let error = refused(tls).to_string();
        assert_eq!(error, format!("grpc.tls.{field} (/nowhere.pem) can't be read"));
    }
}

#[test]
fn files_that_hold_something_else() {
    let authority = Authority::new();
    let tls = authority.certify(&["127.0.0.1"]);
    let noise = authority.path("noise.pem");
    std::fs::write(&noise, "noise").unwrap();
    for (field, expected, tls) in [
        ("ca", "CERTIFICATE", TlsConfig { ca: noise.clone(), ..tls.clone() }),
        ("cert", "CERTIFICATE", TlsConfig { cert: noise.clone(), ..tls.clone() }),
        ("key", "PRIVATE KEY", TlsConfig { key: noise.clone(), ..tls.clone() }),
    ] {
        let error = refused(tls).to_string().replace(noise.to_str().unwrap(), "noise.pem");
        assert_eq!(error, format!("grpc.tls.{field} (noise.pem) holds no {expected} in PEM"));
    }
    let another = authority.certify(&["another.example"]);
    let error = refused(TlsConfig { key: another.key, ..tls });
    assert!(matches!(error, TransportError::NotItsKey { .. }), "{error:?}");
}

/// Who has other members for peers, or is to have, must be known to them.
#[rstest]
#[case::member(false, &["127.0.0.1"], Some("it is for 127.0.0.1, and node-1.seshat is needed"))]
#[case::joins(true, &["127.0.0.1"], Some("it is for 127.0.0.1, and node-1.seshat is needed"))]
#[case::another(false, &["node-2.seshat"], Some("it is for node-2.seshat, and node-1.seshat is needed"))]
#[case::elsewhere(
    false,
    &["node-1.other", "node-1"],
    Some("it is for node-1.other, node-1, and node-1.seshat is needed")
)]
#[case::named(false, &["host.example", "node-1.seshat"], None)]
#[case::joins_by_name(true, &["node-1.seshat"], None)]
fn a_node_must_have_its_own_certificate(
    #[case] joining: bool,
    #[case] names: &[&str],
    #[case] expected: Option<&str>,
) {
    let authority = Authority::new();
    let tls = authority.certify(names);
    let config = NodeConfig::builder(1).grpc(grpc(Some(tls)));
    let members: &[u64] = if joining { &[2] } else { &[1, 2, 3] };
    let config =
        members.iter().fold(config, |config, id| config.member(*id, format!("10.0.0.{id}")));
    let config = if joining { config.joining() } else { config };
    match (GrpcTransport::new(&config.build().unwrap()), expected) {
        (Err(TransportError::NotItsName { source, .. }), Some(expected)) => {
            assert_eq!(source.to_string(), expected);
        }
        (end, expected) => assert_eq!((end.is_ok(), expected), (true, None)),
    }
}
