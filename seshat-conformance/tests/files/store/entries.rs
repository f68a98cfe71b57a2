//! [`Entries`]: a file for each entry, and cells for the rest.
//!
//! Guarantees: files are synced in the order of their entries, and their directory after them. A
//! file that is not whole is of an append that was never acknowledged, and so are all behind it.

use std::io;

use super::log::{Keep, Opened};
use super::memory::{Change, Memory};
use super::wire::Wire;
use super::{Entry, cells, damaged, sectors};
use crate::disk::Disk;

#[derive(Debug)]
pub struct Entries {
    disk: Disk,
}

fn name(index: u64) -> String {
    format!("entry-{index:020}")
}

impl Entries {
    pub fn open(disk: &Disk) -> io::Result<Opened> {
        let mut memory = Memory {
            vote: cells::load(disk, "vote")?,
            committed: cells::load(disk, "committed")?,
            purged: cells::load(disk, "purged")?,
            ..Memory::default()
        };
        let mut next = memory.purged.map_or(0, |id| id.index + 1);
        let names = disk.names()?;
        let indexes = names.iter().filter_map(|name| name.strip_prefix("entry-")?.parse().ok());
        for index in indexes {
            let bytes = disk.read(&name(index))?.unwrap_or_default();
            match &sectors::take(index, &bytes, disk.ways)?.records[..] {
                [(_, record)] if index == next => {
                    let entry = Entry::read(record).ok_or_else(|| damaged(name(index)))?;
                    memory.entries.insert(index, entry);
                    // A sync that failed may have dropped it.
                    let mut file = disk.open(&name(index))?;
                    file.write(0, &bytes)?;
                    file.sync()?;
                    next += 1;
                }
                _ => disk.remove(&name(index))?,
            }
        }
        Ok((memory, Box::new(Self { disk: disk.clone() })))
    }

    fn append(&self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            let index = entry.log_id.index;
            let mut file = self.disk.make(&name(index), 0)?;
            file.write(0, &sectors::put(index, &entry.bytes()))?;
            file.sync()?;
        }
        self.disk.sync()
    }
}

impl Keep for Entries {
    fn keep(&mut self, before: &Memory, change: &Change) -> io::Result<()> {
        match change {
            Change::Vote(vote) => cells::save(&self.disk, "vote", vote),
            Change::Committed(None) => Ok(()),
            Change::Committed(Some(committed)) => cells::save(&self.disk, "committed", committed),
            Change::Append(entries) => self.append(entries),
            Change::Truncate(since) => {
                let mut removed = before.entries.range(since..).rev();
                removed.try_for_each(|(index, _)| self.disk.remove(&name(*index)))
            }
            Change::Purge(upto) => {
                cells::save(&self.disk, "purged", upto)?;
                let mut removed = before.entries.range(..=upto.index);
                removed.try_for_each(|(index, _)| self.disk.remove(&name(*index)))
            }
        }
    }
}
