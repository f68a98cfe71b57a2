//! What the bytes of the segments come to: the log, or damage. Pure.
//!
//! The rule. The log ends at the first frame that doesn't verify. It is *torn* there if that frame may never
//! have been durable: it is in the last segment, and no frame behind it says that it was. Otherwise the disk
//! lost what it had promised to keep, and the log is *damaged*: then nobody may go on, as the node may have
//! answered for what is gone. A segment that has a successor was durable up to where that one says.
//!
//! What can't be told from a torn tail: damage to frames that no other frame was written after. That is the
//! last group of a log that neither was closed nor rested since
//! ([`Wal::settle`](super::Wal::settle)), and a newest segment that is gone as a whole.

use std::collections::{BTreeMap, VecDeque};

use super::Lsn;
use super::error::{Damage, LostEntries, Part, Wrong};
use super::frame::{ALIGN, Frame, HEAD, Head, Kind, NoHead};
use super::group::{Group, Place};
use super::record::{Change, decode};
use super::segment::{BLOCK, Header, Predecessor, file_name};
use super::writer::Position;
use crate::proto::v1;

/// What was found at the log's end and never was durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file, within the log's directory.
    pub file: String,
    /// Where the log ends in it.
    pub offset: u64,
    /// How much was written behind that, as far as it can be told from what was there before.
    pub bytes: u64,
    /// The frame that would have been next.
    pub lsn: Lsn,
}

/// A segment's file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) header: Header,
    /// All of it, header included.
    pub(super) bytes: &'a [u8],
    /// What the next segment says of this one; `None` for the last.
    pub(super) successor: Option<Predecessor>,
}

impl Content<'_> {
    /// Where its first frame begins.
    pub(super) fn start(&self) -> Position {
        Position { end: BLOCK as u64, next_lsn: self.header.first_lsn, last: [0; HEAD] }
    }

    /// The heads behind that position, each with its place and LSN. Looks at every place where one may be:
    /// there is no other way to go on after a head that is gone, and a frame's length is known only from its
    /// own.
    pub(super) fn heads_ahead(self, position: &Position) -> impl Iterator<Item = (u64, u64, Head)> {
        let Self { header, bytes, .. } = self;
        let Position { end, next_lsn, .. } = *position;
        let start = end as usize + ALIGN;
        let places = (start..bytes.len().saturating_sub(HEAD - 1)).step_by(ALIGN);
        places.filter_map(move |offset| {
            let there = bytes.get(offset..).unwrap_or_default();
            // Most of it was never written.
            if there.first_chunk::<ALIGN>() == Some(&[0; ALIGN]) {
                return None;
            }
            let head = Head::read(there, header.salt).ok()?;
            let lsn = header.first_lsn + u64::from(head.place);
            // A checksum of 32 bits is right by chance once in so many tries; where the frame can't be, it
            // is.
            let most = (offset as u64 - end) / HEAD as u64;
            let may_be = lsn > next_lsn && lsn <= next_lsn + most;
            may_be.then_some((offset as u64, lsn, head))
        })
    }
}

/// Reads segments in their order.
#[derive(Debug)]
pub(super) struct Replay {
    store_id: u64,
    groups: BTreeMap<u32, Group>,
    /// The sequences of the first segment and of the last.
    seen: Option<(u64, u64)>,
    /// Where the last segment ended; `None` before the first.
    pub(super) position: Option<Position>,
    /// Frames of the last segment that none says is durable: LSN and place of each.
    doubted: VecDeque<(u64, u64)>,
    pub(super) last_kind: Kind,
    pub(super) torn: Option<Torn>,
}

/// What a replay came to.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) groups: BTreeMap<u32, Group>,
    pub(super) position: Position,
    /// Where the frames begin, in the last segment, that none says is durable; the end if there is none.
    pub(super) doubted: u64,
    pub(super) torn: Option<Torn>,
    /// Whether the log was closed.
    pub(super) closed: bool,
}

