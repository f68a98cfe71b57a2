//! A node's configuration, parsed and validated once.
//!
//! Guarantees: a [`NodeConfig`] keeps every bound that its getters state, whether it came from
//! [code](NodeConfig::builder) or from [TOML](NodeConfig::from_toml). Nobody checks again. Input
//! that breaks a rule is refused with every [`Violation`] in it, not just the first.

mod address;
mod builder;
mod carried;
mod error;
mod grpc;
pub(crate) mod memory;
mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::builder::NodeConfigBuilder;
pub use self::error::{ConfigError, Field, Rule, Violation};
pub use self::grpc::{GrpcConfig, TlsConfig};
use crate::operation::Limits;
use crate::types::NodeId;

/// The port of a member whose address names none.
pub const DEFAULT_RAFT_PORT: u16 = 7379;

/// The longest interval or timeout, 2³² - 1 ms (49 days): openraft adds its durations to each
/// other and to the clock without looking.
pub const MAX_DURATION: Duration = Duration::from_millis(u32::MAX as u64);

/// How much one log entry carries, and how much may wait to be carried.
///
/// In TOML the table `[batch]`; a key that is left out keeps its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    /// Operations that one log entry may carry. At least 1; default 1024.
    pub max_operations: usize,
    /// Bytes of keys and values that one log entry may carry. At least 1, and so that an entry fits
    /// into a message with all that is around each of its keys and values; default 1 MiB.
    pub max_bytes: usize,
    /// Bytes of proposals that may wait before `propose` pushes back, with what is in the log and not
    /// yet committed, whether its caller waits or gave it up. At least [`max_bytes`](Self::max_bytes)
    /// and at most 2³² - 1; default 64 MiB. An operation that is larger waits until it has the queue for
    /// itself.
    pub queue_bytes: usize,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { max_operations: 1024, max_bytes: 1 << 20, queue_bytes: 64 << 20 }
    }
}

/// When a snapshot is taken, and how much of the log stays behind it.
///
/// A snapshot is taken when the log bytes applied since the last one exceed both
/// [`min_log_bytes`](Self::min_log_bytes) and [`growth_percent`](Self::growth_percent) of the
/// last one's size, as Redis rewrites its append-only file by `auto-aof-rewrite-min-size` and
/// `auto-aof-rewrite-percentage`. What snapshots cost thus follows the size of the state: a state
/// ten times as large is written a tenth as often.
///
/// The log is purged when a snapshot is taken, but for
/// [`log_bytes_to_keep`](Self::log_bytes_to_keep). So it holds at most what is kept (and a 64th of
/// that or an entry more), plus what makes the next snapshot due, plus what is written while that is
/// built, plus [`max_held_log_bytes`](Self::max_held_log_bytes) while one is sent. Entries that are
/// not applied yet come on top, and after a start those that were applied before, until as much as is
/// to be kept was applied since.
///
/// In TOML the table `[snapshot]`; a key that is left out keeps its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// Log bytes that are never worth a snapshot. At least 1; default 64 MiB.
    pub min_log_bytes: u64,
    /// Log bytes that are worth a snapshot, in percent of the last one's size. At least 1;
    /// default 400: the log may grow to four times the state, and in return a snapshot is built a
    /// quarter as often as at 100. In a log that is kept in memory the bytes are those of the keys
    /// and values; the entries around them come on top.
    pub growth_percent: u32,
    /// Log bytes kept behind a snapshot, so that a follower that lags less is sent these rather
    /// than the whole state. Default 16 MiB: so much is written in a second or two at full rate,
    /// a pause that is no reason to send a state of any size. 0 keeps none.
    pub log_bytes_to_keep: u64,
    /// Log bytes that are kept on top of that while a snapshot is on its way to a follower, and until
    /// it has what was written meanwhile; with less it would be sent the next snapshot when it has
    /// this one, and so on for as long as writes go on at that rate. Default 1 GiB: ten seconds of
    /// writes at the rate of a link of 1 Gbit/s, or an hour of them at 300 KB/s. Where more is
    /// written during a transfer the log is let go, and the follower is sent the next snapshot. 0
    /// never keeps anything for a transfer.
    pub max_held_log_bytes: u64,
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self {
            min_log_bytes: 64 << 20,
            growth_percent: 400,
            log_bytes_to_keep: 16 << 20,
            max_held_log_bytes: 1 << 30,
        }
    }
}

