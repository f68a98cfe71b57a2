//! `Backup`: all that the node holds, as one snapshot, in parts.
//!
//! Guarantees: unless any state will do, what is sent holds whatever was acknowledged before it was asked for.
//! One backup at a time is under way; no more than a few parts are in memory, beside what the node's own
//! snapshot takes; and it ends when nobody takes the parts any more.

use std::sync::Arc;

use crate::node::RaftNode;
use crate::proto::client::{self as proto, backup_part::Part};
use crate::types::Snapshot;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::answer::Not;

/// Bytes of a part.
const PART: usize = 256 << 10;
/// Parts that wait to be taken.
const WAITING: usize = 4;

/// The parts of a backup.
pub(crate) type Parts = ReceiverStream<Result<proto::BackupPart, Status>>;

/// Nobody takes the parts any more.
struct Gone;

/// The backups of one node. Clones are the same ones.
#[derive(Debug, Clone)]
pub(super) struct Backups {
    turn: Arc<Semaphore>,
}

impl Default for Backups {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Backups {
    /// Begins one. What is to be known of it is among its parts.
    pub(super) fn begin(&self, node: RaftNode, local: bool) -> Parts {
        let (parts, taken) = mpsc::channel(WAITING);
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        tokio::spawn(async move {
            let sent = match turn {
                Ok(_turn) => tokio::select! {
                    sent = send(&node, local, &parts) => sent,
                    () = parts.closed() => Ok(()),
                },
                Err(_) => {
                    let words = format!("a backup is under way at node {} already", node.id());
                    Err(Not::now(words))
                }
            };
            if let Err(not) = sent {
                // Whoever has gone doesn't want to know.
                let _ = put(&parts, not.into()).await;
            }
        });
        ReceiverStream::new(taken)
    }

    /// One that was refused.
    pub(super) fn refused(not: Not) -> Parts {
        let (parts, taken) = mpsc::channel(1);
        // There is room for it.
        let _ = parts.try_send(Ok(proto::BackupPart { part: Some(not.into()) }));
        ReceiverStream::new(taken)
    }
}

type Taker = mpsc::Sender<Result<proto::BackupPart, Status>>;

async fn put(parts: &Taker, part: Part) -> Result<(), Gone> {
    parts.send(Ok(proto::BackupPart { part: Some(part) })).await.map_err(|_| Gone)
}

async fn send(node: &RaftNode, local: bool, parts: &Taker) -> Result<(), Not> {
    let Snapshot { meta, snapshot: mut data } = fresh(node, local).await?;
    tracing::info!(snapshot = meta.snapshot_id, "a backup is sent");
    let mut length = 0;
    loop {
        let part = next(&mut data).await.map_err(Not::now)?;
        if part.is_empty() {
            break;
        }
        length += part.len() as u64;
        let Ok(()) = put(parts, Part::Bytes(part)).await else { return Ok(()) };
    }
    let _ = put(parts, Part::End(proto::BackupEnd { length })).await;
    Ok(())
}

/// As much as a part has, or what is left.
async fn next(data: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let mut part = Vec::with_capacity(PART);
    data.take(PART as u64).read_to_end(&mut part).await?;
    Ok(part.into())
}

/// A snapshot of what is applied now, and of what was acknowledged before, wherever that was.
async fn fresh(node: &RaftNode, local: bool) -> Result<Snapshot, Not> {
    if !local {
        // No key is asked for: what counts is that this node leads, and has applied all that came before.
        node.read_linearizable(b"").await?;
    }
    Ok(node.build_snapshot().await?)
}
