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
    /// Allows to go without TLS where a member's address isn't of the loopback interface. Default
    /// false.
    pub plaintext: bool,
    /// How long a connection may take to come about. At least 1 ms; default 5 s, in TOML
    /// `connect_timeout_ms`.
    pub connect_timeout: Duration,
    /// Connections that are served at once; one more is closed at once. Each other node uses up to
    /// three. At least 1; default 256.
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
    /// The longest snapshot that is taken in. At most one is there in part: while it arrives, and for
    /// 24 times `rpc_timeout` after a cut. At least 1; default 16 GiB.
    pub max_snapshot_bytes: u64,
}

/// Files, in PEM, that say who this node is and whom it trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificates of the authorities that sign the other nodes'.
    pub ca: PathBuf,
    /// This node's certificate, with what leads to its authority. It must be good for the host in
    /// this node's address, as a server's and as a client's.
    pub cert: PathBuf,
    /// The key to it.
    pub key: PathBuf,
    /// Whether callers must show a certificate as well. Default true.
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
