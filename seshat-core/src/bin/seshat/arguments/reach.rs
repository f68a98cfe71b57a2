//! Where a cluster is, for whatever asks it for something.

use std::path::PathBuf;

use clap::Args;

/// Addresses, and certificates.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// Where a node listens for clients; give that of all nodes, as any of them may lead
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Vec<String>,
    /// Certificates of the authorities that sign the nodes'; without them there is no TLS
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// This client's certificate, where nodes ask for one
    #[arg(long, value_name = "FILE", requires = "key", requires = "ca")]
    pub(crate) cert: Option<PathBuf>,
    /// The key to it
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}
