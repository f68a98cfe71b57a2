//! The command line of `seshat client`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use seshat_core::types::NodeId;

use super::NODE_CODES;

const GUARANTEE: &str = "\
An operation is applied once at most: it is sent again only where it was certainly not proposed. Where
the answer is lost, there is no telling whether it was applied: exit code 4.";

#[derive(Debug, Args)]
#[command(after_help = format!("{GUARANTEE}\n\n{NODE_CODES}"))]
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
    pub(crate) command: ClientCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
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
