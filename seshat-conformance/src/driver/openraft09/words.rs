//! The model's words in a back end's own types, and what is seen of those.

use std::collections::{BTreeMap, BTreeSet};

use openraft::entry::{FromAppData, RaftEntry};
use openraft::{
    CommittedLeaderId, LogId, Membership, NodeId, RaftLogId, RaftTypeConfig, SnapshotMeta,
    StoredMembership, Vote,
};

use super::Foreign;
use crate::backend::Backend;
use crate::driver::seen::{self, Own, Placed};
use crate::model::{Ballot, Id, Item, Members, Payload};

/// Short names for the generics of a back end.
pub(crate) type Nid<B> = <<B as Backend>::C as RaftTypeConfig>::NodeId;
pub(crate) type Entry<B> = <<B as Backend>::C as RaftTypeConfig>::Entry;
pub(crate) type NodeOf<B> = <<B as Backend>::C as RaftTypeConfig>::Node;
type Stored<B> = StoredMembership<Nid<B>, NodeOf<B>>;
type Meta<B> = SnapshotMeta<Nid<B>, NodeOf<B>>;

pub(super) fn log_id<B: Backend>(backend: &B, id: Id) -> LogId<Nid<B>> {
    if id == Id::FIRST {
        return LogId::default();
    }
    LogId::new(CommittedLeaderId::new(id.term, backend.node_id(id.node)), id.index)
}

pub(super) fn vote<B: Backend>(backend: &B, ballot: Ballot) -> Vote<Nid<B>> {
    let node = backend.node_id(ballot.node);
    if ballot.committed {
        Vote::new_committed(ballot.term, node)
    } else {
        Vote::new(ballot.term, node)
    }
}

fn membership<B: Backend>(backend: &B, members: &Members) -> Membership<Nid<B>, NodeOf<B>> {
    let ids = |set: &BTreeSet<u64>| set.iter().map(|n| backend.node_id(*n)).collect();
    let configs: Vec<BTreeSet<Nid<B>>> = members.configs.iter().map(ids).collect();
    let nodes: BTreeMap<Nid<B>, NodeOf<B>> =
        members.nodes.iter().map(|n| (backend.node_id(*n), backend.node(*n))).collect();
    Membership::new(configs, nodes)
}

pub(super) fn stored<B: Backend>(backend: &B, last: Option<(Id, &Members)>) -> Stored<B> {
    last.map_or_else(StoredMembership::default, |(id, members)| {
        StoredMembership::new(Some(log_id(backend, id)), membership(backend, members))
    })
}

/// `None` if the application has no command of that shape.
pub(crate) fn entry<B: Backend>(backend: &B, item: &Item) -> Option<Entry<B>> {
    let id = log_id(backend, item.id);
    Some(match &item.payload {
        Payload::Blank => Entry::<B>::new_blank(id),
        Payload::Members(members) => Entry::<B>::new_membership(id, membership(backend, members)),
        Payload::Command(command) => {
            let mut entry = Entry::<B>::from_app_data(backend.command(command)?);
            entry.set_log_id(&id);
            entry
        }
    })
}

pub(crate) fn seen_id<N: NodeId>(id: LogId<N>) -> seen::LogId {
    seen::LogId { term: id.leader_id.get_term(), index: id.index, own: Own::new(id) }
}

pub(crate) fn seen_vote<N: NodeId>(vote: Vote<N>) -> seen::Vote {
    seen::Vote { term: vote.leader_id().get_term(), own: Own::new(vote) }
}

pub(crate) fn seen_membership<N: NodeId, D: openraft::Node>(
    stored: StoredMembership<N, D>,
) -> seen::Membership {
    seen::Membership { own: Own::new(stored) }
}

pub(crate) fn seen_meta<N: NodeId, D: openraft::Node>(meta: SnapshotMeta<N, D>) -> seen::Meta {
    seen::Meta {
        last: meta.last_log_id.map(seen_id),
        membership: seen_membership(meta.last_membership),
        id: meta.snapshot_id,
    }
}

pub(super) fn id_of<B: Backend>(id: &seen::LogId) -> Result<LogId<Nid<B>>, Foreign> {
    id.own.get::<LogId<Nid<B>>>().cloned().ok_or(Foreign)
}

pub(super) fn vote_of<B: Backend>(vote: &seen::Vote) -> Result<Vote<Nid<B>>, Foreign> {
    vote.own.get::<Vote<Nid<B>>>().cloned().ok_or(Foreign)
}

pub(super) fn meta_of<B: Backend>(meta: &seen::Meta) -> Result<Meta<B>, Foreign> {
    Ok(SnapshotMeta {
        last_log_id: meta.last.as_ref().map(id_of::<B>).transpose()?,
        last_membership: meta.membership.own.get::<Stored<B>>().cloned().ok_or(Foreign)?,
        snapshot_id: meta.id.clone(),
    })
}

/// An entry of the author's, which knows its place.
#[derive(Clone)]
struct Authored<C: RaftTypeConfig>(C::Entry);

impl<C: RaftTypeConfig<Entry: Clone>> Placed for Authored<C> {
    fn id(&self) -> seen::LogId {
        seen_id(self.0.get_log_id().clone())
    }

    fn index(&self) -> u64 {
        self.0.get_log_id().index
    }
}

pub(crate) fn seen<C: RaftTypeConfig<Entry: Clone>>(entry: C::Entry) -> seen::Entry {
    seen::Entry::new(Authored::<C>(entry))
}

/// `None` if it is of other types.
pub(crate) fn unseen<C: RaftTypeConfig>(entry: &seen::Entry) -> Option<&C::Entry> {
    entry.get::<Authored<C>>().map(|entry| &entry.0)
}

pub(super) fn seen_entry<B: Backend>(entry: Entry<B>) -> seen::Entry {
    seen::<B::C>(entry)
}

pub(super) fn entry_of<B: Backend>(entry: &seen::Entry) -> Option<&Entry<B>> {
    unseen::<B::C>(entry)
}

/// Entries as the store wants them.
pub(super) fn entries_of<B: Backend>(entries: Vec<seen::Entry>) -> Result<Vec<Entry<B>>, Foreign> {
    let own = |entry: seen::Entry| entry.take::<Authored<B::C>>().map(|entry| entry.0);
    entries.into_iter().map(|entry| own(entry).ok_or(Foreign)).collect()
}

pub(super) fn seen_entries<B: Backend>(entries: Vec<Entry<B>>) -> Vec<seen::Entry> {
    entries.into_iter().map(seen_entry::<B>).collect()
}
