//! [`CopyOnWrite`]: the whole state in one place of a file, the next one in another, and two roots
//! in turn that say where.
//!
//! Guarantees: a root is written after what it points to is on the disk. It is there twice, in the
//! halves of a sector, so that a write that ends half-way leaves a whole one.

use std::io;

use super::cells::{seal, unseal};
use super::damaged;
use super::log::{Keep, Opened};
use super::memory::{Change, Memory};
use super::sectors::SECTOR;
use super::wire::Wire;
use crate::disk::{Disk, File};

const NAME: &str = "pages";
const HALF: usize = SECTOR / 2;
/// Where states begin: behind the roots.
const FIRST: u64 = 2 * SECTOR as u64;

#[derive(Debug)]
pub struct CopyOnWrite {
    file: File,
    root: Root,
}

/// Where the state is.
#[derive(Debug, Clone, Copy)]
struct Root {
    version: u64,
    start: u64,
    len: u64,
}

impl Root {
    fn place(self) -> u64 {
        self.version % 2 * SECTOR as u64
    }

    /// A sector of two copies.
    fn sector(self) -> Vec<u8> {
        let mut half = seal(&(self.version, (self.start, self.len)).bytes());
        half.resize(HALF, 0);
        half.repeat(2)
    }

    fn read(half: &[u8]) -> Option<Self> {
        let (version, (start, len)) = Wire::read(unseal(half.get(..32)?)?)?;
        Some(Self { version, start, len })
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let halves = bytes.get(..FIRST as usize)?.chunks(HALF);
        halves.filter_map(Self::read).max_by_key(|root| root.version)
    }

    fn state(self, bytes: &[u8]) -> Option<Memory> {
        let range =
            usize::try_from(self.start).ok()?..usize::try_from(self.start + self.len).ok()?;
        Memory::read(unseal(bytes.get(range)?)?)
    }
}

impl CopyOnWrite {
    pub fn open(disk: &Disk) -> io::Result<Opened> {
        let Some(bytes) = disk.read(NAME)? else {
            let state = seal(&Memory::default().bytes());
            let root = Root { version: 0, start: FIRST, len: state.len() as u64 };
            let file = disk.replace(NAME, &[root.sector(), root.sector(), state].concat(), 0)?;
            return Ok((Memory::default(), Box::new(Self { file, root })));
        };
        let root = Root::of(&bytes).ok_or_else(|| damaged("every root"))?;
        let memory = root.state(&bytes).ok_or_else(|| damaged("the state"))?;
        // A sync that failed may have dropped it.
        let mut file = disk.open(NAME)?;
        file.write(root.place(), &root.sector())?;
        file.sync()?;
        Ok((memory, Box::new(Self { file, root })))
    }
}

impl Keep for CopyOnWrite {
    fn keep(&mut self, before: &Memory, change: &Change) -> io::Result<()> {
        let state = seal(&before.after(change).bytes());
        let Root { version, start, len } = self.root;
        let fits = FIRST + state.len() as u64 <= start;
        let behind = (start + len).next_multiple_of(SECTOR as u64);
        let start = if fits { FIRST } else { behind };
        let root = Root { version: version + 1, start, len: state.len() as u64 };
        self.file.write(start, &state)?;
        self.file.sync()?;
        self.file.write(root.place(), &root.sector())?;
        self.file.sync()?;
        self.root = root;
        Ok(())
    }
}
