//! Logs of others, each with one group's entries, synced before a commit counts.

mod hiqlite;
mod raft_engine;
mod raft_log;

pub(crate) use self::hiqlite::HiqliteWal;
pub(crate) use self::raft_engine::RaftEngine;
pub(crate) use self::raft_log::RaftLog;

use seshat_core::codec::Message;
use seshat_core::types::Entry;

use crate::commits::Load;

/// Entries of commits, each with its index, as they are when they come to a log.
fn encoded(load: Load, next: &mut u64) -> Vec<Vec<(u64, Vec<u8>)>> {
    let encode = |entry: Entry| (entry.log_id.index, entry.encode().to_vec());
    load.entries(next).into_iter().map(|batch| batch.into_iter().map(encode).collect()).collect()
}
