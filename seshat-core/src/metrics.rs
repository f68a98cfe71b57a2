//! What a node tells whoever looks after it: the names, and what records them.
//!
//! Goes through the [`metrics`](https://docs.rs/metrics) facade: the embedding program installs a recorder
//! before it opens a storage or starts a node, whose exporter it serves as it likes; [`describe`] tells the
//! recorder what each name means. Without a recorder nothing is kept; without the feature `metrics` nothing
//! is even counted, and no clock is read.
//!
//! Counters and histograms are recorded where things happen. What is a level (a term, an index, a length, how
//! far another node lags) is looked up when somebody wants to know, by
//! [`RaftNode::collect`](crate::node::RaftNode::collect), before each scrape.
//!
//! ```
//! # #[cfg(feature = "metrics")] {
//! use seshat_core::metrics::{ALL, COMMIT_DURATION, Kind, describe};
//!
//! describe();
//! // A recorder that keeps histograms is given their buckets.
//! for metric in ALL {
//!     if let Kind::Histogram(buckets) = metric.kind {
//!         println!("{}: {buckets:?}", metric.name);
//!     }
//! }
//! assert_eq!(COMMIT_DURATION.name, "seshat_raft_commit_duration_seconds");
//! # }
//! ```
//!
//! # Labels
//!
//! `group` is the partition, of which there is one, `0`. `peer` is another node's id, and never what somebody
//! says who may be anybody. What the groups of a node share, its log on disk and its connections, has no
//! group.

// What is off has nothing in it.
#![cfg_attr(
    not(feature = "metrics"),
    allow(clippy::default_constructed_unit_structs, clippy::drop_non_drop)
)]

#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "metrics")]
mod levels;
mod names;
mod node;
#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod on;
mod storage;

use std::fmt::Display;

#[cfg(feature = "grpc")]
pub(crate) use self::grpc::{Peer, Receptions};
#[cfg(feature = "metrics")]
pub(crate) use self::levels::{Lag, Levels};
pub use self::names::*;
pub(crate) use self::node::{Follower, Leaderships, Machine, Proposals, Reads, Reason, Timer};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::off::{Counter, Gauge, Histogram, Level, Of, Pause, Stopwatch};
#[cfg(feature = "metrics")]
pub use self::on::describe;
#[cfg(feature = "metrics")]
pub(crate) use self::on::{Counter, Gauge, Histogram, Level, Of, Pause, Stopwatch};
pub(crate) use self::storage::{Checks, Wal};

/// The label of the partition.
pub const GROUP: &str = "group";
/// The label of another node.
pub const PEER: &str = "peer";

/// The one Raft group that there is today.
const THE_GROUP: Label<'_> = (GROUP, &"0");

/// A label's name, and its value.
type Label<'a> = (&'static str, &'a dyn Display);
