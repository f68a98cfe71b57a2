//! Opening: from the files of a directory to a log that can be written.
//!
//! Guarantees: nothing is reported that a power cut could still take away, and nothing that the disk doesn't
//! have. So every file is synced first, which makes durable what a process left behind that was killed; then
//! what is cached of it is dropped, as a sync that failed may have left pages there that the disk never got;
//! then it is read. Nothing is changed before all of it was judged. Then what no frame says is durable is
//! written again, as it was read, and synced, as the cache may not have been dropped. What is written besides is
//! written behind the end, or into a new segment if anything lies there, and synced: a disk that can't be
//! written shows now rather than at the first vote.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::core::Core;
use super::error::{Call, Context, Damage, Failure, OpenError, Wrong};
use super::frame::{Frame, Head, Kind};
use super::fs::{File, FileSystem, LockError};
use super::queue::{Queue, Step, Tail};
use super::recovery::{Content, Replay, Replayed, checkpoint};
use super::segment::{
    BLOCK, FOLDER, FORMAT, Header, Named, NoHeader, Predecessor, Segment, Spare, file_name,
};
use super::writer::{Position, Writer, begin};
use super::{Lsn, Options, Recovered, identity, upkeep};
use crate::metrics;
use crate::proto::v1;

const LOCK: &str = "LOCK";

/// A log, ready to be written.
pub(super) struct Opened<F: FileSystem> {
    pub(super) lock: F::Lock,
    pub(super) core: Core<F::File>,
    /// The number of the next spare.
    pub(super) next_spare: u64,
}

/// A file of the log.
type Files<T> = BTreeMap<u64, Segment<T>>;

pub(super) fn open<F: FileSystem>(
    fs: &F,
    options: &Options,
    meters: &metrics::Wal,
) -> Result<(Opened<F>, Recovered), OpenError> {
    let lock = lock(fs)?;
    let identity = identity::read(fs)?;
    if let Some(identity) = &identity {
        identity::check(identity, &options.cluster, options.node_id)?;
    }
    // A name that isn't durable yet must not be relied on.
    fs.sync_folder("").during(Call::SyncFolder, "")?;
    let names = fs.list(FOLDER).during(Call::List, FOLDER)?;
    let names: Vec<Named> = names.iter().filter_map(|name| Named::of(name)).collect();
    if !names.is_empty() {
        fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)?;
    }
    let files = load(fs, &names)?;
    let Some(identity) = identity else {
        refuse_history(&files)?;
        let core = create(fs, options, &names)?;
        let recovered = Recovered { created: true, closed: false, torn: None };
        return Ok((Opened { lock, core, next_spare: 2 }, recovered));
    };
    let replayed = replay(&files, identity.store_id)?;
    let mut spares = Spares::adopt(fs, options, &names)?;
    let torn = replayed.torn.clone();
    if let Some(torn) = &torn {
        tracing::warn!(
            file = torn.file, offset = torn.offset, bytes = torn.bytes, lsn = %torn.lsn,
            "the log's end was torn: what was written there was never promised, and is left as it is"
        );
    }
    let recovered = Recovered { created: false, closed: replayed.closed, torn };
    let core = resume((fs, options, meters), files, replayed, &mut spares)?;
    Ok((Opened { lock, core, next_spare: spares.next }, recovered))
}

/// Takes the directory's lock.
pub(crate) fn lock<F: FileSystem>(fs: &F) -> Result<F::Lock, OpenError> {
    fs.lock(LOCK).map_err(|error| match error {
        LockError::Held { holder } => OpenError::Locked { file: LOCK.to_owned(), holder },
        LockError::Failed(source) => Failure::new(Call::Lock, LOCK, source).into(),
    })
}

/// Opens every segment and its header; what is read later is what the disk has.
fn load<F: FileSystem>(fs: &F, names: &[Named]) -> Result<Files<F::File>, OpenError> {
    let mut files = BTreeMap::new();
    for named in names {
        let Named::Segment(sequence) = *named else { continue };
        let name = file_name(sequence);
        let file = fs.open(&name).during(Call::Open, &name)?;
        file.sync().during(Call::Sync, &name)?;
        file.drop_cache().during(Call::DropCache, &name)?;
        let len = file.len().during(Call::Length, &name)?;
        let mut block = vec![0; len.min(BLOCK as u64) as usize];
        file.read_at(&mut block, 0).during(Call::Read, &name)?;
        let header = Header::read(&block).map_err(|error| match error {
            NoHeader::Newer(got) => OpenError::Newer { file: name.clone(), got, known: FORMAT },
            NoHeader::Damaged => damage(name.clone(), Wrong::Header).into(),
        })?;
        if len != header.capacity {
            let wrong = Wrong::Length { got: len, expected: header.capacity };
            return Err(damage(name, wrong).into());
        }
        files.insert(sequence, Segment { header, file });
    }
    Ok(files)
}

