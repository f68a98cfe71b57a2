//! What the gRPC transport is given.

use std::path::PathBuf;
use std::time::Duration;

/// How this node reaches others over gRPC, and lets itself be reached. Means nothing to other
/// transports.
///
/// In TOML the table `[grpc]`; a key that is left out keeps its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcConfig {
    /// Certificates; without them everything is sent as it is. Default none. In TOML the table
    /// `[grpc.tls]`.
    pub tls: Option<TlsConfig>,
    /// Allows to go without TLS where a node is called, or this one listens, at an address that isn't
    /// of the loopback interface. Default false.
    pub plaintext: bool,
    /// How long a connection may take to come about, from either end's view: whoever connects has
    /// shaken hands and begun to speak HTTP/2 by then, or is hung up on. At least 1 ms; default 5 s,
    /// in TOML `connect_timeout_ms`.
    pub connect_timeout: Duration,
    /// Connections that are served at once to other nodes, each of which uses up to three, and as
    /// many again to clients, on their own listener. One more takes the place of one that nothing was
    /// done for yet, or of a client's that is idle; where there is none it is closed at once. At least
    /// 1; default 256.
    pub max_connections: usize,
    /// Calls that each of them may have under way. At least 1 and at most 2³² - 1; default 128.
    pub max_calls: u32,
    /// Calls of other nodes that may be under way together; one more is refused at once. A member may
    /// have a 16th of them, and so may all together who are no members. At least 128; default 1024.
    pub max_peer_calls: usize,
    /// Bytes of messages of other nodes that may be under way together, of those that are longer than
    /// 64 KiB: each takes its length before it is read, and until it is answered. A member may have half
    /// of them, and so may all together who are no members. Who finds no room waits, and is refused
    /// after half an `rpc_timeout`. At least 1; less than one
    /// [message](super::NodeConfig::max_message_bytes) counts as one. Default 256 MiB: one message of
    /// each of three senders, with everything else at its default.
    pub max_peer_bytes: u64,
    /// Calls of clients that may be under way together, of all services that are served beside the
    /// transport, health checks among them; one more is refused at once. At least 1; default 1024. Watches
    /// of the health service and conversations with the reflection service, which end when a client likes,
    /// have 64 places beside.
    pub max_client_calls: usize,
    /// As [`max_peer_bytes`](Self::max_peer_bytes), of clients' messages, but for the halves. At least 1;
    /// less than one message counts as one. Default 256 MiB.
    pub max_client_bytes: u64,
    /// Bytes of a snapshot in one message, some of which must arrive within each `rpc_timeout`. At
    /// least 1 and at most 1 MiB; default 256 KiB.
    pub snapshot_chunk_bytes: usize,
    /// The longest snapshot that is taken in. At most one is there in part, in memory or in a file, as the
    /// storage has it: while it arrives, and for 24 times `rpc_timeout` after a cut. At least 1; default
    /// 16 GiB.
    pub max_snapshot_bytes: u64,
}

/// Files, in PEM, that say who this node is and whom it trusts.
///
/// They are read again while the node runs, see
/// [`GrpcTransport::reload`](crate::network::grpc::GrpcTransport::reload).
///
/// Nodes know each other by DNS names in their certificates, so with TLS
/// [`cluster_name`](super::NodeConfig::cluster_name) is part of a DNS name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificates of the authorities that sign the other nodes' and the clients'.
    pub ca: PathBuf,
    /// This node's certificate, with what leads to its authority. It must be good for the DNS name
    /// `node-<id>.<cluster>`, as a server's and as a client's, unless the node is alone; that is what
    /// other nodes go by, wherever this one is. Clients go by the host that they connect to, which it
    /// names as well.
    pub cert: PathBuf,
    /// The key to it.
    pub key: PathBuf,
    /// Whether clients must show a certificate, of which the DNS name `client.<role>.<cluster>` says
    /// what they [may do](crate::network::grpc::Role). Otherwise they show none, and may do
    /// everything. Other nodes always must. Default true.
    pub mutual: bool,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            tls: None,
            plaintext: false,
            connect_timeout: Duration::from_secs(5),
            max_connections: 256,
            max_calls: 128,
            max_peer_calls: 1024,
            max_peer_bytes: 256 << 20,
            max_client_calls: 1024,
            max_client_bytes: 256 << 20,
            snapshot_chunk_bytes: 256 << 10,
            max_snapshot_bytes: 16 << 30,
        }
    }
}