/// A frame that doesn't verify, or none.
struct End {
    offset: u64,
    part: Part,
    head: Option<Head>,
}

impl Replay {
    pub(super) fn new(store_id: u64) -> Self {
        let (groups, last_kind) = (BTreeMap::new(), Kind::Synced);
        let doubted = VecDeque::new();
        Self { store_id, groups, seen: None, position: None, doubted, last_kind, torn: None }
    }

    /// Looks at the next segment's header, which is in the file of that sequence: all are looked at before
    /// any is read, as what is wrong with one shows in the one before too.
    pub(super) fn header(&mut self, sequence: u64, header: Header) -> Result<(), Box<Damage>> {
        let start = Position { end: 0, next_lsn: header.first_lsn, last: [0; HEAD] };
        let damage = |sequence, wrong| Err(self.damage(sequence, &start, wrong));
        let (first, last) = self.seen.unwrap_or((sequence, sequence.saturating_sub(1)));
        if sequence != last + 1 {
            return damage(last + 1, Wrong::Missing);
        }
        if header.sequence != sequence {
            let wrong = Wrong::Sequence { got: header.sequence, expected: sequence };
            return damage(sequence, wrong);
        }
        if header.store_id != self.store_id {
            let wrong = Wrong::Store { got: header.store_id, expected: self.store_id };
            return damage(sequence, wrong);
        }
        self.seen = Some((first, sequence));
        Ok(())
    }

    /// Reads the next segment.
    pub(super) fn segment(&mut self, content: Content<'_>) -> Result<(), Box<Damage>> {
        self.check_follows(content.header)?;
        self.go_on(content, content.start())
    }

    /// Reads a segment from one of its frames on.
    pub(super) fn go_on(
        &mut self,
        content: Content<'_>,
        mut position: Position,
    ) -> Result<(), Box<Damage>> {
        let Content { header, bytes, successor } = content;
        let sequence = header.sequence;
        let until = successor.map(|successor| successor.end);
        self.doubted.clear();
        let end = loop {
            if until == Some(position.end) {
                break None;
            }
            match frame_at(bytes, position.end, header.salt) {
                Ok((head, frame, body)) => {
                    self.frame(sequence, header, &position, &head, body)?;
                    let (lsn, durable) = (position.next_lsn, head.synced(position.next_lsn));
                    self.doubted.push_back((lsn, position.end));
                    let known = self.doubted.partition_point(|(lsn, _)| *lsn <= durable);
                    self.doubted.drain(..known);
                    position.end += head.frame_len();
                    position.next_lsn += 1;
                    position.last = frame.first_chunk().copied().unwrap_or(position.last);
                    self.last_kind = head.kind;
                }
                Err(NotThere::Kind(kind)) => {
                    return Err(self.damage(sequence, &position, Wrong::Kind(kind)));
                }
                Err(NotThere::Ends(end)) => break Some(end),
            }
        };
        let other =
            successor.is_some_and(|it| it.checksum != Head::checksum(&position.last, header.salt));
        match end {
            Some(end) => self.judge(sequence, content, &position, &end)?,
            None if other => return Err(self.damage(sequence, &position, Wrong::Other)),
            None => {}
        }
        self.position = Some(position);
        Ok(())
    }

    fn check_follows(&self, header: Header) -> Result<(), Box<Damage>> {
        let Some(before) = self.position.filter(|before| before.next_lsn != header.first_lsn)
        else {
            return Ok(());
        };
        let start = Position { end: 0, next_lsn: header.first_lsn, last: [0; HEAD] };
        let (got, expected) = (Lsn(header.first_lsn), Lsn(before.next_lsn));
        Err(self.damage(header.sequence, &start, Wrong::Follows { got, expected }))
    }

