//! Seshat's consensus layer.

pub mod codec;
pub mod config;
pub mod error;
pub mod log;
pub mod machine;
pub mod network;
pub mod node;
pub mod operation;
pub mod proto;
pub mod snapshot;
pub mod storage;
pub mod types;
