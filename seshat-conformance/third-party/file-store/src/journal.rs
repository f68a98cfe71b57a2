//! [`Journal`]: a file of records, and another that says how far they go.
//!
//! The head names the file of records and where they end in it. It is replaced once the records are
//! on disk, before anybody hears of them. So what a power cut leaves of a write lies behind the end
//! and is nobody's, and whatever is no record before it is damage.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::types::{decode, encode};

/// What is before a record's body: its length, and a checksum of both.
const BEFORE: usize = 8;

pub struct Journal {
    dir: PathBuf,
    head: Head,
    file: File,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Head {
    /// The number in the name of the file of records.
    number: u64,
    end: u64,
}

/// A record's body and where the record begins.
pub type Record = (u64, Vec<u8>);

impl Journal {
    /// Opens the journal, or makes one of `first` alone, and gives its records.
    pub fn open(dir: &Path, first: Vec<u8>) -> io::Result<(Self, Vec<Record>)> {
        let Some(sealed) = durable::settle(&head(dir))? else {
            let (journal, _) = Self::write_whole(dir, 0, std::slice::from_ref(&first))?;
            return Ok((journal, vec![(0, first)]));
        };
        let head: Head = decode(durable::unseal(&sealed)?)?;
        let path = file(dir, head.number);
        let bytes = fs::read(&path)?;
        let written = usize::try_from(head.end).ok().and_then(|end| bytes.get(..end));
        let records = scan(written.ok_or_else(|| damaged(bytes.len()))?)?;
        let file = OpenOptions::new().write(true).open(path)?;
        let journal = Self { dir: dir.to_owned(), head, file };
        journal.remove_old();
        Ok((journal, records))
    }

    /// Writes records at the end, durably and all or none, and tells where each begins.
    pub fn append(&mut self, bodies: &[Vec<u8>]) -> io::Result<Vec<u64>> {
        let (bytes, places) = records(bodies, self.head.end)?;
        self.file.seek(SeekFrom::Start(self.head.end))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.end_at(self.head.end + bytes.len() as u64)?;
        Ok(places)
    }

    /// Removes the record that begins at `place` and all after it, durably.
    pub fn cut(&mut self, place: u64) -> io::Result<()> {
        self.end_at(place)
    }

    /// Replaces all records, durably, and tells where each begins.
    pub fn rewrite(&mut self, bodies: &[Vec<u8>]) -> io::Result<Vec<u64>> {
        let (journal, places) = Self::write_whole(&self.dir, self.head.number + 1, bodies)?;
        *self = journal;
        self.remove_old();
        Ok(places)
    }

    fn write_whole(dir: &Path, number: u64, bodies: &[Vec<u8>]) -> io::Result<(Self, Vec<u64>)> {
        let (bytes, places) = records(bodies, 0)?;
        let path = file(dir, number);
        let mut file = File::create(&path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        durable::sync_parent(&path)?;
        let mut journal = Self { dir: dir.to_owned(), head: Head { number, end: 0 }, file };
        journal.end_at(bytes.len() as u64)?;
        Ok((journal, places))
    }

    fn end_at(&mut self, end: u64) -> io::Result<()> {
        let next = Head { end, ..self.head };
        durable::replace(&head(&self.dir), &durable::seal(&encode(&next)?))?;
        self.head = next;
        Ok(())
    }

    /// The head doesn't name it any more: that it stays costs room and no more.
    fn remove_old(&self) {
        if let Some(old) = self.head.number.checked_sub(1) {
            drop(fs::remove_file(file(&self.dir, old)));
        }
    }
}

fn head(dir: &Path) -> PathBuf {
    dir.join("log")
}

fn file(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("log.{number}"))
}

/// The bytes of records that are written at `place`, and where each begins.
fn records(bodies: &[Vec<u8>], place: u64) -> io::Result<(Vec<u8>, Vec<u64>)> {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for body in bodies {
        places.push(place + bytes.len() as u64);
        let length = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes();
        bytes.extend(length);
        bytes.extend(sum(length, body).to_le_bytes());
        bytes.extend(body);
    }
    Ok((bytes, places))
}

fn sum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize()
}

fn scan(bytes: &[u8]) -> io::Result<Vec<Record>> {
    let (mut records, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let place = bytes.len() - rest.len();
        let Some((&[l0, l1, l2, l3, s0, s1, s2, s3], after)) = rest.split_first_chunk::<BEFORE>()
        else {
            return Err(damaged(place));
        };
        let length = [l0, l1, l2, l3];
        let whole = after.split_at_checked(u32::from_le_bytes(length) as usize);
        let Some((body, after)) =
            whole.filter(|(body, _)| sum(length, body) == u32::from_le_bytes([s0, s1, s2, s3]))
        else {
            return Err(damaged(place));
        };
        records.push((place as u64, body.to_vec()));
        rest = after;
    }
    Ok(records)
}

fn damaged(place: usize) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the log is damaged at {place}"))
}
