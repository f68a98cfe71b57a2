//! The write-ahead log on a disk that loses power, fails, fills up, lies and is damaged.
//!
//! `sim.rs` is the disk, `history.rs` what is done with a log and what is right afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod commit;
mod crashes;
mod damage;
mod faults;
mod format;
mod history;
mod opening;
mod sim;
mod space;
