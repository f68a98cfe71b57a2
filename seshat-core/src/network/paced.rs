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
//! - The same while a snapshot is under way, to whom openraft sends no heartbeats either.
//! - What a call carries follows what went through ([`Pace`]); the rest is asked for again. What
//!   proposals are packed into follows that, too ([`Ways::quorum_budget`]).
//!
//! - Whoever answers anything is heard ([`Ways::quorum_heard`]), also where openraft doesn't wait for it.
//!
//! An answer that comes late is what Raft copes with anyway. That it comes to a later call of openraft's
//! makes openraft's `millis_since_quorum_ack` too young by no more than what the entries took; nothing
//! else in 0.9 goes by when a call began.

mod flight;
mod pace;
#[cfg(test)]
mod tests;
mod way;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::error::{
    Fatal, InstallSnapshotError, RPCError, RaftError, ReplicationClosed, StreamingError,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};

use self::flight::{Cargo, End, Flight};
pub(crate) use self::way::Ways;
use self::way::{User, Way};
use crate::codec::MAX_MEMBERSHIPS;
use crate::log::REPLICATION_BYTES;
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, EntryPayload, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Node, NodeId, Snapshot, SnapshotResponse, TypeConfig, Vote,
    VoteRequest, VoteResponse,
};

type RpcError<E = openraft::error::Infallible> = RPCError<NodeId, Node, RaftError<NodeId, E>>;

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
    heartbeat: Duration,
    way: User,
    /// For everything that elects and keeps a leader, and for snapshots.
    inner: N::Network,
    /// For entries, while none are under way; made when needed.
    carrier: Option<N::Network>,
    /// Whether openraft gave up the last heartbeat before it was answered.
    unanswered: bool,
    /// One heartbeat for which there is more time.
    asking: JoinSet<()>,
    /// Goes off now and then while there are calls. One for all of them: most are over long before, and
    /// to set and stop a clock for each takes longer than all else here.
    alarm: Pin<Box<Sleep>>,
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
            heartbeat: self.ways.heartbeat,
            way: User::of(self.ways.to(target)),
            inner: self.inner.new_client(target, node).await,
            carrier: None,
            unanswered: false,
            asking: JoinSet::new(),
            alarm: Box::pin(sleep_until(Instant::now())),
        }
    }
}

/// What openraft asks a follower to store, without the entries.
#[derive(Clone, Copy)]
struct Asked {
    vote: Vote,
    prev: Option<LogId>,
    last: LogId,
    committed: Option<LogId>,
}

impl Asked {
    /// `None` for a heartbeat.
    fn of(request: &AppendEntriesRequest) -> Option<Self> {
        let last = request.entries.last()?.log_id;
        let AppendEntriesRequest { vote, prev_log_id: prev, leader_commit: committed, .. } =
            *request;
        Some(Self { vote, prev, last, committed })
    }

    fn heartbeat(self) -> AppendEntriesRequest {
        let Self { vote, prev: prev_log_id, committed: leader_commit, .. } = self;
        AppendEntriesRequest { vote, prev_log_id, leader_commit, entries: Vec::new() }
    }
}

/// What a leader sends that says nothing but that it leads: the node takes its vote and renews its lease.
/// There is no entry before it that could conflict, nor a commit index.
pub(crate) fn heartbeat(vote: Vote) -> AppendEntriesRequest {
    AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None }
}

/// How many heartbeat intervals the answer to one may take, where openraft waits for one.
const ASK_FOR: u32 = 5;

/// Sends heartbeats, until another node leads; the vote of that.
async fn beats(
    mut network: impl RaftNetwork<TypeConfig>,
    way: Arc<Way>,
    vote: Vote,
    interval: Duration,
) -> Vote {
    loop {
        tokio::time::sleep(interval).await;
        let beat = network.append_entries(heartbeat(vote), RPCOption::new(interval));
        // A node that installs a snapshot hears it, and answers when it is done.
        let Ok(Ok(answer)) = tokio::time::timeout(interval, beat).await else { continue };
        way.heard();
        if let AppendEntriesResponse::HigherVote(deposed) = answer {
            return deposed;
        }
    }
}

/// Bytes that an entry counts for.
fn weight(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(batch) => crate::log::weight(batch),
        EntryPayload::Blank => 1,
        // No message holds more of them.
        EntryPayload::Membership(_) => REPLICATION_BYTES / MAX_MEMBERSHIPS,
    }
}

/// Cuts `request` down to what `budget` allows, to at least one entry.
fn load(request: &mut AppendEntriesRequest, asked: Asked, budget: usize) -> Cargo {
    let Asked { vote, prev, mut last, .. } = asked;
    let mut bytes = 0_usize;
    for (already, entry) in request.entries.iter().enumerate() {
        let weight = weight(entry);
        if already > 0 && bytes + weight > budget {
            request.entries.truncate(already);
            break;
        }
        bytes += weight;
        last = entry.log_id;
    }
    Cargo { vote, prev, last, bytes }
}

