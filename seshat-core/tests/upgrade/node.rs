//! One node, as a process: it is asked by lines on standard input, `NUMBER COMMAND`, and answers each by
//! one on standard output, `NUMBER ok|no WORDS`. Number 0 is how it was admitted.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::BufRead;

use openraft::error::{ClientWriteError, RaftError};
use seshat_core::config::NodeConfig;
use seshat_core::error::ProposeError;
use seshat_core::network::grpc::{GrpcServer, GrpcTransport};
use seshat_core::node::RaftNode;
use seshat_core::operation::Operation;
use seshat_core::storage::MemStorage;
use seshat_core::types::{Node, RaftMetrics};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::DEADLINE;
use crate::process::Answer;

/// The test below, as the harness calls it.
pub(crate) const NAME: &str = "node::a_process_that_is_told_so_is_a_node";
/// The variable with a node's configuration.
pub(crate) const CONFIG: &str = "SESHAT_UPGRADE_CONFIG";
/// The variable with the address at which it listens.
pub(crate) const LISTEN: &str = "SESHAT_UPGRADE_LISTEN";
/// Before each answer, as the harness writes into the same line.
pub(crate) const MARK: char = '\u{1}';

#[test]
fn a_process_that_is_told_so_is_a_node() {
    // Run as one of all tests, it is none.
    let Ok(config) = std::env::var(CONFIG) else { return };
    let config = NodeConfig::from_toml(&config).unwrap();
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    log.with_max_level(tracing::Level::INFO).init();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(config));
}

async fn run(config: NodeConfig) {
    let listener = TcpListener::bind(std::env::var(LISTEN).unwrap()).await.unwrap();
    let transport = GrpcTransport::new(&config).unwrap();
    let node = RaftNode::start(config, MemStorage::new(), transport.clone()).await.unwrap();
    let server = GrpcServer::start(&node, &transport, listener, Default::default()).await.unwrap();
    let (lines, mut asked) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
        // Whoever started it is gone.
        std::process::exit(1);
    });
    match server.admit().await {
        Ok(admission) => say("0", Ok(format!("{admission:?}"))),
        Err(error) => return say("0", Err(error.to_string())),
    }
    while let Some(line) = asked.recv().await {
        let (number, command) = line.split_once(' ').expect("a number and a command");
        if command == "stop" {
            node.shutdown().await;
            server.shutdown().await;
            return say(number, Ok(String::new()));
        }
        let (node, number, command) = (node.clone(), number.to_owned(), command.to_owned());
        tokio::spawn(async move { say(&number, answer(&node, &command).await) });
    }
}

fn say(number: &str, answer: Answer) {
    match answer {
        Ok(words) => println!("{MARK}{number} ok {words}"),
        Err(words) => println!("{MARK}{number} no {words}"),
    }
}

fn no(error: impl Display) -> String {
    error.to_string()
}

async fn answer(node: &RaftNode, command: &str) -> Answer {
    let words: Vec<&str> = command.split(' ').collect();
    let limits = *node.limits();
    match words[..] {
        ["set", key, value] => {
            let set = Operation::set(key.to_owned(), value.to_owned(), &limits);
            propose(node, set.map_err(no)?).await
        }
        ["append", key, value] => {
            let append = Operation::next_append(key.to_owned(), value.to_owned(), &limits);
            propose(node, append.map_err(no)?).await
        }
        ["prepend", key, value] => {
            let set = Operation::next_prepend(key.to_owned(), value.to_owned(), &limits);
            propose(node, set.map_err(no)?).await
        }
        ["get", key] => {
            let value = node.read_linearizable(key.as_bytes()).await.map_err(no)?;
            Ok(String::from_utf8(value.unwrap_or_default().to_vec()).unwrap())
        }
        ["status"] => Ok(status(node)),
        ["add", id, address] => add(node, id.parse().unwrap(), address).await,
        ["remove", id] => {
            let voters = voters(node).into_iter().filter(|voter| voter.to_string() != id);
            node.change_membership(voters.collect(), false).await.map_err(no)?;
            Ok(String::new())
        }
        // Past all that the node looks at.
        ["force", id, address] => {
            let (id, learner) = (id.parse().unwrap(), Node::new(address));
            let added = node.raft().add_learner(id, learner, false).await;
            added.map(|_| String::new()).map_err(|error| match error {
                RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => no("not the leader"),
                error => no(error),
            })
        }
        ["snapshot"] => snapshot(node).await,
        _ => panic!("what is {command:?}?"),
    }
}

async fn propose(node: &RaftNode, operation: Operation) -> Answer {
    match node.propose(operation).await {
        Ok(_) => Ok(String::new()),
        Err(error @ ProposeError::NotLeader(_)) => Err(format!("not the leader: {error}")),
        Err(error @ ProposeError::Format { .. }) => Err(format!("format: {error}")),
        Err(error) => Err(format!("unknown: {error}")),
    }
}

fn voters(node: &RaftNode) -> BTreeSet<u64> {
    node.metrics().borrow().membership_config.membership().voter_ids().collect()
}

async fn add(node: &RaftNode, id: u64, address: &str) -> Answer {
    node.add_learner(id, address).await.map_err(no)?;
    let mut voters = voters(node);
    voters.insert(id);
    node.change_membership(voters, true).await.map_err(no)?;
    Ok(String::new())
}

fn status(node: &RaftNode) -> String {
    let (leads, format, keys) = (node.is_leader(), node.format(), node.reader().size().keys);
    let applied = node.last_applied().map_or(0, |last| last.index);
    format!("{leads} {format} {applied} {keys} {:032x}", node.reader().digest())
}

/// Has the log begin behind a snapshot.
async fn snapshot(node: &RaftNode) -> Answer {
    node.trigger_snapshot().await.map_err(no)?;
    let at = node.last_applied().map_or(0, |last| last.index);
    let built = |now: &RaftMetrics| now.snapshot.is_some_and(|id| id.index >= at);
    let now = node.wait_until(DEADLINE, "a snapshot", built).await.map_err(no)?;
    node.trigger_purge(now.snapshot.map_or(0, |id| id.index)).await.map_err(no)?;
    Ok(String::new())
}
