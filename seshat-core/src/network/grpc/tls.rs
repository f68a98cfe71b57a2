//! With which certificates connections are encrypted, and where they need not be.
//!
//! Guarantees: what was read once stays in use until all of what is read later fits together, and this
//! node's certificate names this node, unless it is alone. Connections that are there keep what
//! they were made with. Nothing is known of revocation: who was let in stays until its connection ends,
//! and whose certificate was revoked is let in until it expires.

use std::error::Error;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::door::For;
use super::error::TransportError;
use super::names::{check, node_name};
use crate::config::{NodeConfig, TlsConfig};
use crate::types::NodeId;

/// The certificates of a node, as they were read last.
pub(super) struct Tls {
    config: TlsConfig,
    cluster: String,
    /// The name that this node's own certificate must carry.
    name: Option<String>,
    handshake: Duration,
    read: RwLock<Arc<Read>>,
}

/// Both ends' settings, of files that were read together.
struct Read {
    files: Files,
    client: ClientTlsConfig,
    peers: Arc<ServerConfig>,
    clients: Arc<ServerConfig>,
}

#[derive(PartialEq, Eq)]
struct Files {
    ca: String,
    cert: String,
    key: String,
}

impl Tls {
    /// `None` where no certificates are configured.
    pub(super) fn of(config: &NodeConfig) -> Result<Option<Self>, TransportError> {
        let Some(tls) = &config.grpc().tls else { return Ok(None) };
        let (id, cluster) = (config.node_id(), config.cluster_name().to_owned());
        let alone = !config.joining() && config.members().keys().all(|member| *member == id);
        let name = (!alone).then(|| node_name(id, &cluster));
        let handshake = config.grpc().connect_timeout;
        let files = Files::read(tls)?;
        let read = RwLock::new(Arc::new(Read::of(files, tls, name.as_deref(), handshake)?));
        Ok(Some(Self { config: tls.clone(), cluster, name, handshake, read }))
    }

    /// What calls to that node are made with: it must have its name's certificate, wherever it is.
    pub(super) fn client(&self, target: NodeId) -> ClientTlsConfig {
        self.now().client.clone().domain_name(node_name(target, &self.cluster))
    }

    /// What those who connect are met with.
    pub(super) fn server(&self, whom: For) -> Arc<ServerConfig> {
        let now = self.now();
        Arc::clone(match whom {
            For::Peers => &now.peers,
            For::Clients => &now.clients,
        })
    }

    /// Reads the files again; says whether they have changed.
    pub(super) fn reload(&self) -> Result<bool, TransportError> {
        let files = Files::read(&self.config)?;
        if files == self.now().files {
            return Ok(false);
        }
        let read = Read::of(files, &self.config, self.name.as_deref(), self.handshake)?;
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        Ok(true)
    }

    // Every change under the lock is a single assignment.
    fn now(&self) -> Arc<Read> {
        Arc::clone(&self.read.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Files {
    fn read(config: &TlsConfig) -> Result<Self, TransportError> {
        Ok(Self {
            ca: file("ca", &config.ca, "CERTIFICATE")?,
            cert: file("cert", &config.cert, "CERTIFICATE")?,
            key: file("key", &config.key, "PRIVATE KEY")?,
        })
    }
}

impl Read {
    /// Whatever is put to use later is tried now.
    fn of(
        files: Files,
        config: &TlsConfig,
        name: Option<&str>,
        handshake: Duration,
    ) -> Result<Self, TransportError> {
        let chain = certificates(&files.cert)?;
        if let (Some(name), Some(leaf)) = (name, chain.first()) {
            check(leaf, name).map_err(|source| {
                let path = config.cert.clone();
                TransportError::NotItsName { path, source }
            })?;
        }
        let peers = server(&files, config, true).map(Arc::new)?;
        let clients =
            if config.mutual { Arc::clone(&peers) } else { server(&files, config, false)?.into() };
        let client = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&files.ca))
            .identity(Identity::from_pem(&files.cert, &files.key))
            .timeout(handshake);
        let channel = Endpoint::from_static("https://localhost").tls_config(client.clone());
        channel.map_err(unusable)?;
        Ok(Self { files, client, peers, clients })
    }
}

/// Nothing is resumed: who was let in once shows its certificate again, and it is looked at.
fn server(files: &Files, tls: &TlsConfig, mutual: bool) -> Result<ServerConfig, TransportError> {
    let default = || Arc::new(ring::default_provider());
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(default);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&files.ca)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
        builder.with_client_cert_verifier(verifier.map_err(unusable)?)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes()).map_err(unusable)?;
    let config = builder.with_single_cert(certificates(&files.cert)?, key);
    let mut config = config.map_err(|error| TransportError::NotItsKey {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        source: Box::new(error),
    })?;
    config.alpn_protocols.push(b"h2".to_vec());
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(unusable)
}

fn unusable(error: impl Error + Send + Sync + 'static) -> TransportError {
    TransportError::Certificates(Box::new(error))
}

fn file(
    field: &'static str,
    path: &Path,
    expected: &'static str,
) -> Result<String, TransportError> {
    let error = |source| TransportError::File { field, path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(error)?;
    // A key's label may say of what kind it is.
    if !text.contains(&format!("{expected}-----")) {
        return Err(TransportError::NoPem { field, path: path.to_owned(), expected });
    }
    Ok(text)
}

/// Whether `address`, a host and a port, never leaves this machine. Of names that is only known of
/// `localhost` (RFC 6761, section 6.3), wherever others lead.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || ip.parse().is_ok_and(is_loopback_ip)
}

/// The same of an address alone; one of IPv4 within IPv6 counts as what it stands for.
pub(super) fn is_loopback_ip(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_is_told_from_what_is_not() {
        for yes in
            ["127.0.0.1:1", "127.9.9.9:7379", "[::1]:7379", "localhost:1", "[::ffff:127.0.0.1]:1"]
        {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in [
            "10.0.0.1:1",
            "[fe80::1]:1",
            "localhost.evil:1",
            "host:1",
            "0.0.0.0:1",
            "[::]:1",
            "[::ffff:10.0.0.1]:1",
            "127.0.0.1:1@evil:1",
            "127.0.0.1.evil:1",
            "LOCALHOST@evil:1",
            "",
        ] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
