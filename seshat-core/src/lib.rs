//! Seshat's consensus layer: a Raft core on [openraft] 0.9, with protobuf from end to end.
//!
//! # The flow, and where each step lives
//!
//! ```text
//! propose(Operation) ── node ── batcher ──▶ Entry ──▶ log store ──▶ Log        (replicated: codec ── network)
//!                                 Log ── openraft: committed ──▶ machine store ──▶ Machine ──▶ Response
//! Machine ── snapshot build ──▶ bytes ── network ──▶ snapshot install ──▶ Machine;   then Log::purge
//! ```
//!
//! # The house
//!
//! From the bottom up; each room uses only those that stand before it, which `tests/layers.rs` holds.
//! What decides stands apart from what is around it: a log, a machine, a codec, a statement are called,
//! and know no lock, no clock and no runtime; `log/store`, `machine/store` and `codec/client` are their
//! faces, to openraft and to tonic. A part of a module that stands elsewhere than the rest of it is drawn
//! with its path.
//!
//! ```text
//! proto                                  the schema, as messages
//! metrics                                what those are told who look after a node
//! codec/error codec/fields codec/format  a message's fields, what may be wrong with them; formats
//! condition                              what SET may be told beside key and value
//! operation                              what clients ask for, within limits; batches; responses
//! snapshot/data types                    the one place that spells openraft's generics
//! log log/store                          the log, and openraft's face of it
//! codec                                  checked domain types to bytes and back
//! wal                                    records on disk, in one order, durable together
//! machine snapshot                       the state machine, and a frozen one to bytes and back
//! machine/kept machine/store             where snapshots are; openraft's face of both
//! storage                                what a node is built on; in memory
//! disk                                   the same, in a directory
//! legacy                                 what the first generation wrote, into such a storage
//! config error                           what a node is given, and what it says when it can't
//! network                                what a transport must do; in one process; a stub
//! node                                   one member of a cluster, of all of the above
//! statement admission                    what no honest node says; who may take part
//! codec/client proto/client              the protocol for clients
//! codec/client/messages                  how far its messages have to be understood
//! network/grpc                           between processes: a transport, and a server for a node
//! service                                what clients ask, put to a node
//! client                                 the other end: finds the leader, and repeats what it may
//! ```
//!
//! # What it doesn't do
//!
//! - There are no sessions: an operation whose outcome is unknown, and which is proposed again,
//!   may be applied twice.

#[cfg(feature = "grpc")]
mod admission;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "storage-v2")]
pub mod codec;
/// What a client needs of it.
#[cfg(all(feature = "client", not(feature = "storage-v2")))]
mod codec {
    pub(crate) mod client;
}
#[cfg(any(feature = "storage-v2", feature = "client"))]
mod condition;
#[cfg(feature = "storage-v2")]
pub mod config;
#[cfg(feature = "storage-v2")]
pub mod disk;
#[cfg(feature = "storage-v2")]
pub mod error;
#[cfg(feature = "legacy")]
pub mod legacy;
#[cfg(feature = "storage-v2")]
pub mod log;
#[cfg(feature = "storage-v2")]
pub mod machine;
#[cfg(feature = "storage-v2")]
pub mod metrics;
#[cfg(feature = "switchboard")]
pub mod network;
#[cfg(feature = "storage-v2")]
pub mod node;
#[cfg(feature = "storage-v2")]
pub mod operation;
#[cfg(any(feature = "storage-v2", feature = "client"))]
pub mod proto;
#[cfg(feature = "grpc")]
pub mod service;
#[cfg(feature = "storage-v2")]
pub mod snapshot;
#[cfg(feature = "grpc")]
mod statement;
#[cfg(feature = "storage-v2")]
pub mod storage;
#[cfg(feature = "storage-v2")]
pub mod types;
#[cfg(feature = "storage-v2")]
pub mod wal;

#[cfg(feature = "switchboard")]
pub use openraft;

/// Compiles and runs the README's example.
#[cfg(all(doctest, feature = "storage-v2"))]
#[doc = include_str!("../README.md")]
struct Readme;