/// A node's configuration, valid by construction.
///
/// Every duration is a whole number of milliseconds, at least 1 ms and at most [`MAX_DURATION`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    node_id: NodeId,
    members: BTreeMap<NodeId, String>,
    joining: bool,
    cluster_name: String,
    data_dir: Option<PathBuf>,
    metrics_address: Option<String>,
    heartbeat_interval: Duration,
    election_timeout_min: Duration,
    election_timeout_max: Duration,
    rpc_timeout: Duration,
    propose_timeout: Duration,
    max_payload_entries: u64,
    max_format: Option<u32>,
    batch: BatchConfig,
    snapshot: SnapshotConfig,
    limits: Limits,
    grpc: GrpcConfig,
}

impl NodeConfig {
    /// Starts a configuration in code, with every default and no members.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use seshat_core::config::NodeConfig;
    ///
    /// let config = NodeConfig::builder(1)
    ///     .member(1, "seshat-1")
    ///     .member(2, "seshat-2:7400")
    ///     .member(3, "::1")
    ///     .heartbeat_interval(Duration::from_millis(50))
    ///     .build()?;
    ///
    /// assert_eq!(config.members()[&1], "seshat-1:7379");
    /// assert_eq!(config.members()[&2], "seshat-2:7400");
    /// assert_eq!(config.members()[&3], "[::1]:7379");
    /// assert_eq!(config.election_timeout_min(), Duration::from_millis(500));
    /// # Ok::<(), seshat_core::config::ConfigError>(())
    /// ```
    pub fn builder(node_id: NodeId) -> NodeConfigBuilder {
        NodeConfigBuilder::new(node_id)
    }

