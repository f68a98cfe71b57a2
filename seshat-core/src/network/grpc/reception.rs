//! A snapshot on its way in.
//!
//! Guarantees: openraft gets it whole or not at all, and only after its content was read: what can't be
//! installed is refused, and stops nobody. Memory grows with what has arrived, not with
//! what was announced, and not at all where the storage takes it into a file; that is removed with what isn't
//! installed, and so it is where the disk has no room for all of it. A sender that stops is given up, and what it sent is kept for a while: the
//! next that has the same bytes goes on from there. A newer transmission ends an older one, so that
//! what a lost leader left half done is in nobody's way. As long as bytes arrive, the node hears
//! from its leader.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tonic::{Request, Status, Streaming};

use super::error::{Refusal, chain};
use super::follower::{Follower, stopped};
use super::identity::Sender;
use super::partial::{Content, Partial, Spoilt};
use super::progress::Progress;
use crate::codec::{
    self, FullSnapshotHeader, FullSnapshotPart, SnapshotOffsetRequest, SnapshotOffsetResponse,
};
use crate::config::NodeConfig;
use crate::metrics;
use crate::snapshot::{ReadError, SnapshotData};
use crate::storage::{BoxError, StateReader};
use crate::types::{AppendEntriesResponse, Raft, Snapshot, SnapshotMeta, SnapshotResponse, Vote};

/// For how many times `rpc_timeout` half a snapshot is kept that nobody adds to.
const KEPT: u32 = 24;

/// The parts of a snapshot, as they come.
pub(super) struct Incoming {
    parts: Streaming<FullSnapshotPart>,
    sender: Sender,
    progress: Progress,
}

impl Incoming {
    pub(super) fn of(request: Request<Streaming<FullSnapshotPart>>) -> Self {
        let progress = request.extensions().get::<Progress>().cloned().unwrap_or_default();
        let sender = Sender::of(&request);
        Self { parts: request.into_inner(), sender, progress }
    }

    /// The next part. On a slow link one may take long, as long as some of it comes within `stall`.
    async fn next(&mut self, stall: Duration) -> Result<Option<FullSnapshotPart>, Status> {
        match self.progress.wait(stall, self.parts.message()).await {
            Some(part) => part,
            None => {
                let words = format!("nothing came for {stall:?}");
                Err(Refusal::Stalled.status(words))
            }
        }
    }
}

/// Reads a snapshot as the node's storage would.
type Check = Box<
    dyn Fn(SnapshotMeta, SnapshotData) -> Pin<Box<dyn Future<Output = Checked> + Send>>
        + Send
        + Sync,
>;
type Checked = Result<SnapshotData, BoxError>;

fn check_with<R: StateReader>(reader: R) -> Check {
    Box::new(move |meta, data| {
        let reader = reader.clone();
        Box::pin(async move { reader.check_snapshot(&meta, data).await })
    })
}

/// What receptions of a node have in common.
pub(super) struct Receptions {
    raft: Raft,
    follower: Arc<Follower>,
    check: Check,
    /// One is read at a time.
    checking: Mutex<()>,
    stall: Duration,
    heartbeat: Duration,
    max_bytes: u64,
    /// Number of the latest.
    latest: watch::Sender<u64>,
    /// What has arrived. Whoever adds to it has the lock.
    partial: Mutex<Option<Partial>>,
    /// How far that is, for those who ask meanwhile.
    progress: watch::Sender<HowFar>,
    meters: metrics::Receptions,
}

#[derive(Debug, Clone, Copy, Default)]
struct HowFar {
    content: Option<Content>,
    offset: u64,
    installing: bool,
}

/// Why a transmission ended early.
enum End {
    /// What has arrived is good.
    Cut(Status),
    Spoilt(Spoilt),
    /// It couldn't be written.
    Failed(io::Error),
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::Cut(status)
    }
}

