//! Nodes of one process, each a running openraft on an open store, and the links between them.

use super::Doing;
use super::store::{Log, Machine};
use crate::words::Command;

/// Links between nodes. Nodes are named by the numbers of
/// [`Backend::node_id`](crate::Backend::node_id).
pub(crate) trait Network: Send + Sync {
    /// Starts a node and makes it reachable.
    fn start<'a>(
        &'a self,
        n: u64,
        log: Box<dyn Log>,
        machine: Box<dyn Machine>,
    ) -> Doing<'a, Box<dyn Node>>;
    /// Makes a node unreachable, as if its process had ended.
    fn unplug(&self, n: u64);
    /// Cuts a node off from all others, both ways.
    fn isolate(&self, n: u64);
    /// Restores all links.
    fn heal(&self);
}

/// A running node.
pub(crate) trait Node: Send + Sync {
    /// `Raft::metrics`.
    fn metrics(&self) -> Metrics;
    /// `Raft::initialize`, with these nodes as voters.
    fn initialize<'a>(&'a self, voters: &[u64]) -> Doing<'a, ()>;
    /// `Raft::client_write`.
    fn write<'a>(
        &'a self,
        command: &Command,
    ) -> std::pin::Pin<Box<dyn Future<Output = Written> + Send + 'a>>;
    /// `Raft::add_learner`, which waits until it has caught up.
    fn add_learner(&self, n: u64) -> Doing<'_, ()>;
    /// `Raft::change_membership`, to these voters; others are removed.
    fn change_voters<'a>(&'a self, voters: &[u64]) -> Doing<'a, ()>;
    /// `trigger().snapshot()`.
    fn build(&self) -> Doing<'_, ()>;
    /// `trigger().purge_log()`.
    fn purge(&self, upto: u64) -> Doing<'_, ()>;
    /// `Raft::shutdown`.
    fn stop(&self) -> Doing<'_, ()>;
}

/// What a node says of itself. Indexes, where openraft says ids.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Why it stopped, if it did.
    pub(crate) running: Result<(), String>,
    pub(crate) term: u64,
    /// Whether it leads.
    pub(crate) leads: bool,
    /// Whether it says that it is the one who leads.
    pub(crate) knows_it_leads: bool,
    /// Leader, follower and so on, as openraft says it.
    pub(crate) state: String,
    pub(crate) last: Option<u64>,
    pub(crate) applied: Option<u64>,
    pub(crate) snapshot: Option<u64>,
    pub(crate) purged: Option<u64>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It was committed, at this index.
    At(u64),
    /// Refused before it was written: another node leads.
    Elsewhere,
    /// Whether it is applied, now or later, is unknown.
    Unknown,
}
