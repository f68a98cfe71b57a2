//! The checks, one file a family.

#[cfg(feature = "storage-v2")]
pub(crate) mod callback;
pub(crate) mod cluster;
pub(crate) mod committed;
pub(crate) mod concurrency;
pub(crate) mod counter_examples;
pub(crate) mod crash;
pub(crate) mod disk;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod model;
pub(crate) mod reopen;
pub(crate) mod snapshot;
pub(crate) mod suite;
pub(crate) mod vote;
#[cfg(feature = "storage-v2")]
pub(crate) mod wire;