fn damage(file: String, wrong: Wrong) -> Box<Damage> {
    Box::new(Damage { file, offset: 0, lsn: Lsn(0), wrong, lost: Vec::new() })
}

fn replay<T: File>(files: &Files<T>, store_id: u64) -> Result<Replayed, OpenError> {
    let mut replay = Replay::new(store_id);
    for (sequence, segment) in files {
        replay.header(*sequence, segment.header)?;
    }
    let mut bytes = Vec::new();
    for (sequence, segment) in files {
        let successor = files.get(&(sequence + 1)).and_then(|next| next.header.predecessor);
        let name = file_name(*sequence);
        // One buffer for all: a file after the other, never two at once.
        bytes.resize(usize::try_from(segment.header.capacity).unwrap_or(usize::MAX), 0);
        segment.file.read_at(&mut bytes, 0).during(Call::Read, &name)?;
        replay.segment(Content { header: segment.header, bytes: &bytes, successor })?;
    }
    Ok(replay.finish()?)
}

/// A directory without an identity was never finished, or has lost it.
fn refuse_history<T: File>(files: &Files<T>) -> Result<(), OpenError> {
    let Some(first) = files.values().next() else { return Ok(()) };
    let lost = || damage(identity::FILE.to_owned(), Wrong::Missing);
    let replayed = replay(files, first.header.store_id)?;
    let nothing = replayed.groups.is_empty() && replayed.position.next_lsn == FIRST_LSN + 1;
    if nothing { Ok(()) } else { Err(lost().into()) }
}

const FIRST_LSN: u64 = 1;

/// A new log. The identity comes last: what has one has a log.
fn create<F: FileSystem>(
    fs: &F,
    options: &Options,
    leftovers: &[Named],
) -> Result<Core<F::File>, OpenError> {
    fs.create_folder(FOLDER).during(Call::CreateFolder, FOLDER)?;
    fs.sync_folder("").during(Call::SyncFolder, "")?;
    for named in leftovers {
        let name = named.path();
        fs.remove(&name).during(Call::Remove, &name)?;
    }
    fs.sync_folder(FOLDER).during(Call::SyncFolder, FOLDER)?;
    let store_id = fs.random();
    let spare = upkeep::fill(fs, 1, options.first_segment())?;
    let header = Header {
        sequence: 1,
        salt: fs.random(),
        store_id,
        capacity: spare.capacity,
        first_lsn: FIRST_LSN,
        zeroed: true,
        predecessor: None,
    };
    let groups = BTreeMap::new();
    let (segment, position) = begin(fs, spare, header, &checkpoint(&groups))?;
    let (format_version, cluster, node_id) = (FORMAT, options.cluster.clone(), options.node_id);
    identity::write(fs, &v1::Identity { format_version, cluster, node_id, store_id })?;
    tracing::info!(cluster = options.cluster, node_id, "a new log was created");
    let segments = BTreeMap::from([(1, Arc::clone(&segment))]);
    let queue = queue(&segment, &position, options);
    Ok(Core::new(groups, segments, queue, Writer::resume(segment, position)))
}

/// Nothing waits, and the next frame goes there.
fn queue<T>(segment: &Segment<T>, position: &Position, options: &Options) -> Queue<T> {
    let Header { sequence, capacity, .. } = segment.header;
    let tail = Tail { segment: sequence, end: position.end, capacity };
    Queue::new(tail, position.next_lsn, options.reserve(), options.segment())
}

/// The files that an earlier process left for segments to come.
struct Spares<T> {
    ready: Vec<Spare<T>>,
    next: u64,
}

