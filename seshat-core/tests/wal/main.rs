//! The write-ahead log on a disk that loses power, fails, fills up, lies and is damaged.
//!
//! `sim.rs` is the disk, `history.rs` what is done with a log and what is right afterwards.
//!
//! What is exhaustive takes samples that are always the same; with the environment variable `SESHAT_LONG` set
//! it takes all, in some minutes:
//!
//! ```text
//! SESHAT_LONG=1 cargo test --release -p seshat-core --test wal
//! ```

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

/// Of so many cases, the step from one that is tried to the next: 1 in a long run.
fn step(step: usize) -> usize {
    if std::env::var_os("SESHAT_LONG").is_some() { 1 } else { step }
}
