//! The oracle's words in a back end's own types, and back.

use std::collections::{BTreeMap, BTreeSet};

use openraft::entry::{FromAppData, RaftEntry};
use openraft::{
    CommittedLeaderId, LogId, Membership, RaftLogId, RaftTypeConfig, StoredMembership, Vote,
};

use crate::backend::Backend;
use crate::model::{Ballot, Id, Item, Members, Payload};

/// Short names for the generics of a back end.
pub(crate) type Nid<B> = <<B as Backend>::C as RaftTypeConfig>::NodeId;
pub(crate) type Entry<B> = <<B as Backend>::C as RaftTypeConfig>::Entry;
pub(crate) type NodeOf<B> = <<B as Backend>::C as RaftTypeConfig>::Node;
pub(crate) type Reply<B> = <<B as Backend>::C as RaftTypeConfig>::R;
pub(crate) type Stored<B> = StoredMembership<Nid<B>, NodeOf<B>>;
pub(crate) type Meta<B> = openraft::SnapshotMeta<Nid<B>, NodeOf<B>>;
pub(crate) type StoreError<B> = openraft::StorageError<Nid<B>>;

pub(crate) fn log_id<B: Backend>(backend: &B, id: Id) -> LogId<Nid<B>> {
    if id == Id::FIRST {
        return LogId::default();
    }
    LogId::new(CommittedLeaderId::new(id.term, backend.node_id(id.node)), id.index)
}

pub(crate) fn vote<B: Backend>(backend: &B, ballot: Ballot) -> Vote<Nid<B>> {
    let node = backend.node_id(ballot.node);
    if ballot.committed {
        Vote::new_committed(ballot.term, node)
    } else {
        Vote::new(ballot.term, node)
    }
}

pub(crate) fn membership<B: Backend>(
    backend: &B,
    members: &Members,
) -> Membership<Nid<B>, NodeOf<B>> {
    let ids = |set: &BTreeSet<u64>| set.iter().map(|n| backend.node_id(*n)).collect();
    let configs: Vec<BTreeSet<Nid<B>>> = members.configs.iter().map(ids).collect();
    let nodes: BTreeMap<Nid<B>, NodeOf<B>> =
        members.nodes.iter().map(|n| (backend.node_id(*n), backend.node(*n))).collect();
    Membership::new(configs, nodes)
}

pub(crate) fn stored<B: Backend>(backend: &B, last: Option<(Id, &Members)>) -> Stored<B> {
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