    /// Reads a configuration from TOML. Only `node_id` and `members` have no default.
    ///
    /// Durations are integers in milliseconds. Every key there is, the optional ones with their
    /// defaults, but for those without one: `data_dir`, `metrics_address`, `max_format` and the table
    /// `[grpc.tls]`.
    ///
    /// ```
    /// use seshat_core::config::NodeConfig;
    ///
    /// let config = NodeConfig::from_toml(r#"
    ///     node_id = 1
    ///     single_node = false
    ///     joining = false
    ///     cluster_name = "seshat"
    ///     heartbeat_ms = 100
    ///     election_min_ms = 500
    ///     election_max_ms = 1000
    ///     rpc_timeout_ms = 5000
    ///     propose_timeout_ms = 5000
    ///     max_payload_entries = 300
    ///
    ///     [[members]]
    ///     id = 1
    ///     address = "10.0.0.1:7379"
    ///     [[members]]
    ///     id = 2
    ///     address = "10.0.0.2:7379"
    ///     [[members]]
    ///     id = 3
    ///     address = "10.0.0.3:7379"
    ///
    ///     [batch]
    ///     max_operations = 1024
    ///     max_bytes = 1_048_576
    ///     queue_bytes = 67_108_864
    ///
    ///     [snapshot]
    ///     min_log_bytes = 67_108_864
    ///     growth_percent = 400
    ///     log_bytes_to_keep = 16_777_216
    ///     max_held_log_bytes = 1_073_741_824
    ///
    ///     [limits]
    ///     max_key_bytes = 65_536
    ///     max_value_bytes = 1_048_576
    ///     max_del_keys = 1024
    ///
    ///     [grpc]
    ///     plaintext = false
    ///     connect_timeout_ms = 5000
    ///     max_connections = 256
    ///     max_calls = 128
    ///     max_peer_calls = 1024
    ///     max_peer_bytes = 268_435_456
    ///     max_client_calls = 1024
    ///     max_client_bytes = 268_435_456
    ///     snapshot_chunk_bytes = 262_144
    ///     max_snapshot_bytes = 17_179_869_184
    /// "#)?;
    ///
    /// let in_code = NodeConfig::builder(1)
    ///     .member(1, "10.0.0.1")
    ///     .member(2, "10.0.0.2")
    ///     .member(3, "10.0.0.3")
    ///     .build()?;
    /// assert_eq!(config, in_code);
    /// # Ok::<(), seshat_core::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::Toml`] if the text is not TOML, has a key that is not above, or a value of
    /// another type; else [`ConfigError::Invalid`] with every rule it breaks.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        raw::parse(text).map_err(ConfigError::Toml)?.build()
    }

    /// This node. At least 1, and one of [`members`](Self::members) unless it is
    /// [`joining`](Self::joining); no default.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The members that a new cluster starts with, this node among them: ids of at least 1, each
    /// at an address of its own. No default.
    ///
    /// They are an odd number and at least 3, or exactly 1 if
    /// [`single_node`](NodeConfigBuilder::single_node) was asked for. Of a node that is
    /// [`joining`](Self::joining) they are the members it asks, at least one.
    ///
    /// An address is a host and a port, `host:7379`, `10.0.0.1:7379` or `[::1]:7379`, with the
    /// name in lower case and the port [`DEFAULT_RAFT_PORT`] where none was given.
    pub fn members(&self) -> &BTreeMap<NodeId, String> {
        &self.members
    }

    /// Whether this node never forms a cluster, but waits until one that was formed adds it. Default
    /// false.
    pub fn joining(&self) -> bool {
        self.joining
    }

    /// Names the cluster. Not empty, and with TLS [part of a DNS name](TlsConfig); default `seshat`.
    pub fn cluster_name(&self) -> &str {
        &self.cluster_name
    }

    /// The directory in which the node keeps what it must not forget, relative to where the process was
    /// started; created where there is none. Not empty; default none, which is for nodes that may be lost
    /// with their process ([`MemStorage`](crate::storage::MemStorage)).
    ///
    /// For whoever opens the node's storage, as the node program does
    /// ([`DiskStorage`](crate::disk::DiskStorage)): [`RaftNode::start`](crate::node::RaftNode::start) takes
    /// what it is given.
    pub fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// Where the node program serves what operators look at, over HTTP and without TLS, to whoever asks:
    /// `/metrics` for Prometheus, `/livez` and `/readyz`. A host and a port, `127.0.0.1:9379`; default none,
    /// where nothing is served. For the program, as [`data_dir`](Self::data_dir) is.
    pub fn metrics_address(&self) -> Option<&str> {
        self.metrics_address.as_deref()
    }

    /// How often a leader tells its followers that it lives. Shorter than
    /// [`election_timeout_min`](Self::election_timeout_min); default 100 ms, in TOML
    /// `heartbeat_ms`.
    pub fn heartbeat_interval(&self) -> Duration {
        self.heartbeat_interval
    }

    /// The soonest that a follower without a leader stands for election. Shorter than
    /// [`election_timeout_max`](Self::election_timeout_max); default 500 ms, in TOML
    /// `election_min_ms`.
    pub fn election_timeout_min(&self) -> Duration {
        self.election_timeout_min
    }

    /// Each node picks its timeout at random below this. Default 1 s, in TOML `election_max_ms`.
    pub fn election_timeout_max(&self) -> Duration {
        self.election_timeout_max
    }

    /// How long a call to another node may take; one that carries much, a large entry or a snapshot, how
    /// long without anything of it moving. Default 5 s, in TOML `rpc_timeout_ms`.
    pub fn rpc_timeout(&self) -> Duration {
        self.rpc_timeout
    }

    /// How long `propose`, a linearizable read or a membership change waits for a quorum.
    /// Default 5 s, in TOML `propose_timeout_ms`.
    pub fn propose_timeout(&self) -> Duration {
        self.propose_timeout
    }

    /// Entries that one AppendEntries call may carry. At least 1 and at most 2³² - 1; default
    /// 300.
    pub fn max_payload_entries(&self) -> u64 {
        self.max_payload_entries
    }

    /// The newest format that the cluster may write while this node is a member of it, so that nodes can
    /// go back to an older version: holds back the cluster, not what the node reads, and has no effect
    /// on a cluster that writes a newer one already. At least 1; default none, so that the format rises
    /// as soon as every member reads it. See the README, "Upgrading".
    pub fn max_format(&self) -> Option<u32> {
        self.max_format
    }

    /// How proposals become log entries.
    pub fn batch(&self) -> &BatchConfig {
        &self.batch
    }

    /// When snapshots are taken.
    pub fn snapshot(&self) -> &SnapshotConfig {
        &self.snapshot
    }

    /// The most that an operation may carry. `max_key_bytes` and `max_del_keys` are at least 1.
    ///
    /// In TOML the table `[limits]`; a key that is left out keeps its default.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How this node is reached over gRPC, and reaches others.
    pub fn grpc(&self) -> &GrpcConfig {
        &self.grpc
    }

    /// The longest message that a node sends or takes in, in bytes: the largest that one AppendEntries
    /// may be as it is encoded, whether it carries one entry of the largest operation or batch, or as
    /// many as one read of the log returns. At most 2³² - 1, which is what gRPC can carry. Members
    /// should agree on what it follows from.
    pub fn max_message_bytes(&self) -> usize {
        carried::message(&self.batch, &self.limits, self.max_payload_entries)
    }

    /// What openraft is told, which passes its own validation.
    ///
    /// An entry is a batch, of a few bytes or of many, so nothing is left to a number of entries. Of
    /// openraft's options that count them:
    ///
    /// - `snapshot_policy` is "never": the node triggers snapshots itself, by [size](SnapshotConfig).
    /// - `max_in_snapshot_log_to_keep` is endless, so that openraft never purges by itself: the node
    ///   does, by [bytes](SnapshotConfig::log_bytes_to_keep). `purge_batch_size`, the least that
    ///   openraft would purge by itself, has no effect then; it is 1, as 0 would be a purge of nothing.
    /// - `replication_lag_threshold` is 0. openraft asks it only when it waits for a learner, which
    ///   the node does itself ([`add_learner`](crate::node::RaftNode::add_learner)); through
    ///   openraft's own handle, "caught up" then means just that.
    /// - [`max_payload_entries`](Self::max_payload_entries) may stay: the log's reads are bounded
    ///   by bytes besides, so it only bounds the number of entries in one call, which cost their
    ///   heads and an allocation each.
    ///
    /// In bytes: `snapshot_max_chunk_size`, for transports that send snapshots in openraft's chunks,
    /// is [`snapshot_chunk_bytes`](GrpcConfig::snapshot_chunk_bytes): a chunk has one
    /// [`rpc_timeout`](Self::rpc_timeout) to arrive, and openraft's 3 MiB never would on a slow link.
    /// In time: heartbeat and election timeouts; `install_snapshot_timeout` is
    /// [`rpc_timeout`](Self::rpc_timeout), and the deprecated `send_snapshot_timeout` 0, which means
    /// the same. The rest are switches, all of them on.
    ///
    /// openraft's metrics say indices (`last_log_index`, `last_applied`, `snapshot`, `purged`,
    /// `replication`), which the node compares but never subtracts, and `millis_since_quorum_ack`.
    pub fn raft_config(&self) -> openraft::Config {
        openraft::Config {
            cluster_name: self.cluster_name.clone(),
            heartbeat_interval: millis(self.heartbeat_interval),
            election_timeout_min: millis(self.election_timeout_min),
            election_timeout_max: millis(self.election_timeout_max),
            install_snapshot_timeout: millis(self.rpc_timeout),
            max_payload_entries: self.max_payload_entries,
            snapshot_policy: openraft::SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            purge_batch_size: 1,
            replication_lag_threshold: 0,
            snapshot_max_chunk_size: self.grpc.snapshot_chunk_bytes as u64,
            ..openraft::Config::default()
        }
    }
}

/// Exact for every duration of a [`NodeConfig`].
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
