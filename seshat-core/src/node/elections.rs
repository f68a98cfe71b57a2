//! [`Elections`]: whether a node may campaign.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::types::Raft;

/// Why a node may not campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// It remembers nothing of what it promised, and hasn't caught up since.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "only that transport forbids it"))]
    Probation,
    /// It couldn't take what it leads others to store.
    Disk,
}

/// Lets a node campaign, or forbids it: by its clock and by its caller's wish. It may when nobody has a
/// reason against it. Clones are the same.
///
/// A node whose log is sent to it from the start passes through old memberships, by each of which it
/// may be a voter, or the only one. What is forbidden before its log has the first of them begins
/// nowhere; what is under way goes on.
#[derive(Clone)]
pub(crate) struct Elections {
    raft: Raft,
    against: Arc<Mutex<BTreeSet<Reason>>>,
}

impl Elections {
    pub(super) fn new(raft: Raft) -> Self {
        Self { raft, against: Arc::default() }
    }

    /// Takes the reason back, or has it from now on.
    pub(crate) fn allow(&self, reason: Reason, allowed: bool) {
        let mut against = self.against();
        if allowed {
            against.remove(&reason);
        } else {
            against.insert(reason);
        }
        // Under the lock, so that the last word is openraft's too.
        self.raft.runtime_config().elect(against.is_empty());
    }

    /// Why not, if so. openraft's own switch is for its clock alone.
    pub(super) fn reason_against(&self) -> Option<Reason> {
        self.against().first().copied()
    }

    // Every change under the lock is a single step.
    fn against(&self) -> MutexGuard<'_, BTreeSet<Reason>> {
        self.against.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
