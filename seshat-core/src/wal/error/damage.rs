//! [`Damage`]: what the disk had promised to keep, and has not.

use std::fmt;

use super::Illegal;
use crate::codec::DecodeError;
use crate::wal::Lsn;

/// What is damaged, and what is lost with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{file} is damaged at byte {offset}: {wrong}. Nothing was changed. {}{}", Lost(.lost), advice(.wrong))]
pub struct Damage {
    /// The file, within the log's directory.
    pub file: String,
    /// Where.
    pub offset: u64,
    /// The frame that should be there.
    pub lsn: Lsn,
    /// How it shows.
    pub wrong: Wrong,
    /// Entries that are lost, or may be.
    pub lost: Vec<LostEntries>,
}

fn advice(wrong: &Wrong) -> &'static str {
    match wrong {
        Wrong::Kind(_) => "Run that version",
        _ => {
            "This node may have promised what it can't keep any more, so it must not go on: remove it \
             from its cluster, move the directory away, and add the node again, empty"
        }
    }
}

/// Entries of a group that damage took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostEntries {
    /// The group.
    pub group: u32,
    /// The first.
    pub from: u64,
    /// The last; `None` if nothing intact says where they end.
    pub to: Option<u64>,
}

struct Lost<'a>(&'a [LostEntries]);

impl fmt::Display for Lost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for LostEntries { group, from, to } in self.0 {
            match to {
                Some(to) => write!(f, "Group {group}: entries {from} to {to} are affected. ")?,
                None => write!(f, "Group {group}: entries from {from} on are affected. ")?,
            }
        }
        Ok(())
    }
}

/// How damage shows.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// The file isn't there, though others say that it was.
    #[error("the file is missing")]
    Missing,
    /// The file's first block, or all of a small one.
    #[error("its header doesn't verify")]
    Header,
    /// The file was cut, or grew.
    #[error("it is {got} bytes long, its header says {expected}")]
    Length {
        /// Its length.
        got: u64,
        /// The length that it was made with.
        expected: u64,
    },
    /// The file is another than its name says.
    #[error("it is segment {got}, expected {expected}")]
    Sequence {
        /// What it says.
        got: u64,
        /// What its name says.
        expected: u64,
    },
    /// The file belongs to another directory.
    #[error("it is of store {got:016x}, this is {expected:016x}")]
    Store {
        /// What it says.
        got: u64,
        /// What `IDENTITY` says.
        expected: u64,
    },
    /// It doesn't follow the one before.
    #[error("it begins with frame {got}, the segment before ended with {}", .expected.0.saturating_sub(1))]
    Follows {
        /// Its first frame.
        got: Lsn,
        /// The frame after the last one before.
        expected: Lsn,
    },
    /// A frame was durable, but isn't what was written.
    #[error("frame {lsn} {part}, though {} says that it was durable", Witness(*.witness))]
    Frame {
        /// The frame.
        lsn: Lsn,
        /// What of it.
        part: Part,
        /// The frame that says so; `None` if it is the next segment's header.
        witness: Option<Lsn>,
    },
    /// A frame's checksum is right, and its place is not.
    #[error("it has frame {got}, expected {expected}")]
    Place {
        /// The frame that is there.
        got: Lsn,
        /// The frame that should be.
        expected: Lsn,
    },
    /// The segment is whole, but not the one that the next segment followed.
    #[error("it ends otherwise than the next segment says")]
    Other,
    /// Written by a version that knows more.
    #[error("it has a frame of kind {0}, which this version doesn't know: a newer one wrote it")]
    Kind(u8),
    /// Its checksum is right, and it makes no sense.
    #[error("frame {lsn} can't be read: {source}")]
    Invalid {
        /// The frame.
        lsn: Lsn,
        /// Why.
        source: DecodeError,
    },
    /// It contradicts the frames before.
    #[error("frame {lsn}, group {group}: {illegal}")]
    Illegal {
        /// The frame.
        lsn: Lsn,
        /// Its group.
        group: u32,
        /// Why.
        illegal: Illegal,
    },
    /// It says of the frames before what they don't.
    #[error("frame {lsn} sums up the frames before it wrongly")]
    Checkpoint {
        /// The frame.
        lsn: Lsn,
    },
    /// Entries that were never purged are in no file.
    #[error("entries that were not purged are in no segment: an older segment is missing")]
    Absent,
}

struct Witness(Option<Lsn>);

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(lsn) => write!(f, "frame {lsn}"),
            None => f.write_str("the next segment"),
        }
    }
}

/// What of a frame doesn't verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its head: what it was isn't known.
    Head,
    /// What it holds.
    Body,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "has no head that verifies",
            Self::Body => "has a body that doesn't verify",
        })
    }
}
