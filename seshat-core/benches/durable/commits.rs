//! Logs whose commits are timed: the least that any log must do, and ours. Those of others are timed by
//! the same code, in `seshat-conformance/third-party/durable`.
//!
//! Each log is on a disk that something else may use meanwhile, so they take turns in slices of a few
//! commits, and a number is the median of the slices. A slice begins when its entries are made: a node
//! has them made, too, and a disk that rests between two commits is another than one that doesn't.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use seshat_core::proto::v1;
use seshat_core::types::Entry;
use seshat_core::wal::{Disk, Entries, Keeper, Options, Record, Wal};

use crate::common::data::Make;
use crate::common::measure::{Scale, median};

/// Length of the limit's file, and of our segments.
const FILE: u64 = 64 << 20;

/// What is committed at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Entries in a commit.
    pub(crate) batch: u64,
    /// Commits that are asked for, one after the other, before the last is waited for.
    pub(crate) outstanding: u64,
}

pub(crate) const LOADS: [Load; 4] = [
    Load { batch: 1, outstanding: 1 },
    Load { batch: 16, outstanding: 1 },
    Load { batch: 256, outstanding: 1 },
    Load { batch: 1, outstanding: 256 },
];

impl Load {
    pub(crate) fn describe(self) -> String {
        let Self { batch, outstanding } = self;
        match outstanding {
            1 => format!("us a commit of {batch}, one at a time"),
            _ => format!("us a commit of {batch}, {outstanding} outstanding"),
        }
    }

    /// The entries of one group of commits, from `next` on, which they advance.
    pub(crate) fn entries(self, next: &mut u64) -> Vec<Vec<Entry>> {
        let first = *next;
        *next += self.batch * self.outstanding;
        let batch = |at| (at..at + self.batch).map(|index| Entry::make(index, index)).collect();
        (first..*next).step_by(self.batch as usize).map(batch).collect()
    }
}

/// A log.
pub(crate) trait Log {
    /// Commits so often, and says how long it took; what is in it is let go afterwards.
    fn commits(&mut self, load: Load, times: u64) -> Duration;
}

/// us a commit in each of the logs, the median slice.
pub(crate) fn by_turns<const N: usize>(
    mut logs: [Box<dyn Log>; N],
    load: Load,
    scale: Scale,
) -> [f64; N] {
    let (slices, times) = match (scale.rounds, load.outstanding) {
        (1, _) => (10, 10),
        (_, 1) => (300, 20),
        // Each is a group of commits, and takes some logs a thousand times as long.
        _ => (100, 20),
    };
    let mut taken: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..slices {
        for (log, taken) in logs.iter_mut().zip(&mut taken) {
            let elapsed = log.commits(load, times).as_secs_f64();
            taken.push(elapsed * 1e6 / (times * load.outstanding) as f64);
        }
    }
    taken.map(median)
}

/// The limit: a file of zeros, one write of the same bytes and one fdatasync for each group.
pub(crate) struct Raw {
    file: File,
    at: u64,
    next: u64,
}

impl Raw {
    pub(crate) fn new(dir: &Path) -> Self {
        let path = dir.join("raw");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.unwrap();
        let zeros = vec![0; 1 << 20];
        (0..FILE).step_by(zeros.len()).for_each(|at| file.write_all_at(&zeros, at).unwrap());
        file.sync_all().unwrap();
        Self { file, at: 0, next: 0 }
    }

    /// One write and one sync.
    pub(crate) fn commit(&mut self, bytes: &[u8]) {
        if self.at + bytes.len() as u64 > FILE {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at += bytes.len() as u64;
    }
}

impl Log for Raw {
    fn commits(&mut self, load: Load, times: u64) -> Duration {
        let bytes = vec![0xa5; load.outstanding as usize * frame_len(load.batch)];
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            // As the others do.
            drop(std::hint::black_box(records(load.entries(&mut self.next))));
            let started = Instant::now();
            self.commit(&bytes);
            taken += started.elapsed();
        }
        taken
    }
}

/// Encoded, as they are when they come to the log.
pub(crate) fn records(batches: Vec<Vec<Entry>>) -> Vec<Record> {
    let record = |batch: Vec<Entry>| {
        let mut entries = Entries::new(batch[0].log_id.index);
        batch.iter().for_each(|entry| entries.push(1, entry));
        Record::Entries(entries)
    };
    batches.into_iter().map(record).collect()
}

/// Bytes of a frame with so many entries.
pub(crate) fn frame_len(batch: u64) -> usize {
    let entries = Load { batch, outstanding: 1 }.entries(&mut 1000);
    let Record::Entries(entries) = &records(entries)[0] else { unreachable!() };
    48 + (entries.encoded_len() as usize).next_multiple_of(8)
}

pub(crate) fn options() -> Options {
    Options { first_segment_bytes: FILE, segment_bytes: FILE, ..Options::new("bench", 1) }
}

/// Ours.
pub(crate) struct Ours {
    wal: Wal,
    keeper: Keeper,
    next: u64,
}

impl Ours {
    pub(crate) fn new(dir: &Path) -> Self {
        let (wal, _) = Wal::open(Disk::at(dir.join("ours")).unwrap(), options()).unwrap();
        wal.maintain().unwrap();
        let keeper = Keeper::start(wal.clone()).unwrap();
        Self { wal, keeper, next: 0 }
    }
}

impl Log for Ours {
    fn commits(&mut self, load: Load, times: u64) -> Duration {
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            let records = records(load.entries(&mut self.next));
            let started = Instant::now();
            let mut last = None;
            for record in records {
                last = Some(self.wal.submit(0, record).unwrap());
            }
            self.wal.wait(last.unwrap()).unwrap();
            taken += started.elapsed();
        }
        let upto = v1::LogId { term: 1, node_id: 1, index: self.next - 1 };
        let lsn = self.wal.submit(0, Record::Purge(upto)).unwrap();
        self.wal.wait(lsn).unwrap();
        self.keeper.nudge();
        taken
    }
}
