//! [`Journal`]: a file of records, written at its end and cut off there.
//!
//! A record is its length, a checksum of that, a checksum of its body, and the body. The length
//! has a checksum of its own, so that a damaged one isn't taken for a record that the power cut
//! off: that one is dropped, damage is an error.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::durable;

/// What is before a record's body.
pub const HEAD: usize = 12;

pub struct Journal {
    path: PathBuf,
    file: File,
    end: u64,
}

/// A record's body and where the record begins.
pub type Record = (u64, Vec<u8>);

impl Journal {
    /// Opens the file, or makes one of `first` alone, and gives its records.
    pub fn open(path: &Path, first: &[u8]) -> io::Result<(Self, Vec<Record>)> {
        if durable::read(path)?.is_none() {
            durable::replace(path, &record(first)?)?;
        }
        let bytes = durable::read(path)?.unwrap_or_default();
        let (records, end) = scan(&bytes)?;
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut journal = Self { path: path.to_owned(), file, end };
        if end < bytes.len() as u64 {
            journal.cut(end)?;
        }
        Ok((journal, records))
    }

    /// Writes records at the end, durably and all or none, and tells where each begins.
    pub fn append(&mut self, bodies: &[Vec<u8>]) -> io::Result<Vec<u64>> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for body in bodies {
            places.push(self.end + bytes.len() as u64);
            bytes.extend(record(body)?);
        }
        if let Err(error) = self.write(&bytes) {
            // What was written of it must not be there when the next one is.
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(places)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    /// Removes the record that begins at `place` and all after it, durably.
    pub fn cut(&mut self, place: u64) -> io::Result<()> {
        self.file.set_len(place)?;
        self.file.sync_all()?;
        self.end = place;
        Ok(())
    }

    /// Replaces all records, durably, and tells where each begins.
    pub fn rewrite(&mut self, bodies: &[Vec<u8>]) -> io::Result<Vec<u64>> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for body in bodies {
            places.push(bytes.len() as u64);
            bytes.extend(record(body)?);
        }
        durable::replace(&self.path, &bytes)?;
        self.file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        self.end = bytes.len() as u64;
        Ok(places)
    }
}

fn record(body: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes();
    let sums = [&length, body].map(|bytes| crc32fast::hash(bytes).to_le_bytes());
    Ok([length.as_slice(), &sums[0], &sums[1], body].concat())
}

/// The records, and where the last whole one ends.
fn scan(bytes: &[u8]) -> io::Result<(Vec<Record>, u64)> {
    let (mut records, mut rest) = (Vec::new(), bytes);
    let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes);
    loop {
        let place = (bytes.len() - rest.len()) as u64;
        let damaged = || io::Error::new(ErrorKind::InvalidData, format!("damaged at {place}"));
        let Some((head, after)) = rest.split_first_chunk::<HEAD>() else {
            return Ok((records, place));
        };
        // A file system may have lengthened the file before the power was cut.
        if rest.iter().all(|byte| *byte == 0) {
            return Ok((records, place));
        }
        let [l0, l1, l2, l3, h0, h1, h2, h3, b0, b1, b2, b3] = *head;
        let length = [l0, l1, l2, l3];
        if crc32fast::hash(&length) != number([h0, h1, h2, h3]) {
            return Err(damaged());
        }
        let Some((body, after)) = after.split_at_checked(number(length) as usize) else {
            return Ok((records, place));
        };
        if crc32fast::hash(body) != number([b0, b1, b2, b3]) {
            return Err(damaged());
        }
        records.push((place, body.to_vec()));
        rest = after;
    }
}
