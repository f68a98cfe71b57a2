//! [`Switchboard`]: connects nodes of one process, and gets in their way on demand.
//!
//! For tests, demonstrations and the conformance kit. It works for any openraft type
//! configuration. Each direction between two nodes is a link of its own with [`Faults`] of its
//! own; what happens to the n-th message of a link follows from the seed, the link and n alone, and
//! how long it takes also from what shares the link's bandwidth with it.

mod bandwidth;
mod connection;
mod link;
mod ship;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::raft::AppendEntriesRequest;
use openraft::{AnyError, Raft, RaftTypeConfig};
use tokio::time::Instant;

use self::bandwidth::Turn;
pub use self::connection::{Connection, Port, Rpc, Undelivered};
pub use self::link::Faults;
use self::link::{Cut, Fate, Link};
pub use self::ship::{InChunks, Ship, Shipped};
#[cfg(feature = "storage-v2")]
pub use self::wire::Encoded;
pub use self::wire::{Carry, Direct, Wire};

/// A future behind a pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What stands before a node and knows what it can't take.
pub trait Guard<C: RaftTypeConfig>: Send + Sync + 'static {
    /// Whether the node may be given the request. If not, it is given it without its entries, so that it hears
    /// its leader, and the sender is told that it can't be reached.
    fn admits<'a>(
        &'a self,
        request: &'a AppendEntriesRequest<C>,
    ) -> BoxFuture<'a, Result<(), AnyError>>;

    /// Whether it may be sent a snapshot.
    ///
    /// # Errors
    /// Why not.
    fn installs(&self) -> Result<(), AnyError>;
}

/// A node that is plugged in.
struct Plugged<C: RaftTypeConfig> {
    raft: Raft<C>,
    guard: Option<Arc<dyn Guard<C>>>,
}

impl<C: RaftTypeConfig> Clone for Plugged<C> {
    fn clone(&self) -> Self {
        Self { raft: self.raft.clone(), guard: self.guard.clone() }
    }
}

/// Connects any number of nodes. Clones are the same switchboard.
///
/// Messages cross it by a [`Wire`]; [`Direct`] hands them over as they are.
pub struct Switchboard<C: RaftTypeConfig, W> {
    shared: Arc<Shared<C>>,
    wire: W,
}

struct Shared<C: RaftTypeConfig> {
    seed: u64,
    state: Mutex<State<C>>,
}

struct State<C: RaftTypeConfig> {
    nodes: HashMap<C::NodeId, Plugged<C>>,
    links: HashMap<(C::NodeId, C::NodeId), Link>,
}

impl<C: RaftTypeConfig, W: Clone> Clone for Switchboard<C, W> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), wire: self.wire.clone() }
    }
}

impl<C: RaftTypeConfig, W> fmt::Debug for Switchboard<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switchboard").field("seed", &self.shared.seed).finish_non_exhaustive()
    }
}

#[cfg(feature = "storage-v2")]
impl<C: RaftTypeConfig> Switchboard<C, Encoded> {
    /// No nodes, no faults. Messages are encoded and decoded.
    pub fn new(seed: u64) -> Self {
        Self::with_wire(seed, Encoded)
    }
}

impl<C: RaftTypeConfig> Switchboard<C, Direct> {
    /// No nodes, no faults. Messages move as they are, without a copy.
    pub fn direct(seed: u64) -> Self {
        Self::with_wire(seed, Direct)
    }
}

impl<C: RaftTypeConfig, W: Clone> Switchboard<C, W> {
    /// No nodes, no faults. Messages cross by `wire`.
    pub fn with_wire(seed: u64, wire: W) -> Self {
        let state = Mutex::new(State { nodes: HashMap::new(), links: HashMap::new() });
        Self { shared: Arc::new(Shared { seed, state }), wire }
    }

    /// The network of node `id`, to start it with.
    pub fn port(&self, id: C::NodeId) -> Port<C, W> {
        Port::new(self.clone(), id)
    }