    /// A frame that verifies, at `position`.
    fn frame(
        &mut self,
        sequence: u64,
        header: Header,
        position: &Position,
        head: &Head,
        body: &[u8],
    ) -> Result<(), Box<Damage>> {
        let lsn = Lsn(position.next_lsn);
        let got = Lsn(header.first_lsn + u64::from(head.place));
        if got != lsn {
            return Err(self.damage(sequence, position, Wrong::Place { got, expected: lsn }));
        }
        if (head.kind == Kind::Checkpoint) != (position.end == BLOCK as u64) {
            return Err(self.damage(sequence, position, Wrong::Checkpoint { lsn }));
        }
        if head.kind == Kind::Checkpoint {
            return self.checkpoint(sequence, position, body);
        }
        let change = Change::read(head, body)
            .map_err(|source| self.damage(sequence, position, Wrong::Invalid { lsn, source }))?;
        let Some(change) = change else { return Ok(()) };
        // Placed in a file of less than 4 GiB, as its length says.
        let (offset, len) = (position.end as u32, head.frame_len() as u32);
        let group = self.groups.entry(head.group).or_insert_with(|| Group::new(head.group));
        match group.check(&change) {
            Ok(()) => group.apply(change, Place { segment: sequence, offset, len }),
            Err(illegal) => {
                let wrong = Wrong::Illegal { lsn, group: head.group, illegal };
                return Err(self.damage(sequence, position, wrong));
            }
        }
        Ok(())
    }

    fn checkpoint(
        &mut self,
        sequence: u64,
        position: &Position,
        body: &[u8],
    ) -> Result<(), Box<Damage>> {
        let lsn = Lsn(position.next_lsn);
        let checkpoint: v1::Checkpoint = decode(body)
            .map_err(|source| self.damage(sequence, position, Wrong::Invalid { lsn, source }))?;
        if self.position.is_none() {
            let groups = checkpoint.groups.into_iter();
            self.groups = groups.map(|state| (state.group, Group::resume(state))).collect();
            return Ok(());
        }
        let same = self.groups.values().map(Group::state).eq(&checkpoint.groups);
        if same { Ok(()) } else { Err(self.damage(sequence, position, Wrong::Checkpoint { lsn })) }
    }

    /// Whether a log that ends there was torn. If not, it is damaged.
    fn judge(
        &mut self,
        sequence: u64,
        content: Content<'_>,
        position: &Position,
        end: &End,
    ) -> Result<(), Box<Damage>> {
        let ahead = Ahead::scan(content, position);
        let lsn = Lsn(position.next_lsn);
        let began = position.end == BLOCK as u64;
        let witness = ahead.witness.filter(|(_, synced)| *synced >= lsn.0).map(|(lsn, _)| Lsn(lsn));
        // The first frame is durable before the file has its name.
        if witness.is_some() || content.successor.is_some() || began {
            let wrong = Wrong::Frame { lsn, part: end.part, witness };
            let mut damage = self.damage(sequence, position, wrong);
            damage.lost = self.lost(end, &ahead);
            return Err(damage);
        }
        let mut until = ahead.end.max(end.head.map_or(0, |head| end.offset + head.frame_len()));
        if content.header.zeroed {
            let written = content.bytes.iter().rposition(|byte| *byte != 0);
            until = written.map_or(0, |last| last as u64 + 1);
        }
        let bytes = until.min(content.bytes.len() as u64).saturating_sub(position.end);
        if bytes > 0 {
            let file = file_name(sequence);
            self.torn = Some(Torn { file, offset: position.end, bytes, lsn });
        }
        Ok(())
    }

    /// The entries that a frame had which doesn't verify: as its head says, or as those around it do.
    fn lost(&self, end: &End, ahead: &Ahead) -> Vec<LostEntries> {
        if let Some(head) = end.head {
            let last = head.first + u64::from(head.count).saturating_sub(1);
            let lost = LostEntries { group: head.group, from: head.first, to: Some(last) };
            return if head.kind == Kind::Entries { vec![lost] } else { Vec::new() };
        }
        let lost = self.groups.iter().map(|(number, group)| LostEntries {
            group: *number,
            from: group.indexes().end,
            to: ahead.firsts.get(number).and_then(|first| first.checked_sub(1)),
        });
        // Where the entries behind go on, it wasn't any of them.
        lost.filter(|lost| lost.to.is_none_or(|to| to >= lost.from)).collect()
    }

