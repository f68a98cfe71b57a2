//! [`Transfer`]: how a snapshot's bytes get from one node to another.

use std::future::Future;
use std::io::SeekFrom;

use openraft::RaftTypeConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite, AsyncWriteExt};

use crate::words::{BoxError, Piece};

/// How the kit reaches into `SnapshotData`.
pub trait Transfer<C: RaftTypeConfig>: Send + Sync + 'static {
    /// Whether the bytes can be read and written at all.
    const BYTES: bool;

    /// All bytes of a snapshot, wherever its handle stands. `None` if they can't be reached.
    fn read(
        data: &mut C::SnapshotData,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, BoxError>> + Send;

    /// All bytes of two handles, read by turns, as two replication tasks do.
    fn read_by_turns(
        one: &mut C::SnapshotData,
        other: &mut C::SnapshotData,
    ) -> impl Future<Output = Result<Option<[Vec<u8>; 2]>, BoxError>> + Send;

    /// Writes `pieces` into a blank handle exactly as openraft's receiver does: it seeks where a
    /// piece doesn't begin at the end of the one before, and at the end it shuts the handle down,
    /// without going back to the start.
    fn write(
        blank: Box<C::SnapshotData>,
        pieces: &[Piece<'_>],
    ) -> impl Future<Output = Result<Box<C::SnapshotData>, BoxError>> + Send;
}

/// For `SnapshotData` that is a reader, writer and seeker.
#[derive(Debug, Clone, Copy)]
pub struct Chunks;

/// How much is read at a turn.
const TURN: usize = 37;

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

    async fn read_by_turns(
        one: &mut C::SnapshotData,
        other: &mut C::SnapshotData,
    ) -> Result<Option<[Vec<u8>; 2]>, BoxError> {
        let mut read = [Vec::new(), Vec::new()];
        let [first, second] = &mut read;
        one.seek(SeekFrom::Start(0)).await?;
        other.seek(SeekFrom::Start(0)).await?;
        loop {
            let mut turn = one.take(TURN as u64);
            let got = turn.read_to_end(first).await?;
            let mut turn = other.take(TURN as u64);
            if got + turn.read_to_end(second).await? == 0 {
                return Ok(Some(read));
            }
        }
    }

    async fn write(
        mut blank: Box<C::SnapshotData>,
        pieces: &[Piece<'_>],
    ) -> Result<Box<C::SnapshotData>, BoxError> {
        let mut at = 0;
        for (begin, piece) in pieces {
            if *begin != at {
                blank.seek(SeekFrom::Start(*begin)).await?;
            }
            blank.write_all(piece).await?;
            at = begin + piece.len() as u64;
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

    async fn read_by_turns(
        _: &mut C::SnapshotData,
        _: &mut C::SnapshotData,
    ) -> Result<Option<[Vec<u8>; 2]>, BoxError> {
        Ok(None)
    }

    async fn write(
        blank: Box<C::SnapshotData>,
        _: &[Piece<'_>],
    ) -> Result<Box<C::SnapshotData>, BoxError> {
        Ok(blank)
    }
}
