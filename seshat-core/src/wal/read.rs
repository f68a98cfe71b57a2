//! Reading entries back from the disk.
//!
//! Guarantees: what is returned is what was written, verified each time; no lock is held while the disk
//! works, and no segment goes while it is read.

use std::ops::Range;

use bytes::Bytes;

use super::error::{Call, Failure, Part, ReadError};
use super::frame::{HEAD, Head, Kind};
use super::fs::{File, FileSystem};
use super::group::FrameAt;
use super::segment::{Segment, file_name};
use super::{Lsn, Wal, record};

impl<F: FileSystem> Wal<F> {
    /// Entries of a group in `range` that are there, in order: each encoded, with its index. Stops after
    /// `max_bytes`, but not before the first entry. Entries that aren't durable are made so first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(
        &self,
        group: u32,
        range: Range<u64>,
        max_bytes: u64,
    ) -> Result<Vec<(u64, Bytes)>, ReadError> {
        let frames = loop {
            let core = self.core();
            let (durable, frames) = core.frames(group, range.clone(), max_bytes);
            if durable {
                break frames;
            }
            let last = core.last();
            drop(core);
            self.wait(Lsn(last))?;
        };
        let (mut read, mut bytes) = (Vec::new(), 0);
        for (frame, taken, segment) in frames {
            let entries = read_frame(group, &frame, &taken, &segment).inspect_err(|error| {
                if matches!(error, ReadError::Damaged { .. }) {
                    self.shared.meters.checks.log();
                }
            })?;
            // In this order: behind the last index there is none.
            let entries = entries.into_iter().zip(frame.first..);
            for (entry, index) in entries.filter(|(_, at)| taken.contains(at)) {
                bytes += entry.len() as u64;
                if bytes > max_bytes && !read.is_empty() {
                    return Ok(read);
                }
                read.push((index, entry));
            }
        }
        Ok(read)
    }
}

/// The entries of a frame, as they were written.
pub(super) fn read_frame<T: File>(
    group: u32,
    frame: &FrameAt,
    taken: &Range<u64>,
    segment: &Segment<T>,
) -> Result<Vec<Bytes>, ReadError> {
    let (salt, offset) = (segment.header.salt, u64::from(frame.place.offset));
    let file = || file_name(segment.header.sequence);
    let damaged = |part| {
        let indexes = taken.clone();
        ReadError::Damaged { group, indexes, file: file(), offset, part }
    };
    let mut bytes = vec![0; frame.place.len as usize];
    let read = segment.file.read_at(&mut bytes, offset);
    read.map_err(|error| Failure::new(Call::Read, file(), error))?;
    let head = Head::read(&bytes, salt).map_err(|_| damaged(Part::Head))?;
    let same = head.kind == Kind::Entries && head.group == group && head.first == frame.first;
    if !same || head.frame_len() != bytes.len() as u64 {
        return Err(damaged(Part::Head));
    }
    head.holds(&bytes, salt).ok_or_else(|| damaged(Part::Body))?;
    let body = Bytes::from(bytes).slice(HEAD..HEAD + head.len as usize);
    record::entries(&body).map_err(|source| ReadError::Invalid {
        group,
        file: file(),
        offset,
        source,
    })
}
