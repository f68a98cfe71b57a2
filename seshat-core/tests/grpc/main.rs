//! Nodes that reach each other over gRPC, on real sockets of this machine.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod admission;
#[path = "../common/capture.rs"]
mod capture;
mod cluster;
mod encrypted;
mod exchange;
mod host;
mod hostile;
mod link;
mod liveness;
mod probation;
mod raw;
mod refusals;
mod resumed;
#[path = "../common/sends.rs"]
#[allow(dead_code, reason = "each test file takes what it needs")]
mod sends;
mod services;
mod slow;
mod snapshots;
mod totals;
mod traced;
