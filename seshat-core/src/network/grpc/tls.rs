//! Whether, and with which certificates, connections are encrypted.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

use super::error::TransportError;
use crate::config::{NodeConfig, TlsConfig};

/// Both ends' settings, read once.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) client: ClientTlsConfig,
    pub(super) server: ServerTlsConfig,
}

impl Tls {
    /// `None` where all members are on the loopback interface, or plaintext was asked for.
    pub(super) fn of(config: &NodeConfig) -> Result<Option<Self>, TransportError> {
        if let Some(tls) = &config.grpc().tls {
            return Self::read(tls, config.grpc().connect_timeout).map(Some);
        }
        let mut beyond = config.members().iter().filter(|(_, address)| !is_loopback(address));
        match beyond.next() {
            Some((member, address)) if !config.grpc().plaintext => {
                Err(TransportError::Plaintext { member: *member, address: address.clone() })
            }
            _ => Ok(None),
        }
    }

    fn read(config: &TlsConfig, handshake: Duration) -> Result<Self, TransportError> {
        let ca = Certificate::from_pem(file("ca", &config.ca, "CERTIFICATE")?);
        let cert = file("cert", &config.cert, "CERTIFICATE")?;
        let identity = Identity::from_pem(cert, file("key", &config.key, "PRIVATE KEY")?);
        let client = ClientTlsConfig::new().ca_certificate(ca.clone()).identity(identity.clone());
        let mut server = ServerTlsConfig::new().identity(identity);
        if config.mutual {
            server = server.client_ca_root(ca);
        }
        let (client, server) = (client.timeout(handshake), server.timeout(handshake));
        // They are put to use later, and often: now is the time to find that they can't be.
        let channel = Endpoint::from_static("https://localhost").tls_config(client.clone());
        channel.map_err(TransportError::Certificates)?;
        let listener = Server::builder().tls_config(server.clone());
        listener.map_err(TransportError::Certificates)?;
        Ok(Self { client, server })
    }
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

/// Whether `address`, a host and a port, never leaves this machine.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_is_told_from_what_is_not() {
        for yes in ["127.0.0.1:1", "127.9.9.9:7379", "[::1]:7379", "localhost:1"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["10.0.0.1:1", "[fe80::1]:1", "localhost.evil:1", "host:1", "0.0.0.0:1"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
