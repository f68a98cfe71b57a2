//! [`Journal`]: a file of records, written at its end and cut off there.
//!
//! The file begins with where its records end. That is written after the records were synced, and in
//! one sector, so that a power cut leaves the old end or the new one. What lies behind the end was
//! never acknowledged, whatever a power cut has left of it; what lies before is whole, or damaged.
//!
//! A record is the length of its body, a checksum of both, and the body.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::durable;

/// The end, and its checksum.
const START: usize = 12;
/// What is before a record's body.
const HEAD: usize = 8;
/// Where the body of the first record begins.
pub const FIRST_BODY: usize = START + HEAD;

pub struct Journal {
    path: PathBuf,
    file: File,
    end: u64,
}

/// A record's body and where the record begins.
pub type Record = (u64, Vec<u8>);

impl Journal {
    /// Opens the file, or makes one of `first` alone, and gives its records. They are written anew:
    /// a process that was killed, or whose sync failed, may have left them in the page cache alone.
    pub fn open(path: &Path, first: &[u8]) -> io::Result<(Self, Vec<Record>)> {
        let bodies = match durable::read(path)? {
            Some(bytes) => scan(&bytes)?,
            None => vec![first.to_vec()],
        };
        let (bytes, places) = written(&bodies)?;
        durable::replace(path, &bytes)?;
        let journal = Self::of(path, bytes.len() as u64)?;
        Ok((journal, places.into_iter().zip(bodies).collect()))
    }

    fn of(path: &Path, end: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { path: path.to_owned(), file, end })
    }

    /// Writes records at the end, durably and all or none, and tells where each begins.
    pub fn append(&mut self, bodies: &[Vec<u8>]) -> io::Result<Vec<u64>> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for body in bodies {
            places.push(self.end + bytes.len() as u64);
            bytes.extend(record(body)?);
        }
        self.write(self.end, &bytes)?;
        self.finish(self.end + bytes.len() as u64)?;
        Ok(places)
    }

    fn write(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    /// From now on the records end here.
    fn finish(&mut self, end: u64) -> io::Result<()> {
        self.write(0, &start(end))?;
        self.end = end;
        Ok(())
    }

    /// Removes the record that begins at `place` and all after it, durably.
    pub fn cut(&mut self, place: u64) -> io::Result<()> {
        self.finish(place)?;
        self.file.set_len(place)
    }

    /// Replaces all records, durably, and tells where each begins.
    pub fn rewrite(&mut self, bodies: &[Vec<u8>]) -> io::Result<Vec<u64>> {
        let (bytes, places) = written(bodies)?;
        durable::replace(&self.path, &bytes)?;
        *self = Self::of(&self.path, bytes.len() as u64)?;
        Ok(places)
    }
}

/// A file of these records, and where each begins.
fn written(bodies: &[Vec<u8>]) -> io::Result<(Vec<u8>, Vec<u64>)> {
    let (mut bytes, mut places) = (vec![0; START], Vec::new());
    for body in bodies {
        places.push(bytes.len() as u64);
        bytes.extend(record(body)?);
    }
    let end = bytes.len() as u64;
    bytes.splice(..START, start(end));
    Ok((bytes, places))
}

fn start(end: u64) -> Vec<u8> {
    let end = end.to_le_bytes();
    [end.as_slice(), &crc32fast::hash(&end).to_le_bytes()].concat()
}

fn record(body: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes();
    Ok([length.as_slice(), &sum(length, body), body].concat())
}

fn sum(length: [u8; 4], body: &[u8]) -> [u8; 4] {
    crc32fast::hash(&[&length, body].concat()).to_le_bytes()
}

/// The records' bodies.
fn scan(bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let damaged =
        |place: usize| io::Error::new(ErrorKind::InvalidData, format!("damaged at {place}"));
    let (&[e0, e1, e2, e3, e4, e5, e6, e7, c0, c1, c2, c3], _) =
        bytes.split_first_chunk::<START>().ok_or_else(|| damaged(0))?;
    let end = [e0, e1, e2, e3, e4, e5, e6, e7];
    if crc32fast::hash(&end) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(damaged(0));
    }
    let end = usize::try_from(u64::from_le_bytes(end)).map_err(io::Error::other)?;
    let (mut bodies, mut place) = (Vec::new(), START);
    while place < end {
        let rest = bytes.get(place..end).ok_or_else(|| damaged(place))?;
        let (head, after) = rest.split_first_chunk::<HEAD>().ok_or_else(|| damaged(place))?;
        let [l0, l1, l2, l3, s0, s1, s2, s3] = *head;
        let length = [l0, l1, l2, l3];
        let body = after.get(..u32::from_le_bytes(length) as usize);
        let body = body.filter(|body| sum(length, body) == [s0, s1, s2, s3]);
        let body = body.ok_or_else(|| damaged(place))?;
        bodies.push(body.to_vec());
        place += HEAD + body.len();
    }
    Ok(bodies)
}
