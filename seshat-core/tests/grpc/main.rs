//! Nodes that reach each other over gRPC, on real sockets of this machine.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod admission;
mod authority;
#[path = "../common/capture.rs"]
mod capture;
mod cluster;
mod crowds;
mod encrypted;
mod exchange;
mod files;
mod full;
mod garbled;
mod host;
mod hostile;
mod identity;
mod link;
mod liveness;
mod probation;
mod raw;
mod refusals;
mod reloaded;
mod resumed;
mod roles;
#[path = "../common/sends.rs"]
#[allow(dead_code, reason = "each test file takes what it needs")]
mod sends;
mod services;
#[path = "../wal/sim.rs"]
#[allow(dead_code, unused_imports, reason = "the log's own tests use all of it")]
mod sim;
mod slow;
mod snapshots;
mod totals;
mod traced;