    fn damage(&self, sequence: u64, position: &Position, wrong: Wrong) -> Box<Damage> {
        let (file, lsn) = (file_name(sequence), Lsn(position.next_lsn));
        Box::new(Damage { file, offset: position.end, lsn, wrong, lost: Vec::new() })
    }

    /// All segments were read.
    pub(super) fn finish(self) -> Result<Replayed, Box<Damage>> {
        let Self { groups, seen, position, doubted, last_kind, torn, .. } = self;
        let missing = |sequence, wrong, lost| {
            let (file, lsn) = (file_name(sequence), Lsn(0));
            Box::new(Damage { file, offset: 0, lsn, wrong, lost })
        };
        let before_first = seen.map_or(1, |(first, _)| first.saturating_sub(1));
        let absent = groups.iter().filter_map(|(group, held)| {
            let absent = held.absent()?;
            let to = Some(absent.end - 1);
            Some(LostEntries { group: *group, from: absent.start, to })
        });
        let absent: Vec<_> = absent.collect();
        if !absent.is_empty() {
            return Err(missing(before_first, Wrong::Absent, absent));
        }
        let position = position.ok_or_else(|| missing(1, Wrong::Missing, Vec::new()))?;
        let doubted = doubted.front().map_or(position.end, |(_, begin)| *begin);
        Ok(Replayed { groups, position, doubted, torn, closed: last_kind == Kind::Closed })
    }
}

/// Why there is no frame.
enum NotThere {
    Ends(End),
    Kind(u8),
}

/// The frame that begins there: its head, all of it, its body.
fn frame_at(bytes: &[u8], offset: u64, salt: u64) -> Result<(Head, &[u8], &[u8]), NotThere> {
    let frame = bytes.get(offset as usize..).unwrap_or_default();
    let head = Head::read(frame, salt).map_err(|no_head| match no_head {
        NoHead::Checksum => NotThere::Ends(End { offset, part: Part::Head, head: None }),
        NoHead::Kind(kind) => NotThere::Kind(kind),
    })?;
    match head.holds(frame, salt) {
        Some(body) => Ok((head, frame, body)),
        None => Err(NotThere::Ends(End { offset, part: Part::Body, head: Some(head) })),
    }
}

/// What is written behind the end.
#[derive(Debug, Default)]
struct Ahead {
    /// The frame that knows the most to be durable: its LSN, and up to where it does.
    witness: Option<(u64, u64)>,
    /// Where the last frame ends whose head is there.
    end: u64,
    /// The first entry of each group.
    firsts: BTreeMap<u32, u64>,
}

impl Ahead {
    fn scan(content: Content<'_>, position: &Position) -> Self {
        let mut ahead = Self::default();
        for (offset, lsn, head) in content.heads_ahead(position) {
            let synced = head.synced(lsn);
            if ahead.witness.is_none_or(|(_, known)| synced > known) {
                ahead.witness = Some((lsn, synced));
            }
            ahead.end = ahead.end.max(offset + head.frame_len());
            if head.kind == Kind::Entries {
                ahead.firsts.entry(head.group).or_insert(head.first);
            }
        }
        ahead
    }
}

/// What all groups' frames come to.
pub(super) fn checkpoint(groups: &BTreeMap<u32, Group>) -> Frame {
    let groups = groups.values().map(|group| group.state().clone()).collect();
    let body = prost::Message::encode_to_vec(&v1::Checkpoint { groups });
    Frame::new(Kind::Checkpoint, 0, body)
}
