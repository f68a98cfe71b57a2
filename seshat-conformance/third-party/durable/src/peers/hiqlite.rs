//! hiqlite-wal: its thread takes entries from a channel, writes into a mapped file, syncs and calls back. As its
//! face to openraft does, an append waits for the entries to be taken before the next begins.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use hiqlite_wal::{Action, LogStore, LogSync};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::encoded;
use crate::commits::{Load, Log};
use crate::common::naive::NaiveConfig;

/// Of one file: its own default.
const FILE_BYTES: u32 = 2 << 20;

/// See the [module](self).
pub(crate) struct HiqliteWal {
    runtime: Runtime,
    log: LogStore<NaiveConfig>,
    next: u64,
}

impl HiqliteWal {
    pub(crate) fn new(dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let path = dir.join("hiqlite-wal").to_string_lossy().into_owned();
        let log = runtime.block_on(LogStore::start(path, LogSync::Immediate, FILE_BYTES));
        Self { runtime, log: log.expect("a log"), next: 0 }
    }
}

impl Log for HiqliteWal {
    fn commits(&mut self, load: Load, times: u64) -> Duration {
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            let commits = encoded(load, &mut self.next);
            let (flushed, on_disk) = sync_channel(commits.len());
            let count = commits.len();
            let started = Instant::now();
            for batch in commits {
                let flushed = flushed.clone();
                let callback = Box::new(move |result| drop(flushed.send(result)));
                let ((entries, rx), (ack, taken)) = (flume::bounded(1), oneshot::channel());
                self.log.writer.send(Action::Append { rx, callback, ack }).expect("its thread");
                for entry in batch {
                    entries.send(Some(entry)).expect("its thread");
                }
                entries.send(None).expect("its thread");
                taken.blocking_recv().expect("its thread").expect("entries");
            }
            (0..count).for_each(|_| on_disk.recv().expect("its thread").expect("a commit"));
            taken += started.elapsed();
        }
        let (ack, done) = oneshot::channel();
        let purge = Action::Remove { from: 0, until: self.next - 1, last_log: None, ack };
        self.log.writer.send(purge).expect("its thread");
        drop(self.runtime.block_on(done));
        taken
    }
}
