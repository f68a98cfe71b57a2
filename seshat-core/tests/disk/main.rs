//! A node's storage in a directory: on a disk that loses power, is damaged and fails, and on a real one.
//!
//! What is exhaustive takes samples that are always the same; with the environment variable `SESHAT_LONG` set
//! it takes all:
//!
//! ```text
//! SESHAT_LONG=1 cargo test --release -p seshat-core --test disk
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/entries.rs"]
mod entries;
#[path = "../wal/sim.rs"]
#[allow(dead_code, unused_imports, reason = "the log's own tests use all of it")]
mod sim;

mod cluster;
mod crashes;
mod law;
mod memory;
mod probation;
mod refused;
mod run;
mod snapshots;
mod streams;
mod waiting;
