//! [`Copying`]: the wire between the nodes of a cluster under test.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use openraft::error::ReplicationClosed;
use openraft::network::RPCOption;
use openraft::{AnyError, Raft, RaftTypeConfig, Snapshot, Vote};
use seshat_core::network::switchboard::{Carry, Connection, Ship, Shipped};

use crate::backend::Transfer;
use crate::words::pieces;

/// Odd and small, so that even a small snapshot arrives in several pieces.
const PIECE: usize = 61;

/// Moves messages as they are, and copies a snapshot into the blank handle of its target by `T`:
/// the two nodes share nothing, as on two machines.
pub(super) struct Copying<T>(PhantomData<fn() -> T>);

impl<T> Copying<T> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for Copying<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Copying<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Copying")
    }
}

impl<M, T: 'static> Carry<M> for Copying<T> {
    fn carry(&self, message: M) -> Result<M, AnyError> {
        Ok(message)
    }
}

impl<C: RaftTypeConfig, T: Transfer<C>> Ship<C> for Copying<T> {
    async fn full_snapshot(
        connection: &mut Connection<C, Self>,
        vote: Vote<C::NodeId>,
        snapshot: Snapshot<C>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Shipped<C> {
        connection.hand_over(vote, snapshot, 0, cancel, option, copy::<C, T>).await
    }
}

async fn copy<C: RaftTypeConfig, T: Transfer<C>>(
    mut snapshot: Snapshot<C>,
    target: Raft<C>,
) -> Result<Snapshot<C>, AnyError> {
    let read = T::read(&mut snapshot.snapshot).await;
    let Some(bytes) = read.map_err(|error| AnyError::from_dyn(&*error, None))? else {
        return Ok(snapshot);
    };
    let blank = target.begin_receiving_snapshot().await.map_err(|error| AnyError::new(&error))?;
    let pieces = pieces(&bytes, PIECE.max(bytes.len() / 64));
    let written = T::write(blank, &pieces).await;
    let copied = written.map_err(|error| AnyError::from_dyn(&*error, None))?;
    Ok(Snapshot { meta: snapshot.meta, snapshot: copied })
}
