//! The write-ahead log: what a node must not forget, on disk.
//!
//! One log a node, shared by all its Raft groups; no consensus library, no runtime, no lock held while the
//! disk works. Synchronous: a call that waits blocks its thread.
//!
//! ```
//! use seshat_core::proto::v1;
//! use seshat_core::wal::{Disk, Options, Record, Wal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let options = Options { first_segment_bytes: 64 << 10, ..Options::new("cluster", 1) };
//! let (wal, recovered) = Wal::open(Disk::at(dir.path())?, options)?;
//! assert!(recovered.created);
//! let vote = v1::Vote { term: 1, node_id: 1, committed: false };
//! let lsn = wal.submit(0, Record::Vote(vote))?;
//! wal.wait(lsn)?; // durable, and so is all that was submitted before, by whomever
//! assert_eq!(wal.group(0).vote, Some(vote));
//! wal.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - **Order.** Records are numbered ([`Lsn`]) as they are submitted, whatever they are and whosever they
//!   are. What is there after a crash is a prefix of them, with all that was waited for. No record is there
//!   in part.
//! - **Group commit without a hand-over.** [`Wal::submit`] writes nothing. The first who [waits](Wal::wait)
//!   writes for all, in one write and one sync; a lone writer does so on its own thread.
//! - **Torn is not damaged.** What a crash left half-written at the end is told by an event, and left as it
//!   lies; the log goes on in a new segment. What was durable and isn't there any more refuses to open, with
//!   [where, what and which entries](Damage), and nothing is changed. How they are told apart, and when they
//!   can't be, is in `wal/recovery.rs`.
//! - **Open reports what stays.** Nothing that [`Wal::open`] finds can be lost to a power cut after it.
//! - **No second opinion.** A write, sync, rename or removal that fails [stops](Stopped) the log for as long
//!   as the process lives.
//! - **A full disk is seen early**, when the file for a segment to come can't be made ([`Space`]). Entries
//!   that don't fit in what is there are refused then ([`SubmitError::DiskFull`]), while what is kept at each
//!   segment's end still takes votes, truncations and purges. It takes entries again when there is room. Who
//!   can't bear a refusal [makes room](Wal::make_room) first.
//! - **Memory.** The log keeps where entries lie, [`BYTES_PER_FRAME`] for each record of entries until it is
//!   purged, and none of the entries: [`Wal::read`] takes them from the disk and verifies them each time.
//!
//! # What its user does
//!
//! - Appends: [`Entries`], submit, wait, then tell whoever waits for it. Votes: submit, wait. Truncations:
//!   submit; the entries that follow make them durable, otherwise wait. Purges: submit, wait. What is
//!   committed: submit. If the entry at a purge's index has another leader, a truncation since that index
//!   comes first.
//! - Every now and then, on a thread of its own: [`Wal::maintain`], which makes spare files and lets segments
//!   go; and where nothing was submitted for some milliseconds, [`Wal::settle`]. [`Keeper`] does both.
//! - At the end [`Wal::close`].
//!
//! # What is on disk
//!
//! `LOCK`, `IDENTITY` (`wal/identity.rs`), and in `wal/` segments (`wal/segment.rs`) of frames
//! (`wal/frame.rs`), whose bodies are the messages of `proto/seshat/v1/wal.proto`. The entry point to how they
//! are written is `wal/writer.rs`; to how they are read, `wal/open.rs`, and by those who only look, whatever is
//! wrong with them, `wal/scan.rs`.

