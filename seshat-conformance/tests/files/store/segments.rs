//! [`Segments`]: entries as records in files, a new file when the last one is full; vote, committed
//! id and purge marker in cells.
//!
//! Guarantees: an append is one write and one sync for each file. What a killed process may have
//! left unsynced, what a failed sync may have dropped, and what a power cut may have torn, is in the
//! last file, which is written anew whenever it is opened: nothing is behind its end. A truncation goes from the end towards its
//! place; a purge from the beginning on, after its marker.

use std::collections::BTreeMap;
use std::io;

use super::log::{Keep, Opened};
use super::memory::{Change, Memory};
use super::sectors::{self, Found, SECTOR};
use super::wire::Wire;
use super::{Entry, LogId, cells, damaged};
use crate::disk::{Disk, File};
use crate::faults::{Fault, Form};

/// The room that is made in a file beforehand.
fn room(form: Form) -> u64 {
    match form {
        Form::Preallocated => 64 << 20,
        Form::Mapped => 1 << 20,
        _ => 0,
    }
}

/// How long a file gets, unless its only entry is longer.
fn full(form: Form) -> u64 {
    match form {
        Form::Recycling => 4 * SECTOR as u64,
        form => room(form).max(8 * SECTOR as u64),
    }
}

#[derive(Debug)]
pub struct Segments {
    disk: Disk,
    segments: Vec<Segment>,
    /// The last one's.
    file: File,
}

/// A file, which is called by its life: a number that no file had that is there.
#[derive(Debug, Default)]
struct Segment {
    life: u64,
    /// Where each entry begins, and where the last one ends.
    places: BTreeMap<u64, u64>,
    end: u64,
}

fn name(life: u64) -> String {
    format!("log-{life:08}")
}

/// A file that is to be used again.
fn spare(life: u64) -> String {
    format!("spare-{life:08}")
}

fn lives(disk: &Disk, kind: &str) -> io::Result<Vec<u64>> {
    let names = disk.names()?;
    Ok(names.iter().filter_map(|name| name.strip_prefix(kind)?.parse().ok()).collect())
}

impl Segments {
    pub fn open(disk: &Disk) -> io::Result<Opened> {
        let mut memory = Memory {
            vote: cells::load(disk, "vote")?,
            committed: cells::load(disk, "committed")?,
            purged: cells::load(disk, "purged")?,
            ..Memory::default()
        };
        let (mut segments, mut entries) = (Vec::new(), Vec::new());
        let mut lives = lives(disk, "log-")?.into_iter().peekable();
        let mut whole = true;
        while let Some(life) = lives.next() {
            let Found { records, end, whole: is_whole } = read(disk, life)?;
            if !is_whole && lives.peek().is_some() {
                return Err(damaged(name(life)));
            }
            whole = is_whole;
            let mut segment = Segment { life, end, ..Segment::default() };
            for (place, record) in records {
                let entry = Entry::read(&record).ok_or_else(|| damaged(name(life)))?;
                segment.places.insert(entry.log_id.index, place);
                entries.push(entry);
            }
            segments.push(segment);
        }
        memory.fill(entries).ok_or_else(|| damaged("the log's order"))?;
        let file = open_last(disk, &mut segments, &memory, whole)?;
        Ok((memory, Box::new(Self { disk: disk.clone(), segments, file })))
    }

    fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut rest = entries;
        while !rest.is_empty() {
            let form = self.disk.ways.form;
            let segment = self.segments.last_mut().expect("there is one");
            let (mut bytes, mut count) = (Vec::new(), 0);
            for entry in rest {
                let record = sectors::put(segment.life, &entry.bytes());
                let end = segment.end + (bytes.len() + record.len()) as u64;
                if end > full(form) && segment.end + bytes.len() as u64 > 0 {
                    break;
                }
                segment.places.insert(entry.log_id.index, segment.end + bytes.len() as u64);
                bytes.extend(record);
                count += 1;
            }
            if count == 0 {
                self.begin()?;
                continue;
            }
            self.write(&bytes)?;
            rest = &rest[count..];
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let segment = self.segments.last_mut().expect("there is one");
        let late = if self.disk.ways.is(Fault::SizeAfterSync) { SECTOR } else { 0 };
        let (first, late) = bytes.split_at(bytes.len() - late);
        let written = self.file.write(segment.end, first).and_then(|()| self.file.sync());
        if let Err(error) = written {
            // Half of a sector over an old one would look like damage.
            if self.disk.ways.form == Form::Recycling {
                self.file.cut(segment.end)?;
            }
            return Err(error);
        }
        self.file.write(segment.end + first.len() as u64, late)?;
        segment.end += bytes.len() as u64;
        Ok(())
    }

