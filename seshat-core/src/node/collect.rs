//! What is a level rather than an event: looked up when it is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::{LogIdOptionExt, ServerState};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::RaftNode;
use super::ages::Ages;
use super::health::Look;
use crate::config::NodeConfig;
use crate::metrics::{Lag, Levels};
use crate::network::Ways;
use crate::types::{NodeId, Raft, RaftMetrics};

/// What a node's levels need to be known before they are asked for. Looks how old entries are for as long as it
/// lives, and the node does.
#[derive(Debug)]
pub(super) struct Collected {
    state: Arc<Mutex<State>>,
    ways: Ways,
    watch: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    levels: Levels,
    ages: Ages,
}

// Every change under the lock is a single step.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collected {
    pub(super) fn begin(config: &NodeConfig, raft: &Raft, ways: Ways) -> Self {
        let (state, reports) = (Arc::<Mutex<State>>::default(), raft.metrics());
        let (looking, every) = (Arc::clone(&state), config.heartbeat_interval());
        let watch = tokio::spawn(async move {
            while reports.has_changed().is_ok() {
                {
                    let now = reports.borrow();
                    let (first, last) = (now.purged.next_index(), now.last_log_index);
                    lock(&looking).ages.look(first, last, Instant::now());
                }
                tokio::time::sleep(every).await;
            }
        });
        Self { state, ways, watch }
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl<R> RaftNode<R> {
    /// Looks up what is a level ([`metrics`](crate::metrics)) and records it: to be called before each scrape.
    /// Takes a second at most, however the node is; what isn't known then is left as it was. Dropping the
    /// future leaves some of it as it was.
    pub async fn collect(&self) {
        let look = self.look().await;
        let mut state = lock(&self.inner.collected.state);
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
            let heard = self.inner.collected.ways.heard(*id);
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