mod core;
mod error;
mod frame;
pub mod fs;
mod group;
mod identity;
mod keeper;
mod open;
mod queue;
mod read;
mod record;
mod recovery;
pub(crate) mod scan;
mod segment;
mod upkeep;
mod writer;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use self::core::{Core, Refused, Turn};
pub(crate) use self::error::Context;
pub use self::error::{
    Call, Damage, Failure, Illegal, LostEntries, OpenError, Part, ReadError, Stopped, SubmitError,
    Wrong,
};
pub use self::frame::Kind;
use self::frame::{MAX_BODY, MAX_COUNT};
pub use self::fs::{Disk, FileSystem, ReadOnly};
pub use self::group::BYTES_PER_FRAME;
pub use self::keeper::Keeper;
use self::open::Opened;
use self::queue::NoSpare;
pub use self::queue::Space;
pub use self::record::{Entries, Record};
pub use self::recovery::Torn;
use self::segment::BLOCK;
pub use self::segment::FORMAT;
use crate::metrics;
use crate::proto::v1;

/// The number of a frame: one more than that of the frame before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub(crate) u64);

impl Lsn {
    /// As it is printed.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The cluster whose directory it is.
    pub cluster: String,
    /// The node whose directory it is.
    pub node_id: u64,
    /// Length of the first segment, which most logs that are only tried out don't fill.
    pub first_segment_bytes: u64,
    /// Length of all others, but for those of a record that is larger.
    pub segment_bytes: u64,
    /// What entries leave free at each segment's end, for what must be said on a full disk.
    pub reserve_bytes: u64,
    /// Files that are kept ready for segments to come.
    pub spares: usize,
}

impl Options {
    /// Segments of 64 MiB but for the first, which has 4; 64 KiB of reserve, a thousand votes; two spares.
    pub fn new(cluster: impl Into<String>, node_id: u64) -> Self {
        Self {
            cluster: cluster.into(),
            node_id,
            first_segment_bytes: 4 << 20,
            segment_bytes: 64 << 20,
            reserve_bytes: 64 << 10,
            spares: 2,
        }
    }

    fn reserve(&self) -> u64 {
        self.reserve_bytes.min(MAX_BODY)
    }

    fn first_segment(&self) -> u64 {
        self.bounded(self.first_segment_bytes)
    }

    fn segment(&self) -> u64 {
        self.bounded(self.segment_bytes)
    }

    /// At least some frames beside header and reserve, at most what an offset of 32 bits reaches.
    fn bounded(&self, bytes: u64) -> u64 {
        let least = 2 * BLOCK as u64 + self.reserve();
        bytes.clamp(least, 2 * MAX_BODY).next_multiple_of(BLOCK as u64)
    }
}

/// How a log was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// There was none.
    pub created: bool,
    /// It was closed, so that nothing in it is in doubt.
    pub closed: bool,
    /// What was written at its end and never promised.
    pub torn: Option<Torn>,
}

/// What a log comes to on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Files that it is in.
    pub segments: usize,
    /// Bytes that these take. Spares come on top.
    pub bytes: u64,
    /// Bytes that are free beside it; `None` where that isn't known.
    pub free_bytes: Option<u64>,
    /// Whether it takes nothing any more, because the disk failed.
    pub failed: bool,
}

/// See the [module](self). Clones share the log. Dropping the last one closes the files and no more.
pub struct Wal<F: FileSystem = Disk> {
    shared: Arc<Shared<F>>,
}

struct Shared<F: FileSystem> {
    fs: F,
    options: Options,
    core: Mutex<Core<F::File>>,
    /// The number of the next spare; held by whoever makes or recycles one.
    upkeep: Mutex<u64>,
    meters: metrics::Wal,
    _lock: F::Lock,
}

impl<F: FileSystem> Clone for Wal<F> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<F: FileSystem> fmt::Debug for Wal<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl<F: FileSystem> Wal<F> {
    /// Opens the log in a directory, or creates it where nothing is. Takes as long as reading the segments.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing was changed, but that a lock file may be there; after
    /// [`Failed`](OpenError::Failed) what was begun is finished the next time.
    pub fn open(fs: F, options: Options) -> Result<(Self, Recovered), OpenError> {
        let meters = metrics::Wal::new();
        let (opened, recovered) = open::open(&fs, &options, &meters)?;
        let Opened { lock, next_spare, .. } = opened;
        let (core, upkeep) = (Mutex::new(opened.core), Mutex::new(next_spare));
        let shared = Arc::new(Shared { fs, options, core, upkeep, meters, _lock: lock });
        Ok((Self { shared }, recovered))
    }

