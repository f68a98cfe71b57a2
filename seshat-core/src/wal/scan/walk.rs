//! [`Walk`]: from frame to frame, and on behind those that are damaged.

use std::ops::Range;

use bytes::Bytes;

use super::{At, Scan, Trail, Watch};
use crate::proto::v1;
use crate::wal::error::{Damage, LostEntries, OpenError, Part, Wrong};
use crate::wal::frame::{HEAD, Head, Kind};
use crate::wal::group::Place;
use crate::wal::record::{self, Change};
use crate::wal::recovery::{Content, Replay};
use crate::wal::segment::{BLOCK, Header, file_name};
use crate::wal::writer::Position;

/// From segment to segment.
pub(super) struct Walk<'a> {
    /// `None` where it must begin anew.
    pub(super) replay: Option<Replay>,
    /// The faults, by number, of which the next checkpoint tells which entries they cost.
    pending: Vec<usize>,
    watch: &'a mut dyn Watch,
}

impl<'a> Walk<'a> {
    pub(super) fn new(watch: &'a mut dyn Watch) -> Self {
        Self { replay: None, pending: Vec::new(), watch }
    }

    /// A segment isn't there, or can't be used.
    pub(super) fn lose<T>(&mut self, scan: &mut Scan<T>, file: &str) {
        self.replay = None;
        scan.trails.values_mut().for_each(Trail::doubt);
        let of_it = |fault: &OpenError| matches!(fault, OpenError::Damaged(it) if it.file == file);
        let numbered = (0..).zip(&scan.faults).filter(|(_, fault)| of_it(fault));
        self.pending.extend(numbered.map(|(number, _)| number));
    }

    pub(super) fn segment<T>(&mut self, scan: &mut Scan<T>, content: Content<'_>, bytes: &Bytes) {
        let Content { header, .. } = content;
        let mut replay = self.replay.take().unwrap_or_else(|| Replay::new(header.store_id));
        // Where it belongs was looked at before.
        drop(replay.header(header.sequence, header));
        let (mut start, mut whole) = (content.start(), true);
        let mut read = replay.segment(content);
        loop {
            let end = match &read {
                Ok(()) => replay.position.map_or(start.end, |position| position.end),
                Err(damage) => damage.offset.max(start.end),
            };
            self.take(scan, content, bytes, start.end..end);
            let Err(damage) = read else { break };
            whole = false;
            let next = behind(content, &damage);
            scan.faults.push(damage.into());
            let Some((position, said)) = next else {
                self.pending.push(scan.faults.len() - 1);
                scan.trails.values_mut().for_each(Trail::doubt);
                break;
            };
            match said {
                Some(head) => scan.trail(head.group).append(indexes(&head), None, None),
                None => scan.trails.values_mut().for_each(Trail::doubt),
            }
            replay = Replay::new(header.store_id);
            start = position;
            read = replay.go_on(content, start);
        }
        scan.torn = replay.torn.take();
        self.replay = whole.then_some(replay);
        self.watch.progress(bytes.len() as u64);
    }

    /// Takes over what the frames there say, which were read before.
    fn take<T>(
        &mut self,
        scan: &mut Scan<T>,
        content: Content<'_>,
        bytes: &Bytes,
        range: Range<u64>,
    ) {
        let Header { salt, sequence, .. } = content.header;
        let file = file_name(sequence);
        let Range { start: mut offset, end } = range;
        let mut frames = 0;
        while offset < end {
            let at = offset as usize;
            let Ok(head) = Head::read(bytes.get(at..).unwrap_or_default(), salt) else { break };
            let body = at + HEAD..(at + HEAD + head.len as usize).min(bytes.len());
            let body = bytes.slice(body.start.min(body.end)..body.end);
            let (short, len) = (offset as u32, head.frame_len() as u32);
            let place = Place { segment: sequence, offset: short, len };
            match head.kind {
                Kind::Checkpoint => self.checkpoint(scan, &body),
                Kind::Entries => {
                    let Head { group, first, count, .. } = head;
                    let at = At { file: &file, offset, group, first, count, place };
                    let last = self.watch.entries(at, body);
                    scan.trail(group).append(indexes(&head), last, Some(place));
                }
                _ => {
                    if let Ok(Some(change)) = Change::read(&head, &body) {
                        scan.trail(head.group).apply(change);
                    }
                }
            }
            offset += head.frame_len();
            frames += 1;
        }
        if let Some(found) = scan.segments.iter_mut().find(|found| found.file == file) {
            found.frames += frames;
            found.used = found.used.max(offset);
        }
    }

    fn checkpoint<T>(&mut self, scan: &mut Scan<T>, body: &[u8]) {
        let Ok(checkpoint) = record::decode::<v1::Checkpoint>(body) else { return };
        let mut lost = Vec::new();
        for state in checkpoint.groups {
            let group = state.group;
            let trail = scan.trail(group);
            let from = trail.state.next_index.max(state.first_index);
            if from < state.next_index {
                lost.push(LostEntries { group, from, to: Some(state.next_index - 1) });
            }
            trail.resume(state);
        }
        self.tell(scan, &lost);
    }

    /// No checkpoint comes any more.
    pub(super) fn end<T>(mut self, scan: &mut Scan<T>) -> Self {
        let trails = scan.trails.iter();
        let from = trails.map(|(group, trail)| (*group, trail.state.next_index));
        let lost: Vec<_> =
            from.map(|(group, from)| LostEntries { group, from, to: None }).collect();
        self.tell(scan, &lost);
        self
    }

    fn tell<T>(&mut self, scan: &mut Scan<T>, lost: &[LostEntries]) {
        for number in self.pending.drain(..) {
            if let Some(OpenError::Damaged(damage)) = scan.faults.get_mut(number) {
                damage.lost = lost.to_vec();
            }
        }
    }
}

/// The entries of a frame.
fn indexes(head: &Head) -> Range<u64> {
    head.first..head.first.saturating_add(head.count.into())
}

/// Where the next frame begins behind damage; and the head of the damaged frame, if it is the only one that is
/// lost, and entries are all that is lost with it.
fn behind(content: Content<'_>, damage: &Damage) -> Option<(Position, Option<Head>)> {
    let Content { header, bytes, .. } = content;
    if damage.offset < BLOCK as u64 {
        return Some((content.start(), None));
    }
    if damage.wrong == Wrong::Other {
        return None;
    }
    let there = bytes.get(damage.offset as usize..).unwrap_or_default();
    if let (Ok(head), Some(last)) = (Head::read(there, header.salt), there.first_chunk())
        && header.first_lsn + u64::from(head.place) == damage.lsn.0
    {
        let end = damage.offset + head.frame_len();
        let position = Position { end, next_lsn: damage.lsn.0 + 1, last: *last };
        let is_body = matches!(damage.wrong, Wrong::Frame { part: Part::Body, .. });
        let said = (is_body && head.kind == Kind::Entries).then_some(head);
        return (end <= bytes.len() as u64).then_some((position, said));
    }
    let at = Position { end: damage.offset, next_lsn: damage.lsn.0, last: [0; HEAD] };
    let (end, next_lsn, _) = content.heads_ahead(&at).find(|(offset, _, head)| {
        let frame = bytes.get(*offset as usize..).unwrap_or_default();
        head.holds(frame, header.salt).is_some()
    })?;
    Some((Position { end, next_lsn, last: [0; HEAD] }, None))
}
