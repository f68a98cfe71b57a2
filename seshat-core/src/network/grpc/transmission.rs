//! A snapshot on its way out.
//!
//! Guarantees: sends the snapshot's own bytes, one chunk at a time, as the peer takes them, and only those
//! that the peer hasn't; nothing of one that the peer can't read, or that was damaged where it lies. One that
//! is in a file is read chunk by chunk, by other threads than the runtime's. Goes on after a cut for as long
//! as each leaves the peer with more than the one before. May take any time, and ends when nothing has moved
//! for a while.

mod parts;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use self::parts::Parts;
use super::error::Cause;
use super::identity::Identity;
use super::peer::{Lane, Peer, pauses};
use super::progress::{Progress, Watched};
use super::services::transport_client::TransportClient;
use super::totals::SHORT;
use crate::codec::{
    FullSnapshotHeader, OLDEST_FORMAT, SnapshotOffsetRequest, SnapshotOffsetResponse,
};
use crate::config::NodeConfig;
use crate::snapshot::{self, ReadError, Source};
use crate::types::{Snapshot, SnapshotResponse, Vote};

/// The least that a peer installs that can't say whether it does, once it has all of a snapshot:
/// 16 MiB a second.
const INSTALLED_PER_SECOND: u64 = 16 << 20;

/// The checksum of the snapshot that was summed up last: openraft has it sent to several peers, and
/// again and again to one that can't be reached.
#[derive(Debug, Clone, Default)]
pub(super) struct Summed(Arc<Mutex<Option<(String, u64, u64)>>>);

impl Summed {
    /// The checksum of these bytes, the snapshot's of that name. Blocks.
    fn of(&self, snapshot_id: &str, source: &Source) -> Result<u64, ReadError> {
        let length = source.len();
        if let Some((id, its, checksum)) = &*self.lock()
            && (id.as_str(), *its) == (snapshot_id, length)
        {
            return Ok(*checksum);
        }
        let checksum = snapshot::sum(source)?;
        *self.lock() = Some((snapshot_id.to_owned(), length, checksum));
        Ok(checksum)
    }

    /// What is remembered may be of another snapshot of the same name.
    fn forget(&self) {
        *self.lock() = None;
    }

    // Every change under the lock is a single assignment.
    fn lock(&self) -> MutexGuard<'_, Option<(String, u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One snapshot for one peer.
pub(super) struct Transmission<'a> {
    peer: &'a Peer,
    identity: &'a Identity,
    summed: &'a Summed,
    header: FullSnapshotHeader,
    source: Source,
    checksum: u64,
    chunk: usize,
    /// The least that a peer must read to install it; `None` of a foreign back end's.
    format: Option<u32>,
    /// Something moves within each, or it ends.
    stall: Duration,
}

