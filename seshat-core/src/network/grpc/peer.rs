//! The other nodes: an HTTP/2 channel for each [`Lane`] to each of them, and whether it works.
//!
//! Guarantees: what is urgent waits behind nothing that is long. A channel resolves its name and
//! connects when it is used and isn't connected, and goes when its node leaves the membership (and
//! the last call to it ended). Nobody is called in plaintext beyond this machine unless that was asked
//! for, and with TLS nobody but who has the certificate of the node that is meant.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::error::{CallError, Cause};
use super::tls::{Tls, is_loopback};
use super::told::Told;
use crate::metrics;
use crate::statement::answer::Acknowledged;
use crate::types::NodeId;

/// HTTP/2 windows that hold what a heartbeat interval can carry: a small window costs a round trip
/// whenever it is full.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;
/// The same, for all calls of a connection.
pub(super) const CONNECTION_WINDOW: u32 = 8 << 20;
/// A connection that says nothing for that long is asked whether it lives.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long it may take to say so.
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of its own for what must not wait behind the rest: the bytes of a connection arrive
/// in the order in which they were sent, and on a slow link a window of them takes seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Short messages that somebody's election timeout waits for: votes, standings, and heartbeats
    /// while entries are on their way.
    Liveness,
    /// Entries, and heartbeats while there are none.
    Bulk,
    /// Snapshots.
    Snapshot,
}

/// What fails, and works again, each by itself: a peer that can't read entries of a newer format answers
/// heartbeats and votes all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Short,
    Entries,
    Snapshot,
}

/// The channel of each lane.
struct Channels {
    endpoint: Endpoint,
    liveness: Channel,
    bulk: Channel,
    snapshot: Channel,
}

impl Channels {
    fn new(endpoint: Endpoint) -> Self {
        let [bulk, snapshot] = [(); 2].map(|()| endpoint.connect_lazy());
        // What is long is ahead of a question and its answer by all that the buffers hold, so the other
        // lanes are not asked: who waits for them sees whether they move.
        let liveness = endpoint
            .clone()
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy();
        Self { endpoint, liveness, bulk, snapshot }
    }

    fn get(&self, lane: Lane) -> Channel {
        match lane {
            Lane::Liveness => &self.liveness,
            Lane::Bulk => &self.bulk,
            Lane::Snapshot => &self.snapshot,
        }
        .clone()
    }

    fn renew(&mut self, lane: Lane) {
        match lane {
            Lane::Liveness => {}
            Lane::Bulk => self.bulk = self.endpoint.connect_lazy(),
            Lane::Snapshot => self.snapshot = self.endpoint.connect_lazy(),
        }
    }
}

/// One other node.
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) address: String,
    channels: Mutex<Result<Channels, Cause>>,
    /// Calls of each sort without an answer since the last one that had one.
    failures: [AtomicU64; 3],
    told: Mutex<[Told; 3]>,
    bulk: Traffic,
    pub(super) meters: metrics::Peer,
    acknowledged: Mutex<Acknowledged>,
}

/// What is known of the bulk lane.
#[derive(Debug, Default)]
struct Traffic {
    under_way: AtomicUsize,
    /// Whether the last call that began there has been answered.
    answered: AtomicBool,
}

/// A call's place on a lane.
pub(super) struct Place<'a> {
    pub(super) lane: Lane,
    traffic: Option<&'a Traffic>,
}

