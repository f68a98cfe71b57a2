//! [`Rollback`]: the whole state in a file that is written in place, after what was there is in a
//! journal beside it.
//!
//! Guarantees: the file is whole, or the journal is. The change is done when the journal is gone.

use std::io;

use super::cells::{seal, unseal};
use super::damaged;
use super::log::{Keep, Opened};
use super::memory::{Change, Memory};
use super::wire::Wire;
use crate::disk::{Disk, File};

const NAME: &str = "data";
const JOURNAL: &str = "data-journal";

#[derive(Debug)]
pub struct Rollback {
    disk: Disk,
    file: File,
}

impl Rollback {
    pub fn open(disk: &Disk) -> io::Result<Opened> {
        if disk.read(NAME)?.is_none() {
            disk.replace(NAME, &seal(&Memory::default().bytes()), 0)?;
        }
        let mut file = disk.open(NAME)?;
        if let Some(journal) = disk.read(JOURNAL)? {
            // One that isn't whole was never synced, and the file not yet written to.
            if let Some(old) = unseal(&journal) {
                overwrite(&mut file, old)?;
            }
            disk.remove(JOURNAL)?;
        }
        let bytes = disk.read(NAME)?.unwrap_or_default();
        let memory = unseal(&bytes).and_then(Memory::read).ok_or_else(|| damaged(NAME))?;
        Ok((memory, Box::new(Self { disk: disk.clone(), file })))
    }
}

impl Keep for Rollback {
    fn keep(&mut self, before: &Memory, change: &Change) -> io::Result<()> {
        let mut journal = self.disk.create(JOURNAL, 0)?;
        journal.write(0, &seal(&seal(&before.bytes())))?;
        journal.sync()?;
        overwrite(&mut self.file, &seal(&before.after(change).bytes()))?;
        self.disk.remove(JOURNAL)
    }
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write(0, bytes)?;
    file.cut(bytes.len() as u64)?;
    file.sync()
}
