//! Reads what a node of Seshat's first generation exported, says what was taken over and what was
//! not, and serves its keys from a running node.
//!
//! ```text
//! cargo run --example import-legacy --features legacy -- PATH
//! ```
//!
//! `PATH` is a directory or a stream, as `seshat_core::legacy::Export` has them;
//! `fixtures/legacy/prost/node` is one to try. It is only read. Keys to read are taken from the
//! command line after it; without any, it says how many there are.
//!
//! The node is alone with its network, so that it serves what was committed and leads only if it is
//! the one voter.

#![allow(missing_docs, reason = "a program, not a library")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use seshat_core::config::NodeConfig;
use seshat_core::legacy::{Export, Imported};
use seshat_core::network::StubNetwork;
use seshat_core::node::RaftNode;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
#[command(name = "import-legacy", about = "Imports what a node of the first generation exported.")]
struct Arguments {
    /// A directory, or a file that holds a stream
    path: PathBuf,
    /// Keys to read
    keys: Vec<String>,
    /// The node's id
    #[arg(long, default_value_t = 1)]
    node: u64,
    /// Where a member is, as ID=ADDRESS; `node-ID` for those that aren't named
    #[arg(long = "member", value_parser = member)]
    members: Vec<(u64, String)>,
}

fn member(text: &str) -> Result<(u64, String), String> {
    let (id, address) = text.split_once('=').ok_or("expected ID=ADDRESS")?;
    let id = id.parse().map_err(|error| format!("{id:?} is no id: {error}"))?;
    Ok((id, address.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse(), &mut io::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell anyone if standard error fails.
            let _ = writeln!(io::stderr(), "import-legacy: {}", Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let named: BTreeMap<u64, String> = arguments.members.into_iter().collect();
    let address = |id| Some(named.get(&id).cloned().unwrap_or_else(|| format!("node-{id}")));
    let export = Export::read(&arguments.path)?;
    let Imported { storage, summary } = export.import(&address)?;
    writeln!(out, "{summary}")?;

    let id = arguments.node;
    let itself = address(id).unwrap_or_default();
    let config = NodeConfig::builder(id).member(id, itself).joining().build()?;
    let node = RaftNode::start(config, storage, StubNetwork).await?;
    if let Some(committed) = summary.committed {
        node.wait_for_applied(PATIENCE, committed.index).await?;
    }
    let size = node.reader().size();
    writeln!(out, "\nnode {id} serves {} keys of {} bytes", size.keys, size.bytes)?;
    for key in arguments.keys {
        match node.read(key.as_bytes()).await? {
            Some(value) => writeln!(out, "{key} = {}", value.escape_ascii())?,
            None => writeln!(out, "{key} is not there")?,
        }
    }
    node.shutdown().await;
    Ok(())
}

/// Displays an error with all its sources.
struct Chain<'a>(&'a (dyn Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |error| (*error).source())
            .try_for_each(|source| write!(f, ": {source}"))
    }
}