impl Place<'_> {
    pub(super) fn answered(&self) {
        if let Some(traffic) = self.traffic {
            traffic.answered.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(traffic) = self.traffic {
            traffic.under_way.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Peer {
    fn new(id: NodeId, address: &str, ways: &Ways) -> Self {
        Self {
            id,
            address: address.to_owned(),
            channels: Mutex::new(ways.to(id, address)),
            failures: Default::default(),
            told: Mutex::default(),
            bulk: Traffic::default(),
            meters: metrics::Peer::new(id),
            acknowledged: Mutex::default(),
        }
    }

    /// What it has acknowledged. As long as it is a member: who leaves may come back with nothing.
    pub(super) fn acknowledged(&self) -> MutexGuard<'_, Acknowledged> {
        // Every change under the lock is a single assignment.
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane for a message with that many entries; `None` if it is of a kind that has none. A heartbeat
    /// goes where entries go as long as none are on their way and all was well there: to wake one
    /// connection takes less than to wake two.
    pub(super) fn place(&self, entries: Option<usize>) -> Place<'_> {
        let Traffic { under_way, answered } = &self.bulk;
        let free = under_way.load(Ordering::Relaxed) == 0 && answered.load(Ordering::Relaxed);
        match entries {
            Some(1..) => {}
            Some(0) if free => {}
            _ => return Place { lane: Lane::Liveness, traffic: None },
        }
        under_way.fetch_add(1, Ordering::Relaxed);
        answered.store(false, Ordering::Relaxed);
        Place { lane: Lane::Bulk, traffic: Some(&self.bulk) }
    }

    /// # Errors
    /// The address is no address, or none to go to in plaintext.
    pub(super) fn channel(&self, lane: Lane) -> Result<Channel, Cause> {
        self.channels().as_ref().map(|channels| channels.get(lane)).map_err(Cause::clone)
    }

    /// Connects that lane anew for calls to come: on the old connection one was given up, which may be
    /// dead, or still full of what nobody waits for any more. The liveness lane finds out by itself.
    pub(super) fn renew(&self, lane: Lane) {
        if let Ok(channels) = self.channels().as_mut() {
            channels.renew(lane);
        }
    }

    // Every change under the lock is a single assignment.
    fn channels(&self) -> MutexGuard<'_, Result<Channels, Cause>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a call ended, and [tells](Told) of a change.
    pub(super) fn note<T>(
        &self,
        rpc: &'static str,
        sort: Sort,
        end: Result<T, Cause>,
    ) -> Result<T, CallError> {
        let [short, entries, snapshots] = &self.failures;
        let failures = match sort {
            Sort::Short => short,
            Sort::Entries => entries,
            Sort::Snapshot => snapshots,
        };
        if end.is_ok() && failures.swap(0, Ordering::Relaxed) > 0 && self.told(sort, Told::succeeds)
        {
            let (peer, address) = (self.id, &self.address);
            tracing::info!(peer, address, ?sort, "calls to peer succeed again");
        }
        end.map_err(|cause| {
            self.meters.failed();
            let attempt = failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let address = self.address.clone();
            let error = CallError { rpc, target: self.id, address, attempt, cause };
            if self.told(sort, |told| told.fails(Instant::now())) {
                tracing::warn!(peer = self.id, address = self.address, %error, "calls to peer fail");
            }
            error
        })
    }

    /// Asks what to tell of calls of that sort.
    fn told(&self, sort: Sort, ask: impl FnOnce(&mut Told) -> bool) -> bool {
        // Every change under the lock is a single assignment.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let [short, entries, snapshots] = &mut *told;
        ask(match sort {
            Sort::Short => short,
            Sort::Entries => entries,
            Sort::Snapshot => snapshots,
        })
    }
}

/// How nodes are connected to.
pub(super) struct Ways {
    pub(super) connect_timeout: Duration,
    pub(super) tls: Option<Arc<Tls>>,
    /// Whether to go without TLS beyond this machine.
    pub(super) plaintext: bool,
}

impl Ways {
    fn to(&self, id: NodeId, address: &str) -> Result<Channels, Cause> {
        let no_address = |error| Cause::NoAddress(Arc::new(error));
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint =
            Endpoint::from_shared(format!("{scheme}://{address}")).map_err(no_address)?;
        if self.tls.is_none() && !self.plaintext && !is_loopback(address) {
            return Err(Cause::Plaintext);
        }
        let mut endpoint = endpoint
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.client(id)).map_err(no_address)?;
        }
        Ok(Channels::new(endpoint))
    }
}

/// All other nodes that were called so far and are still members.
pub(super) struct Peers {
    cluster: String,
    ways: Ways,
    peers: Mutex<HashMap<NodeId, Arc<Peer>>>,
}

impl Peers {
    pub(super) fn new(cluster: &str, ways: Ways) -> Self {
        Self { cluster: cluster.to_owned(), ways, peers: Mutex::default() }
    }

    /// Connects to all of them anew, with the certificates that there are now. Calls under way go on.
    pub(super) fn reconnect(&self) {
        for peer in self.lock().values() {
            *peer.channels() = self.ways.to(peer.id, &peer.address);
        }
    }

    /// Node `id`, at `address` from now on.
    pub(super) fn at(&self, id: NodeId, address: &str) -> Arc<Peer> {
        let mut peers = self.lock();
        match peers.get(&id) {
            Some(peer) if peer.address == address => Arc::clone(peer),
            _ => {
                let peer = Arc::new(Peer::new(id, address, &self.ways));
                peers.insert(id, Arc::clone(&peer));
                peer
            }
        }
    }

    /// Forgets the nodes that are no members any more.
    pub(super) fn retain(&self, is_member: impl Fn(NodeId) -> bool) {
        self.lock().retain(|id, _| {
            let stays = is_member(*id);
            if !stays {
                tracing::info!(cluster = self.cluster, peer = id, "peer left");
            }
            stays
        });
    }

    // Every change under the lock is a single insertion or removal.
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pauses before another attempt: from `first`, twice as long each time, up to `most`, each cut by
/// up to a half at random, so that those who failed together don't return together.
pub(super) fn pauses(first: Duration, most: Duration) -> impl Iterator<Item = Duration> + Send {
    let random = RandomState::new();
    (0_u32..).map(move |n| {
        let pause = first.saturating_mul(2_u32.saturating_pow(n.min(16))).min(most);
        let share = (random.hash_one(n) % 512) as u32;
        pause - pause.mul_f64(f64::from(share) / 1024.0)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pauses;

    #[test]
    fn pauses_grow_to_their_bound_and_differ() {
        let (first, most) = (Duration::from_millis(50), Duration::from_millis(500));
        let of = || pauses(first, most).take(100).collect::<Vec<_>>();
        for (n, pause) in of().into_iter().enumerate() {
            let whole = first.saturating_mul(1 << n.min(10)).min(most);
            assert!(pause > whole / 2 && pause <= whole, "{n}: {pause:?} of {whole:?}");
        }
        assert_ne!(of(), of());
    }
}
