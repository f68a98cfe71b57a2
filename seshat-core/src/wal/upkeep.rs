//! What is done off the way of those who wait: files for segments to come, and those of segments past.
//!
//! Guarantees: a spare has its name only when all of it is on the disk, so that writing to it allocates
//! nothing and needs no journal; a segment loses its name only when what made it dispensable is durable, the
//! oldest first, each before the next.

use super::error::{Call, Context, Failure};
use super::fs::{File, FileSystem};
use super::segment::{FOLDER, Named, Segment, Spare, file_name};

/// Zeros that are written at once.
const AT_ONCE: usize = 1 << 20;

/// A new file of that length, all zeros.
pub(super) fn fill<F: FileSystem>(
    fs: &F,
    number: u64,
    capacity: u64,
) -> Result<Spare<F::File>, Failure> {
    let (unfinished, name) = (Named::Unfinished(number).path(), Named::Spare(number).path());
    let file = fs.create(&unfinished).during(Call::Open, &unfinished)?;
    if let Err(failure) = write_zeros(&file, &unfinished, capacity) {
        fs.remove(&unfinished).during(Call::Remove, &unfinished)?;
        return Err(failure);
    }
    fs.rename(&unfinished, &name).during(Call::Rename, &name)?;
    fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)?;
    Ok(Spare { name, capacity, zeroed: true, file })
}

/// Writes them rather than to reserve room: what is only reserved is allocated when it is written.
fn write_zeros(file: &impl File, name: &str, capacity: u64) -> Result<(), Failure> {
    let zeros = vec![0; AT_ONCE.min(usize::try_from(capacity).unwrap_or(AT_ONCE))];
    let mut at = 0;
    while at < capacity {
        let some = zeros.get(..(capacity - at).min(AT_ONCE as u64) as usize).unwrap_or(&zeros);
        file.write_at(some, at).during(Call::Write, name)?;
        at += some.len() as u64;
    }
    file.sync().during(Call::Sync, name)
}

/// Makes a segment that nobody needs a spare.
pub(super) fn recycle<F: FileSystem>(
    fs: &F,
    number: u64,
    segment: Segment<F::File>,
) -> Result<Spare<F::File>, Failure> {
    let name = Named::Spare(number).path();
    fs.rename(&file_name(segment.header.sequence), &name).during(Call::Rename, &name)?;
    fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)?;
    Ok(Spare { name, capacity: segment.header.capacity, zeroed: false, file: segment.file })
}

/// Removes a segment that nobody needs.
pub(super) fn remove<F: FileSystem>(fs: &F, segment: Segment<F::File>) -> Result<(), Failure> {
    let name = file_name(segment.header.sequence);
    drop(segment);
    fs.remove(&name).during(Call::Remove, &name)?;
    fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)
}
