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
//! In the order in which data passes them:
//!
//! - [`operation`]: what clients ask for, within limits; batches; responses.
//! - [`types`]: the one place that spells openraft's generics.
//! - [`proto`], [`codec`]: the schema, and checked domain types to bytes and back.
//! - [`log`]: the log, and openraft's face of it.
//! - [`machine`], [`snapshot`]: the state machine, and a frozen one to bytes and back.
//! - [`wal`]: the log on disk. Nothing stands on it yet.
//! - [`storage`]: what a node is built on; [`MemStorage`](storage::MemStorage).
//! - [`network`]: what a transport must do; gRPC, a switchboard for one process, and a stub.
//! - [`config`], [`error`]: what a node is given, and what it says when it can't.
//! - [`node`]: [`RaftNode`](node::RaftNode), which knows all of the above.
//!
//! Beside the flow, with the feature `legacy`: `legacy` reads what Seshat's first generation wrote,
//! on raft-rs and bincode, into a storage that a node starts from.
//!
//! # What it doesn't do
//!
//! - Storage is in memory. A node that restarts has forgotten its vote and its log, so it must
//!   not rejoin its cluster under its old id: by the Raft paper it could vote twice in a term.
//!   Remove it and add it as a new member.
//! - There are no sessions: an operation whose outcome is unknown, and which is proposed again,
//!   may be applied twice.

#[cfg(feature = "grpc")]
mod admission;
#[cfg(feature = "storage-v2")]
pub mod codec;
#[cfg(feature = "storage-v2")]
pub mod config;
#[cfg(feature = "storage-v2")]
pub mod error;
#[cfg(feature = "legacy")]
pub mod legacy;
#[cfg(feature = "storage-v2")]
pub mod log;
#[cfg(feature = "storage-v2")]
pub mod machine;
pub mod network;
#[cfg(feature = "storage-v2")]
pub mod node;
#[cfg(feature = "storage-v2")]
pub mod operation;
#[cfg(feature = "storage-v2")]
pub mod proto;
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

pub use openraft;

/// Compiles and runs the README's example.
#[cfg(all(doctest, feature = "storage-v2"))]
#[doc = include_str!("../README.md")]
struct Readme;
