//! Wires that TCP goes through, as tests and benchmarks use them; and that the benchmark of slow links
//! still runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code, reason = "the benchmark needs all of it")]

#[path = "../../benches/links/cluster.rs"]
mod cluster;
#[path = "../../benches/common/mod.rs"]
#[allow(clippy::print_stdout, reason = "tables")]
mod common;
#[path = "../../benches/links/link.rs"]
mod link;
#[path = "../../benches/links/load.rs"]
mod load;
#[path = "../common/proxy.rs"]
mod proxy;
mod table;
#[path = "../../src/bin/seshat/serve/via.rs"]
mod via;
mod wires;
