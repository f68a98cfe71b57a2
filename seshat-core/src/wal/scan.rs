//! All that is in a log's files, whatever is wrong with them: for those who look, not for those who go on.
//!
//! Guarantees: reads, and changes nothing. It judges as opening does, and by the same code, so that a log in
//! which it finds no fault opens, and one that opening refuses has that fault here; but it goes on behind each,
//! at the next frame that verifies, and has them all. One segment is in memory at a time.
//!
//! The directory must not change meanwhile: hold its lock, or doubt what is found.

mod trail;
mod walk;

use std::collections::BTreeMap;

use bytes::Bytes;

pub(crate) use self::trail::{Leader, Stretch, Trail};
use self::walk::Walk;
use super::error::{Call, Context, Damage, Failure, OpenError, ReadError, Wrong};
use super::frame::Kind;
use super::fs::{File, FileSystem};
use super::group::{FrameAt, Place};
pub(crate) use super::open::lock;
pub(crate) use super::record::entries as entries_of;
use super::recovery::{Content, Replay, Torn};
use super::segment::{BLOCK, FOLDER, FORMAT, Header, Named, NoHeader, Segment, file_name};
use super::{Lsn, identity, read};
use crate::proto::v1;

/// Who looks on.
pub(crate) trait Watch {
    /// A frame of entries whose checksums are right. Returns who made the last of them, if that can be told.
    fn entries(&mut self, at: At<'_>, entries: Bytes) -> Option<Leader>;
    /// So many bytes more were read.
    fn progress(&mut self, bytes: u64);
}

/// Where a frame of entries lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) file: &'a str,
    pub(crate) offset: u64,
    pub(crate) group: u32,
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(in crate::wal) place: Place,
}

impl At<'_> {
    /// Tells it from all others: segment and offset.
    pub(crate) fn place(&self) -> (u64, u32) {
        (self.place.segment, self.place.offset)
    }
}

/// A segment's file, whole or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// Within the directory.
    pub file: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Where its last frame ends that verifies, in bytes; 0 if its header doesn't.
    pub used: u64,
    /// Frames that verify.
    pub frames: u64,
    /// The first frame that it may have, if its header says so.
    pub first: Option<Lsn>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Scan<T> {
    pub(crate) identity: Option<v1::Identity>,
    pub(crate) segments: Vec<SegmentFile>,
    /// Files for segments to come, each with its length.
    pub(crate) spares: Vec<(String, u64)>,
    /// Names in the log's folder that are none of its own.
    pub(crate) strangers: Vec<String>,
    pub(crate) trails: BTreeMap<u32, Trail>,
    /// In the order of the files, whose first place each says; each refuses to open.
    pub(crate) faults: Vec<OpenError>,
    pub(crate) torn: Option<Torn>,
    pub(crate) closed: bool,
    files: BTreeMap<u64, Segment<T>>,
}

/// Reads the log in a directory.
///
/// # Errors
/// There is no listing its files. Whatever is wrong with one of them is among the [faults](Scan::faults).
pub(crate) fn scan<F: FileSystem>(fs: &F, watch: &mut dyn Watch) -> Result<Scan<F::File>, Failure> {
    let mut scan = Scan {
        identity: None,
        segments: Vec::new(),
        spares: Vec::new(),
        strangers: Vec::new(),
        trails: BTreeMap::new(),
        faults: Vec::new(),
        torn: None,
        closed: false,
        files: BTreeMap::new(),
    };
    match identity::read(fs) {
        Ok(identity) => scan.identity = identity,
        Err(OpenError::Failed(failure)) if failure.call == Call::List => return Err(failure),
        Err(fault) => scan.faults.push(fault),
    }
    let is_unreadable = !scan.faults.is_empty();
    let sequences = scan.list(fs)?;
    scan.headers(fs, &sequences);
    scan.replay(&sequences, watch);
    if scan.identity.is_none() && !is_unreadable && scan.has_history() {
        let missing = damage(identity::FILE.to_owned(), Wrong::Missing);
        scan.faults.insert(0, missing.into());
    }
    Ok(scan)
}

