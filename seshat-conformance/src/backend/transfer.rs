//! [`Transfer`]: how a snapshot's bytes get from one node to another.

use std::future::Future;
use std::io::SeekFrom;

use openraft::RaftTypeConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite, AsyncWriteExt};

use super::BoxError;

/// How the kit reaches into `SnapshotData`.
pub trait Transfer<C: RaftTypeConfig>: Send + Sync + 'static {
    /// Whether the bytes can be read and written at all.
    const BYTES: bool;

    /// All bytes of a snapshot, wherever its handle stands.
    fn read(
        data: &mut C::SnapshotData,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, BoxError>> + Send;

    /// Writes `bytes` into a blank handle in pieces of `chunk` bytes at most, exactly as openraft's
    /// receiver does: seek, write, and at the end shut down, without going back to the start.
    fn write(
        blank: Box<C::SnapshotData>,
        bytes: &[u8],
        chunk: usize,
    ) -> impl Future<Output = Result<Box<C::SnapshotData>, BoxError>> + Send;
}

/// For `SnapshotData` that is a reader, writer and seeker.
#[derive(Debug, Clone, Copy)]
pub struct Chunks;

impl<C> Transfer<C> for Chunks
where
    C: RaftTypeConfig,
    C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin + Send,
{
    const BYTES: bool = true;

    async fn read(data: &mut C::SnapshotData) -> Result<Option<Vec<u8>>, BoxError> {
        data.seek(SeekFrom::Start(0)).await?;
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).await?;
        Ok(Some(bytes))
    }

    async fn write(
        mut blank: Box<C::SnapshotData>,
        bytes: &[u8],
        chunk: usize,
    ) -> Result<Box<C::SnapshotData>, BoxError> {
        let mut offset = 0_u64;
        for piece in bytes.chunks(chunk.max(1)) {
            blank.seek(SeekFrom::Start(offset)).await?;
            blank.write_all(piece).await?;
            offset += piece.len() as u64;
        }
        blank.shutdown().await?;
        Ok(blank)
    }
}

/// For `SnapshotData` that is opaque (openraft's `generic-snapshot-data`): handles move from node
/// to node as they are, and checks that need the bytes are skipped.
#[derive(Debug, Clone, Copy)]
pub struct Whole;

impl<C: RaftTypeConfig> Transfer<C> for Whole
where
    C::SnapshotData: Send,
{
    const BYTES: bool = false;

    async fn read(_: &mut C::SnapshotData) -> Result<Option<Vec<u8>>, BoxError> {
        Ok(None)
    }

    async fn write(
        blank: Box<C::SnapshotData>,
        _: &[u8],
        _: usize,
    ) -> Result<Box<C::SnapshotData>, BoxError> {
        Ok(blank)
    }
}
