//! A snapshot on its way in.
//!
//! Guarantees: openraft gets it whole or not at all. Memory grows with what has arrived, not with
//! what was announced; a sender that stops is given up; a newer transmission ends an older one,
//! so that what a lost leader left half done is in nobody's way.

use std::hash::Hasher;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::{Status, Streaming};
use twox_hash::XxHash3_64;

use super::error::Refusal;
use super::server::stopped;
use crate::codec::{FullSnapshotHeader, FullSnapshotPart};
use crate::snapshot::SnapshotData;
use crate::types::{Raft, Snapshot, SnapshotResponse};

/// What receptions of a node have in common.
pub(super) struct Receptions {
    raft: Raft,
    stall: Duration,
    max_bytes: u64,
    /// Number of the latest.
    latest: watch::Sender<u64>,
}

impl Receptions {
    pub(super) fn new(raft: Raft, stall: Duration, max_bytes: u64) -> Self {
        Self { raft, stall, max_bytes, latest: watch::Sender::new(0) }
    }

    /// Takes in a snapshot and has it installed.
    pub(super) async fn receive(
        &self,
        mut parts: Streaming<FullSnapshotPart>,
    ) -> Result<SnapshotResponse, Status> {
        let header = self.header(&mut parts).await?;
        let vote = self.raft.metrics().borrow().vote;
        // A leader that was deposed need not send the rest to learn it.
        if vote > header.vote {
            return Ok(SnapshotResponse::new(vote));
        }
        self.latest.send_modify(|latest| *latest = latest.wrapping_add(1));
        let mut latest = self.latest.subscribe();
        let data = tokio::select! {
            data = self.body(&header, &mut parts) => data?,
            _ = latest.changed() => {
                return Err(Refusal::Superseded.status("another snapshot is on its way here"));
            }
        };
        let bytes = header.length;
        tracing::info!(bytes, snapshot_id = header.meta.snapshot_id, "snapshot arrived");
        let snapshot = Snapshot { meta: header.meta, snapshot: Box::new(data) };
        self.raft.install_full_snapshot(header.vote, snapshot).await.map_err(stopped)
    }

    async fn header(
        &self,
        parts: &mut Streaming<FullSnapshotPart>,
    ) -> Result<FullSnapshotHeader, Status> {
        let header = match self.next(parts).await? {
            Some(FullSnapshotPart::Header(header)) => header,
            _ => return Err(Refusal::Garbled.status("the stream begins without a header")),
        };
        if header.length > self.max_bytes {
            let words = format!(
                "{} bytes are announced, at most {} are taken",
                header.length, self.max_bytes
            );
            return Err(Refusal::Garbled.status(words));
        }
        Ok(header)
    }

    /// Everything behind the header, if it is whole.
    async fn body(
        &self,
        header: &FullSnapshotHeader,
        parts: &mut Streaming<FullSnapshotPart>,
    ) -> Result<SnapshotData, Status> {
        let mut data = *self.raft.begin_receiving_snapshot().await.map_err(stopped)?;
        let (mut got, expected) = (0_u64, header.length);
        let mut checksum = XxHash3_64::new();
        let trailer = loop {
            match self.next(parts).await? {
                Some(FullSnapshotPart::Chunk(chunk)) => {
                    got += chunk.len() as u64;
                    if got > expected {
                        let words = format!("more than the {expected} bytes that were announced");
                        return Err(Refusal::Garbled.status(words));
                    }
                    checksum.write(&chunk);
                    let written = data.write_all(&chunk).await;
                    written.map_err(|error| Status::internal(error.to_string()))?;
                }
                Some(FullSnapshotPart::Trailer { checksum }) => break checksum,
                Some(FullSnapshotPart::Header(_)) => {
                    return Err(Refusal::Garbled.status("a second header"));
                }
                None => {
                    let words = format!("cut after {got} of {expected} bytes");
                    return Err(Refusal::Garbled.status(words));
                }
            }
        };
        if got != expected {
            let words = format!("{got} bytes arrived, {expected} were announced");
            return Err(Refusal::Garbled.status(words));
        }
        let checksum = checksum.finish();
        if checksum != trailer {
            let words = format!("checksum {checksum:#018x}, the trailer says {trailer:#018x}");
            return Err(Refusal::Garbled.status(words));
        }
        data.shutdown().await.map_err(|error| Status::internal(error.to_string()))?;
        Ok(data)
    }

    async fn next(
        &self,
        parts: &mut Streaming<FullSnapshotPart>,
    ) -> Result<Option<FullSnapshotPart>, Status> {
        match timeout(self.stall, parts.message()).await {
            Ok(part) => part,
            Err(_) => {
                let words = format!("nothing came for {:?}", self.stall);
                Err(Refusal::Stalled.status(words))
            }
        }
    }
}
