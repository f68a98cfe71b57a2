//! What operators see: metrics, as Prometheus reads them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

mod dashboard;
mod disk;
mod faults;
mod host;
mod machine;
#[path = "../common/proxy.rs"]
mod proxy;
mod recorded;
mod rules;
mod scrape;
mod thresholds;
