//! Why a configuration was refused.

use std::fmt;
use std::time::Duration;

#[cfg(doc)]
use super::{BatchConfig, GrpcConfig, NodeConfig, SnapshotConfig};
#[cfg(doc)]
use crate::operation::Limits;
use crate::types::NodeId;

/// No configuration came of the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or a key or type that a configuration does not have. The source says where.
    #[error("the configuration can't be read")]
    Toml(#[source] toml::de::Error),
    /// It reads well but breaks rules. Displays as one line for each [`Violation`].
    #[error("{}", Lines(.0))]
    Invalid(
        /// Every rule that it breaks; at least one.
        Vec<Violation>,
    ),
}

struct Lines<'a>(&'a [Violation]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

/// A field whose value breaks a rule. Displays as one line, `field: value: rule`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value}: {rule}")]
pub struct Violation {
    /// Where.
    pub field: Field,
    /// What was given, as displayed: strings quoted, durations in milliseconds, an address that
    /// two members share as both come to mean it.
    pub value: String,
    /// What is asked for instead.
    pub rule: Rule,
}

/// A field of the configuration. Displays as its name in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// See [`NodeConfig::node_id`].
    NodeId,
    /// All ids of [`NodeConfig::members`].
    Members,
    /// See [`NodeConfigBuilder::single_node`](super::NodeConfigBuilder::single_node).
    SingleNode,
    /// One id of [`NodeConfig::members`].
    MemberId,
    /// One address of [`NodeConfig::members`].
    MemberAddress {
        /// The member's id.
        id: NodeId,
    },
    /// See [`NodeConfig::cluster_name`].
    ClusterName,
    /// See [`NodeConfig::data_dir`].
    DataDir,
    /// See [`NodeConfig::metrics_address`].
    MetricsAddress,
    /// See [`NodeConfig::heartbeat_interval`].
    HeartbeatInterval,
    /// See [`NodeConfig::election_timeout_min`].
    ElectionTimeoutMin,
    /// See [`NodeConfig::election_timeout_max`].
    ElectionTimeoutMax,
    /// See [`NodeConfig::rpc_timeout`].
    RpcTimeout,
    /// See [`NodeConfig::propose_timeout`].
    ProposeTimeout,
    /// See [`NodeConfig::max_payload_entries`].
    MaxPayloadEntries,
    /// See [`NodeConfig::max_format`].
    MaxFormat,
    /// See [`BatchConfig::max_operations`].
    BatchMaxOperations,
    /// See [`BatchConfig::max_bytes`].
    BatchMaxBytes,
    /// See [`BatchConfig::queue_bytes`].
    BatchQueueBytes,
    /// See [`SnapshotConfig::min_log_bytes`].
    SnapshotMinLogBytes,
    /// See [`SnapshotConfig::growth_percent`].
    SnapshotGrowthPercent,
    /// See [`Limits::max_key_bytes`].
    LimitsMaxKeyBytes,
    /// See [`Limits::max_value_bytes`].
    LimitsMaxValueBytes,
    /// See [`Limits::max_del_keys`].
    LimitsMaxDelKeys,
    /// See [`GrpcConfig::connect_timeout`].
    GrpcConnectTimeout,
    /// See [`GrpcConfig::max_connections`].
    GrpcMaxConnections,
    /// See [`GrpcConfig::max_calls`].
    GrpcMaxCalls,
    /// See [`GrpcConfig::max_peer_calls`].
    GrpcMaxPeerCalls,
    /// See [`GrpcConfig::max_peer_bytes`].
    GrpcMaxPeerBytes,
    /// See [`GrpcConfig::max_client_calls`].
    GrpcMaxClientCalls,
    /// See [`GrpcConfig::max_client_bytes`].
    GrpcMaxClientBytes,
    /// See [`GrpcConfig::snapshot_chunk_bytes`].
    GrpcSnapshotChunkBytes,
    /// See [`GrpcConfig::max_snapshot_bytes`].
    GrpcMaxSnapshotBytes,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeId => "node_id",
            Self::Members => "members",
            Self::SingleNode => "single_node",
            Self::MemberId => "members.id",
            Self::MemberAddress { id } => return write!(f, "members[id = {id}].address"),
            Self::ClusterName => "cluster_name",
            Self::DataDir => "data_dir",
            Self::MetricsAddress => "metrics_address",
            Self::HeartbeatInterval => "heartbeat_ms",
            Self::ElectionTimeoutMin => "election_min_ms",
            Self::ElectionTimeoutMax => "election_max_ms",
            Self::RpcTimeout => "rpc_timeout_ms",
            Self::ProposeTimeout => "propose_timeout_ms",
            Self::MaxPayloadEntries => "max_payload_entries",
            Self::MaxFormat => "max_format",
            Self::BatchMaxOperations => "batch.max_operations",
            Self::BatchMaxBytes => "batch.max_bytes",
            Self::BatchQueueBytes => "batch.queue_bytes",
            Self::SnapshotMinLogBytes => "snapshot.min_log_bytes",
            Self::SnapshotGrowthPercent => "snapshot.growth_percent",
            Self::LimitsMaxKeyBytes => "limits.max_key_bytes",
            Self::LimitsMaxValueBytes => "limits.max_value_bytes",
            Self::LimitsMaxDelKeys => "limits.max_del_keys",
            Self::GrpcConnectTimeout => "grpc.connect_timeout_ms",
            Self::GrpcMaxConnections => "grpc.max_connections",
            Self::GrpcMaxCalls => "grpc.max_calls",
            Self::GrpcMaxPeerCalls => "grpc.max_peer_calls",
            Self::GrpcMaxPeerBytes => "grpc.max_peer_bytes",
            Self::GrpcMaxClientCalls => "grpc.max_client_calls",
            Self::GrpcMaxClientBytes => "grpc.max_client_bytes",
            Self::GrpcSnapshotChunkBytes => "grpc.snapshot_chunk_bytes",
            Self::GrpcMaxSnapshotBytes => "grpc.max_snapshot_bytes",
        })
    }
}

