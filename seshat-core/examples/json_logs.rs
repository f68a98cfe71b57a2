//! What a node logs: every event with its spans, and every span as it ends, one JSON object a
//! line on standard output.
//!
//! ```text
//! cargo run -p seshat-core --example json_logs | jq
//! ```
//!
//! `RUST_LOG` says what is logged; without it, everything of this crate but its finest traces.

#![allow(missing_docs, reason = "a program, not a library")]

use std::time::Duration;

use seshat_core::config::NodeConfig;
use seshat_core::network::StubNetwork;
use seshat_core::node::RaftNode;
use seshat_core::storage::MemStorage;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("seshat_core=debug")))
        .with_span_events(FmtSpan::CLOSE)
        .init();

    let config = NodeConfig::builder(1).member(1, "127.0.0.1").single_node().build()?;
    let node = RaftNode::start(config, MemStorage::new(), StubNetwork).await?;
    node.initialize().await?;
    node.wait_for_leader(PATIENCE).await?;

    node.set("greeting", "hello").await?;

    let applied = node.last_applied();
    node.trigger_snapshot().await?;
    node.wait_until(PATIENCE, "a snapshot", |now| now.snapshot >= applied).await?;

    node.shutdown().await;
    Ok(())
}
