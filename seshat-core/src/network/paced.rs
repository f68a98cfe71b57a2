//! [`Paced`]: any transport, such that replication progresses on any link that heartbeats cross.
//!
//! openraft 0.9 gives an AppendEntries one heartbeat interval, then sends the same again, and as long
//! as it waits its follower hears nothing (`replication/mod.rs`, `send_log_entries`). What doesn't cross
//! in that time never would. Here:
//!
//! - A call that outlives openraft's deadline goes on ([`Flight`]); the same entries asked for again
//!   join it, and get its answer.
//! - Meanwhile the follower gets heartbeats, on a connection of their own. What it answers is an answer
//!   to openraft, too: the follower matches as far as the entries under way begin
//!   ([`AppendEntriesResponse::PartialSuccess`]), so that openraft goes on rather than fail.
//! - What a call carries follows what went through ([`Pace`]); the rest is asked for again. What
//!   proposals are packed into follows that, too ([`Ways::quorum_budget`]).
//!
//! An answer that comes late is what Raft copes with anyway. That it comes to a later call of openraft's
//! makes openraft's `millis_since_quorum_ack` too young by no more than what the entries took; nothing
//! else in 0.9 goes by when a call began.

mod flight;
mod pace;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::OptionalSend;
use openraft::error::{
    Fatal, InstallSnapshotError, RPCError, RaftError, ReplicationClosed, StreamingError,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use tokio::time::{Instant, sleep_until};

use self::flight::{Cargo, End, Flight};
use self::pace::Pace;
use crate::log::REPLICATION_BYTES;
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, EntryPayload, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Membership, Node, NodeId, Snapshot, SnapshotResponse,
    TypeConfig, Vote, VoteRequest, VoteResponse,
};

type RpcError<E = openraft::error::Infallible> = RPCError<NodeId, Node, RaftError<NodeId, E>>;

/// The ways to all other nodes. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    heartbeat: Duration,
    // As many as there ever were members; what each takes is a few words.
    ways: Arc<Mutex<HashMap<NodeId, Arc<Way>>>>,
}

/// The way to one other node.
#[derive(Debug)]
struct Way {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    flight: Option<Flight>,
    /// Connections. A flight doesn't outlive the last one: the node leads no more.
    users: usize,
}

impl Ways {
    pub(crate) fn new(heartbeat: Duration) -> Self {
        Self { heartbeat, ways: Arc::default() }
    }

    fn to(&self, target: NodeId) -> Arc<Way> {
        let fresh = || {
            let pace = Pace::new(self.heartbeat);
            Arc::new(Way { state: Mutex::new(State { pace, flight: None, users: 0 }) })
        };
        Arc::clone(self.lock().entry(target).or_insert_with(fresh))
    }

    /// Bytes that an entry should carry at most so that it gets from node `me` to a quorum of
    /// `membership` within a good part of a heartbeat interval. `usize::MAX` where no link is so slow
    /// that it matters.
    pub(crate) fn quorum_budget(&self, me: NodeId, membership: &Membership) -> usize {
        let ways = self.lock();
        let budget = |id: &NodeId| ways.get(id).map_or(REPLICATION_BYTES, |way| way.budget());
        let of_config = |voters: &BTreeSet<NodeId>| {
            let mut budgets: Vec<usize> =
                voters.iter().filter(|id| **id != me).map(budget).collect();
            budgets.sort_unstable_by(|a, b| b.cmp(a));
            // Of the others, that many make a quorum with this node, which it is a part of or leaves.
            let needed = voters.len() / 2 + usize::from(!voters.contains(&me));
            needed.checked_sub(1).and_then(|last| budgets.get(last).copied())
        };
        let slowest = membership.get_joint_config().iter().filter_map(of_config).min();
        slowest.filter(|budget| *budget < REPLICATION_BYTES).unwrap_or(usize::MAX)
    }

    // Every change under the lock is a single insertion.
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Way>>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    fn budget(&self) -> usize {
        self.lock().pace.budget()
    }

    fn patience(&self, bytes: usize) -> Duration {
        self.lock().pace.patience(bytes)
    }

