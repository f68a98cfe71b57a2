//! Numbers, ids and members, as people read them.

use std::fmt;
use std::ops::Range;

use seshat_core::types::{LogId, Membership};
use seshat_core::wal::LostEntries;

/// A length.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let mut size = self.0 as f64;
        let mut unit = "bytes";
        for larger in units {
            if size < 1024.0 {
                break;
            }
            (size, unit) = (size / 1024.0, larger);
        }
        let text =
            if unit == "bytes" { format!("{size} {unit}") } else { format!("{size:.1} {unit}") };
        f.pad(&text)
    }
}

/// How many there are of something.
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, what) = self;
        match (number, *what) {
            (1, _) => write!(f, "1 {what}"),
            (_, "entry") => write!(f, "{number} entries"),
            _ => write!(f, "{number} {what}s"),
        }
    }
}

/// Indexes, the last included.
pub(crate) struct Indexes<'a>(pub(crate) &'a Range<u64>);

impl fmt::Display for Indexes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.0;
        match end.saturating_sub(*start) {
            0 => f.write_str("none"),
            1 => start.fmt(f),
            _ => write!(f, "{start} to {}", end - 1),
        }
    }
}

/// An entry's id, or that there is none.
pub(crate) struct Id(pub(crate) Option<LogId>);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => {
                let leader = id.leader_id;
                write!(f, "entry {} of term {}, node {}", id.index, leader.term, leader.node_id)
            }
            None => f.write_str("none"),
        }
    }
}

/// Members, and who of them is a learner.
pub(crate) struct Members<'a>(pub(crate) &'a Membership);

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let voters: Vec<_> = self.0.voter_ids().collect();
        let mut nodes = self.0.nodes().peekable();
        if nodes.peek().is_none() {
            return f.write_str("none");
        }
        for (number, (id, node)) in nodes.enumerate() {
            let before = if number > 0 { ", " } else { "" };
            let learner = if voters.contains(id) { "" } else { " (learner)" };
            write!(f, "{before}{id} at {}{learner}", node.addr)?;
        }
        Ok(())
    }
}

/// Entries that are lost.
pub(crate) struct Lost<'a>(pub(crate) &'a LostEntries);

impl fmt::Display for Lost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LostEntries { group, from, to } = self.0;
        match to {
            Some(to) if to == from => write!(f, "entry {from} of group {group}"),
            Some(to) => write!(f, "entries {from} to {to} of group {group}"),
            None => write!(f, "entries of group {group} from {from} on"),
        }
    }
}
