//! The two halves of an open store, and the handles that they give.
//!
//! Each call is the one of openraft's that its doc names, made when its future is polled first.

use std::any::Any;
use std::ops::{Bound, Range};

#[cfg(feature = "storage-v2")]
use super::Callback;
use super::Doing;
use super::seen::{Entry, LogId, LogState, Membership, Meta, Vote};
use crate::words::Piece;

/// `(start, end)`.
pub(crate) type Bounds = (Bound<u64>, Bound<u64>);

/// A reader of a log.
pub(crate) trait Reader: Send + Sync {
    /// `try_get_log_entries`, with a range such as openraft's own.
    fn read(&mut self, range: Range<u64>) -> Doing<'_, Vec<Entry>>;
    /// `try_get_log_entries`, with bounds of any kind.
    fn read_bounds(&mut self, bounds: Bounds) -> Doing<'_, Vec<Entry>>;
    /// `limited_get_log_entries`.
    fn read_limited(&mut self, start: u64, end: u64) -> Doing<'_, Vec<Entry>>;
}

/// A log store.
pub(crate) trait Log: Reader + Any {
    /// `get_log_state`.
    fn state(&mut self) -> Doing<'_, LogState>;
    /// `get_log_reader`.
    fn reader(&mut self) -> Doing<'_, Box<dyn Reader>>;
    /// `read_vote`.
    fn vote(&mut self) -> Doing<'_, Option<Vote>>;
    /// `save_vote`.
    fn save_vote(&mut self, vote: Vote) -> Doing<'_, ()>;
    /// `read_committed`.
    fn committed(&mut self) -> Doing<'_, Option<LogId>>;
    /// `save_committed`.
    fn save_committed(&mut self, id: Option<LogId>) -> Doing<'_, ()>;
    /// `append`, and its callback awaited.
    fn append(&mut self, entries: Vec<Entry>) -> Doing<'_, ()>;
    /// `append`, with a callback of [`Driver::callback`](super::Driver::callback).
    #[cfg(feature = "storage-v2")]
    fn append_with(&mut self, entries: Vec<Entry>, callback: Callback) -> Doing<'_, ()>;
    /// `truncate`.
    fn truncate(&mut self, from: LogId) -> Doing<'_, ()>;
    /// `purge`.
    fn purge(&mut self, upto: LogId) -> Doing<'_, ()>;
}

/// A state machine.
pub(crate) trait Machine: Send + Sync + Any {
    /// `applied_state`.
    fn applied(&mut self) -> Doing<'_, (Option<LogId>, Membership)>;
    /// `apply`.
    fn apply(&mut self, entries: Vec<Entry>) -> Doing<'_, Box<dyn Replies>>;
    /// `get_snapshot_builder`.
    fn builder(&mut self) -> Doing<'_, Box<dyn Builder>>;
    /// `begin_receiving_snapshot`.
    fn receive(&mut self) -> Doing<'_, Box<dyn Data>>;
    /// `install_snapshot`.
    fn install(&mut self, meta: &Meta, data: Box<dyn Data>) -> Doing<'_, ()>;
    /// `get_current_snapshot`.
    fn current(&mut self) -> Doing<'_, Option<Snapshot>>;
    /// What it holds, where the author says so.
    fn digest(&mut self) -> Doing<'_, Option<Vec<u8>>>;
}

/// A builder of snapshots.
pub(crate) trait Builder: Send + Sync {
    /// `build_snapshot`.
    fn build(&mut self) -> Doing<'_, Snapshot>;
}

/// Replies to a batch.
pub(crate) trait Replies: Send + Sync {
    fn len(&self) -> usize;
    /// One of them as text, where the author says so.
    fn show(&self, place: usize) -> Option<String>;
}

impl dyn Replies {
    /// All of them as text.
    pub(crate) fn texts(&self) -> Vec<Option<String>> {
        (0..self.len()).map(|place| self.show(place)).collect()
    }
}

/// A snapshot.
pub(crate) struct Snapshot {
    pub(crate) meta: Meta,
    pub(crate) data: Box<dyn Data>,
}

/// A handle on a snapshot's bytes.
pub(crate) trait Data: Send + Any {
    /// All of them, wherever it stands; `None` if they can't be reached.
    fn bytes(&mut self) -> Doing<'_, Option<Vec<u8>>>;
    /// The handle again, with `pieces` written to it as openraft's receiver does.
    fn write<'a>(self: Box<Self>, pieces: &'a [Piece<'a>]) -> Doing<'a, Box<dyn Data>>;
}
