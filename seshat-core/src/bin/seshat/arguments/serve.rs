//! The command line of `seshat serve`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use seshat_core::types::NodeId;

use super::NODE_CODES;

const EXAMPLE: &str = "\
Example:
  seshat serve --config node1.toml --listen-clients 127.0.0.1:7479";

const KEEPS: &str = "\
A node keeps what it must not forget in the directory data_dir of its configuration; without one, in
memory: then it has to be removed from its cluster, and added again, whenever it ends.";

const SIGNALS: &str = "\
A second Ctrl-C or SIGTERM ends a node at once, with 130 or 143. SIGHUP has it read its certificates
again, which it does by itself within seconds, too.";

#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLE}\n\n{KEEPS}\n\n{NODE_CODES}\n\n{SIGNALS}"))]
pub(crate) struct ServeOptions {
    /// The node's configuration, in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Where to listen for other nodes, if not at the node's own address among the members
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Where to listen for clients; without it none are served
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_clients: Option<String>,
    /// Where to serve /metrics, /livez and /readyz over HTTP, if not at metrics_address of the
    /// configuration; without either nowhere
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_metrics: Option<String>,
    /// Reach node ID at ADDRESS, whatever the membership says: through a proxy
    #[arg(long, value_name = "ID=ADDRESS", value_parser = super::at)]
    pub(crate) via: Vec<(NodeId, String)>,
    /// How to log, on standard error; what is RUST_LOG's to say
    #[arg(long, value_enum, default_value_t = Logs::Text)]
    pub(crate) log: Logs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Logs {
    Text,
    Json,
}