    /// Makes node `id` reachable. Replaces an earlier one of that id.
    pub fn plug(&self, id: C::NodeId, raft: Raft<C>) {
        self.lock().nodes.insert(id, Plugged { raft, guard: None });
    }

    /// The same, for a node that can't take all that it may be sent: one on a disk, which may be full.
    pub fn plug_guarded(&self, id: C::NodeId, raft: Raft<C>, guard: impl Guard<C>) {
        self.lock().nodes.insert(id, Plugged { raft, guard: Some(Arc::new(guard)) });
    }

    /// Makes node `id` unreachable, as if its process had ended.
    pub fn unplug(&self, id: &C::NodeId) {
        self.lock().nodes.remove(id);
    }

    /// What happens from now on to messages from one node to another. Answers count as messages
    /// in their own direction.
    pub fn set_faults(&self, from: C::NodeId, to: C::NodeId, faults: Faults) {
        self.change(from, to, |now| *now = faults);
    }

    /// Cuts one direction: messages that way fail at once.
    pub fn cut(&self, from: C::NodeId, to: C::NodeId) {
        self.change(from, to, |now| now.cut = true);
    }

    /// Cuts both directions between nodes of different groups, and heals those within a group.
    /// Nodes that are in no group keep their links.
    pub fn partition(&self, groups: &[&[C::NodeId]]) {
        for (i, here) in groups.iter().enumerate() {
            for (j, there) in groups.iter().enumerate() {
                for (from, to) in here.iter().flat_map(|a| there.iter().map(move |b| (a, b))) {
                    self.change(from.clone(), to.clone(), |now| now.cut = i != j);
                }
            }
        }
    }

    /// Cuts node `id` off from every other node that is plugged in.
    pub fn isolate(&self, id: &C::NodeId) {
        let others: BTreeSet<_> =
            self.lock().nodes.keys().filter(|other| *other != id).cloned().collect();
        let others: Vec<_> = others.into_iter().collect();
        self.partition(&[std::slice::from_ref(id), &others]);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let none = |now: &mut Faults| *now = Faults::default();
        self.lock().links.values_mut().for_each(|link| link.change(none));
    }

    /// Decides the next message of a link.
    fn fate(&self, from: &C::NodeId, to: &C::NodeId) -> Fate {
        match self.lock().links.get_mut(&(from.clone(), to.clone())) {
            Some(link) => link.fate(),
            None => Fate::default(),
        }
    }

    /// Returns when a message of so many bytes is over the link. Dropped before, it takes no more of
    /// the link than the turn that it has begun.
    async fn pass(&self, from: &C::NodeId, to: &C::NodeId, mut bytes: u64) -> Result<(), Cut> {
        if bytes == 0 {
            return Ok(());
        }
        let mut ready = Instant::now();
        while let Some(turn) = self.turn(from, to, ready, bytes)? {
            tokio::time::sleep_until(turn.over).await;
            (ready, bytes) = (turn.over, bytes - turn.bytes);
        }
        Ok(())
    }

    fn turn(
        &self,
        from: &C::NodeId,
        to: &C::NodeId,
        ready: Instant,
        bytes: u64,
    ) -> Result<Option<Turn>, Cut> {
        match self.lock().links.get_mut(&(from.clone(), to.clone())) {
            Some(link) => link.turn(ready, bytes),
            None => Ok(None),
        }
    }

    fn node(&self, id: &C::NodeId) -> Option<Plugged<C>> {
        self.lock().nodes.get(id).cloned()
    }

    fn change(&self, from: C::NodeId, to: C::NodeId, change: impl FnOnce(&mut Faults)) {
        let mut hasher = DefaultHasher::new();
        (self.shared.seed, &from, &to).hash(&mut hasher);
        let seed = hasher.finish();
        let mut state = self.lock();
        let link = state.links.entry((from, to)).or_insert_with(|| Link::new(seed));
        link.change(change);
    }

    // Every change under the lock is a single insertion or removal, or one of plain values that
    // can't panic.
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
