//! Puts a configuration together and checks it.
//!
//! Guarantees: the only way to a [`NodeConfig`], so this is where every rule is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::{normalise, with_port};
use super::carried::{self, MOST_IN_AN_ENTRY};
use super::error::Millis;
use super::{
    BatchConfig, ConfigError, Field, GrpcConfig, MAX_DURATION, NodeConfig, Rule, SnapshotConfig,
    Violation,
};
use crate::operation::Limits;
use crate::types::NodeId;

const MOST: u64 = u32::MAX as u64;
/// Every node takes messages of that size, whatever its limits.
const MOST_IN_A_CHUNK: u64 = 1 << 20;
/// Eight for each of fifteen other members, and for all who are no members.
const FEWEST_PEER_CALLS: u64 = 128;

/// A DNS name has 253 bytes (RFC 1035, section 2.3.4), of which a node's own part takes 26.
const MOST_IN_A_DOMAIN: usize = 227;

/// Collects what a [`NodeConfig`] is made of; nothing is checked before
/// [`build`](Self::build).
///
/// Bounds and defaults are documented at the getters of the same name.
#[derive(Debug, Clone)]
#[must_use]
pub struct NodeConfigBuilder {
    pub(super) node_id: NodeId,
    pub(super) members: Vec<(NodeId, String)>,
    pub(super) single_node: bool,
    pub(super) joining: bool,
    pub(super) cluster_name: String,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) metrics_address: Option<String>,
    pub(super) heartbeat_interval: Duration,
    pub(super) election_timeout_min: Duration,
    pub(super) election_timeout_max: Duration,
    pub(super) rpc_timeout: Duration,
    pub(super) propose_timeout: Duration,
    pub(super) max_payload_entries: u64,
    pub(super) max_format: Option<u32>,
    pub(super) batch: BatchConfig,
    pub(super) snapshot: SnapshotConfig,
    pub(super) limits: Limits,
    pub(super) grpc: GrpcConfig,
}

impl NodeConfigBuilder {
    /// Every default, and no members.
    pub(super) fn new(node_id: NodeId) -> Self {
        Self {
            node_id,
            members: Vec::new(),
            single_node: false,
            joining: false,
            cluster_name: "seshat".to_owned(),
            data_dir: None,
            metrics_address: None,
            heartbeat_interval: Duration::from_millis(100),
            election_timeout_min: Duration::from_millis(500),
            election_timeout_max: Duration::from_millis(1000),
            rpc_timeout: Duration::from_secs(5),
            propose_timeout: Duration::from_secs(5),
            max_payload_entries: 300,
            max_format: None,
            batch: BatchConfig::default(),
            snapshot: SnapshotConfig::default(),
            limits: Limits::default(),
            grpc: GrpcConfig::default(),
        }
    }

    /// Adds one of the [`NodeConfig::members`], this node among them. The address is a host name,
    /// an IPv4 address or an IPv6 address, with or without a port: `host`, `host:7379`,
    /// `10.0.0.1`, `::1`, `[::1]` or `[::1]:7379`.
    pub fn member(mut self, id: NodeId, address: impl Into<String>) -> Self {
        self.members.push((id, address.into()));
        self
    }

    /// Asks for a cluster of exactly one member, which survives no loss. Without it there are at
    /// least 3.
    pub fn single_node(mut self) -> Self {
        self.single_node = true;
        self
    }

    /// See [`NodeConfig::joining`].
    pub fn joining(mut self) -> Self {
        self.joining = true;
        self
    }

    /// See [`NodeConfig::cluster_name`].
    pub fn cluster_name(mut self, name: impl Into<String>) -> Self {
        self.cluster_name = name.into();
        self
    }

    /// See [`NodeConfig::data_dir`].
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// See [`NodeConfig::metrics_address`].
    pub fn metrics_address(mut self, address: impl Into<String>) -> Self {
        self.metrics_address = Some(address.into());
        self
    }

    /// See [`NodeConfig::heartbeat_interval`].
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// See [`NodeConfig::election_timeout_min`].
    pub fn election_timeout_min(mut self, timeout: Duration) -> Self {
        self.election_timeout_min = timeout;
        self
    }

    /// See [`NodeConfig::election_timeout_max`].
    pub fn election_timeout_max(mut self, timeout: Duration) -> Self {
        self.election_timeout_max = timeout;
        self
    }

    /// See [`NodeConfig::rpc_timeout`].
    pub fn rpc_timeout(mut self, timeout: Duration) -> Self {
        self.rpc_timeout = timeout;
        self
    }

    /// See [`NodeConfig::propose_timeout`].
    pub fn propose_timeout(mut self, timeout: Duration) -> Self {
        self.propose_timeout = timeout;
        self
    }

    /// See [`NodeConfig::max_payload_entries`].
    pub fn max_payload_entries(mut self, entries: u64) -> Self {
        self.max_payload_entries = entries;
        self
    }

