//! [`KitWire`]: messages move as they are; snapshots are copied into the target's own handle, as
//! a transport does.

use std::marker::PhantomData;

use openraft::error::ReplicationClosed;
use openraft::network::{RPCOption, RaftNetwork};
use openraft::{AnyError, Raft, Snapshot, Vote};
use seshat_core::network::switchboard::{Carry, Connection, Ship, Shipped};

use crate::backend::{Backend, BoxError, Transfer};
use crate::words::Nid;

/// A snapshot crosses in pieces of this many bytes.
const CHUNK: usize = 1_000;

pub(crate) struct KitWire<B>(PhantomData<fn() -> B>);

impl<B> KitWire<B> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B> Clone for KitWire<B> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<B: Backend, M> Carry<M> for KitWire<B> {
    fn carry(&self, message: M) -> Result<M, AnyError> {
        Ok(message)
    }
}

impl<B: Backend> Ship<B::C> for KitWire<B> {
    async fn full_snapshot(
        connection: &mut Connection<B::C, Self>,
        vote: Vote<Nid<B>>,
        snapshot: Snapshot<B::C>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Shipped<B::C>
    where
        Connection<B::C, Self>: RaftNetwork<B::C>,
    {
        connection.hand_over(vote, snapshot, cancel, option, copy::<B>).await
    }
}

async fn copy<B: Backend>(
    mut snapshot: Snapshot<B::C>,
    target: Raft<B::C>,
) -> Result<Snapshot<B::C>, AnyError> {
    let failed = |error: BoxError| AnyError::error(error);
    let Some(bytes) = B::Transfer::read(&mut snapshot.snapshot).await.map_err(failed)? else {
        return Ok(snapshot);
    };
    let blank = target.begin_receiving_snapshot().await.map_err(|error| AnyError::new(&error))?;
    let data = B::Transfer::write(blank, &bytes, CHUNK).await.map_err(failed)?;
    Ok(Snapshot { meta: snapshot.meta, snapshot: data })
}
