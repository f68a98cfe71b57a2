//! A node's export into a storage to start from.

mod frames;
mod replay;
mod summary;

use std::io;
use std::path::PathBuf;

use self::frames::Frame;
pub use self::frames::{File, Kind, Place};
use self::replay::{Replay, Start};
pub use self::summary::{LeftBehind, Reason, Summary};
use super::configuration::{Configuration, ConfigurationError, UnknownAddress};
use super::entry::EntryError;
use super::snapshot::SnapshotError;
use super::state::{self, CommittedError};
use super::{Addresses, parse};
use crate::codec::DecodeError;
use crate::log::{AppendError, LogStore};
use crate::machine::MachineStore;
use crate::proto::eraftpb;
use crate::storage::MemStorage;
use crate::types::LogId;

/// What a node of the first generation stored, taken apart but not yet understood.
///
/// # Layout
///
/// Every message stands behind its length, a varint; `write_length_delimited_to` of rust-protobuf
/// and `encode_length_delimited` of prost write them so. In a directory each kind has a file:
///
/// | file | number | holds | needed |
/// |---|--:|---|---|
/// | `hard_state` | 1 | one `HardState` | yes |
/// | `conf_state` | 2 | one `ConfState`, as raft-rs's `initial_state` has it | without a snapshot |
/// | `snapshot` | 3 | one `Snapshot` | no |
/// | `entries` | 4 | `Entry`, any number, by ascending index | no |
/// | `messages` | 5 | `Message`, any number | no |
///
/// There is nothing else in the directory. A stream is all of that in one file, in any order but
/// the entries': before its length, each message has one byte, `8 * number + 2`. That makes the
/// stream a protobuf message, whose fields have those numbers.
///
/// A conf state is the last one applied: with a snapshot, one that there was between its end and what
/// is committed. Without a snapshot it is where the log begins, so that a log with changes of the
/// members that are committed is refused: nothing says which of them it has seen.
///
/// Entries that the snapshot covers may be there, and so may messages that were under way; neither
/// is taken over.
#[derive(Debug, Clone)]
pub struct Export {
    frames: Vec<Frame>,
}

/// A storage that a [`RaftNode`](crate::node::RaftNode) starts from, and what is in it.
#[derive(Debug)]
pub struct Imported {
    /// Log, vote and committed id, and the state machine before the log.
    pub storage: MemStorage,
    /// What was taken over, and what was refused.
    pub summary: Summary,
}

impl Export {
    /// Checks everything, then builds a storage of it.
    ///
    /// # Errors
    /// The first damage, contradiction or member without address; there is no storage then.
    pub fn import(self, addresses: &Addresses<'_>) -> Result<Imported, ImportError> {
        let parts = Parts::read(self.frames)?;
        let hard_state = parts.hard_state.ok_or(ImportError::Missing { kind: Kind::HardState })?;
        let start = Start::of(parts.snapshot.as_ref(), parts.conf_state.as_ref())?;
        let after_snapshot = start.snapshot.is_some();

        let mut replay = Replay::begin(start, addresses)?;
        for entry in &parts.entries {
            replay.entry(entry).map_err(|damage| entry.damaged(damage))?;
        }
        let log = replay.log();
        let vote = state::vote(&hard_state.value).map_err(|error| hard_state.damaged(error))?;
        let committed = state::committed(&hard_state.value, log);
        let committed = committed.map_err(|error| hard_state.damaged(error))?;
        let last = log.last_log_id().unwrap_or_default();
        if hard_state.value.term < last.leader_id.term {
            let got = hard_state.value.term;
            return Err(hard_state.damaged(Damage::TermBehind { got, last }));
        }
        if let Some(conf_state) = &parts.conf_state {
            let committed = committed.map_or(0, |id| id.index);
            replay
                .confirm(&conf_state.value, after_snapshot, committed)
                .map_err(|damage| conf_state.damaged(damage))?;
        }
        for message in &parts.messages {
            let (from, to) = (message.value.from, message.value.to);
            replay.leave_behind(message.place, Reason::UnderWay { from, to });
        }

        let (log, machine, mut summary) = replay.end();
        (summary.vote, summary.committed) = (vote, committed);
        let log = LogStore::holding(log, vote, committed);
        let storage = MemStorage::holding(log, MachineStore::holding(machine));
        Ok(Imported { storage, summary })
    }
}

/// A message and where it stands.
#[derive(Debug)]
struct Found<T> {
    place: Place,
    value: T,
}

impl<T> Found<T> {
    fn damaged(&self, damage: impl Into<Damage>) -> ImportError {
        ImportError::damaged(self.place, damage)
    }
}

/// All messages, by their kinds.
#[derive(Debug, Default)]
struct Parts {
    hard_state: Option<Found<eraftpb::HardState>>,
    conf_state: Option<Found<eraftpb::ConfState>>,
    snapshot: Option<Found<eraftpb::Snapshot>>,
    entries: Vec<Found<eraftpb::Entry>>,
    messages: Vec<Found<eraftpb::Message>>,
}

