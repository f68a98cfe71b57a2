//! What it costs to be durable: the write-ahead log beside the least that any log must do.
//!
//! `cargo bench -p seshat-core --bench durable`; `-- --quick` is a glance. Entries of one `SET`, key of 16
//! bytes and value of 128. The limit: a file filled with zeros, one write of the same bytes and one
//! fdatasync for each commit, nothing else. Both by turns in slices of some commits, on the disk that
//! the target folder is on, so that what else the machine does hits both; a row is the median slice.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark"
)]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses a part")]
mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::data::Make;
use common::measure::{Scale, median};
use common::table::{self, Aim, Row};
use seshat_core::proto::v1;
use seshat_core::types::Entry;
use seshat_core::wal::{Disk, Entries, Keeper, Options, Record, Wal};
use tempfile::TempDir;
use twox_hash::XxHash3_64;

/// Length of the limit's file, and of ours.
const FILE: u64 = 64 << 20;

/// The limit.
struct Raw {
    file: File,
    at: u64,
}

impl Raw {
    fn new(dir: &Path) -> Self {
        let path = dir.join("raw");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.unwrap();
        let zeros = vec![0; 1 << 20];
        (0..FILE).step_by(zeros.len()).for_each(|at| file.write_all_at(&zeros, at).unwrap());
        file.sync_all().unwrap();
        Self { file, at: 0 }
    }

    /// So many times the bytes of so many records, which are made here too: a disk that rests between two
    /// commits is another than one that doesn't.
    fn commits(&mut self, bytes: &[u8], batch: u64, outstanding: u64, times: u64) -> Duration {
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            drop(std::hint::black_box(records(0, batch, outstanding)));
            let started = Instant::now();
            self.commit(bytes);
            taken += started.elapsed();
        }
        taken
    }

    fn commit(&mut self, bytes: &[u8]) {
        if self.at + bytes.len() as u64 > FILE {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at += bytes.len() as u64;
    }
}

/// Entries ready to be submitted, made before the clock runs.
fn records(first: u64, batch: u64, count: u64) -> Vec<Record> {
    let record = |at: u64| {
        let mut entries = Entries::new(first + at * batch);
        for index in (first + at * batch..).take(batch as usize) {
            entries.push(1, &<Entry as Make>::make(index, index));
        }
        Record::Entries(entries)
    };
    (0..count).map(record).collect()
}

/// Bytes of a frame with so many entries.
fn frame_len(batch: u64) -> usize {
    let Record::Entries(entries) = &records(1000, batch, 1)[0] else { unreachable!() };
    48 + (entries.encoded_len() as usize).next_multiple_of(8)
}

fn options() -> Options {
    Options { first_segment_bytes: FILE, segment_bytes: FILE, ..Options::new("bench", 1) }
}

struct Ours {
    wal: Wal,
    keeper: Keeper,
    next: u64,
}

impl Ours {
    fn new(dir: &Path) -> Self {
        let (wal, _) = Wal::open(Disk::at(dir.join("wal")).unwrap(), options()).unwrap();
        wal.maintain().unwrap();
        let keeper = Keeper::start(wal.clone()).unwrap();
        Self { wal, keeper, next: 0 }
    }

    /// So many records of `batch` entries are submitted at once, then waited for, so many times. They are made
    /// just before, as a node's would be, and the clock doesn't run meanwhile.
    fn commits(&mut self, batch: u64, outstanding: u64, times: u64) -> Duration {
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            let records = records(self.next, batch, outstanding);
            self.next += batch * outstanding;
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

fn commit_row(dir: &Path, scale: Scale, batch: u64, outstanding: u64) -> Row {
    let (mut raw, mut ours) = (Raw::new(dir), Ours::new(dir));
    let quick = scale.rounds == 1;
    let (slices, syncs) = if quick { (10, 10) } else { (200, 20) };
    let bytes = vec![0xa5; frame_len(batch) * outstanding as usize];
    let (mut limit, mut taken) = (Vec::new(), Vec::new());
    for _ in 0..slices {
        let elapsed = raw.commits(&bytes, batch, outstanding, syncs);
        let commits = (syncs * outstanding) as f64;
        limit.push(elapsed.as_secs_f64() * 1e6 / commits);
        let elapsed = ours.commits(batch, outstanding, syncs);
        taken.push(elapsed.as_secs_f64() * 1e6 / commits);
    }
    let what = match outstanding {
        1 => format!("us a commit of {batch}, one at a time"),
        _ => format!("us a commit of {batch}, {outstanding} outstanding"),
    };
    let aim = Aim::ShareOfLimit(0.9);
    let row = Row { what, naive: None, ours: median(taken), limit: Some(median(limit)), aim };
    drop(ours);
    std::fs::remove_dir_all(dir.join("wal")).unwrap();
    row
}

/// Opening a log that was closed, and reading as many bytes raw with one checksum. Both from the disk.
fn recovery_row(dir: &Path, scale: Scale) -> Row {
    let mib: u64 = if scale.rounds == 1 { 32 } else { 512 };
    {
        let (wal, _) = Wal::open(Disk::at(dir.join("wal")).unwrap(), options()).unwrap();
        let mut next = 0;
        while next * 170 < mib << 20 {
            for record in records(next, 256, 64) {
                wal.submit(0, record).unwrap();
            }
            next += 256 * 64;
            wal.settle().unwrap();
        }
        wal.close().unwrap();
    }
    let files = || std::fs::read_dir(dir.join("wal/wal")).unwrap().map(|file| file.unwrap().path());
    let (mut limit, mut taken) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let started = Instant::now();
        for path in files() {
            let file = File::open(path).unwrap();
            // As the log does before it reads.
            seshat_core::wal::fs::File::drop_cache(&file).unwrap();
            let mut buf = vec![0; 1 << 20];
            for at in (0..file.metadata().unwrap().len()).step_by(buf.len()) {
                file.read_exact_at(&mut buf, at).unwrap();
                std::hint::black_box(XxHash3_64::oneshot(&buf));
            }
        }
        limit.push(started.elapsed().as_secs_f64() * 1e3);
        let started = Instant::now();
        let (wal, _) = Wal::open(Disk::at(dir.join("wal")).unwrap(), options()).unwrap();
        taken.push(started.elapsed().as_secs_f64() * 1e3);
        drop(wal);
    }
    let (what, aim) = (format!("ms to open {mib} MiB"), Aim::ShareOfLimit(0.5));
    Row { what, naive: None, ours: median(taken), limit: Some(median(limit)), aim }
}

fn main() {
    let scale = Scale::from_environment();
    let dir: TempDir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    table::print_machine(&scale);
    let mut rows: Vec<Row> = [(1, 1), (16, 1), (256, 1), (1, 256)]
        .into_iter()
        .map(|(batch, outstanding)| commit_row(dir.path(), scale, batch, outstanding))
        .collect();
    rows.push(recovery_row(dir.path(), scale));
    table::print("Durable (limit: the same bytes, written or read, and synced)", &rows);
}
