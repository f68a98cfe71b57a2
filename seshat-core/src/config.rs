//! Stub until the real one lands.
#![allow(missing_docs)]
use crate::operation::Limits;
use std::collections::BTreeMap;
use std::time::Duration;
#[derive(Debug, Clone)]
pub struct BatchConfig {
    pub max_operations: usize,
    pub max_bytes: usize,
    pub queue_bytes: usize,
}
#[derive(Debug, Clone)]
pub struct SnapshotConfig {
    pub min_log_bytes: u64,
    pub growth_percent: u32,
    pub logs_to_keep: u64,
}
#[derive(Debug, Clone)]
pub struct NodeConfig {
    pub node_id: u64,
    pub members: BTreeMap<u64, String>,
    pub batch: BatchConfig,
    pub snapshot: SnapshotConfig,
    pub limits: Limits,
}
pub struct NodeConfigBuilder(NodeConfig);
impl NodeConfig {
    pub fn builder(id: u64) -> NodeConfigBuilder {
        NodeConfigBuilder(NodeConfig {
            node_id: id,
            members: BTreeMap::new(),
            batch: BatchConfig { max_operations: 1024, max_bytes: 1 << 20, queue_bytes: 64 << 20 },
            snapshot: SnapshotConfig {
                min_log_bytes: 64 << 20,
                growth_percent: 100,
                logs_to_keep: 1000,
            },
            limits: Limits::default(),
        })
    }
    pub fn node_id(&self) -> u64 {
        self.node_id
    }
    pub fn members(&self) -> &BTreeMap<u64, String> {
        &self.members
    }
    pub fn batch(&self) -> &BatchConfig {
        &self.batch
    }
    pub fn snapshot(&self) -> &SnapshotConfig {
        &self.snapshot
    }
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
    pub fn propose_timeout(&self) -> Duration {
        Duration::from_secs(5)
    }
    pub fn election_timeout_max(&self) -> Duration {
        Duration::from_secs(1)
    }
    pub fn raft_config(&self) -> openraft::Config {
        openraft::Config {
            heartbeat_interval: 100,
            election_timeout_min: 500,
            election_timeout_max: 1000,
            install_snapshot_timeout: 5000,
            snapshot_policy: openraft::SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: self.snapshot.logs_to_keep,
            ..Default::default()
        }
    }
}
impl NodeConfigBuilder {
    pub fn member(mut self, id: u64, a: impl Into<String>) -> Self {
        self.0.members.insert(id, a.into());
        self
    }
    pub fn single_node(self) -> Self {
        self
    }
    pub fn build(self) -> Result<NodeConfig, std::convert::Infallible> {
        Ok(self.0)
    }
}
