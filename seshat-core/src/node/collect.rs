//! What is a level rather than an event: looked up when it is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::{LogIdOptionExt, ServerState};
use tokio::sync::watch;
use tokio::time::Instant;

use super::RaftNode;
use super::ages::Ages;
use super::health::Look;
use crate::metrics::{Lag, Levels};
use crate::types::{NodeId, RaftMetrics};

/// What a node's levels need to be known before they are asked for.
#[derive(Debug, Default)]
pub(super) struct Collected(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    levels: Levels,
    ages: Ages,
}

impl Collected {
    // Every change under the lock is a single step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, now: &RaftMetrics) {
        let first = now.purged.next_index();
        self.lock().ages.look(first, now.last_log_index, Instant::now());
    }

    /// Looks how old entries are, until the node stops.
    pub(super) async fn watch(
        self: Arc<Self>,
        reports: watch::Receiver<RaftMetrics>,
        every: Duration,
    ) {
        while reports.has_changed().is_ok() {
            self.look(&reports.borrow());
            tokio::time::sleep(every).await;
        }
    }
}

impl<R> RaftNode<R> {
    /// Looks up what is a level ([`metrics`](crate::metrics)) and records it: to be called before each scrape.
    /// Takes a second at most, however the node is; what isn't known then is left as it was. Dropping the
    /// future leaves some of it as it was.
    pub async fn collect(&self) {
        let look = self.look().await;
        let mut state = self.inner.collected.lock();
        let State { levels, ages } = &mut *state;
        levels.disk_full.set(flag(look.full.is_some()));
        levels.poisoned.set(flag(look.poisoned()));
        levels.pending.set(self.inner.proposals.pending() as f64);
        if let Some(disk) = look.levels {
            levels.disk(disk.segments, disk.bytes, disk.free_bytes);
        }
        let Ok(now) = &look.running else {
            levels.stopped();
            return;
        };
        record(levels, ages, now, &look);
        // Those of a former term, and of former members, are none.
        let mut lags: BTreeMap<_, _> = levels.peers().map(|id| (id, Lag::default())).collect();
        lags.extend(self.lags(now, ages));
        lags.into_iter().for_each(|(id, lag)| levels.lag(id, lag));
    }

    /// How far the others lag behind this node, if it leads.
    fn lags(&self, now: &RaftMetrics, ages: &Ages) -> Vec<(NodeId, Lag)> {
        let Some(replication) = now.replication.as_ref().filter(|_| now.state.is_leader()) else {
            return Vec::new();
        };
        let last = now.last_log_index.map_or(0, |last| last + 1);
        let others = replication.iter().filter(|(id, _)| **id != now.id);
        let lag = |(id, matched): (&NodeId, &Option<_>)| {
            let lacks = matched.next_index();
            let since = (lacks < last).then(|| ages.since(lacks)).flatten();
            let heard = self.inner.ways.heard(*id);
            let lag = Lag {
                entries: last.saturating_sub(lacks),
                seconds: since.map_or(0.0, |since| since.elapsed().as_secs_f64()),
                contact: heard.map_or(0.0, |heard| heard.elapsed().as_secs_f64()),
            };
            (*id, lag)
        };
        others.map(lag).collect()
    }
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn record(levels: &Levels, ages: &Ages, now: &RaftMetrics, look: &Look) {
    let index = |index: Option<u64>| index.unwrap_or(0) as f64;
    levels.has_leader.set(flag(look.leader.is_ok()));
    levels.role(match now.state {
        ServerState::Learner => "learner",
        ServerState::Follower => "follower",
        ServerState::Candidate => "candidate",
        ServerState::Leader => "leader",
        ServerState::Shutdown => "stopped",
    });
    levels.term.set(now.current_term as f64);
    if let Some(told) = look.told {
        levels.committed.set(index(told.committed));
    }
    levels.applied.set(index(now.last_applied.index()));
    levels.purged.set(index(now.purged.index()));
    levels.snapshot.set(index(now.snapshot.index()));
    let (first, next) = (now.purged.next_index(), now.last_log_index.map_or(0, |last| last + 1));
    levels.entries.set(next.saturating_sub(first) as f64);
    let oldest = ages.since(first).filter(|_| next > first);
    levels.oldest.set(oldest.map_or(0.0, |since| since.elapsed().as_secs_f64()));
}