    /// The next file: a spare one, or a new one.
    fn begin(&mut self) -> io::Result<()> {
        let recycles = self.disk.ways.form == Form::Recycling;
        let spares = if recycles { lives(&self.disk, "spare-")? } else { Vec::new() };
        let last = self.segments.iter().map(|segment| segment.life).chain(spares.clone()).max();
        let life = last.map_or(0, |last| last + 1);
        self.file = match spares.first() {
            Some(old) => {
                self.disk.rename(&spare(*old), &name(life))?;
                self.disk.open(&name(life))?
            }
            None => self.disk.create(&name(life), room(self.disk.ways.form))?,
        };
        self.segments.push(Segment { life, ..Segment::default() });
        Ok(())
    }

    fn truncate(&mut self, before: &Memory, since: u64) -> io::Result<()> {
        while let [.., _, last] = &self.segments[..]
            && last.places.keys().next().is_none_or(|first| *first >= since)
        {
            match self.disk.ways.form {
                Form::Recycling => self.disk.rename(&name(last.life), &spare(last.life))?,
                _ => self.disk.remove(&name(last.life))?,
            }
            self.segments.pop();
        }
        let last = self.segments.last_mut().expect("there is one");
        if self.disk.ways.is(Fault::TruncateUnsynced) {
            self.file = self.disk.open(&name(last.life))?;
            let removed = last.places.split_off(&since);
            last.end = removed.into_values().next().unwrap_or(last.end);
            return self.file.cut(last.end);
        }
        last.places.split_off(&since);
        self.file = rewrite(&self.disk, last, before)?;
        Ok(())
    }

    fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let first = self.disk.ways.is(Fault::PurgeBeforeMarker);
        if first {
            self.drop_purged(upto.index)?;
        }
        cells::save(&self.disk, "purged", &upto)?;
        if first { Ok(()) } else { self.drop_purged(upto.index) }
    }

    fn drop_purged(&mut self, upto: u64) -> io::Result<()> {
        while let [first, _, ..] = &self.segments[..]
            && first.places.keys().next_back().is_none_or(|last| *last <= upto)
        {
            self.disk.remove(&name(first.life))?;
            self.segments.remove(0);
        }
        Ok(())
    }
}

impl Keep for Segments {
    fn keep(&mut self, before: &Memory, change: &Change) -> io::Result<()> {
        match change {
            Change::Vote(vote) => cells::save(&self.disk, "vote", vote),
            Change::Committed(None) => Ok(()),
            Change::Committed(Some(committed)) => cells::save(&self.disk, "committed", committed),
            Change::Append(entries) => self.append(entries),
            Change::Truncate(since) => self.truncate(before, *since),
            Change::Purge(upto) => self.purge(*upto),
        }
    }
}

fn read(disk: &Disk, life: u64) -> io::Result<Found> {
    let bytes = disk.read(&name(life))?.ok_or_else(|| damaged(name(life)))?;
    sectors::take(life, &bytes, disk.ways)
}

/// The file that is appended to: the last one, anew; or the first of all.
fn open_last(
    disk: &Disk,
    segments: &mut Vec<Segment>,
    memory: &Memory,
    whole: bool,
) -> io::Result<File> {
    let Some(last) = segments.last_mut() else {
        segments.push(Segment { life: 1, ..Segment::default() });
        return disk.create(&name(1), room(disk.ways.form));
    };
    match disk.ways.fault {
        Some(Fault::TornTailFails) if !whole => Err(damaged(name(last.life))),
        Some(Fault::TailAdopted) if whole => disk.open(&name(last.life)),
        Some(Fault::TailSynced) if whole => {
            let file = disk.open(&name(last.life))?;
            file.sync()?;
            Ok(file)
        }
        Some(Fault::HalfRecordStays) => {
            let file = disk.open(&name(last.life))?;
            last.end = file.len()?;
            file.sync()?;
            Ok(file)
        }
        _ => rewrite(disk, last, memory),
    }
}

/// Writes a file anew, with what of it is still in the log.
fn rewrite(disk: &Disk, segment: &mut Segment, memory: &Memory) -> io::Result<File> {
    let mut bytes = Vec::new();
    let kept = segment.places.keys().filter_map(|index| memory.entries.get(index));
    let place = |entry: &Entry| {
        let place = bytes.len() as u64;
        bytes.extend(sectors::put(segment.life, &entry.bytes()));
        (entry.log_id.index, place)
    };
    segment.places = kept.map(place).collect();
    segment.end = bytes.len() as u64;
    disk.replace(&name(segment.life), &bytes, room(disk.ways.form))
}
