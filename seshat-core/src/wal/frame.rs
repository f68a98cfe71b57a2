//! Frames: a head of 48 bytes, a body, zeros up to a multiple of 8.
//!
//! Guarantees: a head that reads is the one that was written in this life of its segment, so its length
//! can be trusted and its identity too, whatever became of the body; a body that [`Head::holds`] is the one
//! that was written, to its last zero. Both checksums are XXH3 seeded with the segment's salt: what an
//! earlier life of the file wrote never verifies.
//!
//! ```text
//!  0  u32  checksum of what follows in the head      20  u32  how far behind the last durable frame is
//!  4  u32  length of the body                        24  u64  index of the first entry
//!  8  u8   kind, then u24 number of entries          32  u64  term of the last entry
//! 12  u32  group                                     40  u64  checksum of the body and its zeros
//! 16  u32  place: how many frames of the segment come before
//! ```
//!
//! All numbers are little-endian. A frame's LSN is its place after the segment's first LSN, so places say
//! both that no frame is missing and which were known to be durable: all up to `LSN - behind`, inclusive.

use bytes::BufMut;
use twox_hash::XxHash3_64;

/// Bytes of a head.
pub(super) const HEAD: usize = 48;
/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// Entries in one frame: what 24 bits count.
pub(super) const MAX_COUNT: u32 = (1 << 24) - 1;
/// Bytes of a body: far more than a node appends at once, and far less than a segment can hold.
pub(super) const MAX_BODY: u64 = 1 << 30;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Entries were appended.
    Entries = 1,
    /// A vote was given.
    Vote = 2,
    /// Entries were taken back.
    Truncate = 3,
    /// Entries were purged.
    Purge = 4,
    /// Entries are known to be committed.
    Committed = 5,
    /// There is a snapshot.
    Snapshot = 6,
    /// What all frames before came to. The first of each segment, and nowhere else.
    Checkpoint = 7,
    /// Nothing but what every frame says: which frames are durable.
    Synced = 8,
    /// The log was closed in peace.
    Closed = 9,
    /// The node takes part on another's word.
    Probation = 10,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        const ALL: [Kind; 10] = [
            Kind::Entries,
            Kind::Vote,
            Kind::Truncate,
            Kind::Purge,
            Kind::Committed,
            Kind::Snapshot,
            Kind::Checkpoint,
            Kind::Synced,
            Kind::Closed,
            Kind::Probation,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame that has no place yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) group: u32,
    /// Index of the first entry; 0 where there is none.
    pub(super) first: u64,
    /// How many entries.
    pub(super) count: u32,
    /// Term of the last entry; 0 where there is none.
    pub(super) last_term: u64,
    pub(super) body: Vec<u8>,
}

impl Frame {
    /// One that holds no entries.
    pub(super) fn new(kind: Kind, group: u32, body: Vec<u8>) -> Self {
        Self { kind, group, first: 0, count: 0, last_term: 0, body }
    }

    /// Bytes it takes, head and zeros included.
    pub(super) fn len(&self) -> u64 {
        frame_len(self.body.len())
    }

    /// Writes it behind what is in `out`; returns its head, which vouches for all of it.
    pub(super) fn put(&self, stamp: Stamp, out: &mut Vec<u8>) -> [u8; HEAD] {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        out.extend_from_slice(&self.body);
        out.resize(start + HEAD + padded(self.body.len()), 0);
        let (before, body) = out.split_at_mut(start + HEAD);
        let head = Head {
            // Bounded by MAX_BODY where frames are made.
            len: self.body.len() as u32,
            kind: self.kind,
            count: self.count,
            group: self.group,
            place: stamp.place,
            behind: stamp.behind,
            first: self.first,
            last_term: self.last_term,
            body_checksum: XxHash3_64::oneshot_with_seed(stamp.salt, body),
        };
        let bytes = head.to_bytes(stamp.salt);
        if let Some(there) = before.get_mut(start..) {
            there.copy_from_slice(&bytes);
        }
        bytes
    }
}

