//! An authority, and another, and certificates by them, in a directory.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use seshat_core::config::TlsConfig;

use super::CLUSTER;

/// Where the certificate of that name is, and the authority's.
pub(crate) fn files(dir: &Path, name: &str) -> TlsConfig {
    let at = |end: &str| dir.join(format!("{name}.{end}"));
    TlsConfig { ca: dir.join("ca.pem"), cert: at("pem"), key: at("key"), mutual: true }
}

/// Writes all that a line needs. A node's is good for its peers, who go by its name, and for clients,
/// who go by where it is.
pub(crate) fn write(dir: &Path) {
    let issuer = authority(&dir.join("ca.pem"));
    for id in [1, 2, 3, 9] {
        certify(&issuer, dir, &format!("node-{id}.{CLUSTER}"), &["127.0.0.1"]);
    }
    for role in ["read", "write"] {
        certify(&issuer, dir, &format!("client.{role}.{CLUSTER}"), &[]);
    }
    certify(&authority(&dir.join("other.pem")), dir, "foreign", &[]);
}

fn authority(path: &Path) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(path, params.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(params, key)
}

fn certify(issuer: &Issuer<'_, KeyPair>, dir: &Path, name: &str, hosts: &[&str]) {
    let key = KeyPair::generate().unwrap();
    let names = [name].iter().chain(hosts).map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, issuer).unwrap();
    let TlsConfig { cert, key: path, .. } = files(dir, name);
    std::fs::write(cert, certificate.pem()).unwrap();
    std::fs::write(path, key.serialize_pem()).unwrap();
}
