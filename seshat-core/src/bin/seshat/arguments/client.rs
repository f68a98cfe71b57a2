//! The command line of `seshat client`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use seshat_core::types::NodeId;

use super::{NODE_CODES, Reach};

const EXAMPLES: &str = "\
Examples:
  seshat client --to 10.0.0.1:7479 --to 10.0.0.2:7479 --to 10.0.0.3:7479 set greeting hello
  seshat client --to 10.0.0.1:7479 --ca ca.pem --cert client.pem --key client.key get greeting";

const GUARANTEE: &str = "\
An operation is applied once at most: it is sent again only where it was certainly not proposed. Where
the answer is lost, there is no telling whether it was applied: exit code 4.";

#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{GUARANTEE}\n\n{NODE_CODES}"))]
pub(crate) struct ClientOptions {
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// Seconds after which to give up
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    #[command(subcommand)]
    pub(crate) command: ClientCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Binds a key to a value
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 set greeting hello")]
    Set {
        key: OsString,
        value: OsString,
        /// Only if the key doesn't exist; prints (nil) if it does
        #[arg(long, conflicts_with = "xx")]
        nx: bool,
        /// Only if the key exists; prints (nil) if it doesn't
        #[arg(long)]
        xx: bool,
        /// Prints the value before in place of OK, also where nothing is set
        #[arg(long)]
        get: bool,
    },
    /// Prints what keys are bound to, all at one moment, a line each
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 get greeting")]
    Get {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<OsString>,
        /// Which state to read
        #[arg(long, value_enum, default_value_t)]
        read: Read,
    },
    /// Prints keys in order, with their values, as SET commands that `load` takes
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 scan --prefix user:")]
    Scan {
        /// What the keys begin with
        #[arg(long, value_name = "PREFIX", default_value = "")]
        prefix: OsString,
        /// Only keys after this one
        #[arg(long, value_name = "KEY")]
        after: Option<OsString>,
        /// The most keys; the rest is for another scan, after the last one
        #[arg(long, value_name = "KEYS")]
        limit: Option<u64>,
        /// Keys alone, a line each, as they are quoted in commands
        #[arg(long)]
        keys: bool,
        /// Which state to read, for each page of up to 10000 keys anew
        #[arg(long, value_enum, default_value_t)]
        read: Read,
    },
    /// Sends a file of commands, or - for standard input, as redis-cli takes them: SET and DEL, a line or a
    /// RESP array each; prints what became of them
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 load commands.txt")]
    Load {
        file: PathBuf,
        /// The most commands under way; with 1 each waits for the one before
        #[arg(long, value_name = "COMMANDS", default_value_t = 512)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=4096))]
        in_flight: u16,
    },
    /// Removes keys; prints how many there were
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 del greeting farewell")]
    Del {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<OsString>,
    },
    #[command(flatten)]
    Admin(AdminCommand),
}

/// Which state a read is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Read {
    /// One that has all that was acknowledged before, which a quorum confirms
    #[default]
    Linearizable,
    /// What the leader has applied: the same, unless another was elected of which it hasn't heard
    Leader,
    /// What the node that is asked has applied; prints on standard error how far that is behind
    Local,
}

/// What operators ask for.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Prints how every node is that --to names, with a digest of its keys
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 status")]
    Status,
    /// Prints whether every node is ready that --to names, and why not: exit code 1 unless all are
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 health")]
    Health,
    /// Prints who belongs to the cluster
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 members")]
    Members,
    /// Prints the partitions of every node that --to names, and how far each has come
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 partitions")]
    Partitions,
    /// Makes a node that waits to be added a voter; other nodes reach it at ADDRESS
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 add 4 10.0.0.4:7379")]
    Add {
        /// Its id, as its configuration has it
        id: NodeId,
        /// Where the other nodes reach it
        address: String,
    },
    /// Makes a node a member no more
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 remove 4")]
    Remove {
        /// Its id
        id: NodeId,
    },
    /// Makes a voter the leader; who led follows it
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 transfer 2")]
    Transfer {
        /// Its id
        id: NodeId,
    },
    /// Has every node that --to names build a snapshot now
    #[command(after_help = "Example:\n  seshat client --to 10.0.0.1:7479 snapshot")]
    Snapshot,
}
