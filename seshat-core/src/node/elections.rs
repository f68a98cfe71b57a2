//! [`Elections`]: whether a node may campaign.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::types::Raft;

/// Lets a node campaign, or forbids it: by its clock and by its caller's wish. Clones are the same.
///
/// A node whose log is sent to it from the start passes through old memberships, by each of which it
/// may be a voter, or the only one. What is forbidden before its log has the first of them begins
/// nowhere; what is under way goes on.
#[derive(Clone)]
pub(crate) struct Elections {
    raft: Raft,
    allowed: Arc<AtomicBool>,
}

impl Elections {
    pub(super) fn new(raft: Raft) -> Self {
        Self { raft, allowed: Arc::new(AtomicBool::new(true)) }
    }

    pub(crate) fn allow(&self, allowed: bool) {
        self.raft.runtime_config().elect(allowed);
        self.allowed.store(allowed, Ordering::Relaxed);
    }

    /// openraft's own switch is for its clock alone.
    pub(super) fn are_allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }
}
