//! Clusters on disks that fill up, fail, are taken away and lose power, while clients read and write.
//!
//! What clients saw is checked for linearizability, and whatever was acknowledged has to be there. Each fault is
//! a test of its own, and makes sure that it happened. With the environment variable `SESHAT_LONG` set each goes
//! on for longer:
//!
//! ```text
//! SESHAT_LONG=1 cargo test --release -p seshat-core --test fire
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/history.rs"]
mod history;
#[path = "../wal/sim.rs"]
#[allow(dead_code, unused_imports, reason = "the log's own tests use all of it")]
mod sim;

mod clients;
mod cluster;
mod faults;
mod full;
mod ground;
