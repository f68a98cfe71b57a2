//! What an import took over, and what it didn't.

use std::fmt;

use super::Place;
use crate::legacy::Configuration;
use crate::machine::Size;
use crate::types::{LogId, NodeId, Vote};

/// What was taken over, and what was refused. Displays as a page for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The vote; `None` if the node never voted.
    pub vote: Option<Vote>,
    /// The last entry known to be committed; `None` if none is.
    pub committed: Option<LogId>,
    /// The entry before the log: the last one that the snapshot covers, or raft-rs's dummy.
    pub base: LogId,
    /// The state as of that entry.
    pub state: Size,
    /// The last entry; `base` if there is none.
    pub last: LogId,
    /// Entries that hold an operation.
    pub operations: u64,
    /// Entries that hold nothing.
    pub blanks: u64,
    /// Entries that change the configuration.
    pub changes: u64,
    /// The configuration after the last entry.
    pub configuration: Configuration,
    /// What was refused, in the order in which it stands.
    pub left_behind: Vec<LeftBehind>,
}

/// Something that was read, is not damaged, and was not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// Where it stands.
    pub place: Place,
    /// What it is, and why.
    pub reason: Reason,
}

/// Why something was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An entry that the snapshot covers.
    Covered {
        /// Its index.
        index: u64,
    },
    /// A message: whoever sent it sends it again, or something else.
    UnderWay {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
    },
    /// The context of an entry, or of the change that it holds.
    Context {
        /// The entry's index.
        index: u64,
        /// The context's length.
        bytes: usize,
    },
    /// Voters that would be learners once the joint configuration is left.
    LearnersNext {
        /// Who.
        nodes: Vec<NodeId>,
    },
    /// That the joint configuration would be left by itself.
    AutoLeave,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Covered { index } => write!(f, "entry {index}: the snapshot covers it"),
            Self::UnderWay { from, to } => {
                write!(f, "message from node {from} to node {to}: it was under way")
            }
            Self::Context { index, bytes } => {
                write!(f, "context of entry {index}, {bytes} bytes: entries have none any more")
            }
            Self::LearnersNext { nodes } => {
                write!(f, "learners_next {nodes:?}: voters until the change is ended")
            }
            Self::AutoLeave => f.write_str("auto_leave: the change is to be ended by hand"),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, last, state, configuration, .. } = self;
        match &self.vote {
            Some(vote) => {
                let (term, node) = (vote.leader_id.term, vote.leader_id.node_id);
                writeln!(f, "vote           term {term}, node {node}")?;
            }
            None => writeln!(f, "vote           none")?,
        }
        writeln!(
            f,
            "state          {} keys of {} bytes, as of index {}",
            state.keys, state.bytes, base.index
        )?;
        writeln!(
            f,
            "log            {} entries up to index {}: operations {}, changes of members {}, blank {}",
            last.index.saturating_sub(base.index),
            last.index,
            self.operations,
            self.changes,
            self.blanks
        )?;
        let committed = self.committed.map_or(0, |id| id.index);
        writeln!(f, "committed      up to index {committed}")?;
        writeln!(f, "members        {configuration}")?;
        write!(f, "left behind    {}", self.left_behind.len())?;
        for LeftBehind { place, reason } in &self.left_behind {
            write!(f, "\n  {place}: {reason}")?;
        }
        Ok(())
    }
}