    // A panic while a lock was held can't have left a half-done change: what can fail is checked first.
    fn core(&self) -> MutexGuard<'_, Core<F::File>> {
        self.shared.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn upkeep(&self) -> MutexGuard<'_, u64> {
        self.shared.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the log is, for what lies beside it and shares its lock.
    pub(crate) fn file_system(&self) -> &F {
        &self.shared.fs
    }

    /// What a group's records come to, durable or not. All of its fields are empty before the first.
    pub fn group(&self, group: u32) -> v1::GroupState {
        let state = self.core().group(group).map(|held| held.state().clone());
        state.unwrap_or(v1::GroupState { group, ..v1::GroupState::default() })
    }

    /// The same for every group that has a record.
    pub fn groups(&self) -> Vec<v1::GroupState> {
        self.core().groups().cloned().collect()
    }

    /// Where a group's newest entries begin that take so many bytes here, give or take a record; or all of them.
    pub(crate) fn tail(&self, group: u32, bytes: u64) -> u64 {
        self.core().group(group).map_or(0, |held| held.tail(bytes))
    }

    /// How much room there is for segments to come, as far as is known.
    pub fn space(&self) -> Space {
        self.core().queue.space()
    }

    /// What the disk lacks for the next segment, in bytes; `None`: nothing, as far as is known.
    pub fn lacks(&self) -> Option<u64> {
        self.core().queue.short()
    }

    /// What it comes to on the disk. Asks the system.
    pub fn levels(&self) -> Levels {
        let ((segments, bytes), failed) = {
            let core = self.core();
            (core.sizes(), matches!(core.running(), Err(Stopped::Failed(_))))
        };
        // Whoever can't be told that is told the rest.
        let free_bytes = self.shared.fs.free().ok().flatten();
        Levels { segments, bytes, free_bytes, failed }
    }

    /// Whether records of entries of so many bytes in all would be taken now, without a file more.
    pub fn fits(&self, bytes: u64) -> bool {
        self.core().fits(bytes).is_ok()
    }

    /// Sees to it that they would, and says whether they do. Makes a file where one is lacking, unless the
    /// disk is known to be full; blocks for as long as that takes.
    ///
    /// # Errors
    /// The log stopped.
    pub fn make_room(&self, bytes: u64) -> Result<bool, Stopped> {
        let mut next = self.upkeep();
        let needed = {
            let core = self.core();
            core.running()?;
            match core.fits(bytes) {
                Ok(()) => return Ok(true),
                Err(_) if core.queue.short().is_some() => return Ok(false),
                Err(needed) => needed,
            }
        };
        self.make_spare(&mut next, needed.max(self.shared.options.segment()))
    }

    /// The last record that is durable, with all before it.
    pub fn durable(&self) -> Lsn {
        Lsn(self.core().durable())
    }

