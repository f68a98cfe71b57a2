//! [`Holds`]: what of the log is kept for those that are sent a snapshot.
//!
//! Guarantees: from the begin of a transfer until the follower has what the log held when the snapshot
//! had arrived, the [`floor`](Holds::floor) is not beyond that snapshot; unless the hold is
//! [given up](GivenUp), the follower leaves, or the node stops leading.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::marks::Position;
use crate::types::NodeId;

/// A transfer, among all of this node.
pub(crate) type Attempt = u64;

/// How far each follower's log is known to go.
pub(super) type Matched = BTreeMap<NodeId, Option<crate::types::LogId>>;

/// Why the log isn't kept for a follower any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// Its transfer failed, and wasn't begun again.
    Failed,
    /// It has the snapshot, but takes nothing of what is behind it.
    Stalled,
    /// It would take this much of the log.
    TooMuch { bytes: u64 },
}

/// What the log is kept for.
#[derive(Debug)]
struct Hold {
    snapshot: Position,
    attempt: Attempt,
    stage: Stage,
    /// Given up, while the transfer goes on.
    let_go: bool,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Sending,
    Failed {
        since: Instant,
    },
    /// Arrived. The follower's log is to reach `goal`, which the next look sets; it is at `matched`.
    Following {
        since: Instant,
        goal: Option<u64>,
        matched: u64,
    },
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Holds {
    /// How long a follower may make no progress.
    patience: Duration,
    max_bytes: u64,
    attempts: Attempt,
    holds: BTreeMap<NodeId, Hold>,
}

impl Holds {
    pub(super) fn new(patience: Duration, max_bytes: u64) -> Self {
        Self { patience, max_bytes, attempts: 0, holds: BTreeMap::new() }
    }

    /// A snapshot is on its way to `target`.
    pub(super) fn begin(&mut self, target: NodeId, snapshot: Position) -> Attempt {
        self.attempts += 1;
        let attempt = self.attempts;
        let hold = Hold { snapshot, attempt, stage: Stage::Sending, let_go: false };
        self.holds.insert(target, hold);
        attempt
    }

    /// That transfer has ended. Nothing changes if another one began since.
    pub(super) fn end(&mut self, target: NodeId, attempt: Attempt, arrived: bool, now: Instant) {
        let Some(hold) = self.holds.get_mut(&target).filter(|hold| hold.attempt == attempt) else {
            return;
        };
        if hold.let_go {
            self.holds.remove(&target);
            return;
        }
        hold.stage = match arrived {
            true => Stage::Following { since: now, goal: None, matched: hold.snapshot.index },
            false => Stage::Failed { since: now },
        };
    }

    /// The transfer to `target` that is under way.
    pub(super) fn under_way(&self, target: NodeId) -> Option<Attempt> {
        let hold = self.holds.get(&target)?;
        matches!(hold.stage, Stage::Sending).then_some(hold.attempt)
    }

    /// Ends what has lasted long enough, as a leader whose log ends at `last` and may be purged up to
    /// `purge` but for what is held. Returns what was given up.
    pub(super) fn look(
        &mut self,
        now: Instant,
        last: u64,
        matched: &Matched,
        purge: Option<Position>,
    ) -> Vec<(NodeId, GivenUp)> {
        let (patience, max_bytes) = (self.patience, self.max_bytes);
        let mut given_up = Vec::new();
        self.holds.retain(|target, hold| {
            let Some(matched) = matched.get(target) else { return false };
            let matched = matched.map_or(0, |id| id.index);
            if hold.stage.is_over(last, matched, now) {
                return false;
            }
            let held = purge.map_or(0, |purge| purge.bytes.saturating_sub(hold.snapshot.bytes));
            let why = match hold.stage.overdue(now, patience) {
                None if held > max_bytes => GivenUp::TooMuch { bytes: held },
                None => return true,
                Some(why) => why,
            };
            let sending = matches!(hold.stage, Stage::Sending);
            if !std::mem::replace(&mut hold.let_go, true) {
                given_up.push((*target, why));
            }
            sending
        });
        given_up
    }

    /// The node doesn't lead.
    pub(super) fn clear(&mut self) {
        self.holds.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// Up to where the log may be purged; anywhere if `None`.
    pub(super) fn floor(&self) -> Option<u64> {
        let held = self.holds.values().filter(|hold| !hold.let_go);
        held.map(|hold| hold.snapshot.index).min()
    }
}

impl Stage {
    /// Takes note of the follower's progress; whether it is where it was to go.
    fn is_over(&mut self, last: u64, found: u64, now: Instant) -> bool {
        let Self::Following { since, goal, matched } = self else { return false };
        if found > *matched {
            (*matched, *since) = (found, now);
        }
        found >= *goal.get_or_insert(last)
    }

    fn overdue(&self, now: Instant, patience: Duration) -> Option<GivenUp> {
        let (since, why) = match self {
            Self::Sending => return None,
            Self::Failed { since } => (*since, GivenUp::Failed),
            Self::Following { since, .. } => (*since, GivenUp::Stalled),
        };
        (now.saturating_duration_since(since) > patience).then_some(why)
    }
}
