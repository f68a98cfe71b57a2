//! Tells whether an openraft storage back end keeps openraft's storage contract.

pub mod backend;
mod baseline;
pub mod budget;
pub mod check;
mod checks;
pub mod cli;
#[cfg(feature = "storage-v2")]
pub mod embedded;
pub mod failure;
#[cfg(feature = "storage-v2")]
mod flush;
pub mod harness;
mod history;
mod isolation;
pub mod lab;
pub mod model;
#[cfg(feature = "storage-v2")]
pub mod reference;
pub mod registry;
mod replay;
pub mod report;
pub mod requirement;
pub mod runner;
mod story;
mod subject;
#[allow(dead_code, reason = "the family `cluster` will use it")]
mod wire;
mod words;

pub use backend::Backend;
/// Its version is part of this crate's interface: a back end is written for it.
pub use openraft;
