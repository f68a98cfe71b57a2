//! [`Totals`]: what others may have under way here, all together: calls, and bytes of their messages.
//!
//! Guarantees:
//!
//! - Clients have a share of each, and other nodes have another: neither takes from the other's.
//! - A call beyond its share is refused at once, and a message that finds no room after a while; to
//!   the caller both are [`Refusal::Busy`], which passes.
//! - A message takes room before it is read, for as long as anything of it is here. What is no longer
//!   than [`SHORT`] has its room with the call's place.
//! - Among other nodes each member has a part of its own, a 16th of the calls and half of the bytes, and
//!   all who are no members have one together; of its calls only a few may carry much. So no heartbeat
//!   and no vote is refused because others, or what is long, have taken all, as long as fifteen others
//!   are members at most.
//! - A message that trickles is given up, if there is no room or no place for others
//!   ([`Budget::is_needed`]). As long as there is, it may come as slowly as its link is.

mod announced;
mod clients;
mod metered;
mod seldom;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;

pub(super) use self::clients::ClientsLayer;
pub(crate) use self::metered::Held;
pub(super) use self::metered::Meter;
pub(super) use self::seldom::Refusals;
use super::error::Refusal;
use super::peer::CONNECTION_WINDOW;
use super::progress::PIECE;
use crate::config::{NodeConfig, memory};
use crate::types::NodeId;

/// The longest message that needs no room of its own, and the longest of a call that doesn't say that it
/// is [long](super::progress::LONG).
pub(super) const SHORT: usize = PIECE;
/// The longest part of a snapshot: a chunk, or a header with its membership.
pub(super) const LONGEST_PART: usize = 2 << 20;
/// Calls that carry much and come from the same node: entries and a snapshot, and as many again on a
/// connection that broke, of which this end doesn't know yet.
const LONG_EACH: usize = 4;
/// Among so many the calls of other nodes are divided.
const PARTS: usize = 16;
/// What comes must come at this rate where others need its room or its place: 256 kbit/s.
const LEAST_RATE: u64 = 32 << 10;
/// Watches, and conversations with the reflection service: they last as long as a client likes.
const STREAMS: usize = 64;
/// On average, of each connection of a client: exchanges, which last as long as well.
const EXCHANGES: usize = memory::EXCHANGES as usize;

// What is computed before there is a network is true of this one.
const _: () = assert!(memory::SHORT == SHORT as u64);
const _: () = assert!(memory::CONNECTION_WINDOW == CONNECTION_WINDOW as u64);

/// What is under way at a server; see the [configuration](crate::config::GrpcConfig) for what may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// Calls of other nodes.
    pub peer_calls: usize,
    /// Bytes of their messages, of those that are longer than 64 KiB.
    pub peer_bytes: usize,
    /// Calls of clients.
    pub client_calls: usize,
    /// Bytes of their messages, of those that are longer than 64 KiB.
    pub client_bytes: usize,
}

/// Shares of calls and bytes, for one node. Clones are the same ones.
#[derive(Clone)]
pub(super) struct Totals {
    shared: Arc<Shared>,
}

struct Shared {
    peers: Share,
    clients: Share,
    /// Of clients, beside all else.
    streams: Total,
    exchanges: Total,
    members: RwLock<HashMap<NodeId, Arc<Part>>>,
    strangers: Part,
    limit: Duration,
    longest: usize,
}

/// What is taken from a number that was there in the beginning.
#[derive(Clone)]
struct Total {
    most: usize,
    left: Arc<Semaphore>,
}

impl Total {
    fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self { most, left: Arc::new(Semaphore::new(most)) }
    }

    fn taken(&self) -> usize {
        self.most - self.left.available_permits()
    }

    /// `None` if there isn't as much left, or others wait for it.
    fn take(&self, some: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.left).try_acquire_many_owned(some).ok()
    }

    /// Those who wait are served in the order in which they came. `None` can't be.
    async fn wait(&self, some: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.left).acquire_many_owned(some).await.ok()
    }
}

/// Of calls and of bytes.
struct Share {
    calls: Total,
    bytes: Total,
    /// Messages that wait for room.
    waiting: Arc<AtomicUsize>,
}

impl Share {
    fn new(calls: usize, bytes: usize) -> Self {
        Self { calls: Total::new(calls), bytes: Total::new(bytes), waiting: Arc::default() }
    }
}

/// One node's part of the nodes' share.
struct Part {
    calls: Total,
    long: Total,
    bytes: Total,
}

impl Part {
    fn of(calls: usize, bytes: usize, longest: usize) -> Self {
        Self {
            calls: Total::new((calls / PARTS).max(1)),
            long: Total::new(LONG_EACH),
            bytes: Total::new((bytes / 2).max(longest)),
        }
    }
}

/// A call's place among those that may be under way.
pub(super) struct Place {
    _permits: [Option<OwnedSemaphorePermit>; 3],
}