/// What a frame gets when it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) salt: u64,
    pub(super) place: u32,
    pub(super) behind: u32,
}

/// Bytes of a frame with a body of that length.
#[inline]
pub(super) fn frame_len(body: usize) -> u64 {
    (HEAD + padded(body)) as u64
}

/// A length with the zeros behind it.
#[inline]
pub(super) fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: u32,
    pub(super) kind: Kind,
    pub(super) count: u32,
    pub(super) group: u32,
    pub(super) place: u32,
    pub(super) behind: u32,
    pub(super) first: u64,
    pub(super) last_term: u64,
    pub(super) body_checksum: u64,
}

/// Why there is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoHead {
    /// Never written in this life, torn, or damaged.
    Checksum,
    /// Written, but by a version that knows more kinds.
    Kind(u8),
}

impl Head {
    /// In place of how far behind the last durable frame is, where that isn't known or can't be said.
    pub(super) const SAYS_NOTHING: u32 = u32::MAX;

    /// The last frame that was durable before this one was written, whose LSN is given; 0 if it doesn't say.
    pub(super) fn synced(&self, lsn: u64) -> u64 {
        if self.behind == Self::SAYS_NOTHING { 0 } else { lsn.saturating_sub(self.behind.into()) }
    }

    fn to_bytes(self, salt: u64) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let mut rest = bytes.as_mut_slice();
        rest.put_u32_le(0);
        rest.put_u32_le(self.len);
        rest.put_u32_le(self.kind as u32 | self.count << 8);
        rest.put_u32_le(self.group);
        rest.put_u32_le(self.place);
        rest.put_u32_le(self.behind);
        rest.put_u64_le(self.first);
        rest.put_u64_le(self.last_term);
        rest.put_u64_le(self.body_checksum);
        let checksum = checksum_of(&bytes, salt);
        bytes.as_mut_slice().put_u32_le(checksum);
        bytes
    }

    /// The head at the start of `bytes`.
    pub(super) fn read(bytes: &[u8], salt: u64) -> Result<Self, NoHead> {
        let bytes = bytes.first_chunk::<HEAD>().ok_or(NoHead::Checksum)?;
        if u32_at(bytes, 0) != checksum_of(bytes, salt) {
            return Err(NoHead::Checksum);
        }
        let kind = u32_at(bytes, 8);
        Ok(Self {
            len: u32_at(bytes, 4),
            kind: Kind::of(kind as u8).ok_or(NoHead::Kind(kind as u8))?,
            count: kind >> 8,
            group: u32_at(bytes, 12),
            place: u32_at(bytes, 16),
            behind: u32_at(bytes, 20),
            first: u64_at(bytes, 24),
            last_term: u64_at(bytes, 32),
            body_checksum: u64_at(bytes, 40),
        })
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_len(&self) -> u64 {
        frame_len(self.len as usize)
    }

    /// The body, if the frame at the start of `frame` has the one it was written with.
    pub(super) fn holds<'a>(&self, frame: &'a [u8], salt: u64) -> Option<&'a [u8]> {
        let with_zeros = frame.get(HEAD..HEAD + padded(self.len as usize))?;
        let same = XxHash3_64::oneshot_with_seed(salt, with_zeros) == self.body_checksum;
        with_zeros.get(..self.len as usize).filter(|_| same)
    }

    /// What the next segment knows the frame by that begins there.
    pub(super) fn checksum(frame: &[u8], salt: u64) -> u64 {
        XxHash3_64::oneshot_with_seed(salt, frame.get(..HEAD).unwrap_or_default())
    }
}

fn checksum_of(head: &[u8; HEAD], salt: u64) -> u32 {
    XxHash3_64::oneshot_with_seed(salt, head.get(4..).unwrap_or_default()) as u32
}

/// The number there. 0 beyond the end, where no caller looks.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_le_bytes(*four))
}

/// The number there. 0 beyond the end, where no caller looks.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |eight| u64::from_le_bytes(*eight))
}
