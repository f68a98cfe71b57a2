//! [`Way`]: what connections to the same node have in common, whoever makes them.
//!
//! Guarantees: one call with entries is under way to a node at most, but for the first moments of
//! another; it ends with the last connection.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Asked;
use super::flight::{Cargo, End, Flight};
use super::pace::Pace;
use crate::log::REPLICATION_BYTES;
use crate::types::{Membership, NodeId};

/// The ways to all other nodes. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub(super) heartbeat: Duration,
    // As many as there ever were members; what each takes is a few words.
    ways: Arc<Mutex<HashMap<NodeId, Arc<Way>>>>,
}

/// The way to one other node.
#[derive(Debug)]
pub(super) struct Way {
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pace: Pace,
    flight: Option<Flight>,
    /// Connections. A flight doesn't outlive the last one: the node leads no more.
    users: usize,
    /// When the node last answered anything.
    pub(super) heard: Option<Instant>,
}

impl Ways {
    pub(crate) fn new(heartbeat: Duration) -> Self {
        Self { heartbeat, ways: Arc::default() }
    }

    pub(super) fn to(&self, target: NodeId) -> Arc<Way> {
        let fresh = || {
            let pace = Pace::new(self.heartbeat);
            Arc::new(Way { state: Mutex::new(State { pace, flight: None, users: 0, heard: None }) })
        };
        Arc::clone(self.lock().entry(target).or_insert_with(fresh))
    }

    /// Bytes that an entry should carry at most so that it gets from node `me` to a quorum of
    /// `membership` within a good part of a heartbeat interval. `usize::MAX` where no link is so slow
    /// that it matters.
    pub(crate) fn quorum_budget(&self, me: NodeId, membership: &Membership) -> usize {
        let ways = self.lock();
        let budget = |id: &NodeId| ways.get(id).map_or(REPLICATION_BYTES, |way| way.budget());
        let slowest = of_quorum(me, membership, budget);
        slowest.filter(|budget| *budget < REPLICATION_BYTES).unwrap_or(usize::MAX)
    }

    /// Since when node `me` has heard from a quorum of `membership`: each of them has answered something
    /// then, or since. `None` if it never has, or needs nobody else.
    pub(crate) fn quorum_heard(&self, me: NodeId, membership: &Membership) -> Option<Instant> {
        let ways = self.lock();
        let heard = |id: &NodeId| ways.get(id).and_then(|way| way.lock().heard);
        of_quorum(me, membership, heard).flatten()
    }

    /// When that node last answered anything.
    #[cfg(feature = "metrics")]
    pub(crate) fn heard(&self, id: NodeId) -> Option<Instant> {
        self.lock().get(&id).and_then(|way| way.lock().heard)
    }

    // Every change under the lock is a single insertion.
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Way>>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What node `me` and a quorum of `membership` reach with it, where each other node reaches `of`. `None`
/// where that takes nobody else.
fn of_quorum<T: Ord>(me: NodeId, membership: &Membership, of: impl Fn(&NodeId) -> T) -> Option<T> {
    let of_config = |voters: &BTreeSet<NodeId>| {
        let mut reached: Vec<T> = voters.iter().filter(|id| **id != me).map(&of).collect();
        reached.sort_unstable_by(|a, b| b.cmp(a));
        // Of the others, that many make a quorum with this node, which it is a part of or leaves.
        let needed = voters.len() / 2 + usize::from(!voters.contains(&me));
        needed.checked_sub(1).and_then(|last| reached.into_iter().nth(last))
    };
    membership.get_joint_config().iter().filter_map(of_config).min()
}

impl Way {
    pub(super) fn budget(&self) -> usize {
        self.lock().pace.budget()
    }

    pub(super) fn patience(&self, bytes: usize) -> Duration {
        self.lock().pace.patience(bytes)
    }

    /// What is under way to the node already and answers such a call. What is and doesn't is given up:
    /// openraft asks for something else instead.
    pub(super) fn join(&self, asked: &Asked) -> Option<Flight> {
        let flight = &mut self.lock().flight;
        let joined = flight
            .as_ref()
            .filter(|flight| flight.cargo.serves(&asked.vote, asked.prev) && !flight.failed());
        let joined = joined.cloned();
        if joined.is_none() {
            *flight = None;
        }
        joined
    }

    pub(super) fn set_out(&self, flight: &Flight) {
        self.lock().flight = Some(flight.clone());
    }

    /// Nobody waits for `flight` any more.
    pub(super) fn end(&self, flight: &Flight) {
        let under_way = &mut self.lock().flight;
        if under_way.as_ref().is_some_and(|other| other.is(flight)) {
            *under_way = None;
        }
    }

    pub(super) fn give_up(&self) {
        let left = self.lock().flight.take();
        drop(left);
    }

    /// The node answered just now.
    pub(super) fn heard(&self) {
        self.lock().heard = Some(Instant::now());
    }

    /// Notes how a call that carried something ended.
    pub(super) fn note(&self, cargo: &Cargo, end: &End, took: Duration, patience: Duration) {
        let mut state = self.lock();
        if end.is_ok() {
            state.heard = Some(Instant::now());
        }
        let pace = &mut state.pace;
        let before = pace.budget();
        match end {
            Ok(_) => pace.carried(cargo.bytes, took),
            Err(_) if took >= patience / 2 => pace.missed(),
            // It failed for something else than slowness.
            Err(_) => {}
        }
        let (budget, bytes) = (pace.budget(), cargo.bytes);
        if budget != before {
            let took_ms = took.as_millis() as u64;
            tracing::debug!(before, budget, bytes, took_ms, "what a call carries changed");
        }
    }

    pub(super) fn echoed(&self, took: Duration) {
        let state = &mut self.lock();
        state.heard = Some(Instant::now());
        // Beside entries it would tell how long the queue is, not the way.
        if state.flight.is_none() {
            state.pace.echoed(took);
        }
    }

    // Every change under the lock is a single assignment, or one of a pace, which has no steps.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's hold on its [`Way`].
pub(super) struct User(pub(super) Arc<Way>);

impl User {
    pub(super) fn of(way: Arc<Way>) -> Self {
        way.lock().users += 1;
        Self(way)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.users -= 1;
        let left = if state.users == 0 { state.flight.take() } else { None };
        drop(state);
        drop(left);
    }
}
