//! The program `seshat`, run as nodes and as their clients: three processes on one machine, what is done to them, and
//! what their clients see of it.

#![cfg(unix)]
// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, reason = "what was measured")]

mod admin;
#[allow(dead_code, reason = "other tests need all of it")]
#[path = "../grpc/authority.rs"]
mod authority;
mod certificates;
mod cluster;
mod directory;
mod history;
mod load;
mod memory;
mod mistyped;
mod monitored;
mod once;
mod partition;
mod program;
#[path = "../common/proxy.rs"]
mod proxy;
#[path = "../common/puppet.rs"]
mod puppet;
mod quiet;
mod readme;
mod restarts;
mod service;
mod signals;
mod unit;
mod writer;
mod wrong;

use std::time::Duration;

/// Longer than anything takes that goes well, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(20);

/// How often to look whether something happened that nothing tells of.
const POLL: Duration = Duration::from_millis(10);