impl<N: RaftNetworkFactory<TypeConfig> + Clone> PacedConnection<N> {
    /// A connection beside the other one.
    async fn carrier(&mut self) -> N::Network {
        match self.carrier.take() {
            Some(carrier) => carrier,
            None => self.factory.new_client(self.target, &self.node).await,
        }
    }

    /// Sends a heartbeat, and notes how long the way is.
    async fn beat(&mut self, request: AppendEntriesRequest, option: RPCOption) -> End {
        if self.unanswered {
            self.ask(&request).await;
        }
        let (started, patience) = (Instant::now(), option.soft_ttl());
        // Unless this future is dropped, which is how openraft gives up.
        self.unanswered = true;
        let end = self.inner.append_entries(request, option).await;
        if end.is_ok() {
            self.way.0.echoed(started.elapsed());
        }
        self.unanswered = end.is_err() && started.elapsed() >= patience;
        end
    }

    /// On a way that is longer there and back than openraft waits, no heartbeat is answered in time, nor
    /// does it arrive with a transport that gives up with openraft. So one at a time has longer.
    async fn ask(&mut self, beat: &AppendEntriesRequest) {
        while self.asking.try_join_next().is_some() {}
        if !self.asking.is_empty() {
            return;
        }
        let mut network = self.factory.new_client(self.target, &self.node).await;
        let (way, patience) = (Arc::clone(&self.way.0), ASK_FOR * self.heartbeat);
        let AppendEntriesRequest { vote, prev_log_id, leader_commit, .. } = *beat;
        let beat = AppendEntriesRequest { vote, prev_log_id, leader_commit, entries: Vec::new() };
        self.asking.spawn(async move {
            let beat = network.append_entries(beat, RPCOption::new(patience));
            if matches!(tokio::time::timeout(patience, beat).await, Ok(Ok(_))) {
                way.heard();
            }
        });
    }

    /// Begins to send entries. What comes out also has the connection, to be used again.
    async fn carry(
        &mut self,
        request: AppendEntriesRequest,
        cargo: Cargo,
        started: Instant,
    ) -> impl Future<Output = (N::Network, End)> + Send + use<N> {
        let mut carrier = self.carrier().await;
        let way = Arc::clone(&self.way.0);
        let patience = way.patience(cargo.bytes);
        async move {
            let end = carrier.append_entries(request, RPCOption::new(patience)).await;
            way.note(&cargo, &end, started.elapsed(), patience);
            (carrier, end)
        }
    }

    /// Waits for `call` until `due`.
    async fn until<T>(&mut self, due: Instant, call: impl Future<Output = T>) -> Option<T> {
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                biased;
                end = &mut call => return Some(end),
                () = &mut self.alarm => {}
            }
            if Instant::now() >= due {
                return None;
            }
            self.alarm.as_mut().reset(due);
        }
    }

    /// Waits for `flight`, and keeps the follower from campaigning meanwhile. Not beyond `deadline` if
    /// the follower has answered by then.
    async fn accompany(&mut self, mut flight: Flight, asked: Asked, deadline: Instant) -> End {
        let prev = asked.prev;
        let lasts = RPCOption::new(deadline.saturating_duration_since(Instant::now()));
        let beat = self.inner.append_entries(asked.heartbeat(), lasts);
        let way = Arc::clone(&self.way.0);
        let beat = async {
            let answer = beat.await;
            if answer.is_ok() {
                way.heard();
            }
            match answer {
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
            end = flight.landed(asked.last) => {
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
        let Some(asked) = Asked::of(&request) else {
            return self.beat(request, option).await;
        };
        let started = Instant::now();
        let (soon, deadline) = (started + option.soft_ttl() / 2, started + option.soft_ttl());
        if let Some(flight) = self.way.0.join(&asked) {
            return self.accompany(flight, asked, deadline).await;
        }
        let cargo = load(&mut request, asked, self.way.0.budget());
        // Most calls are over before the follower has to hear a heartbeat, and need no task of their own.
        let mut call = Box::pin(self.carry(request, cargo, started).await);
        if let Some((carrier, end)) = self.until(soon, &mut call).await {
            self.carrier = Some(carrier);
            return end.map(|answer| cargo.conclude(answer, asked.last));
        }
        let flight = Flight::of(cargo, async move { call.await.1 });
        self.way.0.set_out(&flight);
        self.accompany(flight, asked, deadline).await
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
        let answer = self.inner.vote(request, option).await;
        if answer.is_ok() {
            self.way.0.heard();
        }
        answer
    }

    /// Entries that are still under way are of no use to a node that needs a snapshot. Heartbeats are:
    /// openraft sends none to whom it sends a snapshot (`replication_handler/mod.rs`,
    /// `initiate_replication`), until that is installed.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse, StreamingError<TypeConfig, Fatal<NodeId>>> {
        self.way.0.give_up();
        let way = Arc::clone(&self.way.0);
        let beats = beats(self.carrier().await, way, vote, self.heartbeat);
        tokio::select! {
            biased;
            end = self.inner.full_snapshot(vote, snapshot, cancel, option) => end,
            deposed = beats => Ok(SnapshotResponse::new(deposed)),
        }
    }

    fn backoff(&self) -> Backoff {
        self.inner.backoff()
    }
}
