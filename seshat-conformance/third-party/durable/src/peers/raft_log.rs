//! raft-log: its thread writes, syncs and calls back.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::{Callback, Config, Types, chunked_wal};

use super::encoded;
use crate::commits::{Load, Log};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stored;

impl Types for Stored {
    /// Term and index.
    type LogId = (u64, u64);
    type LogPayload = Vec<u8>;
    type Vote = (u64, u64);
    type Callback = Flushed;
    type UserData = ();

    fn log_index((_, index): &(u64, u64)) -> u64 {
        *index
    }

    fn payload_size(payload: &Vec<u8>) -> u64 {
        payload.len() as u64
    }
}

struct Flushed(SyncSender<io::Result<()>>);

impl Callback for Flushed {
    fn send(self, result: io::Result<()>) {
        // Who doesn't wait any more doesn't care.
        let _ = self.0.send(result);
    }
}

/// See the [module](self).
pub(crate) struct RaftLog {
    log: raft_log::RaftLog<Stored>,
    next: u64,
}

impl RaftLog {
    pub(crate) fn new(dir: &Path) -> Self {
        let wal = chunked_wal::Config::new(dir.join("raft-log").display());
        std::fs::create_dir(dir.join("raft-log")).expect("a folder");
        let config = Config { wal, ..Config::default() };
        Self { log: raft_log::RaftLog::open(Arc::new(config)).expect("a log"), next: 0 }
    }
}

impl Log for RaftLog {
    fn commits(&mut self, load: Load, times: u64) -> Duration {
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            let commits = encoded(load, &mut self.next);
            let (flushed, on_disk) = sync_channel(commits.len());
            let count = commits.len();
            let started = Instant::now();
            for batch in commits {
                let entries: Vec<_> =
                    batch.into_iter().map(|(index, entry)| ((1, index), entry)).collect();
                self.log.append(entries).expect("entries");
                self.log.flush(true, Some(Flushed(flushed.clone()))).expect("a flush");
            }
            (0..count).for_each(|_| on_disk.recv().expect("its thread").expect("a commit"));
            taken += started.elapsed();
        }
        self.log.purge((1, self.next - 1)).expect("a purge");
        self.log.flush(true, None).expect("a flush");
        self.log.wait_worker_idle().expect("its thread");
        taken
    }
}
