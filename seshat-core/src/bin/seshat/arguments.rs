//! The command line.

mod client;
mod reach;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use self::client::{AdminCommand, ClientCommand, ClientOptions, Read};
pub(crate) use self::reach::Reach;
pub(crate) use self::serve::{Logs, ServeOptions};

const COMPLETIONS: &str = "\
Examples:
  seshat completions bash > /etc/bash_completion.d/seshat
  seshat completions zsh > /usr/local/share/zsh/site-functions/_seshat
  seshat completions fish > /etc/fish/completions/seshat.fish";

const BEGIN: &str = "\
To begin:
  seshat serve --config node1.toml --listen-clients 127.0.0.1:7479
  seshat client --to 127.0.0.1:7479 status
  seshat help client";

const OTHER_CODES: &str = "`serve` and `client` have others, which their --help lists.";

const NODE_CODES: &str = "\
Exit codes:
  0    ok
  1    an operation failed or was refused
  2    wrong usage or configuration
  3    the node lost its memory and must be removed and added again
  4    whether the operation was applied is not known
  5    another process has data_dir open
  6    data_dir is another node's, another cluster's or a newer version's
  7    data_dir is damaged: the node must be removed, and added with an empty one";

const EXIT_CODES: &str = "\
Exit codes:
  0    done; and, but for `inspect`, nothing is damaged
  1    only `verify`: the end is torn, as a power cut leaves it, and nothing is damaged
  2    something is damaged or missing
  3    not done, or refused: the directory is none of Seshat's, is in use or can't be
       read, the cluster doesn't answer
  64   wrong usage
  130  Ctrl-C";

const IN_USE: &str = "\
A node that runs changes its directory all the time: what is shown is from different
moments, and what looks damaged may be whole. `verify` tells, once the node has ended.";

const AT_REST: &str = "\
Reads only, and refuses the directory of a node that runs; a node that is started
meanwhile is refused.";

/// Runs a cluster's nodes, asks a cluster for something, and looks into nodes' directories.
#[derive(Debug, Parser)]
#[command(name = "seshat", version, after_help = format!("{BEGIN}\n\n{EXIT_CODES}\n\n{OTHER_CODES}"), max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs one node of a cluster
    Serve(ServeOptions),
    /// Asks a cluster for something
    Client(ClientOptions),
    #[command(flatten)]
    Tool(Tool),
    /// Prints what has a shell complete this program's command lines
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What is done to directories, and to files that take their place.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Prints what is in a node's directory
    Inspect(InspectOptions),
    /// Reads every byte of a node's directory, and lists all that isn't as it was written
    Verify(VerifyOptions),
    /// Prints the log's entries
    Dump(DumpOptions),
    /// Writes what is whole of a damaged directory into a new one
    Salvage(SalvageOptions),
    /// Writes the state of a cluster that runs into a file
    Backup(BackupOptions),
    /// Begins a new cluster with such a file: writes the directory of one of its members
    Restore(RestoreOptions),
}

#[derive(Debug, Args)]
#[command(after_help = format!(
    "Example:\n  seshat inspect data/node1\n\n{IN_USE}\n\n{EXIT_CODES}"
))]
pub(crate) struct InspectOptions {
    /// A node's directory
    pub(crate) dir: PathBuf,
    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = format!(
    "Example:\n  seshat verify data/node1\n\n{AT_REST}\n\n{EXIT_CODES}"
))]
pub(crate) struct VerifyOptions {
    /// A node's directory
    pub(crate) dir: PathBuf,
    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = format!(
    "Example:\n  seshat dump --text --from 100 --to 200 data/node1\n\nAs JSON, a key or value that is no UTF-8 is an object {{\"hex\": \"...\"}}, and no other\nis. An entry that \
     may have been taken back by one that is lost has\n\"certain\": false.\n\n{IN_USE}\n\n{EXIT_CODES}"
))]
pub(crate) struct DumpOptions {
    /// A node's directory
    pub(crate) dir: PathBuf,
    /// The first index
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) from: u64,
    /// The last index
    #[arg(long, value_name = "INDEX", default_value_t = u64::MAX - 1, hide_default_value = true)]
    pub(crate) to: u64,
    /// The Raft group
    #[arg(long, value_name = "GROUP", default_value_t = 0)]
    pub(crate) group: u32,
    /// Print text rather than a JSON object a line
    #[arg(long, conflicts_with = "json")]
    pub(crate) text: bool,
    /// Print a JSON object a line, which is the default
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = format!(
    "Example:\n  seshat salvage data/node1 salvaged\n\n{AT_REST}\n\nWhat is written must never take part in the cluster that it comes from: what the\nnode had \
     promised may be missing. So it belongs to a cluster of another name,\nwhose only member it is: start it \
     with that name, and with single_node, and add others.\n\n{EXIT_CODES}"
))]
pub(crate) struct SalvageOptions {
    /// A node's directory, damaged or not
    pub(crate) dir: PathBuf,
    /// Where to write; must be empty, or not there
    pub(crate) out: PathBuf,
    /// Name of the cluster that the new directory belongs to [default: the old one's, and -salvaged]
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Id of the node that it belongs to [default: the old one]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) node: Option<u64>,
    /// Where other nodes will reach it [default: where they did]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = format!(
    "Example:\n  seshat backup --to 10.0.0.1:7479 --to 10.0.0.2:7479 --to 10.0.0.3:7479 monday.backup\n\nThe file is verified before it has its name. Where nodes ask for certificates, this\none needs the role \
     admin.\n\n{EXIT_CODES}"
))]
pub(crate) struct BackupOptions {
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// The file to write; must not be there
    pub(crate) file: PathBuf,
    /// Take it from the first node that answers, whether it leads or not: what was acknowledged last may be
    /// missing
    #[arg(long)]
    pub(crate) local: bool,
    /// Seconds after which to give up if nothing comes
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
#[command(after_help = format!(
    "Example:\n  seshat restore monday.backup data/node1 --cluster monday --node 1 --member 1=10.0.0.1:7379 --member \
     2=10.0.0.2:7379 --member 3=10.0.0.3:7379\n\nDo this once for each member, with the same file and the same members, then start all\nof them with the \
     cluster's new name and the new directories. Members that were\nrestored from different files must never \
     meet: nothing tells them apart.\n\n{EXIT_CODES}"
))]
pub(crate) struct RestoreOptions {
    /// What `backup` wrote
    pub(crate) file: PathBuf,
    /// The new member's directory; must be empty, or not there
    pub(crate) dir: PathBuf,
    /// Name of the new cluster: another than that of the old one, so that nobody takes one for the other
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: String,
    /// Whose directory it is
    #[arg(long, value_name = "ID")]
    pub(crate) node: u64,
    /// A member of the new cluster, and where the others reach it; once for each, this one too
    #[arg(long = "member", value_name = "ID=ADDRESS", required = true, value_parser = at)]
    pub(crate) members: Vec<(u64, String)>,
}

/// A node, and where it is.
fn at(text: &str) -> Result<(u64, String), String> {
    let parsed = text.split_once('=').and_then(|(id, address)| {
        id.parse().ok().filter(|_| !address.is_empty()).map(|id| (id, address.to_owned()))
    });
    parsed.ok_or_else(|| "a node's id, an equals sign and HOST:PORT are needed".to_owned())
}

#[cfg(test)]
mod tests;
