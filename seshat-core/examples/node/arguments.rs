//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use seshat_core::types::NodeId;

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 an operation failed or was refused, 2 wrong usage or configuration, 3 the node \
lost its memory and must be removed and added again, 4 whether the operation was applied is not \
known, 5 another process has data_dir open, 6 data_dir is another node's, another cluster's or a \
newer version's, 7 data_dir is damaged: the node must be removed, and added with an empty one. A second Ctrl-C or SIGTERM ends a node at once, with 130 or 143. SIGHUP has it read its \
certificates again, which it does by itself within seconds, too.";

const GUARANTEE: &str = "\
An operation is applied once at most: it is sent again only where it was certainly not proposed. \
Where the answer is lost, there is no telling whether it was applied: exit code 4.";

const USAGE: &str = "\
node --config FILE [--listen ADDRESS] [--listen-clients ADDRESS] [--via ID=ADDRESS]... [--log text|json]
       node client --to ADDRESS... COMMAND";

/// Runs one node of a cluster, which keeps what it must not forget in the directory data_dir of its
/// configuration; without one, in memory.
#[derive(Debug, Parser)]
#[command(name = "node", override_usage = USAGE, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) node: Option<NodeOptions>,
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeOptions {
    /// The node's configuration, in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Where to listen for other nodes, if not at the node's own address among the members
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Where to listen for clients; without it none are served
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_clients: Option<String>,
    /// Reach node ID at ADDRESS, whatever the membership says: through a proxy
    #[arg(long, value_name = "ID=ADDRESS", value_parser = way)]
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

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Asks a cluster for something
    Client(ClientOptions),
}

#[derive(Debug, Args)]
#[command(after_help = format!("{GUARANTEE}\n\n{EXIT_CODES}"))]
pub(crate) struct ClientOptions {
    /// Where a node listens for clients; give that of all nodes, as any of them may lead
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Vec<String>,
    /// Seconds after which to give up
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// Certificates of the authorities that sign the nodes'; without them there is no TLS
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// This client's certificate, where nodes ask for one
    #[arg(long, value_name = "FILE", requires = "key", requires = "ca")]
    pub(crate) cert: Option<PathBuf>,
    /// The key to it
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Binds a key to a value
    Set { key: OsString, value: OsString },
    /// Prints what a key is bound to
    Get { key: OsString },
    /// Removes keys; prints how many there were
    Del {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<OsString>,
    },
    /// Prints how every node is that --to names
    Status,
    /// Makes a node that waits to be added a voter; other nodes reach it at ADDRESS
    Add { id: NodeId, address: String },
    /// Makes a node a member no more
    Remove { id: NodeId },
}

fn way(text: &str) -> Result<(NodeId, String), String> {
    let parsed = text.split_once('=').and_then(|(id, address)| {
        id.parse().ok().filter(|_| !address.is_empty()).map(|id| (id, address.to_owned()))
    });
    parsed.ok_or_else(|| "a node's id, an equals sign and HOST:PORT are needed".to_owned())
}
