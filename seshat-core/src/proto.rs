//! The schema of everything stored or sent, generated from `proto/`.
//!
//! The generated files are checked in, so that building needs no protobuf compiler; the test
//! `proto_drift` regenerates them and compares. Nothing outside [`codec`](crate::codec) should
//! need the types of [`v1`]: it turns them into checked domain types and back. But for
//! [`wal`](crate::wal), whose domain they are. The service between nodes is generated into
//! `network/grpc`, as it carries those domain types.

// Generated: its lints are prost's, its docs are the comments of the schema.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]
#[rustfmt::skip]
pub mod v1;

/// The protocol between nodes and their clients, messages and service. A node serves it if its
/// program does, on a listener of their own, with [`service`](crate::service); a client is in
/// [`client`](crate::client).
#[cfg(any(feature = "grpc", feature = "client"))]
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]
#[rustfmt::skip]
pub mod client;

/// What Seshat's first generation stored and sent: raft-rs 0.7's messages, under a schema of our
/// own that is the same on the wire. See [`legacy`](crate::legacy).
#[cfg(feature = "legacy")]
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]
#[rustfmt::skip]
pub mod eraftpb;

/// The schema itself, as an encoded `FileDescriptorSet`.
#[cfg(feature = "grpc")]
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("proto/descriptors.bin");
