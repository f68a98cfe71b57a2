//! What Seshat's first generation wrote, as `fixtures/legacy` has it: see the README there.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod arbitrary;
mod changes;
mod fixtures;
mod hostile;
mod import;
mod laws;
mod node;
mod recorded;
mod show;