    /// Takes a record into the log, behind all that were taken before. It isn't durable before it is
    /// [waited](Self::wait) for, by whomever, and may never be written otherwise.
    ///
    /// Copies nothing under the lock but pointers. May make a file where no spare is ready.
    ///
    /// # Errors
    /// See [`SubmitError`]. The log is as it was.
    pub fn submit(&self, group: u32, record: Record) -> Result<Lsn, SubmitError> {
        let is_entries = matches!(record, Record::Entries(_));
        let countable = !matches!(&record, Record::Entries(entries) if !entries.countable());
        let (mut frame, change) = record.split(group);
        let got = frame.body.len() as u64;
        if got > MAX_BODY || !countable {
            let (count, max_count) = (frame.count as usize, MAX_COUNT as usize);
            return Err(SubmitError::TooLarge { got, count, max: MAX_BODY, max_count });
        }
        loop {
            let mut core = self.core();
            match core.submit(&mut frame, &change) {
                Ok(lsn) => return Ok(Lsn(lsn)),
                Err(Refused::Error(error)) => return Err(error),
                Err(Refused::NoSpare(NoSpare { capacity })) => {
                    // Whoever looks after the log tries again, and nobody for each entry that comes.
                    if let (true, Some(needed)) = (is_entries, core.queue.short()) {
                        return Err(SubmitError::DiskFull { needed });
                    }
                    drop(core);
                    let mut next = self.upkeep();
                    // Others may have lacked it too, and were here first.
                    if self.core().queue.has_spare(capacity) {
                        continue;
                    }
                    tracing::debug!(bytes = capacity, "no spare is ready for the next segment");
                    if !self.make_spare(&mut next, capacity)? {
                        return Err(SubmitError::DiskFull { needed: capacity });
                    }
                }
            }
        }
    }

    /// Returns when that record is durable, and all before it. Writes for everybody if nobody does.
    ///
    /// # Errors
    /// The log failed: whether the record will be there is not known.
    pub fn wait(&self, lsn: Lsn) -> Result<(), Stopped> {
        loop {
            let mut core = self.core();
            if core.durable() >= lsn.0.min(core.last()) {
                return Ok(());
            }
            core.running()?;
            match core.turn() {
                Some(turn) => {
                    drop(core);
                    self.write(turn);
                }
                None => {
                    core.sleep(lsn.0);
                    drop(core);
                    thread::park();
                }
            }
        }
    }

    fn write(&self, mut turn: Turn<F::File>) {
        let Shared { fs, meters, .. } = &*self.shared;
        let written = turn.writer.write(fs, &mut turn.steps, turn.durable, meters);
        if let Err(failure) = &written {
            report(failure);
        }
        let wake = self.core().wrote(turn, written);
        wake.iter().for_each(thread::Thread::unpark);
    }

    /// Makes durable what is queued, and writes that all of it is. To be called when nothing was submitted
    /// for a while: after that, damage to the last records can't be taken for a torn end any more.
    ///
    /// # Errors
    /// The log stopped.
    pub fn settle(&self) -> Result<(), Stopped> {
        let last = self.core().last_record();
        self.wait(Lsn(last))?;
        let turn = {
            let mut core = self.core();
            core.running()?;
            core.turn_to_say()
        };
        let Some(mut turn) = turn else { return Ok(()) };
        // It says of others that they are durable; what it is worth doesn't depend on whether it is.
        let written = turn.writer.write_unsynced(&mut turn.steps, turn.durable);
        if let Err(failure) = &written {
            report(failure);
        }
        let mut core = self.core();
        let wake = core.said(turn.writer, written);
        let running = core.running();
        drop(core);
        wake.iter().for_each(thread::Thread::unpark);
        running
    }

    /// Makes durable what is queued, and that the log was closed. Takes nothing any more.
    ///
    /// # Errors
    /// The log failed before, or did now.
    pub fn close(&self) -> Result<(), Stopped> {
        let last = {
            let mut core = self.core();
            match core.running() {
                Err(Stopped::Closed) => return Ok(()),
                running => running?,
            }
            core.mark(Kind::Closed);
            core.last()
        };
        self.wait(Lsn(last))?;
        self.core().stopped.get_or_insert(Stopped::Closed);
        Ok(())
    }

    /// Takes nothing any more: the disk that it is on failed.
    pub(crate) fn fail(&self, failure: Failure) -> Stopped {
        report(&failure);
        let wake = self.core().fail(failure.clone());
        wake.iter().for_each(thread::Thread::unpark);
        Stopped::Failed(failure)
    }
}

fn report(failure: &Failure) {
    tracing::error!(
        call = %failure.call, file = failure.file, error = %failure.source,
        "the log failed, and takes nothing any more"
    );
}