fn damage(file: String, wrong: Wrong) -> Box<Damage> {
    Box::new(Damage { file, offset: 0, lsn: Lsn(0), wrong, lost: Vec::new() })
}

impl<T> Scan<T> {
    /// Whether anything was ever written. A log that has no identity and no history was never finished.
    pub(crate) fn has_history(&self) -> bool {
        let [only] = self.segments.as_slice() else { return !self.segments.is_empty() };
        only.first != Some(Lsn(1)) || only.frames > 1 || !self.trails.is_empty()
    }

    fn trail(&mut self, group: u32) -> &mut Trail {
        self.trails.entry(group).or_insert_with(|| Trail::new(group))
    }

    fn failed(&mut self, call: Call, file: &str, error: std::io::Error) {
        self.faults.push(Failure::new(call, file, error).into());
    }
}

impl<T: File> Scan<T> {
    fn list<F: FileSystem<File = T>>(&mut self, fs: &F) -> Result<Vec<u64>, Failure> {
        let mut sequences = Vec::new();
        for name in fs.list(FOLDER).during(Call::List, FOLDER)? {
            let path = format!("{FOLDER}/{name}");
            match Named::of(&name) {
                Some(Named::Segment(sequence)) => sequences.push(sequence),
                Some(Named::Spare(_) | Named::Unfinished(_)) => {
                    match fs.open(&path).and_then(|file| file.len()) {
                        Ok(len) => self.spares.push((path, len)),
                        Err(error) => self.failed(Call::Open, &path, error),
                    }
                }
                None => self.strangers.push(path),
            }
        }
        sequences.sort_unstable();
        self.spares.sort();
        self.strangers.sort();
        Ok(sequences)
    }

    /// Opens every segment, and keeps those whose headers are right. All that a header may have wrong is
    /// known before a frame is read.
    fn headers<F: FileSystem<File = T>>(&mut self, fs: &F, sequences: &[u64]) {
        let mut store_id = self.identity.as_ref().map(|identity| identity.store_id);
        let mut row = None;
        for sequence in sequences {
            let file = file_name(*sequence);
            let unknown = SegmentFile { file, bytes: 0, used: 0, frames: 0, first: None };
            self.segments.push(unknown);
            let read = self.header(fs, *sequence);
            let Some((header, file)) = read else {
                row = None;
                continue;
            };
            let store_id = *store_id.get_or_insert(header.store_id);
            let replay = row.take().unwrap_or_else(|| Replay::new(store_id));
            row = self.check(replay, *sequence, header, store_id);
            if row.is_some() {
                self.files.insert(*sequence, Segment { header, file });
            }
        }
    }

    /// The header of the segment that was listed last, if it can be read.
    fn header<F: FileSystem<File = T>>(&mut self, fs: &F, sequence: u64) -> Option<(Header, T)> {
        let name = file_name(sequence);
        let (len, header, file) = match open(fs, &name) {
            Ok(opened) => opened,
            Err(failure) => {
                self.faults.push(failure.into());
                return None;
            }
        };
        let header = header.map_err(|fault| self.faults.push(fault)).ok();
        if let Some(found) = self.segments.last_mut() {
            found.bytes = len;
            found.first = header.map(|header| Lsn(header.first_lsn));
        }
        let header = header?;
        if len != header.capacity {
            let wrong = Wrong::Length { got: len, expected: header.capacity };
            self.faults.push(damage(name, wrong).into());
        }
        Some((header, file))
    }