    /// See [`NodeConfig::max_format`].
    pub fn max_format(mut self, format: u32) -> Self {
        self.max_format = Some(format);
        self
    }

    /// See [`NodeConfig::batch`].
    pub fn batch(mut self, batch: BatchConfig) -> Self {
        self.batch = batch;
        self
    }

    /// See [`NodeConfig::snapshot`].
    pub fn snapshot(mut self, snapshot: SnapshotConfig) -> Self {
        self.snapshot = snapshot;
        self
    }

    /// See [`NodeConfig::limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// See [`NodeConfig::grpc`].
    pub fn grpc(mut self, grpc: GrpcConfig) -> Self {
        self.grpc = grpc;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every rule that is broken.
    pub fn build(self) -> Result<NodeConfig, ConfigError> {
        let mut broken = Broken::default();
        broken.unless(self.node_id >= 1, Field::NodeId, self.node_id, Rule::AtLeast(1));
        let members = self.check_members(&mut broken);
        if self.cluster_name.is_empty() {
            broken.add(Field::ClusterName, "\"\"", Rule::NotEmpty);
        } else if self.grpc.tls.is_some() && !is_domain(&self.cluster_name) {
            broken.add(Field::ClusterName, format!("{:?}", self.cluster_name), Rule::Domain);
        }
        if self.data_dir.as_deref() == Some(Path::new("")) {
            broken.add(Field::DataDir, "\"\"", Rule::NotEmpty);
        }
        let metrics_address = self.metrics_address.as_deref().and_then(|given| {
            let rules = with_port(given).map_err(|rules| {
                for rule in rules {
                    broken.add(Field::MetricsAddress, format!("{given:?}"), rule);
                }
            });
            rules.ok()
        });
        self.check_durations(&mut broken);
        self.check_amounts(&mut broken);
        self.check_products(&mut broken);
        if !broken.0.is_empty() {
            return Err(ConfigError::Invalid(broken.0));
        }
        Ok(NodeConfig {
            node_id: self.node_id,
            members,
            joining: self.joining,
            cluster_name: self.cluster_name,
            data_dir: self.data_dir,
            metrics_address,
            heartbeat_interval: self.heartbeat_interval,
            election_timeout_min: self.election_timeout_min,
            election_timeout_max: self.election_timeout_max,
            rpc_timeout: self.rpc_timeout,
            propose_timeout: self.propose_timeout,
            max_payload_entries: self.max_payload_entries,
            max_format: self.max_format,
            batch: self.batch,
            snapshot: self.snapshot,
            limits: self.limits,
            grpc: self.grpc,
        })
    }

    fn check_members(&self, broken: &mut Broken) -> BTreeMap<NodeId, String> {
        let mut members: Vec<(NodeId, String)> = Vec::with_capacity(self.members.len());
        for (id, given) in &self.members {
            let field = Field::MemberAddress { id: *id };
            broken.unless(*id >= 1, Field::MemberId, id, Rule::AtLeast(1));
            let new = members.iter().all(|(other, _)| other != id);
            broken.unless(new, Field::MemberId, id, Rule::UniqueId);
            let address = normalise(given).unwrap_or_else(|rules| {
                for rule in rules {
                    broken.add(field, format!("{given:?}"), rule);
                }
                given.clone()
            });
            let holder = members.iter().find(|(other, at)| other != id && *at == address);
            if let Some((other, _)) = holder {
                broken.add(field, format!("{address:?}"), Rule::UniqueAddress(*other));
            }
            members.push((*id, address));
        }

        let members: BTreeMap<_, _> = members.into_iter().collect();
        let ids = || format!("{:?}", members.keys().collect::<Vec<_>>());
        let count = members.len();
        if self.joining {
            broken.unless(count >= 1, Field::Members, ids(), Rule::AtLeastOneMember);
            broken.unless(!self.single_node, Field::SingleNode, true, Rule::NotWhileJoining);
            return members;
        }
        if self.single_node {
            broken.unless(count == 1, Field::Members, ids(), Rule::OneMember);
        } else {
            broken.unless(count >= 3, Field::Members, ids(), Rule::AtLeastThreeMembers);
            broken.unless(count % 2 == 1, Field::Members, ids(), Rule::OddMembers);
        }
        let included = members.contains_key(&self.node_id);
        broken.unless(included, Field::NodeId, self.node_id, Rule::Member);
        members
    }

    fn check_durations(&self, broken: &mut Broken) {
        let (heartbeat, min, max) =
            (self.heartbeat_interval, self.election_timeout_min, self.election_timeout_max);
        for (field, duration) in [
            (Field::HeartbeatInterval, heartbeat),
            (Field::ElectionTimeoutMin, min),
            (Field::ElectionTimeoutMax, max),
            (Field::RpcTimeout, self.rpc_timeout),
            (Field::ProposeTimeout, self.propose_timeout),
            (Field::GrpcConnectTimeout, self.grpc.connect_timeout),
        ] {
            let value = Millis(duration);
            broken.unless(!duration.is_zero(), field, value, Rule::AtLeast(1));
            broken.unless(value.fraction() == 0, field, value, Rule::WholeMilliseconds);
            let most = super::millis(MAX_DURATION);
            broken.unless(duration <= MAX_DURATION, field, value, Rule::AtMost(most));
        }
        let rule = Rule::MoreThanHeartbeat(heartbeat);
        broken.unless(min > heartbeat, Field::ElectionTimeoutMin, Millis(min), rule);
        let rule = Rule::MoreThanElectionMin(min);
        broken.unless(max > min, Field::ElectionTimeoutMax, Millis(max), rule);
    }

    fn check_amounts(&self, broken: &mut Broken) {
        let Self { batch, snapshot, limits, grpc, max_payload_entries, .. } = self;
        for (field, value) in [
            (Field::MaxPayloadEntries, *max_payload_entries),
            (Field::BatchMaxOperations, batch.max_operations as u64),
            (Field::BatchMaxBytes, batch.max_bytes as u64),
            (Field::SnapshotMinLogBytes, snapshot.min_log_bytes),
            (Field::SnapshotGrowthPercent, snapshot.growth_percent.into()),
            (Field::LimitsMaxKeyBytes, limits.max_key_bytes as u64),
            (Field::LimitsMaxDelKeys, limits.max_del_keys as u64),
            (Field::GrpcMaxConnections, grpc.max_connections as u64),
            (Field::GrpcMaxCalls, grpc.max_calls.into()),
            (Field::GrpcMaxPeerBytes, grpc.max_peer_bytes),
            (Field::GrpcMaxClientCalls, grpc.max_client_calls as u64),
            (Field::GrpcMaxClientBytes, grpc.max_client_bytes),
            (Field::GrpcSnapshotChunkBytes, grpc.snapshot_chunk_bytes as u64),
            (Field::GrpcMaxSnapshotBytes, grpc.max_snapshot_bytes),
        ] {
            broken.unless(value >= 1, field, value, Rule::AtLeast(1));
        }
        if let Some(format) = self.max_format {
            broken.unless(format >= 1, Field::MaxFormat, format, Rule::AtLeast(1));
        }
        let filled = batch.queue_bytes >= batch.max_bytes;
        let rule = Rule::AtLeastMaxBytes(batch.max_bytes);
        broken.unless(filled, Field::BatchQueueBytes, batch.queue_bytes, rule);
        // The queue counts its bytes in 32 bits; openraft adds the entries to a log index.
        for (field, value) in [
            (Field::BatchQueueBytes, batch.queue_bytes as u64),
            (Field::MaxPayloadEntries, *max_payload_entries),
        ] {
            broken.unless(value <= MOST, field, value, Rule::AtMost(MOST));
        }
        let (field, calls) = (Field::GrpcMaxPeerCalls, grpc.max_peer_calls as u64);
        broken.unless(calls >= FEWEST_PEER_CALLS, field, calls, Rule::AtLeast(FEWEST_PEER_CALLS));
        let chunk = grpc.snapshot_chunk_bytes as u64;
        let field = Field::GrpcSnapshotChunkBytes;
        broken.unless(chunk <= MOST_IN_A_CHUNK, field, chunk, Rule::AtMost(MOST_IN_A_CHUNK));
    }

    /// Whatever an entry may carry fits into a message.
    fn check_products(&self, broken: &mut Broken) {
        let Self { batch, limits, .. } = self;
        for (field, value, bytes) in [
            (Field::LimitsMaxValueBytes, limits.max_value_bytes, carried::set_entry(limits)),
            (Field::LimitsMaxDelKeys, limits.max_del_keys, carried::del_entry(limits)),
            (Field::BatchMaxBytes, batch.max_bytes, carried::batch_entry(batch, limits)),
        ] {
            let rule = Rule::Carried { bytes, most: MOST_IN_AN_ENTRY };
            broken.unless(bytes <= MOST_IN_AN_ENTRY, field, value, rule);
        }
    }
}

/// Whether `node-<id>.<name>` is a DNS name for any id, and nothing but case tells it from another's.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        let fits = (1..=63).contains(&label.len());
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        fits && label.bytes().all(known) && !label.starts_with('-') && !label.ends_with('-')
    };
    // The last label must not be taken for a part of an IP address.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= MOST_IN_A_DOMAIN && name.split('.').all(is_label) && !is_number
}

/// The rules broken so far.
#[derive(Default)]
struct Broken(Vec<Violation>);

impl Broken {
    fn add(&mut self, field: Field, value: impl fmt::Display, rule: Rule) {
        self.0.push(Violation { field, value: value.to_string(), rule });
    }

    fn unless(&mut self, kept: bool, field: Field, value: impl fmt::Display, rule: Rule) {
        if !kept {
            self.add(field, value, rule);
        }
    }
}