/// What a field must be. Displays as just that: `at least 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A lower bound, inclusive.
    AtLeast(
        /// The bound; of a duration, in milliseconds.
        u64,
    ),
    /// An upper bound, inclusive.
    AtMost(
        /// The bound; of a duration, in milliseconds.
        u64,
    ),
    /// openraft counts milliseconds.
    WholeMilliseconds,
    /// The election timeout's minimum outlasts a heartbeat.
    MoreThanHeartbeat(
        /// The heartbeat interval.
        Duration,
    ),
    /// The election timeout's maximum exceeds its minimum.
    MoreThanElectionMin(
        /// The minimum.
        Duration,
    ),
    /// What waits can fill an entry.
    AtLeastMaxBytes(
        /// The batch's `max_bytes`.
        usize,
    ),
    /// The largest entry that the field allows, together with the other limits, fits into a message.
    Carried {
        /// The entry's length as encoded; [`usize::MAX`] if that can't be counted.
        bytes: usize,
        /// What fits.
        most: usize,
    },
    /// Text, a path, or a host before the port.
    NotEmpty,
    /// Part of a DNS name, as certificates name nodes by it.
    Domain,
    /// A name or an IP address; an IPv6 address in brackets if a port follows.
    Host,
    /// A decimal number.
    Port,
    /// One member for each id.
    UniqueId,
    /// One member for each address.
    UniqueAddress(
        /// The member that has it already.
        NodeId,
    ),
    /// The node is one of its cluster's members.
    Member,
    /// The fewest that survive the loss of one.
    AtLeastThreeMembers,
    /// A single node was asked for.
    OneMember,
    /// A node that joins asks somebody.
    AtLeastOneMember,
    /// A single node joins nobody.
    NotWhileJoining,
    /// An even number survives no more losses than one less would.
    OddMembers,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeast(min) => return write!(f, "at least {min}"),
            Self::AtMost(max) => return write!(f, "at most {max}"),
            Self::WholeMilliseconds => "a whole number of milliseconds",
            Self::MoreThanHeartbeat(heartbeat) => {
                return write!(f, "more than heartbeat_ms ({})", Millis(*heartbeat));
            }
            Self::MoreThanElectionMin(min) => {
                return write!(f, "more than election_min_ms ({})", Millis(*min));
            }
            Self::AtLeastMaxBytes(bytes) => {
                return write!(f, "at least batch.max_bytes ({bytes})");
            }
            Self::Carried { bytes: usize::MAX, most } => {
                return write!(f, "allows an entry of more bytes than can be counted, at most {most} fit into a message");
            }
            Self::Carried { bytes, most } => {
                return write!(f, "allows an entry of {bytes} bytes as encoded, at most {most} fit into a message");
            }
            Self::NotEmpty => "not empty",
            Self::Domain => {
                "labels of a-z, 0-9 and hyphens with dots between them, at most 227 bytes, the last no \
                 number, as certificates (grpc.tls) name nodes by it"
            }
            Self::Host => "a host name or an IP address (IPv6 in brackets if a port follows)",
            Self::Port => "a port in 1..=65535",
            Self::UniqueId => "an id that no other member has",
            Self::UniqueAddress(other) => {
                return write!(f, "not the address of member {other}, too");
            }
            Self::Member => "one of members",
            Self::AtLeastThreeMembers => "at least 3 members unless single_node is set",
            Self::OneMember => "exactly 1 member if single_node is set",
            Self::AtLeastOneMember => "at least 1 member to ask if joining is set",
            Self::NotWhileJoining => "not together with joining",
            Self::OddMembers => "an odd number of members",
        })
    }
}

/// Displays a duration exactly, in milliseconds: `100`, `1.5`.
#[derive(Clone, Copy)]
pub(super) struct Millis(pub(super) Duration);

impl Millis {
    /// Nanoseconds beyond the last whole millisecond.
    pub(super) fn fraction(self) -> u32 {
        self.0.subsec_nanos() % 1_000_000
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_millis())?;
        match self.fraction() {
            0 => Ok(()),
            nanos => write!(f, ".{}", format!("{nanos:06}").trim_end_matches('0')),
        }
    }
}
