//! Certificates, by an authority of the test's own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use seshat_core::config::TlsConfig;
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// An authority, and certificates by it, in a directory of the test's own.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    count: AtomicUsize,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key), count: AtomicUsize::new(0) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Of whoever has these names.
    pub(crate) fn certify(&self, names: &[&str]) -> TlsConfig {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let (cert_path, key_path) =
            (self.path(&format!("{number}.pem")), self.path(&format!("{number}.key")));
        std::fs::write(&cert_path, cert.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        TlsConfig { ca: self.path("ca.pem"), cert: cert_path, key: key_path, mutual: true }
    }
}

/// A channel to who has the certificate for `name`, with a certificate or without.
pub(crate) fn encrypted(
    address: &str,
    name: &str,
    tls: &TlsConfig,
    shows_certificate: bool,
) -> Channel {
    let read = |path| std::fs::read(path).unwrap();
    let mut client = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&tls.ca)))
        .domain_name(name);
    if shows_certificate {
        client = client.identity(Identity::from_pem(read(&tls.cert), read(&tls.key)));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    endpoint.tls_config(client).unwrap().connect_lazy()
}
