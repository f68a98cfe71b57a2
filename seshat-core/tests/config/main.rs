//! What makes a node's configuration valid, and what is said of one that is not.

mod law;
mod longest;
mod rules;
mod sample;
mod text;

use std::time::Duration;

use seshat_core::config::{ConfigError, NodeConfig, NodeConfigBuilder, Violation};

const U32_MAX: u64 = u32::MAX as u64;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One of `ids`, everything else by default.
fn node_of(id: u64, ids: impl IntoIterator<Item = u64>) -> NodeConfigBuilder {
    ids.into_iter()
        .fold(NodeConfig::builder(id), |builder, id| builder.member(id, format!("n{id}")))
}

fn valid() -> NodeConfigBuilder {
    node_of(1, 1..=3)
}

/// The only node, at `address`.
fn alone_at(address: &str) -> NodeConfigBuilder {
    NodeConfig::builder(1).single_node().member(1, address)
}

fn violations(result: Result<NodeConfig, ConfigError>) -> Vec<Violation> {
    match result {
        Ok(_) => Vec::new(),
        Err(ConfigError::Invalid(violations)) => violations,
        Err(error) => unreachable!("nothing was read: {error:?}"),
    }
}

/// What is said of a configuration; nothing if it is accepted.
fn said(builder: NodeConfigBuilder) -> String {
    builder.build().err().map(|error| error.to_string()).unwrap_or_default()
}
