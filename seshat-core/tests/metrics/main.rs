//! What operators see: metrics, as Prometheus reads them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

mod host;
mod recorded;
mod scrape;
