//! A state machine, its builders, replies and snapshots.

use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{RaftSnapshotBuilder, RaftTypeConfig};

use super::words;
use crate::backend::{Backend, Transfer};
use crate::driver::Doing;
use crate::driver::seen::{Entry, LogId, Membership, Meta};
use crate::driver::store::{Builder, Data, Machine, Replies, Snapshot};
use crate::words::Piece;

pub(super) struct OpenMachine<B: Backend> {
    /// For what its author says of replies and contents.
    pub(super) backend: Arc<B>,
    pub(super) machine: B::Machine,
}

impl<B: Backend> Machine for OpenMachine<B> {
    fn applied(&mut self) -> Doing<'_, (Option<LogId>, Membership)> {
        Box::pin(async move {
            let (last, membership) = self.machine.applied_state().await?;
            Ok((last.map(words::seen_id), words::seen_membership(membership)))
        })
    }

    fn apply(&mut self, entries: Vec<Entry>) -> Doing<'_, Box<dyn Replies>> {
        Box::pin(async move {
            let replies = self.machine.apply(words::entries_of::<B>(entries)?).await?;
            let backend = Arc::clone(&self.backend);
            let replies: Box<dyn Replies> = Box::new(Replied { backend, replies });
            Ok(replies)
        })
    }

    fn builder(&mut self) -> Doing<'_, Box<dyn Builder>> {
        Box::pin(async move {
            let builder = Building::<B>(self.machine.get_snapshot_builder().await);
            let builder: Box<dyn Builder> = Box::new(builder);
            Ok(builder)
        })
    }

    fn receive(&mut self) -> Doing<'_, Box<dyn Data>> {
        Box::pin(async move {
            let blank: Box<dyn Data> =
                Box::new(Handle::<B>(self.machine.begin_receiving_snapshot().await?));
            Ok(blank)
        })
    }

    fn install(&mut self, meta: &Meta, data: Box<dyn Data>) -> Doing<'_, ()> {
        let meta = words::meta_of::<B>(meta);
        Box::pin(async move {
            let data: Box<dyn std::any::Any> = data;
            let Handle(data) = *data.downcast::<Handle<B>>().map_err(|_| super::Foreign)?;
            Ok(self.machine.install_snapshot(&meta?, data).await?)
        })
    }

    fn current(&mut self) -> Doing<'_, Option<Snapshot>> {
        Box::pin(async move { Ok(self.machine.get_current_snapshot().await?.map(seen::<B>)) })
    }

    fn digest(&mut self) -> Doing<'_, Option<Vec<u8>>> {
        Box::pin(async move { Ok(self.backend.digest(&mut self.machine).await) })
    }
}

fn seen<B: Backend>(snapshot: openraft::Snapshot<B::C>) -> Snapshot {
    let data = Box::new(Handle::<B>(snapshot.snapshot));
    Snapshot { meta: words::seen_meta(snapshot.meta), data }
}

struct Building<B: Backend>(<B::Machine as RaftStateMachine<B::C>>::SnapshotBuilder);

impl<B: Backend> Builder for Building<B> {
    fn build(&mut self) -> Doing<'_, Snapshot> {
        Box::pin(async move { Ok(seen::<B>(self.0.build_snapshot().await?)) })
    }
}

struct Replied<B: Backend> {
    backend: Arc<B>,
    replies: Vec<<B::C as RaftTypeConfig>::R>,
}

impl<B: Backend> Replies for Replied<B> {
    fn len(&self) -> usize {
        self.replies.len()
    }

    fn show(&self, place: usize) -> Option<String> {
        self.backend.show_reply(self.replies.get(place)?)
    }
}

/// A handle on a snapshot.
pub(super) struct Handle<B: Backend>(pub(super) Box<<B::C as RaftTypeConfig>::SnapshotData>);

impl<B: Backend> Data for Handle<B> {
    fn bytes(&mut self) -> Doing<'_, Option<Vec<u8>>> {
        Box::pin(B::Transfer::read(&mut self.0))
    }

    fn write<'a>(self: Box<Self>, pieces: &'a [Piece<'a>]) -> Doing<'a, Box<dyn Data>> {
        Box::pin(async move {
            let written: Box<dyn Data> =
                Box::new(Handle::<B>(B::Transfer::write(self.0, pieces).await?));
            Ok(written)
        })
    }
}
