//! The shape of the TOML, and nothing else: defaults and rules are the builder's.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{BatchConfig, GrpcConfig, NodeConfigBuilder, SnapshotConfig, TlsConfig};
use crate::operation::Limits;
use crate::types::NodeId;

pub(super) fn parse(text: &str) -> Result<NodeConfigBuilder, toml::de::Error> {
    RawConfig::deserialize(toml::Deserializer::parse(text)?)
}

/// 0 is no node's id, so the builder refuses a configuration without one, along with all else
/// that is wrong with it.
fn defaults() -> NodeConfigBuilder {
    NodeConfigBuilder::new(0)
}

#[derive(Deserialize)]
#[serde(remote = "NodeConfigBuilder", default = "defaults", deny_unknown_fields)]
struct RawConfig {
    node_id: NodeId,
    #[serde(deserialize_with = "members")]
    members: Vec<(NodeId, String)>,
    single_node: bool,
    joining: bool,
    cluster_name: String,
    data_dir: Option<PathBuf>,
    metrics_address: Option<String>,
    #[serde(rename = "heartbeat_ms", deserialize_with = "millis")]
    heartbeat_interval: Duration,
    #[serde(rename = "election_min_ms", deserialize_with = "millis")]
    election_timeout_min: Duration,
    #[serde(rename = "election_max_ms", deserialize_with = "millis")]
    election_timeout_max: Duration,
    #[serde(rename = "rpc_timeout_ms", deserialize_with = "millis")]
    rpc_timeout: Duration,
    #[serde(rename = "propose_timeout_ms", deserialize_with = "millis")]
    propose_timeout: Duration,
    max_payload_entries: u64,
    max_format: Option<u32>,
    #[serde(with = "RawBatch")]
    batch: BatchConfig,
    #[serde(with = "RawSnapshot")]
    snapshot: SnapshotConfig,
    #[serde(with = "RawLimits")]
    limits: Limits,
    #[serde(with = "RawGrpc")]
    grpc: GrpcConfig,
}

#[derive(Deserialize)]
#[serde(remote = "BatchConfig", default = "BatchConfig::default", deny_unknown_fields)]
struct RawBatch {
    max_operations: usize,
    max_bytes: usize,
    queue_bytes: usize,
}

#[derive(Deserialize)]
#[serde(remote = "SnapshotConfig", default = "SnapshotConfig::default", deny_unknown_fields)]
struct RawSnapshot {
    min_log_bytes: u64,
    growth_percent: u32,
    log_bytes_to_keep: u64,
    max_held_log_bytes: u64,
}

#[derive(Deserialize)]
#[serde(remote = "Limits", default = "Limits::default", deny_unknown_fields)]
struct RawLimits {
    max_key_bytes: usize,
    max_value_bytes: usize,
    max_del_keys: usize,
}

#[derive(Deserialize)]
#[serde(remote = "GrpcConfig", default = "GrpcConfig::default", deny_unknown_fields)]
struct RawGrpc {
    #[serde(deserialize_with = "tls")]
    tls: Option<TlsConfig>,
    plaintext: bool,
    #[serde(rename = "connect_timeout_ms", deserialize_with = "millis")]
    connect_timeout: Duration,
    max_connections: usize,
    max_calls: u32,
    max_peer_calls: usize,
    max_peer_bytes: u64,
    max_client_calls: usize,
    max_client_bytes: u64,
    snapshot_chunk_bytes: usize,
    max_snapshot_bytes: u64,
}

#[derive(Deserialize)]
#[serde(remote = "TlsConfig", deny_unknown_fields)]
struct RawTls {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    #[serde(default = "mutual")]
    mutual: bool,
}

fn mutual() -> bool {
    true
}

fn tls<'de, D: Deserializer<'de>>(toml: D) -> Result<Option<TlsConfig>, D::Error> {
    RawTls::deserialize(toml).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    id: NodeId,
    address: String,
}

fn members<'de, D: Deserializer<'de>>(toml: D) -> Result<Vec<(NodeId, String)>, D::Error> {
    let members = Vec::<RawMember>::deserialize(toml)?;
    Ok(members.into_iter().map(|member| (member.id, member.address)).collect())
}

fn millis<'de, D: Deserializer<'de>>(toml: D) -> Result<Duration, D::Error> {
    u64::deserialize(toml).map(Duration::from_millis)
}