    /// Whether that segment is the next of its row, or may begin one; the row, if so.
    fn check(
        &mut self,
        mut row: Replay,
        sequence: u64,
        header: Header,
        store_id: u64,
    ) -> Option<Replay> {
        let Err(damage) = row.header(sequence, header) else { return Some(row) };
        let some_are_missing = damage.wrong == Wrong::Missing;
        self.faults.push(damage.into());
        // Those that are missing take none with them.
        some_are_missing.then(|| self.check(Replay::new(store_id), sequence, header, store_id))?
    }

    /// Reads all frames.
    fn replay(&mut self, sequences: &[u64], watch: &mut dyn Watch) {
        let mut walk = Walk::new(watch);
        let files = std::mem::take(&mut self.files);
        let mut before = None;
        for sequence in sequences {
            if before.is_some_and(|before| before + 1 != *sequence) {
                walk.lose(self, &file_name(before.unwrap_or(0) + 1));
            }
            before = Some(*sequence);
            let name = file_name(*sequence);
            let Some(segment) = files.get(sequence) else {
                walk.lose(self, &name);
                continue;
            };
            let successor = files.get(&(sequence + 1)).and_then(|next| next.header.predecessor);
            match content(segment) {
                Ok(bytes) => {
                    let content = Content { header: segment.header, bytes: &bytes, successor };
                    walk.segment(self, content, &bytes);
                }
                Err(failure) => {
                    self.faults.push(failure.into());
                    walk.lose(self, &name);
                }
            }
            if sequences.last() != Some(sequence) {
                self.torn = None;
            }
        }
        let Walk { replay, .. } = walk.end(self);
        self.files = files;
        self.closed = replay.as_ref().is_some_and(|replay| replay.last_kind == Kind::Closed);
        if self.faults.is_empty() && self.identity.is_some() {
            let replay = replay.unwrap_or_else(|| Replay::new(0));
            self.faults.extend(replay.finish().err().map(OpenError::from));
        }
        self.faults.sort_by_key(|fault| match fault {
            OpenError::Damaged(damage) => (damage.file.clone(), damage.offset),
            OpenError::Newer { file, .. } => (file.clone(), 0),
            OpenError::Failed(failure) => (failure.file.clone(), 0),
            _ => (String::new(), 0),
        });
    }

    /// The entries of a stretch that are in the log, each encoded, read and verified again.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn read(
        &self,
        group: u32,
        stretch: &Stretch,
    ) -> Result<Vec<(u64, Bytes)>, ReadError> {
        let Stretch { begins, first, end, place, .. } = *stretch;
        let frame = FrameAt { first: begins, place };
        let Some(segment) = self.files.get(&place.segment) else { return Ok(Vec::new()) };
        let entries = read::read_frame(group, &frame, &(first..end), segment)?;
        let there = (begins..).zip(entries);
        Ok(there.filter(|(index, _)| (first..end).contains(index)).collect())
    }
}

type Opened<T> = (u64, Result<Header, OpenError>, T);

fn open<F: FileSystem>(fs: &F, name: &str) -> Result<Opened<F::File>, Failure> {
    let file = fs.open(name).during(Call::Open, name)?;
    // A cache may have what the disk has not.
    file.drop_cache().during(Call::DropCache, name)?;
    let len = file.len().during(Call::Length, name)?;
    let mut block = vec![0; len.min(BLOCK as u64) as usize];
    file.read_at(&mut block, 0).during(Call::Read, name)?;
    let header = Header::read(&block).map_err(|error| match error {
        NoHeader::Newer(got) => OpenError::Newer { file: name.to_owned(), got, known: FORMAT },
        NoHeader::Damaged => damage(name.to_owned(), Wrong::Header).into(),
    });
    Ok((len, header, file))
}

/// All of a segment, as far as it is there.
fn content<T: File>(segment: &Segment<T>) -> Result<Bytes, Failure> {
    let name = file_name(segment.header.sequence);
    let len = segment.file.len().during(Call::Length, &name)?.min(segment.header.capacity);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    segment.file.read_at(&mut bytes, 0).during(Call::Read, &name)?;
    Ok(bytes.into())
}