impl From<Spoilt> for End {
    fn from(spoilt: Spoilt) -> Self {
        Self::Spoilt(spoilt)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Receptions {
    pub(super) fn new<R: StateReader>(
        raft: Raft,
        follower: Arc<Follower>,
        reader: R,
        config: &NodeConfig,
    ) -> Self {
        Self {
            raft,
            follower,
            check: check_with(reader),
            checking: Mutex::default(),
            stall: config.rpc_timeout(),
            heartbeat: config.heartbeat_interval(),
            max_bytes: config.grpc().max_snapshot_bytes,
            latest: watch::Sender::new(0),
            partial: Mutex::default(),
            progress: watch::Sender::default(),
            meters: metrics::Receptions::new(),
        }
    }

    /// How much of a snapshot is there.
    pub(super) fn offset(&self, asked: SnapshotOffsetRequest) -> SnapshotOffsetResponse {
        let HowFar { content, offset, installing } = *self.progress.borrow();
        let reads = codec::reads();
        match content {
            Some(content) if content == asked.into() => {
                SnapshotOffsetResponse { offset, installing, reads }
            }
            _ => SnapshotOffsetResponse { offset: 0, installing: false, reads },
        }
    }

    /// Gives back the room of what nobody adds to, and of all that is there when the node has stopped, as its
    /// storage is in use for that long. Runs as long as the server does.
    pub(super) async fn expire(&self) {
        let mut metrics = self.raft.metrics();
        tokio::select! {
            () = self.expire_idle() => {}
            _ = metrics.wait_for(|now| now.running_state.is_err()) => {}
        }
        if let Some(partial) = self.partial.lock().await.take() {
            self.give_up(partial);
        }
    }

    async fn expire_idle(&self) {
        let mut progress = self.progress.subscribe();
        loop {
            if timeout(self.stall.saturating_mul(KEPT), progress.changed()).await.is_ok() {
                continue;
            }
            // Whoever has the lock adds to it.
            let Ok(mut slot) = self.partial.try_lock() else { continue };
            if let Some(partial) = slot.take() {
                tracing::info!(bytes = partial.len(), "what came of a snapshot is dropped");
                self.give_up(partial);
            }
        }
    }

    /// Takes in a snapshot and has it installed.
    pub(super) async fn receive(&self, mut parts: Incoming) -> Result<SnapshotResponse, Status> {
        let header = self.header(&mut parts).await?;
        if let Some(answer) = self.needless(&header) {
            return Ok(answer);
        }
        let end = self.take_in(header, &mut parts).await;
        self.meters.ended(end.is_ok());
        end
    }

    async fn take_in(
        &self,
        header: FullSnapshotHeader,
        parts: &mut Incoming,
    ) -> Result<SnapshotResponse, Status> {
        self.latest.send_modify(|latest| *latest = latest.wrapping_add(1));
        let mut latest = self.latest.subscribe();
        let arrived = Notify::new();
        let data = tokio::select! {
            data = self.body(&header, parts, &arrived) => data?,
            deposed = self.hear(header.vote, Some(&arrived)) => return deposed,
            _ = latest.changed() => {
                return Err(Refusal::Superseded.status("another snapshot is on its way here"));
            }
        };
        self.install(header, data).await
    }

    async fn header(&self, parts: &mut Incoming) -> Result<FullSnapshotHeader, Status> {
        let header = match parts.next(self.stall).await? {
            Some(FullSnapshotPart::Header(header)) => header,
            _ => return Err(Refusal::Garbled.status("the stream begins without a header")),
        };
        parts.sender.check(header.vote.leader_id.node_id)?;
        if header.length > self.max_bytes {
            let words = format!(
                "{} bytes are announced, at most {} are taken",
                header.length, self.max_bytes
            );
            return Err(Refusal::Garbled.status(words));
        }
        self.follower.judge_snapshot(header.vote, &header.meta)?;
        Ok(header)
    }

    /// The answer for which the rest need not come: the sender was deposed, or its snapshot covers
    /// nothing that wasn't applied here.
    fn needless(&self, header: &FullSnapshotHeader) -> Option<SnapshotResponse> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let needless =
            metrics.vote > header.vote || header.meta.last_log_id <= metrics.last_applied;
        needless.then(|| SnapshotResponse::new(metrics.vote))
    }

    /// Everything behind the header, if it is whole, behind what was there before.
    async fn body(
        &self,
        header: &FullSnapshotHeader,
        parts: &mut Incoming,
        arrived: &Notify,
    ) -> Result<SnapshotData, Status> {
        let mut slot = self.partial.lock().await;
        let partial = match slot.take() {
            Some(partial) if partial.is_of(header) => slot.insert(partial),
            other => {
                other.into_iter().for_each(|of_another| self.give_up(of_another));
                let data = self.raft.begin_receiving_snapshot().await.map_err(stopped)?;
                slot.insert(Partial::new(header, *data))
            }
        };
        let status = match self.fill(partial, header, parts, arrived).await {
            Ok(data) => {
                *slot = None;
                return Ok(data);
            }
            Err(End::Cut(status)) => return Err(status),
            Err(End::Spoilt(spoilt)) => {
                if matches!(spoilt, Spoilt::Trailer { .. } | Spoilt::Header { .. }) {
                    self.meters.spoilt();
                }
                Refusal::Garbled.status(spoilt)
            }
            Err(End::Failed(error)) => unwritten(header.length, error),
        };
        slot.take().into_iter().for_each(|partial| self.give_up(partial));
        Err(status)
    }

    /// A large file takes a while to be removed.
    fn give_up(&self, partial: Partial) {
        self.progress.send_replace(HowFar::default());
        spawn_blocking(move || drop(partial));
    }

    async fn fill(
        &self,
        partial: &mut Partial,
        header: &FullSnapshotHeader,
        parts: &mut Incoming,
        arrived: &Notify,
    ) -> Result<SnapshotData, End> {
        let (mut at, there) = (header.offset, partial.len());
        if at > there {
            let words = format!("the first {at} bytes are left out, and {there} are here");
            return Err(Refusal::Garbled.status(words).into());
        }
        let (content, installing) = (Content::of(header), false);
        loop {
            self.progress.send_replace(HowFar { content, offset: partial.len(), installing });
            match parts.next(self.stall).await? {
                Some(FullSnapshotPart::Chunk(chunk)) => {
                    arrived.notify_one();
                    let len = chunk.len() as u64;
                    self.meters.arrived(len);
                    partial.append(&partial.fresh(at, chunk)?).await?;
                    at += len;
                }
                Some(FullSnapshotPart::Trailer { checksum }) => {
                    partial.settle().await?;
                    return Ok(partial.finish(at, checksum)?);
                }
                Some(FullSnapshotPart::Header(_)) => return Err(Spoilt::SecondHeader.into()),
                None => {
                    let words = format!("cut after {at} of {} bytes", header.length);
                    return Err(Refusal::Garbled.status(words).into());
                }
            }
        }
    }

    /// Tells the node that its leader lives, once in a heartbeat's interval, if bytes `arrived` or all
    /// of them have: on a slow link, heartbeats come late beside them. Ends when another node leads.
    async fn hear(&self, vote: Vote, arrived: Option<&Notify>) -> Result<SnapshotResponse, Status> {
        loop {
            sleep(self.heartbeat).await;
            if let Some(arrived) = arrived {
                arrived.notified().await;
            }
            if let AppendEntriesResponse::HigherVote(vote) = self.follower.hear(vote).await? {
                return Ok(SnapshotResponse::new(vote));
            }
        }
    }

    async fn install(
        &self,
        header: FullSnapshotHeader,
        data: SnapshotData,
    ) -> Result<SnapshotResponse, Status> {
        let (content, offset) = (Content::of(&header), header.length);
        self.progress.send_replace(HowFar { content, offset, installing: true });
        let _installing = Installing(&self.progress);
        tracing::info!(
            bytes = header.length,
            resumed_at = header.offset,
            snapshot_id = header.meta.snapshot_id,
            "snapshot arrived"
        );
        let _one = self.checking.lock().await;
        let checked = tokio::select! {
            checked = (self.check)(header.meta.clone(), data) => checked,
            deposed = self.hear(header.vote, None) => return deposed,
        };
        let data = checked.map_err(unread)?;
        let snapshot = Snapshot { meta: header.meta, snapshot: Box::new(data) };
        self.follower.install(header.vote, snapshot).await
    }
}

/// A snapshot of so many bytes can't be written here.
fn unwritten(length: u64, error: io::Error) -> Status {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            tracing::warn!(bytes = length, %error, "a snapshot is refused: there is no room for it");
            Refusal::Full.status(format_args!("there is no room for a snapshot of {length} bytes"))
        }
        _ => Status::internal(chain(&error)),
    }
}

/// A snapshot that is here isn't one, or can't be read.
fn unread(error: BoxError) -> Status {
    let failed = matches!(error.downcast_ref(), Some(ReadError::Failed(_)));
    match failed || error.is::<io::Error>() {
        true => Status::internal(chain(&*error)),
        false => Refusal::Implausible.status(Chain(error)),
    }
}

/// An error with all that is behind it.
struct Chain(BoxError);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the snapshot can't be read")?;
        let mut next: Option<&(dyn Error + 'static)> = Some(&*self.0);
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

/// As long as it lives, those who ask are told that a snapshot is being installed.
struct Installing<'a>(&'a watch::Sender<HowFar>);

impl Drop for Installing<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|progress| {
            // A newer one may have begun.
            let mine = progress.installing;
            if mine {
                *progress = HowFar::default();
            }
            mine
        });
    }
}
