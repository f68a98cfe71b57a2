//! What Seshat's first generation wrote, read.
//!
//! That generation ran on raft-rs 0.7: its log entries, hard state, conf state and snapshots are
//! [`eraftpb`] messages, written by either of raft-rs's two codecs; its operations and the images of
//! its state machine are [`bincode`]. None of those libraries is needed here. How a cluster is moved
//! is told in the README; what a node must export is told at [`Export`].
//!
//! # What the two worlds don't share
//!
//! Nothing is made up that isn't named here, and what isn't named here comes back from where it
//! went.
//!
//! - **The node in a log id.** eraftpb doesn't say which node led a term. Its entries get node id 0,
//!   which no member has, and so the same id on all nodes. A term had one leader, so their ids ascend
//!   as they did; leaders to come have ids of at least 1, so their entries come after.
//! - **Whether a vote is committed.** Not said, so it never is: no node takes itself for the leader
//!   that it may have been. A vote for nobody, raft-rs's node 0, is one for node 0.
//! - **Where the log begins.** An index stays what it is. raft-rs counts from 1, and has a dummy
//!   before its first entry: at index 0, of term 0, or where the snapshot ends. Here that is the last
//!   entry that was applied and purged; state and membership are as of that entry.
//! - **Which entry brought the membership** isn't in a snapshot. Its last entry counts as the one.
//! - **Changes of the members** are steps in raft-rs and outcomes in openraft, so that reading one
//!   needs the [`Configuration`] before it, and none goes back. Each is taken for applied, as raft-rs
//!   has it: nothing says that an application refused one, unless it changed it to node 0.
//! - **When they count.** In raft-rs once they are applied, in openraft once they are in the log: one
//!   that isn't committed counts from the import on. That does no harm. raft-rs's leaders propose
//!   none before the one before is applied, and the quorums of two in a row meet.
//! - **`auto_leave` and `learners_next`** have no place in a membership: see [`Configuration`].
//! - **Addresses** are openraft's alone: the caller supplies them.
//! - **`context`, `sync_log`** and a change's **`id`** are dropped. So are messages: whatever was under
//!   way is sent again, or something else.
//! - **Batches.** raft-rs's entries hold one operation, so that no other number goes back.
//! - **States.** Images of the state machine are read and not written.
//! - **Terms and indexes of 2^64 - 1** are refused, because openraft adds one to them. So are **empty
//!   keys**, which no [operation](crate::operation::Operation) has.

pub mod bincode;
mod configuration;
mod entry;
mod import;
mod snapshot;
mod state;

pub use self::configuration::{
    ChangeError, Configuration, ConfigurationError, MembershipUnsaid, Role, UnknownAddress,
};
pub use self::entry::{EntryError, EntryUnsaid, LegacyEntry, LegacyPayload};
pub use self::import::{
    Damage, Export, File, ImportError, Imported, Kind, LeftBehind, Place, Reason, Summary,
};
pub use self::snapshot::{LegacySnapshot, SnapshotError};
pub use self::state::{CommittedError, committed, vote};
use crate::codec::parse_open as parse;
pub use crate::proto::eraftpb;
use crate::types::NodeId;

/// Where nodes are, as a member's address is written in a
/// [configuration](crate::config::NodeConfig::members); `None` for a node that nobody knows.
pub type Addresses<'a> = dyn Fn(NodeId) -> Option<String> + 'a;