impl<T: File> Spares<T> {
    fn adopt<F: FileSystem<File = T>>(
        fs: &F,
        options: &Options,
        names: &[Named],
    ) -> Result<Self, Failure> {
        let mut spares = Self { ready: Vec::new(), next: 1 };
        for named in names {
            let name = named.path();
            let (Named::Spare(number) | Named::Unfinished(number)) = *named else { continue };
            spares.next = spares.next.max(number.saturating_add(1));
            let file = fs.open(&name).during(Call::Open, &name)?;
            let capacity = file.len().during(Call::Length, &name)?;
            let whole = capacity == options.segment() && spares.ready.len() < options.spares;
            if whole && matches!(named, Named::Spare(_)) {
                // What is in it isn't known: zeros, or what a segment held.
                spares.ready.push(Spare { name, capacity, zeroed: false, file });
            } else {
                fs.remove(&name).during(Call::Remove, &name)?;
            }
        }
        Ok(spares)
    }

    /// One for a segment that is begun at once; as small as it may be if the disk has no room for more.
    fn take<F: FileSystem<File = T>>(
        &mut self,
        fs: &F,
        options: &Options,
        least: u64,
    ) -> Result<Spare<T>, Failure> {
        if let Some(at) = self.ready.iter().position(|spare| spare.capacity >= least) {
            return Ok(self.ready.swap_remove(at));
        }
        let mut fill = |capacity: u64| {
            self.next += 1;
            upkeep::fill(fs, self.next - 1, capacity.next_multiple_of(BLOCK as u64))
        };
        match fill(least.max(options.segment())) {
            Err(failure) if failure.is_full() => fill(least),
            done => done,
        }
    }
}

/// Bytes that are written again at once.
const AT_ONCE: u64 = 1 << 20;

/// Makes durable what was read there, whatever became of earlier syncs: bytes that one failed to write count as
/// clean, and may be in a cache still, as to drop it is a request. No other sync writes them before they are
/// written again.
fn write_again<T: File>(segment: &Segment<T>, range: Range<u64>) -> Result<(), Failure> {
    let name = file_name(segment.header.sequence);
    let Range { start, end } = range;
    for at in (start..end).step_by(AT_ONCE as usize) {
        let mut bytes = vec![0; (end - at).min(AT_ONCE) as usize];
        segment.file.read_at(&mut bytes, at).during(Call::Read, &name)?;
        segment.file.write_at(&bytes, at).during(Call::Write, &name)?;
    }
    if start < end { segment.file.sync().during(Call::Sync, &name) } else { Ok(()) }
}

/// Goes on behind the end, in a new segment if anything lies there.
fn resume<F: FileSystem>(
    (fs, options, meters): (&F, &Options, &metrics::Wal),
    files: Files<F::File>,
    replayed: Replayed,
    spares: &mut Spares<F::File>,
) -> Result<Core<F::File>, OpenError> {
    let Replayed { groups, mut position, doubted, torn, .. } = replayed;
    let mut segments: BTreeMap<_, _> =
        files.into_iter().map(|(sequence, segment)| (sequence, Arc::new(segment))).collect();
    // A replay that came to anything read a last segment.
    let last = segments.values().next_back().cloned();
    let mut segment = last.ok_or_else(|| damage(file_name(1), Wrong::Missing))?;
    write_again(&segment, doubted..position.end)?;
    if torn.is_some() {
        let checkpoint = checkpoint(&groups);
        let least = BLOCK as u64 + checkpoint.len() + 2 * options.reserve();
        let spare = spares.take(fs, options, least)?;
        let checksum = Head::checksum(&position.last, segment.header.salt);
        let predecessor = Predecessor { end: position.end, checksum };
        let header = Header {
            sequence: segment.header.sequence + 1,
            salt: fs.random(),
            capacity: spare.capacity,
            first_lsn: position.next_lsn,
            zeroed: spare.zeroed,
            predecessor: Some(predecessor),
            ..segment.header
        };
        (segment, position) = begin(fs, spare, header, &checkpoint)?;
        segments.insert(header.sequence, Arc::clone(&segment));
    }
    let mut writer = Writer::resume(Arc::clone(&segment), position);
    let synced = Frame::new(Kind::Synced, 0, Vec::new());
    // A segment may be full to its last byte, and the disk with it.
    if torn.is_none() && position.end + synced.len() <= segment.header.capacity {
        let (end, next_lsn) = (position.end + synced.len(), position.next_lsn + 1);
        writer.write(fs, &mut vec![Step::Frame(synced)], position.next_lsn - 1, meters)?;
        position = Position { end, next_lsn, ..position };
    }
    let mut queue = queue(&segment, &position, options);
    spares.ready.drain(..).for_each(|spare| queue.add_spare(spare));
    Ok(Core::new(groups, segments, queue, writer))
}
