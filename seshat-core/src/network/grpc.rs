//! gRPC: nodes in separate processes.
//!
//! [`GrpcTransport`] is what a [`RaftNode`](crate::node::RaftNode) is started with; [`GrpcServer`]
//! answers for the node that was started. The schema is `proto/seshat/v1/transport.proto`.
//!
//! Guarantees:
//!
//! - A call reaches the node that was meant, of the cluster that was meant, or is refused. With
//!   certificates ([`TlsConfig`]) either end is the node that it says it is, in every message; a client
//!   does what its [`Role`] allows. Without them nothing leaves the machine unless that was asked for.
//! - Nodes and clients have listeners and places of their own: neither is in the other's way, and who
//!   does nothing with a connection is in nobody's.
//! - A node that remembers nothing takes no part before its cluster has said that it may
//!   ([`GrpcServer::admit`]): it can't vote twice in a term or lose what it acknowledged. Where it
//!   was a leader that said so, it refuses every older one from then on, and neither votes nor
//!   campaigns before its log has what that one had committed; also after a restart, on storage that
//!   outlives the process ([`Probations`](crate::storage::Probations)).
//! - A heartbeat or a vote waits behind nothing long: entries and snapshots travel on connections of
//!   their own.
//! - Every call ends: by a deadline or, one that carries much, by lack of progress. That may take any
//!   time as long as it moves.
//! - Who receives a snapshot hears from its leader as long as that leads or bytes come, and sends no
//!   leader away because a snapshot takes longer than an election.
//! - After a cut, only the rest of a snapshot is sent, by the same leader or another, if the bytes are
//!   the same. They are installed if all of them have the sender's checksum.
//! - A node says which formats it reads to who asks; one that reads less than its cluster writes is sent no
//!   snapshot, and isn't admitted.
//! - What a peer sends can neither panic nor grow without bound; see [`GrpcConfig`] for the bounds.
//!   Requests and answers are judged as statements before openraft hears of them, and what no honest
//!   node could say is refused ([`Implausible`]); a snapshot is read first. No other node can stop
//!   this one: only its own storage can.
//! - Calls under way, and the bytes of their messages, have a total for nodes and another for clients; a
//!   member's heartbeats and votes have places that nobody else can take. A sum of what a node may hold
//!   is [`NodeConfig::max_memory_bytes`](crate::config::NodeConfig::max_memory_bytes).
//! - However many ask whether a node leads, one round of heartbeats is under way for it at a time.
//!
//! ```
//! use seshat_core::config::NodeConfig;
//! use seshat_core::network::grpc::{GrpcServer, GrpcTransport};
//! use seshat_core::node::RaftNode;
//! use seshat_core::storage::MemStorage;
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?.to_string();
//! // Three members, and this on each of their machines, make a cluster.
//! let config = NodeConfig::builder(1).member(1, address).single_node().build()?;
//!
//! let transport = GrpcTransport::new(&config)?;
//! let node = RaftNode::start(config, MemStorage::new(), transport.clone()).await?;
//! // No clients from elsewhere; with `Some(Clients { .. })` they have a listener of their own.
//! let server = GrpcServer::start(&node, &transport, listener, None).await?;
//! server.admit().await?;
//! node.wait_for_leader(std::time::Duration::from_secs(5)).await?;
//! node.set("greeting", "hello").await?;
//!
//! node.shutdown().await;
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Who retries what
//!
//! openraft 0.9 sends AppendEntries again by itself, at the next heartbeat at the latest, and a
//! snapshot, taken anew (`replication/mod.rs`, `main`); after
//! [`Unreachable`](openraft::error::Unreachable) it backs off as [`GrpcTransport`] says. A request
//! for a vote it sends once for each election (`core/raft_core.rs`, `spawn_parallel_vote_requests`),
//! so that is tried again here: where the peer could not be reached, or takes no part yet, three
//! times at most, within the call's deadline. So is a snapshot that was cut, if the peer has more of
//! it than before; else it is openraft's turn. Either way the peer is asked how much it has
//! (`SnapshotOffset`); one of a version that doesn't know the call gets everything, and once.
//!
//! # Copies of an entry's payload
//!
//! One on the way out, from the log's own bytes into the HTTP/2 body, which h2 hands to the socket
//! in slices. One on the way in, from HTTP/2 frames into one piece: keys and values in the log are
//! slices of that. TLS adds one each way, and the kernel its own.
//!
//! [`GrpcConfig`]: crate::config::GrpcConfig
//! [`TlsConfig`]: crate::config::TlsConfig

mod accept;
mod answers;
mod caller;
mod client;
mod connection;
mod door;
mod error;
mod follower;
mod gate;
mod identity;
mod lean;
mod listen;
mod message;
mod names;
mod partial;
mod peer;
mod places;
mod progress;
mod reception;
mod server;
// Generated: see `proto.rs`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]
#[allow(dead_code, reason = "not every client has use for every method")]
#[rustfmt::skip]
mod services;
mod standing;
mod tls;
mod told;
mod totals;
mod transmission;

pub use self::caller::{Caller, NotAllowed, Role};
pub use self::client::{GrpcConnection, GrpcTransport};
pub use self::error::{
    AdmissionError, CallError, Cause, Implausible, Refusal, ServeError, TransportError,
};
pub use self::names::NotNamed;
pub use self::server::{Clients, GrpcServer};
pub use self::standing::Admission;
pub(crate) use self::totals::Held;
pub use self::totals::UnderWay;
