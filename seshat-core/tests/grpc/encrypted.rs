//! TLS: who has a certificate of the cluster's authority is let in, and nobody else.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use seshat_core::config::{GrpcConfig, NodeConfig, TlsConfig};
use seshat_core::network::grpc::{GrpcTransport, TransportError};
use tempfile::TempDir;

use crate::host::{Host, Ports, set};

/// An authority, and certificates by it, in a directory of the test's own.
struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Of a node at that host.
    fn certify(&self, host: &str) -> TlsConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_path, key_path) =
            (self.path(&format!("{host}.pem")), self.path(&format!("{host}.key")));
        std::fs::write(&cert_path, cert.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        TlsConfig { ca: self.path("ca.pem"), cert: cert_path, key: key_path, mutual: true }
    }
}

fn grpc(tls: Option<TlsConfig>) -> GrpcConfig {
    GrpcConfig { tls, ..GrpcConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_behind_tls() {
    let authority = Authority::new();
    let tls = authority.certify("127.0.0.1");
    let hosts =
        Ports::of(3).await.cluster_with(3, |config| config.grpc(grpc(Some(tls.clone())))).await;
    set(&hosts, "key", "value").await;
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
    let server = mine.certify("127.0.0.1");
    let stranger = other.certify("127.0.0.1");
    assert_eq!(call(Some(server.clone()), Some(server.clone())).await, "answered");

    // The caller doesn't trust the server's authority.
    let said = call(Some(server.clone()), Some(stranger.clone())).await;
    assert!(said.contains("invalid peer certificate"), "{said}");
    // The server doesn't trust the caller's.
    let pretender = TlsConfig { ca: server.ca.clone(), ..stranger };
    let said = call(Some(server.clone()), Some(pretender.clone())).await;
    assert!(said.contains("unreachable"), "{said}");
    // Unless it asks for none.
    let open = TlsConfig { mutual: false, ..server.clone() };
    assert_eq!(call(Some(open), Some(pretender)).await, "answered");
    // A certificate of the right authority, for another host.
    let elsewhere = mine.certify("elsewhere.example");
    let said = call(Some(elsewhere), Some(server.clone())).await;
    assert!(said.contains("not valid for"), "{said}");
    // One of both speaks plaintext.
    for (ours, theirs) in [(Some(server.clone()), None), (None, Some(server))] {
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
    let tls = authority.certify("127.0.0.1");
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
    let tls = authority.certify("127.0.0.1");
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
    let another = authority.certify("another.example");
    let error = refused(TlsConfig { key: another.key, ..tls });
    assert!(matches!(error, TransportError::Certificates(_)), "{error:?}");
}
