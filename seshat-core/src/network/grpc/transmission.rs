//! A snapshot on its way out.
//!
//! Guarantees: sends slices of the snapshot's own bytes, one chunk at a time, as the peer takes
//! them; ends when the peer has taken nothing for a while.

use std::hash::Hasher;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::Request;
use twox_hash::XxHash3_64;

use super::error::Cause;
use super::progress::Watched;
use crate::codec::{FullSnapshotHeader, FullSnapshotPart};
use crate::proto::services::transport_client::TransportClient;
use crate::types::{Snapshot, SnapshotMeta, SnapshotResponse, Vote};

/// The least that a peer installs, once it has all of a snapshot: 16 MiB a second. It can't be
/// seen how far it is.
const INSTALLED_PER_SECOND: u64 = 16 << 20;

/// Sends `snapshot` in chunks of `chunk` bytes. Fails if nothing moves for `stall`.
pub(super) async fn transmit(
    mut client: TransportClient<Watched>,
    sign: impl FnOnce(tokio_stream::Iter<Parts>) -> Request<tokio_stream::Iter<Parts>>,
    vote: Vote,
    snapshot: Snapshot,
    chunk: usize,
    stall: Duration,
) -> Result<SnapshotResponse, Cause> {
    let started = Instant::now();
    let bytes = snapshot.snapshot.into_bytes();
    let total = bytes.len() as u64;
    let (taken, progress) = watch::channel(());
    let parts = Parts::new(vote, snapshot.meta, bytes, chunk, taken);
    let install = stall + Duration::from_secs(total / INSTALLED_PER_SECOND);
    let call = client.full_snapshot(sign(tokio_stream::iter(parts)));
    let response = tokio::select! {
        answer = call => answer.map_err(Cause::of)?.into_inner(),
        waited = stalled(progress, stall, install) => return Err(Cause::TimedOut(waited)),
    };
    let elapsed_ms = started.elapsed().as_millis() as u64;
    tracing::info!(bytes = total, elapsed_ms, "snapshot transmitted");
    Ok(response)
}

/// Ends when no part was taken for `stall`, or all were and `install` has passed.
async fn stalled(
    mut progress: watch::Receiver<()>,
    stall: Duration,
    install: Duration,
) -> Duration {
    loop {
        match timeout(stall, progress.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                sleep(install).await;
                return install;
            }
            Err(_) => return stall,
        }
    }
}

/// The messages of a transmission, each made when it is asked for.
pub(super) struct Parts {
    header: Option<FullSnapshotHeader>,
    rest: Bytes,
    chunk: usize,
    checksum: XxHash3_64,
    /// Told of each part; goes with the last.
    taken: Option<watch::Sender<()>>,
}

impl Parts {
    fn new(
        vote: Vote,
        meta: SnapshotMeta,
        rest: Bytes,
        chunk: usize,
        taken: watch::Sender<()>,
    ) -> Self {
        let header = Some(FullSnapshotHeader { vote, meta, length: rest.len() as u64 });
        Self { header, rest, chunk, checksum: XxHash3_64::new(), taken: Some(taken) }
    }
}

impl Iterator for Parts {
    type Item = FullSnapshotPart;

    fn next(&mut self) -> Option<FullSnapshotPart> {
        self.taken.as_ref()?.send_replace(());
        if let Some(header) = self.header.take() {
            return Some(FullSnapshotPart::Header(header));
        }
        if self.rest.is_empty() {
            self.taken = None;
            let checksum = self.checksum.finish();
            return Some(FullSnapshotPart::Trailer { checksum });
        }
        let chunk = self.rest.split_to(self.chunk.min(self.rest.len()));
        self.checksum.write(&chunk);
        Some(FullSnapshotPart::Chunk(chunk))
    }
}
