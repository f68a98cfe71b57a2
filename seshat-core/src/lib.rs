//! Seshat's consensus layer.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod codec;
pub mod log;
pub mod machine;
pub mod operation;
pub mod proto;
pub mod snapshot;
pub mod types;
