//! Cells: values that are replaced whole, a file each, sealed with a checksum.

use std::io;

use super::damaged;
use super::wire::{Wire, sum};
use crate::disk::Disk;
use crate::faults::Fault;

pub fn seal(bytes: &[u8]) -> Vec<u8> {
    [&sum(bytes).to_le_bytes(), bytes].concat()
}

/// What was sealed; `None` if it isn't that.
pub fn unseal(sealed: &[u8]) -> Option<&[u8]> {
    let (seal, bytes) = sealed.split_first_chunk()?;
    (sum(bytes) == u64::from_le_bytes(*seal)).then_some(bytes)
}

pub fn save<T: Wire>(disk: &Disk, name: &str, value: &T) -> io::Result<()> {
    let sealed = seal(&value.bytes());
    let unsynced = disk.ways.is(Fault::VoteUnsynced) && name == "vote"
        || disk.ways.is(Fault::AppliedUnsynced) && name == "applied";
    if disk.ways.is(Fault::VoteInPlace) && name == "vote" {
        let mut file = disk.create(name, 0)?;
        file.write(0, &sealed)?;
        return file.sync();
    }
    if unsynced {
        return disk.replace_unsynced(name, &sealed);
    }
    disk.replace(name, &sealed, 0).map(drop)
}

pub fn load<T: Wire>(disk: &Disk, name: &str) -> io::Result<Option<T>> {
    let Some(sealed) = disk.read(name)? else { return Ok(None) };
    let value = unseal(&sealed).and_then(T::read);
    let forgets = disk.ways.is(Fault::DamagedVoteNone) && name == "vote"
        || disk.ways.is(Fault::DamagedSnapshotNone) && name == "current";
    if value.is_none() && !forgets { Err(damaged(name)) } else { Ok(value) }
}
