//! What is done off the way of those who wait: files for segments to come, and those of segments past.
//!
//! Guarantees: a spare has its name only when all of it is on the disk, so that writing to it allocates
//! nothing and needs no journal; a segment loses its name only when what made it dispensable is durable, the
//! oldest first, each before the next.

use super::error::{Call, Context, Failure, Stopped};
use super::fs::{File, FileSystem};
use super::queue::Space;
use super::segment::{FOLDER, Named, Segment, Spare, file_name};
use super::{Lsn, Shared, Wal};

/// Zeros that are written, and synced, at once.
const AT_ONCE: usize = 1 << 20;

impl<F: FileSystem> Wal<F> {
    /// Lets segments go that nobody needs any more, and makes spare files, as many as
    /// [wanted](super::Options::spares). May take seconds; to be called off the way of those who wait, after each
    /// purge and every second or so.
    ///
    /// # Errors
    /// The log stopped. A full disk is no error: see [`Space`].
    pub fn maintain(&self) -> Result<Space, Stopped> {
        let mut next = self.upkeep();
        self.let_go(&mut next)?;
        let capacity = self.shared.options.segment();
        loop {
            let core = self.core();
            core.running()?;
            let needed = core.queue.short().unwrap_or(capacity);
            if core.queue.spares()
                >= self.shared.options.spares.max(core.queue.short().is_some().into())
            {
                return Ok(core.queue.space());
            }
            drop(core);
            if !self.make_spare(&mut next, needed)? {
                return Ok(self.space());
            }
        }
    }

    fn let_go(&self, next: &mut u64) -> Result<(), Stopped> {
        loop {
            let dispensable = {
                let core = self.core();
                core.running()?;
                core.dispensable()
            };
            let Some((sequence, last)) = dispensable else { return Ok(()) };
            self.wait(Lsn(last))?;
            let (segment, spares) = {
                let mut core = self.core();
                (core.let_go(sequence), core.queue.spares())
            };
            let Some(segment) = segment else { return Ok(()) };
            let Shared { fs, options, .. } = &*self.shared;
            let kept = segment.header.capacity == options.segment() && spares < options.spares;
            tracing::debug!(sequence, kept, "a segment goes");
            if kept {
                *next += 1;
                let spare = recycle(fs, *next - 1, segment);
                let spare = spare.map_err(|failure| self.fail(failure))?;
                self.core().queue.add_spare(spare);
            } else {
                remove(fs, segment).map_err(|failure| self.fail(failure))?;
            }
        }
    }

    /// Whether there was room for it.
    pub(super) fn make_spare(&self, next: &mut u64, capacity: u64) -> Result<bool, Stopped> {
        *next += 1;
        match fill(&self.shared.fs, *next - 1, capacity) {
            Ok(spare) => {
                let mut core = self.core();
                if core.queue.short().is_some() {
                    tracing::info!("the disk has room for the log again");
                }
                core.queue.add_spare(spare);
                Ok(true)
            }
            Err(failure) if failure.is_full() => {
                let mut core = self.core();
                if core.queue.short().is_none() {
                    tracing::warn!(
                        needed = capacity,
                        "the disk has no room for the log's next segment"
                    );
                }
                core.queue.set_short(capacity);
                Ok(false)
            }
            Err(failure) => Err(self.fail(failure)),
        }
    }
}

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

/// Writes them rather than to reserve room: what is only reserved is allocated when it is written. A little at a
/// time, as whoever commits meanwhile waits until the disk has what it was given before.
fn write_zeros(file: &impl File, name: &str, capacity: u64) -> Result<(), Failure> {
    let zeros = vec![0; AT_ONCE.min(usize::try_from(capacity).unwrap_or(AT_ONCE))];
    let mut at = 0;
    while at < capacity {
        let some = zeros.get(..(capacity - at).min(AT_ONCE as u64) as usize).unwrap_or(&zeros);
        file.write_at(some, at).during(Call::Write, name)?;
        file.sync().during(Call::Sync, name)?;
        at += some.len() as u64;
    }
    Ok(())
}

/// Makes a segment that nobody needs a spare.
fn recycle<F: FileSystem>(
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
fn remove<F: FileSystem>(fs: &F, segment: Segment<F::File>) -> Result<(), Failure> {
    let name = file_name(segment.header.sequence);
    drop(segment);
    fs.remove(&name).during(Call::Remove, &name)?;
    fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)
}
