//! The names in certificates: which there are, and whether one is there, by rustls' own reading.
//!
//! A name with a wildcard counts for what it matches, as anywhere: `*.<cluster>` is any node, and no
//! client, of a cluster whose name has a dot in it, and nobody of another.

use std::fmt;

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, Error};

use crate::types::NodeId;

/// What a node's certificate carries.
pub(super) fn node_name(id: NodeId, cluster: &str) -> String {
    format!("node-{id}.{cluster}")
}

/// A certificate doesn't carry the name that is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is for {}, and {expected} is needed", Names(.presented))]
pub struct NotNamed {
    /// The name.
    pub expected: String,
    /// Those that it carries, if it can be read.
    pub presented: Vec<String>,
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("nobody"),
            names => f.write_str(&names.join(", ")),
        }
    }
}

/// Whether a certificate, which was verified before, carries that name.
pub(super) fn check(certificate: &CertificateDer<'_>, name: &str) -> Result<(), NotNamed> {
    let not = |presented| NotNamed { expected: name.to_owned(), presented };
    let server_name = ServerName::try_from(name).map_err(|_| not(Vec::new()))?;
    let parsed = ParsedCertificate::try_from(certificate).map_err(|_| not(Vec::new()))?;
    verify_server_name(&parsed, &server_name).map_err(|error| match error {
        Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented, ..
        }) => not(presented.iter().map(|name| plain(name)).collect()),
        _ => not(Vec::new()),
    })
}

/// rustls shows names as `DnsName("name")`, and addresses likewise.
fn plain(shown: &str) -> String {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(shown).trim_matches('"').to_owned()
}