impl Totals {
    pub(super) fn new(config: &NodeConfig) -> Self {
        let (grpc, longest) = (config.grpc(), config.max_message_bytes());
        let (peer_bytes, client_bytes) =
            (config.max_peer_bytes() as usize, config.max_client_bytes() as usize);
        let part = || Part::of(grpc.max_peer_calls, peer_bytes, longest);
        let others = config.members().keys().map(|id| (*id, Arc::new(part())));
        let shared = Shared {
            peers: Share::new(grpc.max_peer_calls, peer_bytes),
            clients: Share::new(grpc.max_client_calls, client_bytes),
            streams: Total::new(STREAMS),
            exchanges: Total::new(grpc.max_connections.saturating_mul(EXCHANGES)),
            members: RwLock::new(others.collect()),
            strangers: part(),
            limit: config.rpc_timeout(),
            longest,
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn under_way(&self) -> UnderWay {
        let Shared { peers, clients, streams, exchanges, .. } = &*self.shared;
        UnderWay {
            peer_calls: peers.calls.taken(),
            peer_bytes: peers.bytes.taken(),
            client_calls: clients.calls.taken() + streams.taken() + exchanges.taken(),
            client_bytes: clients.bytes.taken(),
        }
    }

    /// These nodes have a part of their own, from now on. Who had one keeps it.
    pub(super) fn divide(&self, members: impl Iterator<Item = NodeId>) {
        let Shared { peers, longest, .. } = &*self.shared;
        // The one change under the lock is an assignment.
        let mut parts = self.shared.members.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Part::of(peers.calls.most, peers.bytes.most, *longest));
        let now = members.map(|id| (id, parts.get(&id).cloned().unwrap_or_else(fresh)));
        *parts = now.collect();
    }

    /// A place for a call of node `from`, and the budget for what it carries if that is `long`.
    ///
    /// # Errors
    /// [`Refusal::Busy`].
    pub(super) fn peer(&self, from: Option<NodeId>, long: bool) -> Result<Place, Status> {
        let shared = &*self.shared;
        self.with_part(from, |part| {
            let long = if long { Some(part.long.take(1)?) } else { None };
            let own = part.calls.take(1)?;
            Some(Place { _permits: [Some(shared.peers.calls.take(1)?), Some(own), long] })
        })
        .ok_or_else(|| busy("there are as many calls as may be"))
    }

    /// What messages of node `from` draw from, each no longer than `longest`.
    pub(super) fn peer_budget(&self, from: Option<NodeId>, longest: usize) -> Budget {
        let (own, places) = self.with_part(from, |part| (part.bytes.clone(), part.long.clone()));
        self.budget(&self.shared.peers, Some(own), places, longest)
    }

    fn client_budget(&self) -> Budget {
        let share = &self.shared.clients;
        self.budget(share, None, share.calls.clone(), share.bytes.most)
    }

    fn budget(&self, share: &Share, own: Option<Total>, places: Total, longest: usize) -> Budget {
        let (total, waiting) = (share.bytes.clone(), Arc::clone(&share.waiting));
        Budget { own, total, places, waiting, longest, limit: self.shared.limit }
    }

    fn with_part<T>(&self, from: Option<NodeId>, look: impl FnOnce(&Part) -> T) -> T {
        let members = self.shared.members.read().unwrap_or_else(PoisonError::into_inner);
        let member = from.and_then(|id| members.get(&id));
        look(member.map_or(&self.shared.strangers, |part| part))
    }
}

fn busy(words: impl std::fmt::Display) -> Status {
    Refusal::Busy.status(words)
}

/// What the messages of a call draw from.
#[derive(Clone)]
pub(super) struct Budget {
    own: Option<Total>,
    total: Total,
    /// Of which the call has one.
    places: Total,
    waiting: Arc<AtomicUsize>,
    longest: usize,
    limit: Duration,
}

impl Budget {
    /// Room for a message of `len` bytes. Waits for it less long than a sender waits for something to
    /// move, so that it hears why.
    ///
    /// # Errors
    /// There is none ([`Refusal::Busy`]), or none is enough.
    async fn room(self, len: u32) -> Result<Room, Status> {
        let waits = Waits::among(&self.waiting);
        let room = async {
            let own = match &self.own {
                Some(own) => own.wait(len).await,
                None => None,
            };
            [self.total.wait(len).await, own]
        };
        let room = timeout(self.limit / 2, room).await;
        drop(waits);
        match room {
            Ok(permits) => Ok(Room { _permits: permits }),
            Err(_) => {
                let (most, waited) = (self.total.most, self.limit / 2);
                let words =
                    format!("no room for {len} bytes of {most} came free within {waited:?}");
                Err(busy(words))
            }
        }
    }

    /// The same, if there is some.
    fn room_now(&self, len: u32) -> Option<Room> {
        let own = match &self.own {
            Some(own) => Some(own.take(len)?),
            None => None,
        };
        Some(Room { _permits: [Some(self.total.take(len)?), own] })
    }

    /// Whether somebody is in need of the room, or the place, that a call has.
    fn is_needed(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || self.places.left.available_permits() == 0
    }

    /// How long a body may take that announces so many bytes, where what it has is needed.
    fn patience(&self, announced: u64) -> Duration {
        self.limit + Duration::from_secs(announced / LEAST_RATE)
    }
}

/// Counts among those who wait for room, until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn among(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A message's room.
pub(super) struct Room {
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

#[cfg(test)]
mod tests;
