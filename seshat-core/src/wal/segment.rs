//! Segments: files of a fixed length, each a header block and frames behind it.
//!
//! Guarantees: a header that reads belongs to this file, store and life of the file; it says where the
//! segment before ended, so that a file that is missing, cut, or put back from a copy shows.
//!
//! The header is written, with a checkpoint behind it, and synced *before* the file gets its name. So a
//! file of that name has both, or is damaged; it is never torn.

use twox_hash::XxHash3_64;

use super::frame::u64_at;

/// Bytes of a header.
pub(super) const BLOCK: usize = 4096;
/// The newest format of segments and of `IDENTITY` that this build knows, and writes.
pub const FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"SESHATWL";
const CHECKSUM_AT: usize = BLOCK - 8;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Counts the segments of a store, from 1.
    pub(super) sequence: u64,
    /// Random, for each life of the file.
    pub(super) salt: u64,
    pub(super) store_id: u64,
    /// Length of the file, which never changes.
    pub(super) capacity: u64,
    /// LSN of its first frame.
    pub(super) first_lsn: u64,
    /// Whether the file was all zeros before: then whatever isn't zero was written in this life.
    pub(super) zeroed: bool,
    /// `None` in the first.
    pub(super) predecessor: Option<Predecessor>,
}

/// The segment before, all of which was durable when this one was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Predecessor {
    /// Where its last frame ends, in bytes.
    pub(super) end: u64,
    /// [`Head::checksum`](super::frame::Head::checksum) of that frame.
    pub(super) checksum: u64,
}

/// Why a block is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// Damaged, or never one.
    Damaged,
    /// Of a newer format.
    Newer(u32),
}

impl Header {
    pub(super) fn to_block(self) -> Vec<u8> {
        let numbers = [
            u64::from(FORMAT),
            self.sequence,
            self.salt,
            self.store_id,
            self.capacity,
            self.first_lsn,
            u64::from(self.zeroed),
            self.predecessor.map_or(0, |before| before.end),
            self.predecessor.map_or(0, |before| before.checksum),
        ];
        let mut block = Vec::with_capacity(BLOCK);
        block.extend_from_slice(&MAGIC);
        block.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        block.resize(CHECKSUM_AT, 0);
        block.extend_from_slice(&XxHash3_64::oneshot(&block).to_le_bytes());
        block
    }

    pub(super) fn read(block: &[u8]) -> Result<Self, NoHeader> {
        let (body, _) = block.split_at_checked(CHECKSUM_AT).ok_or(NoHeader::Damaged)?;
        let whole = XxHash3_64::oneshot(body) == u64_at(block, CHECKSUM_AT);
        if !whole || !body.starts_with(&MAGIC) {
            return Err(NoHeader::Damaged);
        }
        let number = |place: usize| u64_at(body, 8 + 8 * place);
        match u32::try_from(number(0)).unwrap_or(u32::MAX) {
            0 => return Err(NoHeader::Damaged),
            1..=FORMAT => {}
            newer => return Err(NoHeader::Newer(newer)),
        }
        let predecessor = Predecessor { end: number(7), checksum: number(8) };
        Ok(Self {
            sequence: number(1),
            salt: number(2),
            store_id: number(3),
            capacity: number(4),
            first_lsn: number(5),
            zeroed: number(6) != 0,
            predecessor: (predecessor.end != 0).then_some(predecessor),
        })
    }
}

/// A segment that is in the log.
#[derive(Debug)]
pub(super) struct Segment<T> {
    pub(super) header: Header,
    pub(super) file: T,
}

/// A file that is to become a segment.
#[derive(Debug)]
pub(super) struct Spare<T> {
    pub(super) name: String,
    pub(super) capacity: u64,
    pub(super) zeroed: bool,
    pub(super) file: T,
}

/// The folder of segments and spares.
pub(super) const FOLDER: &str = "wal";

/// The file of the segment with that sequence.
pub(super) fn file_name(sequence: u64) -> String {
    format!("{FOLDER}/{sequence:012}.seg")
}

/// A file in the folder, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Segment(u64),
    Spare(u64),
    /// A spare that is being filled.
    Unfinished(u64),
}

impl Named {
    pub(super) fn of(name: &str) -> Option<Self> {
        let named = if let Some(number) = name.strip_suffix(".seg") {
            Self::Segment(number.parse().ok()?)
        } else {
            let number = name.strip_prefix("spare-")?;
            match number.strip_suffix(".tmp") {
                Some(number) => Self::Unfinished(number.parse().ok()?),
                None => Self::Spare(number.parse().ok()?),
            }
        };
        // One name for one file.
        (named.path().strip_prefix(FOLDER)?.strip_prefix('/')? == name).then_some(named)
    }

    pub(super) fn path(self) -> String {
        match self {
            Self::Segment(sequence) => file_name(sequence),
            Self::Spare(number) => format!("{FOLDER}/spare-{number}"),
            Self::Unfinished(number) => format!("{FOLDER}/spare-{number}.tmp"),
        }
    }
}
