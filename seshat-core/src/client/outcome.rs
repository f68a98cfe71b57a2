//! What calls give, and [`Scan`], what one of them takes.

use std::time::Duration;

use bytes::Bytes;

use super::ReadLevel;
use crate::proto::client as proto;

/// What SET did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOutcome {
    /// Whether the key is bound to the value now; not if a condition didn't hold, in which case nothing was
    /// changed.
    pub set: bool,
    /// The value before; `None` if the key didn't exist, or [`get`](super::SetOptions::get) was off.
    pub previous: Option<Bytes>,
}

/// How far what was read is behind, as far as the node that answered knows: at the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Index of the last entry that the node had applied; `None` if none was.
    pub applied: Option<u64>,
    /// Index of the last entry that it knew to be committed; `None` if none was.
    pub committed: Option<u64>,
    /// How long ago it had heard from its leader or, where it leads, from a quorum; `None` where it knew of
    /// neither.
    pub heard: Option<Duration>,
}

impl From<proto::Behind> for Behind {
    fn from(proto: proto::Behind) -> Self {
        let proto::Behind { applied, committed, heard_ms } = proto;
        Self { applied, committed, heard: heard_ms.map(Duration::from_millis) }
    }
}

/// What several keys are bound to in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// One for each key, in their order; `None` where it doesn't exist.
    pub values: Vec<Option<Bytes>>,
    /// Where the read was local.
    pub behind: Option<Behind>,
}

/// Which keys are wanted. By default all, with their values, as many at once as a node gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// What they begin with.
    pub prefix: Bytes,
    /// Where to go on: [`Page::next`] of the page before. `None`: at the beginning.
    pub cursor: Option<Bytes>,
    /// The most keys in a page; 0: 10000, which is also the most that a node gives.
    pub max_keys: u32,
    /// Whether keys alone are wanted.
    pub keys_only: bool,
    /// Which state.
    pub level: ReadLevel,
}

/// What one state has of a [`Scan`]. All pages of one have each key once that was there throughout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Keys, which ascend, and their values, which are empty where they aren't wanted.
    pub records: Vec<(Bytes, Bytes)>,
    /// The cursor of the next page; `None` if there is none. It is the same for every node, and for ever.
    pub next: Option<Bytes>,
    /// Where the read was local.
    pub behind: Option<Behind>,
}
