//! [`Intake`]: what a node takes into its log: no more than its disk has room for.
//!
//! openraft 0.9 ends a node whose log refuses an entry. So whatever would append one asks here first, where
//! no is an answer:
//!
//! - Who leads refuses proposals and changes of the membership from the moment on at which the disk can't hold
//!   another segment ([`Room::lacks`]), while there is room still for what is under way.
//! - Who follows takes entries as long as they fit, and refuses them after that. It hears its leader all the
//!   same, votes, and learns what is committed; its leader tries again.
//! - A leader with a full disk hands over to a voter that has room ([`asks_for_room`]), and nobody with a full
//!   disk campaigns.
//! - It builds a snapshot, which may let part of the log go. When there is room again, whoever made it, all
//!   goes on as before.
//!
//! What openraft appends by itself, at the beginning of a term and in place of a joint configuration, is small,
//! and has its place in the log's reserve.
//!
//! Two may append at once, as they do where a leader's entry is answered late: what each of them asks for is
//! twice its own, which is enough for both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openraft::raft::AppendEntriesRequest;
use openraft::{AnyError, ServerState};
use tokio::time::Instant;

use super::elections::{Elections, Reason};
use super::handover::{Peers, asks_for_room, hand_over};
use crate::codec::Message;
use crate::config::NodeConfig;
use crate::error::{DiskFull, HandoverError};
use crate::log::weight;
use crate::network::switchboard::{BoxFuture, Guard};
use crate::operation::Batch;
use crate::storage::{Levels, Room};
use crate::types::{Entry, EntryPayload, NodeId, Raft, TypeConfig};

/// Bytes that an entry takes on disk beside what it [weighs](weight), and some more for what isn't entries.
const BESIDE: u64 = 128;

/// What a node lets come to its log: nothing that its disk has no room for. Clones are the same one. It keeps neither the node nor its storage alive.
#[derive(Clone)]
pub struct Intake {
    node_id: NodeId,
    /// `None` for a storage whose room never ends.
    room: Option<Arc<dyn Room>>,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

impl Intake {
    pub(super) fn new(node_id: NodeId, room: Option<Arc<dyn Room>>) -> Self {
        Self { node_id, room }
    }

    /// Why nothing new is to be begun here: the disk can't hold another segment.
    pub(crate) fn refusal(&self) -> Option<DiskFull> {
        let needed = self.room.as_ref()?.lacks()?;
        Some(DiskFull { node_id: self.node_id, needed })
    }

    /// What lies on the disk. Blocks.
    pub(super) fn levels(&self) -> Option<Levels> {
        self.room.as_ref()?.levels()
    }

    /// Whether the batch will be taken.
    pub(super) async fn takes(&self, batch: &Batch) -> Result<(), DiskFull> {
        let Some(room) = &self.room else { return Ok(()) };
        self.finds(room, weight(batch) as u64 + BESIDE).await
    }

    /// Whether the request may be given to openraft.
    pub(crate) async fn admits(
        &self,
        request: &AppendEntriesRequest<TypeConfig>,
    ) -> Result<(), DiskFull> {
        let Some(room) = &self.room else { return Ok(()) };
        if request.entries.is_empty() {
            let full = self.refusal().filter(|_| asks_for_room(request));
            return full.map_or(Ok(()), Err);
        }
        self.finds(room, request.entries.iter().map(bytes).sum()).await
    }

    /// Whether entries of so many bytes find room, after it was made if need be.
    async fn finds(&self, room: &Arc<dyn Room>, bytes: u64) -> Result<(), DiskFull> {
        let twice = bytes.saturating_mul(2);
        if room.fits(twice) {
            return Ok(());
        }
        let making = Arc::clone(room);
        let made = tokio::task::spawn_blocking(move || making.make(twice)).await;
        // Where the runtime stops, the node does.
        if made.unwrap_or(false) {
            return Ok(());
        }
        Err(DiskFull { node_id: self.node_id, needed: room.lacks().unwrap_or(twice) })
    }

    /// Looks after the disk until the node stops: says when it is full and when it isn't any more, and does
    /// what follows from it.
    pub(super) async fn watch(
        self,
        config: NodeConfig,
        raft: Raft,
        elections: Elections,
        peers: Arc<dyn Peers>,
    ) {
        if self.room.is_none() {
            return;
        }
        let (interval, patience) = (config.heartbeat_interval(), config.election_timeout_max());
        let mut full = None;
        loop {
            match (&full, self.refusal()) {
                (None, Some(why)) => {
                    tracing::error!(
                        node_id = self.node_id,
                        needed = why.needed,
                        "the disk is full: no writes are taken, and no campaign is begun, before there is room"
                    );
                    elections.allow(Reason::Disk, false);
                    // An old snapshot may be all that keeps the log.
                    if raft.trigger().snapshot().await.is_err() {
                        return;
                    }
                    full = Some(Full::new());
                }
                (Some(_), None) => {
                    tracing::info!(
                        node_id = self.node_id,
                        "the disk has room: writes are taken again"
                    );
                    elections.allow(Reason::Disk, true);
                    full = None;
                }
                _ => {}
            }
            if let Some(full) = &mut full
                && !full.leave(&raft, &*peers, patience).await
            {
                return;
            }
            tokio::time::sleep(interval).await;
        }
    }
}

/// How it goes with a node whose disk is full.
struct Full {
    /// Not to try before.
    next: Instant,
    /// Whether somebody was told that nobody took over.
    told: bool,
}

impl Full {
    fn new() -> Self {
        Self { next: Instant::now(), told: false }
    }

    /// Hands leadership over if the node leads, now and then until it does. `false`: the node stopped.
    async fn leave(&mut self, raft: &Raft, peers: &dyn Peers, patience: Duration) -> bool {
        let leads = raft.with_raft_state(|state| state.server_state == ServerState::Leader).await;
        let Ok(leads) = leads else { return false };
        if !leads || Instant::now() < self.next {
            return true;
        }
        let node_id = raft.metrics().borrow().id;
        match hand_over(raft, peers, None, patience).await {
            Ok(successor) => {
                tracing::info!(node_id, successor, "the disk is full: leadership handed over");
                self.told = false;
            }
            Err(HandoverError::Stopped) => return false,
            Err(error) if self.told => {
                tracing::debug!(node_id, %error, "the disk is full, and nobody takes over");
            }
            Err(error) => {
                tracing::warn!(node_id, %error, "the disk is full, and nobody takes over");
                self.told = true;
            }
        }
        self.next = Instant::now() + patience;
        true
    }
}

/// Bytes that an entry takes on disk, or some more.
fn bytes(entry: &Entry) -> u64 {
    let bytes = match &entry.payload {
        EntryPayload::Normal(batch) => weight(batch),
        EntryPayload::Blank | EntryPayload::Membership(_) => entry.encoded_len(),
    };
    bytes as u64 + BESIDE
}

impl Guard<TypeConfig> for Intake {
    fn admits<'a>(
        &'a self,
        request: &'a AppendEntriesRequest<TypeConfig>,
    ) -> BoxFuture<'a, Result<(), AnyError>> {
        Box::pin(
            async move { Self::admits(self, request).await.map_err(|full| AnyError::new(&full)) },
        )
    }

    fn installs(&self) -> Result<(), AnyError> {
        self.refusal().map_or(Ok(()), |full| Err(AnyError::new(&full)))
    }
}
