//! [`AppendOnly`]: one file that only grows. Whatever is done is a record; what is removed is a
//! record as well.

use std::io;

use super::log::{Keep, Opened};
use super::memory::{Change, Memory};
use super::wire::Wire;
use super::{damaged, sectors};
use crate::disk::{Disk, File};

const NAME: &str = "journal";
const LIFE: u64 = 1;

#[derive(Debug)]
pub struct AppendOnly {
    file: File,
    end: u64,
}

impl AppendOnly {
    pub fn open(disk: &Disk) -> io::Result<Opened> {
        let bytes = disk.read(NAME)?;
        let mut file = if bytes.is_some() { disk.open(NAME)? } else { disk.create(NAME, 0)? };
        let bytes = bytes.unwrap_or_default();
        let found = sectors::take(LIFE, &bytes, disk.ways)?;
        let mut memory = Memory::default();
        for (_, record) in found.records {
            memory.apply(Change::read(&record).ok_or_else(|| damaged(NAME))?);
        }
        // What is whole is told of from now on, and a sync that failed may have dropped it; what
        // isn't must not be behind the next record.
        file.write(0, &bytes[..found.end as usize])?;
        file.cut(found.end)?;
        file.sync()?;
        Ok((memory, Box::new(Self { file, end: found.end })))
    }
}

impl Keep for AppendOnly {
    fn keep(&mut self, _: &Memory, change: &Change) -> io::Result<()> {
        // An entry a record, so that a part of an append can be there.
        let records: Vec<Change> = match change {
            Change::Append(entries) => {
                entries.iter().map(|entry| Change::Append(vec![entry.clone()])).collect()
            }
            other => vec![other.clone()],
        };
        let records = records.iter().map(|record| sectors::put(LIFE, &record.bytes()));
        let bytes = records.collect::<Vec<_>>().concat();
        self.file.write(self.end, &bytes)?;
        self.file.sync()?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}
