//! Values of Seshat's own types as what is seen of them, and back: for checks of what Seshat once
//! wrote, on back ends of [those types](crate::driver::Author::seshat_types).

use seshat_core::types::{Entry, LogId, SnapshotMeta, TypeConfig, Vote};

use super::words;
use crate::driver::seen;

pub(crate) fn id(id: LogId) -> seen::LogId {
    words::seen_id(id)
}

pub(crate) fn vote(vote: Vote) -> seen::Vote {
    words::seen_vote(vote)
}

pub(crate) fn meta(meta: SnapshotMeta) -> seen::Meta {
    words::seen_meta(meta)
}

pub(crate) fn entry(entry: Entry) -> seen::Entry {
    words::seen::<TypeConfig>(entry)
}

/// `None` if it is of other types.
pub(crate) fn entry_of(entry: &seen::Entry) -> Option<&Entry> {
    words::unseen::<TypeConfig>(entry)
}
