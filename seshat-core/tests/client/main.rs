//! Clients of a cluster that make many calls at once, and what serves them: nodes over gRPC in this process.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod asked;
mod at_once;
mod cluster;
mod exchange;
mod garbled;
mod half;
mod older;
#[path = "../common/proxy.rs"]
mod proxy;
#[path = "../common/puppet.rs"]
mod puppet;
mod reads;

use std::time::Duration;

/// Longer than anything takes that goes well, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(20);