impl Parts {
    fn read(frames: Vec<Frame>) -> Result<Self, ImportError> {
        let mut parts = Self::default();
        for frame in frames {
            match frame.kind {
                Kind::HardState => once(&mut parts.hard_state, frame, "eraftpb.HardState")?,
                Kind::ConfState => once(&mut parts.conf_state, frame, "eraftpb.ConfState")?,
                Kind::Snapshot => once(&mut parts.snapshot, frame, "eraftpb.Snapshot")?,
                Kind::Entry => parts.entries.push(found(frame, "eraftpb.Entry")?),
                Kind::Message => parts.messages.push(found(frame, "eraftpb.Message")?),
            }
        }
        Ok(parts)
    }
}

fn found<P: prost::Message + Default>(
    frame: Frame,
    name: &'static str,
) -> Result<Found<P>, ImportError> {
    let place = frame.place;
    let value = parse(name, frame.bytes).map_err(|error| ImportError::damaged(place, error))?;
    Ok(Found { place, value })
}

fn once<P: prost::Message + Default>(
    part: &mut Option<Found<P>>,
    frame: Frame,
    name: &'static str,
) -> Result<(), ImportError> {
    if let Some(first) = part {
        let (kind, first) = (frame.kind, first.place);
        return Err(ImportError::damaged(frame.place, Damage::Twice { kind, first }));
    }
    *part = Some(found(frame, name)?);
    Ok(())
}

/// Why there is no storage.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The operating system doesn't give it.
    #[error("{} can't be read", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A directory holds only what [`Export`] names.
    #[error("{} is no part of an export", path.display())]
    UnknownFile {
        /// The file.
        path: PathBuf,
    },
    /// Something needed isn't there. Of conf state and snapshot one suffices.
    #[error("there is no {kind}")]
    Missing {
        /// What.
        kind: Kind,
    },
    /// Something is wrong with what is there.
    #[error("{place}")]
    Damaged {
        /// Where the message begins.
        place: Place,
        /// What it is.
        #[source]
        damage: Box<Damage>,
    },
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Damage {
    /// A kind or a length is no varint.
    #[error("no kind or length")]
    Number(#[source] prost::DecodeError),
    /// A stream has a kind that no export has.
    #[error("kind {got}, expected 8 * n + 2 for an n from 1 to 5")]
    UnknownKind {
        /// The number found.
        got: u64,
    },
    /// The message is longer than what is there.
    #[error("a message of {needed} bytes, {left} are left")]
    Cut {
        /// Its length.
        needed: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// There can be only one.
    #[error("a second {kind}; the first is at {first}")]
    Twice {
        /// What.
        kind: Kind,
        /// Where the first one is.
        first: Place,
    },
    /// No message, or a number beyond what openraft counts.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A conf state that raft-rs would not restore.
    #[error("conf_state can't be restored")]
    Configuration(#[from] ConfigurationError),
    /// A snapshot that can't be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An entry that can't be read or converted.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A member without an address.
    #[error(transparent)]
    Address(#[from] UnknownAddress),
    /// An entry leaves a hole, or its term descends.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An entry that the snapshot covers doesn't follow the one before it.
    #[error("entry {got} after entry {previous}, expected the next one")]
    NotNext {
        /// The index found.
        got: u64,
        /// The one before.
        previous: u64,
    },
    /// The snapshot ends with another entry of that index, or its last term is before one that it
    /// covers.
    #[error("entry {got}, but the snapshot ends with {expected}")]
    NotOfSnapshot {
        /// The entry's id.
        got: LogId,
        /// What the snapshot says.
        expected: LogId,
    },
    /// A node knows every term of which it has an entry.
    #[error("term {got}, but the last entry is {last}")]
    TermBehind {
        /// The hard state's.
        got: u64,
        /// The last entry, or the last one covered.
        last: LogId,
    },
    /// See [`CommittedError`].
    #[error(transparent)]
    Committed(#[from] CommittedError),
    /// Without a snapshot, a log that changes the configuration doesn't say what it was at first:
    /// the conf state may be the one before the change or after it.
    #[error(
        "without a snapshot, it may be from before or after its change at index {changed_at}: have the \
         old node take a snapshot, and export that as well"
    )]
    Ambiguous {
        /// The first change that is committed.
        changed_at: u64,
    },
    /// The configuration never was that, from the snapshot to what is committed.
    #[error("{got}; from index {first} to {last} it never was that, at the end it was {expected}")]
    NeverSo {
        /// The one found.
        got: Box<Configuration>,
        /// The last one committed.
        expected: Box<Configuration>,
        /// The last entry before the log.
        first: u64,
        /// The last entry committed.
        last: u64,
    },
}