    /// What is under way to the node already and answers such a call. What is and doesn't is given up:
    /// openraft asks for something else instead.
    fn join(&self, request: &AppendEntriesRequest) -> Option<Flight> {
        let flight = &mut self.lock().flight;
        let joined = flight.as_ref().filter(|flight| {
            flight.cargo.serves(&request.vote, request.prev_log_id) && !flight.failed()
        });
        let joined = joined.cloned();
        if joined.is_none() {
            *flight = None;
        }
        joined
    }

    fn set_out(&self, flight: &Flight) {
        self.lock().flight = Some(flight.clone());
    }

    /// Nobody waits for `flight` any more.
    fn end(&self, flight: &Flight) {
        let under_way = &mut self.lock().flight;
        if under_way.as_ref().is_some_and(|other| other.is(flight)) {
            *under_way = None;
        }
    }

    fn give_up(&self) {
        let left = self.lock().flight.take();
        drop(left);
    }

    /// Notes how a call that carried something ended.
    fn note(&self, cargo: &Cargo, end: &End, took: Duration, patience: Duration) {
        let pace = &mut self.lock().pace;
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

    fn echoed(&self, took: Duration) {
        let state = &mut self.lock();
        // Beside entries it would tell how long the queue is, not the way.
        if state.flight.is_none() {
            state.pace.echoed(took);
        }
    }

    // Every change under the lock is a single assignment, or one of a pace, which has no steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's hold on its [`Way`].
struct User(Arc<Way>);

impl User {
    fn of(way: Arc<Way>) -> Self {
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

/// The transport `N`. See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Paced<N> {
    inner: N,
    ways: Ways,
}

impl<N> Paced<N> {
    pub(crate) fn new(inner: N, ways: Ways) -> Self {
        Self { inner, ways }
    }
}

/// One connection of a [`Paced`] transport.
pub(crate) struct PacedConnection<N: RaftNetworkFactory<TypeConfig>> {
    factory: N,
    target: NodeId,
    node: Node,
    way: User,
    /// For everything that elects and keeps a leader, and for snapshots.
    inner: N::Network,
    /// For entries, while none are under way; made when needed.
    carrier: Option<N::Network>,
}

impl<N> RaftNetworkFactory<TypeConfig> for Paced<N>
where
    N: RaftNetworkFactory<TypeConfig> + Clone,
{
    type Network = PacedConnection<N>;

    async fn new_client(&mut self, target: NodeId, node: &Node) -> PacedConnection<N> {
        PacedConnection {
            factory: self.inner.clone(),
            target,
            node: node.clone(),
            way: User::of(self.ways.to(target)),
            inner: self.inner.new_client(target, node).await,
            carrier: None,
        }
    }
}

fn weight(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(batch) => crate::log::weight(batch),
        EntryPayload::Blank | EntryPayload::Membership(_) => 1,
    }
}

/// Cuts `request` down to what `budget` allows, to at least one entry. `None` if it carries none.
fn load(request: &mut AppendEntriesRequest, budget: usize) -> Option<Cargo> {
    let mut bytes = 0_usize;
    let fit = request.entries.iter().take_while(|entry| {
        let first = bytes == 0;
        bytes = bytes.saturating_add(weight(entry));
        first || bytes <= budget
    });
    let fit = fit.count();
    if fit < request.entries.len() {
        bytes = request.entries.iter().take(fit).map(weight).sum();
        request.entries.truncate(fit);
    }
    let last = request.entries.last()?.log_id;
    Some(Cargo { vote: request.vote, prev: request.prev_log_id, last, bytes })
}

impl<N: RaftNetworkFactory<TypeConfig> + Clone> PacedConnection<N> {
    /// Sends a heartbeat, and notes how long the way is.
    async fn beat(&mut self, request: AppendEntriesRequest, option: RPCOption) -> End {
        let started = Instant::now();
        let end = self.inner.append_entries(request, option).await;
        if end.is_ok() {
            self.way.0.echoed(started.elapsed());
        }
        end
    }

    /// Begins to send entries. What comes out also has the connection, to be used again.
    async fn carry(
        &mut self,
        request: AppendEntriesRequest,
        cargo: Cargo,
    ) -> impl Future<Output = (N::Network, End)> + Send + use<N> {
        let mut carrier = match self.carrier.take() {
            Some(carrier) => carrier,
            None => self.factory.new_client(self.target, &self.node).await,
        };
        let way = Arc::clone(&self.way.0);
        let patience = way.patience(cargo.bytes);
        async move {
            let started = Instant::now();
            let end = carrier.append_entries(request, RPCOption::new(patience)).await;
            way.note(&cargo, &end, started.elapsed(), patience);
            (carrier, end)
        }
    }

    /// Waits for `flight`, and keeps the follower from campaigning meanwhile. Not beyond `deadline` if
    /// the follower has answered by then.
    async fn accompany(
        &mut self,
        mut flight: Flight,
        heartbeat: AppendEntriesRequest,
        asked: LogId,
        deadline: Instant,
    ) -> End {
        let prev = heartbeat.prev_log_id;
        let lasts = RPCOption::new(deadline.saturating_duration_since(Instant::now()));
        let beat = self.inner.append_entries(heartbeat, lasts);
        let beat = async {
            match beat.await {
                Ok(AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_)) => {}
                // There is another leader, or these entries don't fit the follower's log.
                Ok(refused) => return refused,
                // What is under way may arrive all the same; else openraft is tired of waiting.
                Err(_) => return std::future::pending().await,
            }
            if prev.is_none() {
                // To match nothing is no progress; openraft's engine insists on some.
                return std::future::pending().await;
            }
            sleep_until(deadline).await;
            AppendEntriesResponse::PartialSuccess(prev)
        };
        tokio::select! {
            biased;
            end = flight.landed(asked) => {
                self.way.0.end(&flight);
                end
            }
            answer = beat => {
                if !matches!(answer, AppendEntriesResponse::PartialSuccess(_)) {
                    self.way.0.end(&flight);
                }
                Ok(answer)
            }
        }
    }
}

impl<N: RaftNetworkFactory<TypeConfig> + Clone> RaftNetwork<TypeConfig> for PacedConnection<N> {
    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse, RpcError> {
        let Some(asked) = request.entries.last().map(|entry| entry.log_id) else {
            return self.beat(request, option).await;
        };
        let deadline = Instant::now() + option.soft_ttl();
        let heartbeat = AppendEntriesRequest {
            vote: request.vote,
            prev_log_id: request.prev_log_id,
            entries: Vec::new(),
            leader_commit: request.leader_commit,
        };
        if let Some(flight) = self.way.0.join(&request) {
            return self.accompany(flight, heartbeat, asked, deadline).await;
        }
        let Some(cargo) = load(&mut request, self.way.0.budget()) else {
            return self.beat(request, option).await;
        };
        // Most calls are over before anybody has to hear a heartbeat, and need no task of their own.
        let mut call = Box::pin(self.carry(request, cargo).await);
        let alone = tokio::time::timeout(option.soft_ttl() / 2, &mut call).await;
        if let Ok((carrier, end)) = alone {
            self.carrier = Some(carrier);
            return end.map(|answer| cargo.conclude(answer, asked));
        }
        let flight = Flight::of(cargo, async move { call.await.1 });
        self.way.0.set_out(&flight);
        self.accompany(flight, heartbeat, asked, deadline).await
    }

    async fn install_snapshot(
        &mut self,
        chunk: InstallSnapshotRequest,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse, RpcError<InstallSnapshotError>> {
        #[allow(deprecated, reason = "by `generic-snapshot-data`, which others may turn on")]
        self.inner.install_snapshot(chunk, option).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest,
        option: RPCOption,
    ) -> Result<VoteResponse, RpcError> {
        self.inner.vote(request, option).await
    }

    /// Entries that are still under way are of no use to a node that needs a snapshot.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse, StreamingError<TypeConfig, Fatal<NodeId>>> {
        self.way.0.give_up();
        self.inner.full_snapshot(vote, snapshot, cancel, option).await
    }

    fn backoff(&self) -> Backoff {
        self.inner.backoff()
    }
}