impl<'a> Transmission<'a> {
    /// # Errors
    /// The snapshot's file can't be read, or was damaged.
    pub(super) async fn new(
        (peer, identity, summed): (&'a Peer, &'a Identity, &'a Summed),
        config: &NodeConfig,
        vote: Vote,
        snapshot: Snapshot,
    ) -> Result<Self, Cause> {
        let chunk = config.grpc().snapshot_chunk_bytes;
        let stall = config.rpc_timeout();
        let Snapshot { meta, mut snapshot } = snapshot;
        let source = snapshot.source();
        let look = {
            let (summed, source, id) = (summed.clone(), source.clone(), meta.snapshot_id.clone());
            move || Ok((snapshot::format(&source), summed.of(&id, &source)?))
        };
        let looked = spawn_blocking(look).await;
        let looked = looked.unwrap_or_else(|error| Err(io::Error::other(error).into()));
        let (format, checksum) = looked.map_err(|error| {
            if let ReadError::Invalid(_) = error {
                peer.meters.checks.snapshot();
            }
            Cause::unreadable(error)
        })?;
        let length = source.len();
        let header = FullSnapshotHeader { vote, meta, length, offset: 0, checksum: Some(checksum) };
        Ok(Self { peer, identity, summed, header, source, checksum, chunk, format, stall })
    }

    /// Sends it. The answer may be that another node leads.
    ///
    /// # Errors
    /// The first cause that doesn't pass, or the last cut after which the peer has no more than
    /// before.
    pub(super) async fn run(&self) -> Result<SnapshotResponse, Cause> {
        let started = Instant::now();
        let mut from = match self.offset(Duration::ZERO).await {
            Ok(from) => from.unwrap_or_default(),
            Err(cause) => {
                // openraft begins anew at once, and what a peer reads changes once in months.
                if matches!(cause, Cause::Format { .. }) {
                    sleep(self.stall).await;
                }
                return Err(cause);
            }
        };
        loop {
            let cut = match self.send(from).await {
                Ok(response) => {
                    let (bytes, elapsed_ms) = (self.header.length, started.elapsed().as_millis());
                    let elapsed_ms = elapsed_ms as u64;
                    tracing::info!(bytes, resumed_at = from, elapsed_ms, "snapshot transmitted");
                    return Ok(response);
                }
                Err(cause) if cause.is_transient() => cause,
                Err(cause) => {
                    self.summed.forget();
                    return Err(cause);
                }
            };
            match self.offset(self.stall).await {
                Ok(Some(there)) if there > from => {
                    tracing::info!(offset = there, %cut, "snapshot goes on");
                    from = there;
                }
                _ => return Err(cut),
            }
        }
    }

    /// How many of the first bytes the peer has; `None` if it can't say. Asks again while the peer
    /// installs, and where it can't be reached, for `patience`.
    async fn offset(&self, patience: Duration) -> Result<Option<u64>, Cause> {
        let mut deadline = Instant::now() + patience;
        for pause in pauses(Duration::from_millis(50), Duration::from_millis(500)) {
            match self.ask(self.stall).await {
                Ok(Some(told)) if told.installing => deadline = Instant::now() + patience,
                Ok(told) => return Ok(told.map(|told| told.offset.min(self.header.length))),
                Err(cause) if cause.is_transient() && Instant::now() < deadline => {}
                Err(cause) => return Err(cause),
            }
            sleep(pause).await;
        }
        Ok(None)
    }

    async fn ask(&self, limit: Duration) -> Result<Option<SnapshotOffsetResponse>, Cause> {
        let client = TransportClient::new(self.peer.channel(Lane::Liveness)?);
        let mut client = client.max_decoding_message_size(SHORT);
        let asked = SnapshotOffsetRequest { length: self.header.length, checksum: self.checksum };
        let call = client.snapshot_offset(self.identity.sign(self.peer.id, asked));
        let call = timeout(limit, call).await.map_err(|_| Cause::TimedOut(limit))?;
        let told = match call.map_err(Cause::of) {
            Ok(answer) => Some(answer.into_inner()),
            // Of an older version.
            Err(Cause::Failed { code: Code::Unimplemented, .. }) => None,
            Err(cause) => return Err(cause),
        };
        let got = told.map_or(OLDEST_FORMAT, |told| told.reads);
        match self.format {
            Some(expected) if expected > got => Err(Cause::Format { got, expected }),
            _ => Ok(told),
        }
    }

    /// Sends what is behind the first `from` bytes.
    async fn send(&self, from: u64) -> Result<SnapshotResponse, Cause> {
        let (channel, progress) = (self.peer.channel(Lane::Snapshot)?, Progress::default());
        let watched = Watched { channel, progress: Some(progress.clone()) };
        let mut client = TransportClient::new(watched).max_decoding_message_size(SHORT);
        let (unreadable, failed) = oneshot::channel();
        let header = FullSnapshotHeader { offset: from, ..self.header.clone() };
        let parts = Parts::new(
            header,
            self.source.clone(),
            self.chunk,
            unreadable,
            self.peer.meters.sends(),
        );
        tokio::select! {
            answer = client.full_snapshot(self.identity.sign(self.peer.id, parts)) => {
                Ok(answer.map_err(Cause::of)?.into_inner())
            }
            Ok(error) = failed => Err(Cause::unreadable(error.into())),
            waited = self.stalled(from, progress) => {
                self.peer.renew(Lane::Snapshot);
                Err(Cause::TimedOut(waited))
            }
        }
    }

    /// Ends when nothing has moved for `stall`. Parts that were taken may wait in buffers for long, so
    /// that a slow link takes them in bursts, and none at the end: what the peer says that it has
    /// moves too, and so does a peer that installs.
    async fn stalled(&self, from: u64, progress: Progress) -> Duration {
        let install = Duration::from_secs(self.header.length / INSTALLED_PER_SECOND);
        let (mut had, mut taken) = (from, 0);
        let mut moved = Instant::now();
        loop {
            sleep(self.stall / 4).await;
            let told = self.ask(self.stall / 4).await;
            let before = std::mem::replace(&mut taken, progress.bytes());
            let gains = match &told {
                Ok(Some(told)) => told.installing || told.offset > had,
                _ => false,
            };
            if let Ok(Some(told)) = &told {
                had = told.offset;
            }
            if taken > before || gains {
                moved = Instant::now();
            }
            let all = taken >= self.header.length.saturating_sub(from);
            let mute = all && matches!(told, Ok(None));
            let patience = if mute { self.stall + install } else { self.stall };
            if moved.elapsed() >= patience {
                return patience;
            }
        }
    }
}
