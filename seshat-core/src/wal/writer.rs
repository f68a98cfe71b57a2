//! What was queued, onto the disk: one write and one sync for all of it. Held by whoever writes.
//!
//! Guarantees: when [`Writer::write`] returns, all of the steps are durable, and so is everything before; if
//! it fails, nobody may write any more. A new segment's header and checkpoint are durable, and its name is,
//! before any frame behind them; all of the segment before is durable before its successor has a name.

use std::sync::Arc;

use super::error::{Call, Context, Failure};
use super::frame::{Frame, HEAD, Head, Stamp};
use super::fs::{File, FileSystem};
use super::queue::{NewSegment, Step};
use super::segment::{FOLDER, Header, Predecessor, Segment, Spare, file_name};
use crate::metrics;

/// Bytes that are collected for one write; more are written as they come.
const AT_ONCE: usize = 1 << 20;

/// The end of the log on disk.
#[derive(Debug)]
pub(super) struct Writer<T> {
    segment: Arc<Segment<T>>,
    name: String,
    /// Where the next frame goes, after what is in `bytes`.
    end: u64,
    next_lsn: u64,
    /// The head of the last frame.
    last: [u8; HEAD],
    /// Collected, and to be written before `end`.
    bytes: Vec<u8>,
    /// Bytes that were written since the last sync.
    unsynced: u64,
}

/// Where the last frame ends, and what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) end: u64,
    pub(super) next_lsn: u64,
    /// The head of the last frame.
    pub(super) last: [u8; HEAD],
}

impl<T: File> Writer<T> {
    /// Goes on behind what is durable.
    pub(super) fn resume(segment: Arc<Segment<T>>, position: Position) -> Self {
        let Position { end, next_lsn, last } = position;
        let name = file_name(segment.header.sequence);
        Self { segment, name, end, next_lsn, last, bytes: Vec::new(), unsynced: 0 }
    }

    /// Writes the steps and syncs. `durable` is the last LSN that is already. Returns the segments that were
    /// begun.
    pub(super) fn write<F: FileSystem<File = T>>(
        &mut self,
        fs: &F,
        steps: &mut Vec<Step<T>>,
        mut durable: u64,
        meters: &metrics::Wal,
    ) -> Result<Vec<Arc<Segment<T>>>, Failure> {
        let mut begun = Vec::new();
        for step in steps.drain(..) {
            match step {
                Step::Frame(frame) => self.put(&frame, durable)?,
                Step::Turn(next) => {
                    let NewSegment { spare, checkpoint } = *next;
                    // Whoever finds the next segment takes all of this one for durable.
                    self.sync(meters)?;
                    self.turn(fs, spare, &checkpoint)?;
                    durable = self.next_lsn - 1;
                    begun.push(Arc::clone(&self.segment));
                }
            }
        }
        self.sync(meters)?;
        Ok(begun)
    }

    /// Writes a frame of which it doesn't matter whether it will be there.
    pub(super) fn write_unsynced(
        &mut self,
        steps: &mut Vec<Step<T>>,
        durable: u64,
    ) -> Result<(), Failure> {
        for step in steps.drain(..) {
            if let Step::Frame(frame) = step {
                self.put(&frame, durable)?;
            }
        }
        self.flush()
    }

    fn put(&mut self, frame: &Frame, durable: u64) -> Result<(), Failure> {
        let Header { salt, first_lsn, .. } = self.segment.header;
        // A segment has fewer frames than bytes.
        let place = (self.next_lsn - first_lsn) as u32;
        let behind = u32::try_from(self.next_lsn - durable).unwrap_or(Head::SAYS_NOTHING);
        self.last = frame.put(Stamp { salt, place, behind }, &mut self.bytes);
        self.next_lsn += 1;
        self.end += frame.len();
        if self.bytes.len() >= AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let at = self.end - self.bytes.len() as u64;
        self.segment.file.write_at(&self.bytes, at).during(Call::Write, &self.name)?;
        self.unsynced += self.bytes.len() as u64;
        self.bytes.clear();
        self.bytes.shrink_to(2 * AT_ONCE);
        Ok(())
    }

    fn sync(&mut self, meters: &metrics::Wal) -> Result<(), Failure> {
        self.flush()?;
        let since = metrics::Stopwatch::start();
        self.segment.file.sync().during(Call::Sync, &self.name)?;
        meters.synced(since, std::mem::take(&mut self.unsynced));
        Ok(())
    }

    fn turn<F: FileSystem<File = T>>(
        &mut self,
        fs: &F,
        spare: Spare<T>,
        checkpoint: &Frame,
    ) -> Result<(), Failure> {
        let checksum = Head::checksum(&self.last, self.segment.header.salt);
        let predecessor = Predecessor { end: self.end, checksum };
        let header = Header {
            sequence: self.segment.header.sequence + 1,
            salt: fs.random(),
            store_id: self.segment.header.store_id,
            capacity: spare.capacity,
            first_lsn: self.next_lsn,
            zeroed: spare.zeroed,
            predecessor: Some(predecessor),
        };
        let (segment, position) = begin(fs, spare, header, checkpoint)?;
        *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::resume(segment, position) };
        Ok(())
    }
}

/// A new segment, and the place behind its checkpoint.
type Begun<T> = (Arc<Segment<T>>, Position);

/// Makes a file a segment that begins with that checkpoint, durably.
pub(super) fn begin<F: FileSystem>(
    fs: &F,
    spare: Spare<F::File>,
    header: Header,
    checkpoint: &Frame,
) -> Result<Begun<F::File>, Failure> {
    let mut bytes = header.to_block();
    // Nobody sees it before it is durable, so it says that it is, itself included.
    let last = checkpoint.put(Stamp { salt: header.salt, place: 0, behind: 0 }, &mut bytes);
    spare.file.write_at(&bytes, 0).during(Call::Write, &spare.name)?;
    spare.file.sync().during(Call::Sync, &spare.name)?;
    let name = file_name(header.sequence);
    fs.rename(&spare.name, &name).during(Call::Rename, &name)?;
    fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)?;
    let position = Position { end: bytes.len() as u64, next_lsn: header.first_lsn + 1, last };
    let segment = Segment { header, file: spare.file };
    Ok((Arc::new(segment), position))
}
